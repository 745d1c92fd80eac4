/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a key that was made from the time (weak_random.h): the seconds of a month, the
 * milliseconds of an hour, and small numbers, such as process ids.  Time + pid and time ^ pid are
 * numbers near the time, so they are tried with it.
 *
 * A key is looked for at the beginning of the bytes, with AES in CBC, CTR and GCM; what follows a
 * name that the ticket shows, in all ciphers and MACs.  Pure but for the CPU's clock; stekctl.
 */
#ifndef STEKCTL_PROBE_SEARCH_CLOCK_H
#define STEKCTL_PROBE_SEARCH_CLOCK_H

#include "search.h"
#include "weak_random.h"

#pragma GCC visibility push(hidden)

#define PROBE_CLOCK_DAYS 30
#define PROBE_CLOCK_MS_MIN 60 /* minutes of milliseconds */
#define PROBE_CLOCK_SMALL 65536
#define PROBE_CLOCK_CPU_S 60 /* CPU time after which the search ends */

typedef struct probe_clock_t {
    probe_search_t *search;                                       /* hit is set if a key is found */
    void (*progress)(void *arg, apr_size_t done, apr_size_t all); /* its time does not count */
    void *arg;
    /* What was done; zeros before. */
    apr_size_t numbers_n;
    int is_complete;
    unsigned char bytes[PROBE_RANDOM_MAX]; /* of which the key was one part; others may be, too */
} probe_clock_t;

/* Nonzero: found. */
int probe_search_clock(probe_clock_t *clock);

#pragma GCC visibility pop
#endif
