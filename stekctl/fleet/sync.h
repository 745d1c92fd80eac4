/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One cycle of a fleet's host: it merges the file ring and the stores' rings, makes missing keys,
 * and writes differences back by compare-and-swap.  There is no leader, and no network or clock
 * here: stores and file are behind a port, and the time is a parameter, so a test can run any
 * history.
 *
 * The first store that answers decides which host makes a key: the first writer's key counts, and a
 * later writer drops its own key before any other host has seen it.  Otherwise stores are independent:
 * whatever one says, revocations reach the others and the file ring, which gets them after each try.  A store that in every try claims
 * that another host has written decides nothing until it takes a write.  One thread.
 */
#ifndef STEKCTL_SYNC_H
#define STEKCTL_SYNC_H

#include "stek_ring.h"
#include "stek_schedule.h"

#pragma GCC visibility push(hidden)

#define SYNC_STORES_MAX 8
#define SYNC_TRIES 10 /* of a cycle, as long as other hosts write first */

/* A try that begins so long after the first one is the last: a slow store must not hold up the file ring. */
#define SYNC_TRIES_TIME apr_time_from_sec(10)

/* If less time than this is covered, keys are made even if no store answers. */
#define SYNC_ALONE_BELOW (STEK_PREPARE_MIN / 2)

typedef enum sync_answer_e {
    SYNC_SILENT,  /* no usable answer */
    SYNC_ABSENT,  /* the store contains no object */
    SYNC_REFUSED, /* its object cannot be opened, contains a weak key, or has an implausible epoch */
    SYNC_GOOD
} sync_answer_e;

/* What a cycle has read from one store. */
typedef struct sync_view_t {
    sync_answer_e answer;
    apr_status_t why;  /* SYNC_REFUSED: the reason */
    stek_ring_t *ring; /* SYNC_GOOD: opened and audited */
    int old_seal;      /* SYNC_GOOD: reseal it with today's first secret */
    int distrusted;    /* in earlier cycles it took no write: it decides nothing */
} sync_view_t;

typedef enum sync_written_e {
    SYNC_WRITTEN,
    SYNC_CHANGED, /* another host has written since the read: nothing was written */
    SYNC_FAILED
} sync_written_e;

typedef struct sync_rules_t {
    stek_params_t params;
    int generate; /* 0: only passes keys on; they live as long as their makers decided */
} sync_rules_t;

/* The outside world of a cycle. */
typedef struct sync_port_t {
    void *baton;
    int store_n;
    apr_time_t (*now)(void *baton);
    /* Reads all stores.  views[store_n] are zeroed; the cycle takes ownership of their rings. */
    void (*read)(void *baton, apr_time_t now, sync_view_t *views);
    /* Writes ring if the store is still as last read. */
    sync_written_e (*write)(void *baton, int store, const stek_ring_t *ring, apr_time_t now);
    /* Reads the file ring; *pring is NULL if there is none.  A failure ends the cycle. */
    apr_status_t (*load)(void *baton, stek_ring_t **pring);
    /* Merges ring into the file ring; epoch and tombstones are kept first where they outlive it.
     * *pcovered_until: of what is in the file then (stek_schedule_covered_until). */
    apr_status_t (*save)(void *baton, const stek_ring_t *ring, apr_time_t now,
                         apr_interval_time_t lifetime, apr_time_t *pcovered_until);
    /* Waits a little, longer with every try, because other hosts are writing. */
    void (*pause)(void *baton, int try_n);
} sync_port_t;

/* What to do about a file ring and views. */
typedef struct sync_plan_t {
    apr_size_t left_out_n; /* keys that begin too late, or had no room */
    apr_size_t doubled_n;  /* keys that were dropped: another has their bytes */
    stek_ring_t *shared;   /* everything else in file and stores; NULL: nothing anywhere */
    stek_ring_t *wanted;   /* that and the new keys; NULL: nothing */
    apr_size_t made;
    int write[SYNC_STORES_MAX]; /* the store lacks something that wanted has */
} sync_plan_t;

typedef struct sync_result_t {
    apr_size_t made;                /* new keys that are now in the file ring or a store */
    int answered_n;                 /* stores that answered, with a ring or without */
    int written_n, failed_n;        /* stores; failed: could be read, but not written */
    int overtaken[SYNC_STORES_MAX]; /* the store took no write: another host had always written */
    apr_size_t left_out_n;          /* keys that begin too late, or had no room */
    apr_size_t doubled_n;           /* keys that were dropped: another has their bytes */
    int tries;
    apr_interval_time_t took; /* by the port's clock */
    apr_uint64_t generation;
    apr_time_t covered_until; /* by the file ring's keys now */
    apr_interval_time_t skew; /* how far at least the latest writer's clock is ahead of ours */
} sync_result_t;

/* How long keys live in this host's file ring at most; 0: as long as their makers decided, because a host that does not
 * generate does not decide. */
apr_interval_time_t sync_lifetime(const sync_rules_t *rules);

/* Makes the plan; reads and writes nothing.  file_ring may be NULL.  Views' rings lose the keys that begin too
 * late for any host; one that does not fit with the others is refused (STEK_EFULL).  The caller releases the
 * plan.  STEK_EFULL, STEK_ERNG, STEK_EWEAK, APR_ENOMEM. */
apr_status_t sync_plan(const stek_ring_t *file_ring, sync_view_t *views, int store_n,
                       const sync_rules_t *rules, apr_time_t now, stek_rng_t *rng,
                       sync_plan_t *plan);
void sync_plan_release(sync_plan_t *plan);
void sync_views_release(sync_view_t *views, int store_n);

/* A whole cycle.  views[port->store_n] is what was read last, with its rings released.  Codes of
 * sync_plan and of the port's load and save; a store that fails is not a failure. */
apr_status_t sync_cycle(const sync_port_t *port, const sync_rules_t *rules, stek_rng_t *rng,
                        sync_view_t *views, sync_result_t *result);

#pragma GCC visibility pop
#endif
