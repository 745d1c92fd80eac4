/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of a ring, in anonymous shared memory that the parent makes before it forks.
 *
 *     counters of a ring:   | totals of a while ago | marks of an hour | parent | tally 0 | ... |
 *     claims, once:         | used_n | pid of tally 0 .. n-1 |
 *
 * A process counts in one tally, the same for every ring: the parent in tally 0, a child in one
 * that it claims when it starts, so that handshakes of two children touch no common cache line.  A
 * tally is never zeroed: a process that ends leaves its counts to the next.  If there are more
 * children than tallies, they share them, which is slower but as exact, because counts are
 * atomic.  Totals are sums over tallies.  The memory belongs to the retained live keyring, and so
 * outlives children and reloads.
 *
 * A child can write anything there (S10).  So the parent only adds and stores, and reads nothing:
 * sizes, pointers and its last check are in its own memory.  Children sum up, to show it; whatever
 * they find stays within the tallies that were mapped, and is a number that can be shown.
 */
#ifndef MOD_STEK_COUNTERS_H
#define MOD_STEK_COUNTERS_H

#include <stdatomic.h>
#include "apr_pools.h"
#include "apr_time.h"

#pragma GCC visibility push(hidden)

/* Why a ring's file was refused. */
#define MOD_STEK_CAUSES(X)                                                                         \
    X(MISSING, "missing")         /* no such file */                                               \
    X(FORMAT, "format")           /* not a ring, cut, or its content makes no sense */             \
    X(VERSION, "version")         /* of a later version */                                         \
    X(SEAL, "seal")               /* changed since it was sealed */                                \
    X(SECRET, "secret")           /* sealed under another secret */                                \
    X(WEAK, "weak")               /* holds a key that is not random */                             \
    X(PERMISSIONS, "permissions") /* open to others, or not readable */                            \
    X(OTHER, "other")

/* Upper bounds of the ticket's age at resumption, in seconds; one bucket more is without bound. */
#define MOD_STEK_AGE_BOUNDS                                                                        \
    {                                                                                              \
        1, 10, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800                      \
    }
#define MOD_STEK_AGE_BOUND_N 12

/* Reasons for which a ticket is refused. */
#define MOD_STEK_REFUSED_N 6

typedef enum mod_stek_counter_e {
    MOD_STEK_ISSUED,          /* tickets sealed */
    MOD_STEK_RESUMED_CURRENT, /* handshakes resumed with a ticket, by the key that sealed it */
    MOD_STEK_RESUMED_OLD,
    MOD_STEK_RESUMED_FUTURE,
    MOD_STEK_REFUSED_UNKNOWN, /* full handshakes although a ticket came, by the reason */
    MOD_STEK_REFUSED_EXPIRED,
    MOD_STEK_REFUSED_DAMAGED,
    MOD_STEK_REFUSED_POLICY,
    MOD_STEK_REFUSED_AGE,
    MOD_STEK_REFUSED_SECRECY,
    MOD_STEK_NOT_OFFERED,  /* handshakes in which the client sent no ticket */
    MOD_STEK_KEYLESS,      /* handshakes without a ticket because there was no key */
    MOD_STEK_UNSEALED,     /* tickets without a vector, cipher or MAC */
    MOD_STEK_ASKED,        /* handshakes in which the client asked for a number of tickets */
    MOD_STEK_ISSUED_BYTES, /* of the tickets issued, and of those in ClientHellos */
    MOD_STEK_OFFERED_BYTES,
    MOD_STEK_LOADS, /* successful loads of the ring's file */
#define MOD_STEK_CAUSE(name, text) MOD_STEK_LOAD_FAILED_##name,
    MOD_STEK_CAUSES(MOD_STEK_CAUSE)
#undef MOD_STEK_CAUSE
        MOD_STEK_AGE_SUM_S,
    MOD_STEK_AGE, /* buckets, not cumulative */
    MOD_STEK_COUNTER_N = MOD_STEK_AGE + MOD_STEK_AGE_BOUND_N + 1
} mod_stek_counter_e;

/* Of all that is behind a pointer in retained memory here; goes up when any of it changes. */
#define MOD_STEK_COUNTERS_LAYOUT 4

/* One process's part. */
typedef struct mod_stek_tally_t {
    _Alignas(64) _Atomic apr_uint64_t counts[MOD_STEK_COUNTER_N];
    _Atomic apr_int64_t loaded_at; /* apr_time_t when the file was last loaded */
} mod_stek_tally_t;

typedef struct mod_stek_counters_t mod_stek_counters_t;

