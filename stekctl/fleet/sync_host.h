/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cycle works with on a real host: the file ring and its local secret, the fleet secret and
 * the secrets derived from it for these days, the stores.  It stands behind the port of sync.h.
 * One thread; the stores' workers are processes that see sealed bytes only.
 */
#ifndef STEKCTL_SYNC_HOST_H
#define STEKCTL_SYNC_HOST_H

#include "stek_seal.h"
#include "stekctl.h"
#include "store.h"
#include "sync.h"

#pragma GCC visibility push(hidden)

typedef struct sync_options_t {
    const char *urls[SYNC_STORES_MAX]; /* sorted: all hosts ask the same store first */
    int store_n;
    const char *fleet_secret_path;
    const char *password_path; /* NULL: none */
    sync_rules_t rules;
    apr_interval_time_t every;
    apr_interval_time_t timeout;
} sync_options_t;

/* One store, over the cycles. */
typedef struct sync_store_t {
    const char *url;
    store_t *store;
    sync_answer_e answer;    /* to the last read */
    int write_failed;        /* the last write */
    char why[STORE_WHY_LEN]; /* of what went wrong last */
    apr_time_t last_success; /* 0: never */
    unsigned failed_n;       /* cycles since */
    stek_header_t header;    /* of the object read last, if has_header */
    int has_header;
    int reseal;         /* seal it under the first secret once, since secrets were read anew */
    const char *logged; /* state last logged */
} sync_store_t;

typedef struct sync_host_t {
    ctl_t *ctl;
    const sync_options_t *options;
    sync_store_t stores[SYNC_STORES_MAX];
    stek_secrets_t *local;
    stek_secrets_t *fleet;
    stek_secrets_t *keys[3]; /* what seals in the stores: yesterday, today, tomorrow */
    apr_int32_t day;         /* that today */
    int reader;              /* writes no file */
    int reseal_file;         /* seal the file ring under the first local secret once */
    apr_status_t ratchet_rv; /* of writing the fleet secret's file, as last reported */
    apr_status_t aside_rv;   /* of moving a bad ring aside, as last reported */
    apr_pool_t *pool;        /* of one cycle */
} sync_host_t;

/* Reads secrets, makes the local one and the ring's directory if they are missing, prepares the
 * stores. Codes of what was reported. */
ctl_exit_e sync_host_open(ctl_t *ctl, const sync_options_t *options, sync_host_t *host);

/* The same for one that writes nothing: no ring, secret or directory is made, no file is
 * replaced. */
ctl_exit_e sync_host_open_reader(ctl_t *ctl, const sync_options_t *options, sync_host_t *host);

/* Reads all secrets anew; what can't be read stays as it was, with a report. */
void sync_host_reload(sync_host_t *host);

/* Before each cycle: clears the pool, and moves to the day of now. */
void sync_host_begin(sync_host_t *host, apr_time_t now);

void sync_host_close(sync_host_t *host);

/* The port; its baton is host. */
void sync_host_port(sync_host_t *host, sync_port_t *port);

#pragma GCC visibility pop
#endif
