/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges a ring as it is read at a time: problems (something has to be done) and notes (worth
 * knowing). Pure but for the pool; any thread.
 */
#ifndef STEKCTL_HEALTH_H
#define STEKCTL_HEALTH_H

#include "ringio.h"
#include "stek_health.h"

#pragma GCC visibility push(hidden)

#define HEALTH_LINES_MAX 8

typedef struct health_t {
    const char *problems[HEALTH_LINES_MAX]; /* sentences, in pool */
    int problem_n;
    const char *notes[HEALTH_LINES_MAX];
    int note_n;
    stek_health_t
        judged; /* what the problems are worded from; the status page judges by the same */
} health_t;

/* Where the ring's file lies. */
typedef enum health_place_e {
    HEALTH_ON_DISK,
    HEALTH_IN_MEMORY,
    HEALTH_SWAPPABLE /* in memory that may be swapped out */
} health_place_e;

void health_judge(const ringio_t *io, health_place_e place, apr_time_t now, apr_pool_t *pool,
                  health_t *health);

#pragma GCC visibility pop
#endif
