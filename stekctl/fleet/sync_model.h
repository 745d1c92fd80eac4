/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a real host share (sync_host.h): its options, stores and secrets.  One thread; the
 * stores' workers are processes that see sealed bytes only.
 */
#ifndef STEKCTL_SYNC_MODEL_H
#define STEKCTL_SYNC_MODEL_H

#include "known_hosts.h"
#include "stek_file.h"
#include "stek_seal.h"
#include "stekctl.h"
#include "store.h"
#include "sync.h"

#pragma GCC visibility push(hidden)

typedef struct sync_options_t {
    const char *urls[SYNC_STORES_MAX]; /* sorted: every host asks the same store first */
    int store_n;
    const char *fleet_secret_path;
    const char *password_path;                  /* NULL: none */
    const char *ca_path, *cert_path, *key_path; /* for TLS with stores; NULL: none */
    const char *floor_path;                     /* NULL: none */
    const char *announce;     /* the host's name for the others; NULL: does not announce itself */
    const char *metrics_path; /* NULL: none */
    const char *httpd_url;    /* httpd's status page; NULL: not asked */
    sync_rules_t rules;
    apr_interval_time_t every;
    apr_interval_time_t timeout;
    int once; /* one cycle only */
} sync_options_t;

/* Who waits for what a store says of changes (sync_watch.h). */
typedef struct sync_watch_t {
    store_t *store; /* NULL: that kind of store says nothing */
    int waits;      /* it has been asked to say what comes next */
    int stands;     /* it is listened to, and misses nothing */
    int rung;       /* it has said something since the store was read */
    int vouched_n;  /* cycles in a row in which the store was not asked, because there is a watch */
    apr_int64_t due_ms;          /* when to begin, or to wait, again */
    apr_int64_t born_ms;         /* when its worker was started */
    unsigned failed_n;           /* in a row */
    apr_int64_t missed_ms;       /* when a cycle read a change of which it has not told; 0: none */
    char missed[STORE_MARK_LEN]; /* that change's mark */
    int told_mute;               /* that others are not told what this host writes */
    int told;                    /* that it does not work */
    unsigned line_n;             /* lines logged of it */
    apr_int64_t line_ms;         /* the last one */
} sync_watch_t;

/* One store, over the cycles. */
typedef struct sync_store_t {
    const char *url;
    store_t *store;
    sync_watch_t watch;
    int asked;               /* in the last cycle */
    sync_answer_e answer;    /* to the last read */
    int write_failed;        /* the last write */
    apr_uint64_t answers[4]; /* how often it gave which sync_answer_e, since the start */
    apr_uint64_t conflict_n; /* writes that another host was faster than */
    apr_uint64_t failure_n;  /* writes that failed */
    unsigned overtaken_n; /* cycles in a row in which it took no write: another was always first */
    unsigned lost_n;      /* reads in a row that found nothing, although it had taken a write */
    int wrote;            /* it has taken a write since the last read */
    int is_ahead;         /* what was read last has an epoch and a time far ahead of the clock */
    unsigned ahead_n;     /* the same: cycles in a row */
    int rolled_back;      /* what was read last lacks a revocation that the store had */
    stek_ring_t *level;   /* epoch and tombstones that it had so far; NULL: first_floor's */
    char why[STORE_WHY_LEN]; /* of what went wrong last */
    apr_time_t last_success; /* 0: never */
    unsigned failed_n;       /* cycles since the log called it good */
    apr_uint64_t generation; /* of the object read last; 0: none, or refused */
    apr_time_t written_at;   /* the same */
    int reseal;              /* seal it under the first secret once, because secrets were re-read */
    const char *logged;      /* state last logged */
    char logged_why[STORE_WHY_LEN]; /* and its reason */
    unsigned logged_n;              /* lines logged; one fewer for every minute since */
    apr_time_t logged_at;           /* the last one */
    const char *last;               /* state of the last cycle */
    unsigned muted_n;               /* changes of state since logged_at that the log lacks */
    int logged_unconfined;          /* that its worker lacks something */
} sync_store_t;

typedef struct sync_host_t {
    ctl_t *ctl;
    const sync_options_t *options;
    sync_store_t stores[SYNC_STORES_MAX];
    stek_secrets_t *local;
    stek_secrets_t *fleet;
    stek_secrets_t *keys[3];  /* what seals in the stores: yesterday, today, tomorrow */
    apr_int32_t keys_day;     /* that today */
    apr_int32_t day;          /* the same by the clock, also if there are no secrets for it */
    int out_of_step;          /* the fleet secret has moved on to a later day: no store is used */
    apr_int32_t fleet_day;    /* the day of the object read last, if the ratchet waits; or 0 */
    apr_int32_t told_day;     /* that day, as last reported */
    int day_confirmed;        /* another host seals under the keys of this host's day */
    apr_int64_t jumped_at;    /* monotonic ms: when the day first was more than one ahead; or 0 */
    apr_int64_t moved_at;     /* monotonic ms: when the ratchet moved on last; or 0 */
    int reader;               /* writes no file */
    int once;                 /* one cycle only: a day that has jumped cannot be waited for */
    apr_uint64_t known_epoch; /* the greatest that was taken in */
    stek_ring_t *floor;       /* NULL: none yet */
    stek_ring_t *first_floor; /* as it was read at start */
    stek_stamp_t floor_stamp; /* as it was read or written last */
    int floor_fd;             /* the file, locked; 0 or less: none */
    int floor_scanned;        /* floors that were moved aside have been looked at */
    int floor_differs;        /* the file is not what floor is: write it */
    int floor_off;            /* what is at its path stays as it is */
    const char *floor_why;    /* the reason; NULL: it is in use */
    int ring_is_older;        /* the file ring lacks a revocation of the floor, as last reported */
    apr_status_t floor_rv;    /* of writing it, as last reported */
    stek_stamp_t ring_stamp;  /* of the file ring, as it was read or written last */
    stek_stamp_t first_stamp; /* as it was read when the cycle began */
    apr_uint64_t ring_number; /* stek_ring_digest48 of it, as it was read last; 0: none */
    apr_status_t ring_rv;     /* of reading it last, if there is one */
    int ring_news;       /* the file ring has something that the cycle did not give to the stores */
    apr_int64_t kept_ns; /* modification time of the last whose revocations the floor has */
    apr_int64_t told_ns; /* the same, as the state file has it */
    int reseal_file;     /* seal the file ring under the first local secret once */
    apr_status_t fleet_rv;     /* of reading the fleet secret, as last reported */
    apr_status_t ratchet_rv;   /* of writing the fleet secret's file, as last reported */
    apr_status_t aside_rv;     /* of moving a bad ring aside, as last reported */
    apr_status_t state_rv;     /* of claiming the state's file, as last reported */
    apr_time_t swept_at;       /* when temporary files were looked for; 0: never */
    apr_array_header_t *known; /* the hosts that it has seen (known_hosts.h); NULL: none yet */
    apr_pool_t *pool;          /* of one cycle */
} sync_host_t;

#pragma GCC visibility pop
#endif