/* Handshakes that resumed with a ticket, and all that are counted, in a span that ends now.
 * 0 <= resumed <= all. */
typedef struct mod_stek_rate_t {
    apr_interval_time_t span; /* 0: not known yet */
    apr_uint64_t resumed, all;
} mod_stek_rate_t;

/* To be shown only.  No time is negative, and no sum less than one of its parts. */
typedef struct mod_stek_totals_t {
    apr_uint64_t all[MOD_STEK_COUNTER_N];    /* over all tallies */
    apr_uint64_t parent[MOD_STEK_COUNTER_N]; /* tally 0 alone */
    apr_uint64_t before[MOD_STEK_COUNTER_N]; /* all, at before_at; nothing if that is 0 */
    apr_time_t before_at; /* one to two minutes ago, or polls if those are longer */
    apr_time_t loaded_at; /* the last load by any process */
    apr_time_t parent_looked_at;
    apr_status_t parent_status;
} mod_stek_totals_t;

/* Parent, last post_config: new counters, all zero.  APR_ENOMEM, or the system's code. */
apr_status_t mod_stek_counters_create(mod_stek_counters_t **pcounters);

/* Ends this process's view; NULL is ignored. */
void mod_stek_counters_destroy(mod_stek_counters_t *counters);

/* Parent, end of a configuration: lists them (mod_stek_retained_list); NULL is ignored. */
void mod_stek_counters_hand_over(const mod_stek_counters_t *counters);

/* child_init: claims a tally for this process, until pchild is destroyed. */
void mod_stek_counters_claim(apr_pool_t *pchild);

/* This process's tally; NULL if counters is NULL: counts nothing. */
mod_stek_tally_t *mod_stek_counters_tally(mod_stek_counters_t *counters);

/* Children, now and then: the first that comes after a minute remembers the totals, so that rates
 * can be shown. */
void mod_stek_counters_remember(mod_stek_counters_t *counters, apr_time_t now);

/* Sums up, in a child; zeros if counters is NULL. */
void mod_stek_counters_sum(const mod_stek_counters_t *counters, mod_stek_totals_t *totals);

/* Of all counts. */
void mod_stek_counts_handshakes(const apr_uint64_t *counts, mod_stek_rate_t *rate);

/* What the totals have gained since before_at. */
void mod_stek_counters_rate_now(const mod_stek_totals_t *totals, apr_time_t now,
                                mod_stek_rate_t *rate);

/* What they have gained in an hour, or since they were first remembered. */
void mod_stek_counters_rate_hour(const mod_stek_counters_t *counters,
                                 const mod_stek_totals_t *totals, apr_time_t now,
                                 mod_stek_rate_t *rate);

/* Counts so many.  Any thread; tally may be NULL. */
static inline void mod_stek_count_n(mod_stek_tally_t *tally, int counter, apr_uint64_t n)
{
    if (tally) {
        atomic_fetch_add_explicit(&tally->counts[counter], n, memory_order_relaxed);
    }
}

/* Counts one. */
static inline void mod_stek_count(mod_stek_tally_t *tally, int counter)
{
    mod_stek_count_n(tally, counter, 1);
}

/* Counts a ticket's age at resumption. */
void mod_stek_count_age(mod_stek_tally_t *tally, apr_uint32_t age_s);

/* Counts a read of the ring's file that ended with rv; counters may be NULL. */
void mod_stek_count_load(mod_stek_counters_t *counters, apr_status_t rv, apr_time_t now);

/* Notes how a look at the ring's file ended; counters may be NULL. */
void mod_stek_count_look(mod_stek_counters_t *counters, apr_status_t rv, apr_time_t now);

/* How the last look of this process ended (until its first, its parent's), and when one last ended
 * well (0: never); from its own memory. */
apr_status_t mod_stek_counters_looked(const mod_stek_counters_t *counters, apr_time_t *pat);

/* Sum of n counters from the first on. */
apr_uint64_t mod_stek_counts_sum(const apr_uint64_t *counts, int first, int n);

/* Sum of two counts; stays at the greatest number instead of wrapping. */
static inline apr_uint64_t mod_stek_counts_add(apr_uint64_t a, apr_uint64_t b)
{
    return a > APR_UINT64_MAX - b ? APR_UINT64_MAX : a + b;
}

/* Texts of MOD_STEK_CAUSES in their order. */
extern const char *const mod_stek_cause_texts[];

extern const int mod_stek_age_bounds[MOD_STEK_AGE_BOUND_N];

#pragma GCC visibility pop
#endif
