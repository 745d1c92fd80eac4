/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running sync, as it announces its host (announce_format.h): when something has changed, and at least once in
 * a period; and as it looks at all hosts now and then, for its metrics, its log and its own clock.  Hosts
 * take turns in looking, so that a store sees about as much of it whatever the fleet's size.  Whatever
 * fails here, the ring's cycle does not depend on it.  One thread.
 */
#ifndef STEKCTL_ANNOUNCER_H
#define STEKCTL_ANNOUNCER_H

#include <apr_tables.h>

#include "announce_stores.h"
#include "fleet_view.h"
#include "stek_file.h"
#include "sync_host.h"

#pragma GCC visibility push(hidden)

/* What the last whole look came to.  looked_at 0: there was none. */
typedef struct announcer_look_t {
    apr_time_t looked_at;
    apr_size_t host_n, ring_n;
    apr_size_t trouble_n[FLEET_TROUBLES_N];
} announcer_look_t;

/* Another process that announces this host's name. */
typedef struct namesake_t {
    unsigned char process[ANNOUNCE_PROCESS_LEN];
    apr_time_t clock; /* of the last that was found of it; 0: nobody */
} namesake_t;

#define ANNOUNCER_NAMESAKES 4

typedef struct announcer_t {
    int is_open; /* its stores are */
    announce_store_t stores[SYNC_STORES_MAX];
    announce_t self;
    announce_t told[SYNC_STORES_MAX]; /* to each store; a clock of 0: nothing */
    apr_int64_t
        again_ms[SYNC_STORES_MAX];      /* when it is due though nothing has changed; monotonic */
    int store_refuses[SYNC_STORES_MAX]; /* the last one */
    int only_one[SYNC_STORES_MAX]; /* because of one object, which is too large to be replaced */
    int refusal_told[SYNC_STORES_MAX]; /* that was reported */
    stek_stamp_t stamp;                /* of the file ring that self describes */
    apr_time_t next_end;               /* when something in that ring ends; 0: never */
    apr_uint64_t number;               /* of that file (stek_ring_digest48) */
    apr_uint64_t httpd_number;         /* and of the one that httpd has loaded; 0: not known */
    int httpd_told;                    /* its status page cannot be read: reported */
    namesake_t namesakes[SYNC_STORES_MAX][ANNOUNCER_NAMESAKES]; /* as each store shows them */
    int namesake_next;          /* that is to be replaced by another */
    apr_int64_t twin_until_ms;  /* for so long one is told of; monotonic */
    apr_int64_t hurry_until_ms; /* for so long every cycle announces; monotonic; 0: not begun */
    apr_pool_t *look_pool;      /* NULL: no look is under way */
    apr_array_header_t *seen;   /* announce_t: by it, so far */
    int look_part;              /* the next */
    apr_int64_t look_due_ms;    /* monotonic */
    announcer_look_t look;
    apr_size_t told_apart_n;       /* hosts that disagree, as last reported */
    int (*is_called)(void *baton); /* nonzero: go on looking another time.  NULL: never */
    void *baton;
} announcer_t;

/* After every cycle: announces the host where it is due, and looks where that is.  announcer starts
 * zeroed but for is_called and baton; options->announce NULL: does nothing. */
void announcer_cycle(announcer_t *announcer, sync_host_t *host, apr_status_t rv,
                     const sync_result_t *result, apr_time_t now);

/* Closes its stores; the next cycle opens them again, and announces the host to them, with the secrets of
 * then. */
void announcer_close(announcer_t *announcer);

#pragma GCC visibility pop
#endif
