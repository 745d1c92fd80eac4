/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One cycle of a fleet's host: what file ring and stores hold is merged, missing keys are made, and
 * what differs is written back by compare-and-swap.  No leader, no network and no clock here:
 * stores and file are behind a port, the time is a parameter, so that a test can run any history.
 *
 * Which host makes a key is decided by the first store that answers: the key of whoever writes
 * first counts, and who comes second drops his own before any other has seen it.  One thread.
 */
#ifndef STEKCTL_SYNC_H
#define STEKCTL_SYNC_H

#include "stek_ring.h"
#include "stek_schedule.h"

#pragma GCC visibility push(hidden)

#define SYNC_STORES_MAX 8
#define SYNC_TRIES 10 /* so often a cycle begins anew when others wrote meanwhile */

/* With so little time covered keys are made though no store answers. */
#define SYNC_ALONE_BELOW (STEK_PREPARE_MIN / 2)

typedef enum sync_answer_e {
    SYNC_SILENT,  /* no answer that could be used */
    SYNC_ABSENT,  /* the store holds no object */
    SYNC_REFUSED, /* it holds something that does not open, or holds a weak key */
    SYNC_GOOD
} sync_answer_e;

/* What a cycle has read of one store. */
typedef struct sync_view_t {
    sync_answer_e answer;
    apr_status_t why;  /* SYNC_REFUSED: why it does not open */
    stek_ring_t *ring; /* SYNC_GOOD: opened and audited */
    int old_seal;      /* SYNC_GOOD: to be sealed anew, under today's first secret */
} sync_view_t;

typedef enum sync_written_e {
    SYNC_WRITTEN,
    SYNC_CHANGED, /* another has written since the view was read: nothing was written */
    SYNC_FAILED
} sync_written_e;

typedef struct sync_rules_t {
    stek_params_t params;
    int generate; /* 0: keys are only passed on, and live as long as their makers said */
} sync_rules_t;

/* The world, as a cycle sees it. */
typedef struct sync_port_t {
    void *baton;
    int store_n;
    /* Reads all stores; views[store_n] come zeroed, their rings become the cycle's. */
    void (*read)(void *baton, apr_time_t now, sync_view_t *views);
    /* Writes ring if the store is as it was last read. */
    sync_written_e (*write)(void *baton, int store, const stek_ring_t *ring, apr_time_t now);
    /* The file ring; *pring NULL if there is none.  A failure ends the cycle. */
    apr_status_t (*load)(void *baton, stek_ring_t **pring);
    /* Merges ring into the file ring. */
    apr_status_t (*save)(void *baton, const stek_ring_t *ring, apr_time_t now,
                         apr_interval_time_t lifetime);
    /* Waits a little, longer with each try, since others are writing. */
    void (*pause)(void *baton, int try_n);
} sync_port_t;

/* What follows from a file ring and views. */
typedef struct sync_plan_t {
    stek_ring_t *shared; /* all that file and stores hold; NULL: nothing anywhere */
    stek_ring_t *wanted; /* that and the keys made; NULL: nothing */
    apr_size_t made;
    int write[SYNC_STORES_MAX]; /* the store lacks something of wanted */
} sync_plan_t;

typedef struct sync_result_t {
    apr_size_t made;         /* keys that are now in the file ring or a store */
    int answered_n;          /* stores that answered with a ring or without one */
    int written_n, failed_n; /* stores; failed: could be read, but not written */
    int tries;
    apr_uint64_t generation;
    apr_time_t covered_until; /* of what is in the file now */
    apr_interval_time_t skew; /* how far the latest writer's clock is ahead of ours at the least */
} sync_result_t;

/* Makes the plan; reads nothing, writes nothing.  file_ring may be NULL.  The caller releases it.
 * STEK_EFULL, STEK_ERNG, STEK_EWEAK, APR_ENOMEM. */
apr_status_t sync_plan(const stek_ring_t *file_ring, const sync_view_t *views, int store_n,
                       const sync_rules_t *rules, apr_time_t now, stek_rng_t *rng,
                       sync_plan_t *plan);
void sync_plan_release(sync_plan_t *plan);
void sync_views_release(sync_view_t *views, int store_n);

/* A whole cycle.  views[port->store_n] is what was read last, its rings released.  Codes of
 * sync_plan and of the port's load and save; stores that fail are no failure. */
apr_status_t sync_cycle(const sync_port_t *port, const sync_rules_t *rules, apr_time_t now,
                        stek_rng_t *rng, sync_view_t *views, sync_result_t *result);

#pragma GCC visibility pop
#endif
