/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts into words what stek_health.h says of a ring: problems (something has to be done) and notes
 * (worth knowing).  Pure, except for the pool; any thread.
 */
#ifndef STEKCTL_JUDGEMENT_H
#define STEKCTL_JUDGEMENT_H

#include "ringio.h"
#include "stek_health.h"

#pragma GCC visibility push(hidden)

#define JUDGEMENT_LINES_MAX 8

typedef struct judgement_t {
    const char *problems[JUDGEMENT_LINES_MAX]; /* sentences, in pool */
    int problem_n;
    const char *notes[JUDGEMENT_LINES_MAX];
    int note_n;
    stek_health_t health; /* what the problems say; the status page shows the same */
} judgement_t;

/* Where the ring's file is. */
typedef enum judgement_place_e {
    JUDGEMENT_ON_DISK,
    JUDGEMENT_IN_MEMORY,
    JUDGEMENT_SWAPPABLE /* in memory that may be swapped out */
} judgement_place_e;

void judgement_make(const ringio_t *io, judgement_place_e place, apr_time_t now, apr_pool_t *pool,
                    judgement_t *judgement);

#pragma GCC visibility pop
#endif
