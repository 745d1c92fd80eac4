/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts into words what stek_health.h says of a ring: problems (something has to be done) and notes
 * (worth knowing).  Pure, except for the pool; any thread.
 */
#ifndef STEKCTL_HEALTH_WORDS_H
#define STEKCTL_HEALTH_WORDS_H

#include "ringio.h"
#include "stek_health.h"

#pragma GCC visibility push(hidden)

#define HEALTH_WORDS_LINES_MAX 8

typedef struct health_words_t {
    const char *problems[HEALTH_WORDS_LINES_MAX]; /* sentences, in pool */
    int problem_n;
    const char *notes[HEALTH_WORDS_LINES_MAX];
    int note_n;
    stek_health_t health; /* what the problems say; the status page shows the same */
} health_words_t;

/* Where the ring's file is. */
typedef enum health_words_place_e {
    HEALTH_WORDS_ON_DISK,
    HEALTH_WORDS_IN_MEMORY,
    HEALTH_WORDS_SWAPPABLE /* in memory that may be swapped out */
} health_words_place_e;

void health_words_make(const ringio_t *io, health_words_place_e place, apr_time_t now,
                       apr_pool_t *pool, health_words_t *judgement);

#pragma GCC visibility pop
#endif
