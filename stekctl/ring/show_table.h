/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a ring as a table with a timeline.  stekctl; one thread.
 */
#ifndef STEKCTL_SHOW_TABLE_H
#define STEKCTL_SHOW_TABLE_H

#include <stdio.h>

#include "stek_ring.h"
#include "terminal.h"

#pragma GCC visibility push(hidden)

typedef struct show_table_t {
    const stek_ring_t *ring;
    const terminal_t *terminal;
    int columns; /* at most so many */
    apr_time_t now;
    apr_pool_t *pool;
    /* Of show_table_put alone. */
    apr_time_t from, to; /* the timeline's ends */
    int bar_columns;     /* 0: no room */
    int has_left, has_ends;
    int seconds; /* slots are so short that their seconds matter */
} show_table_t;

/* Writes the table, the key that begins last first; nothing if there is no key.  rows_max: lines at
 * most, of which the current key has one; 0: as many as it takes. */
void show_table_put(FILE *out, show_table_t *view, int rows_max);

#pragma GCC visibility pop
#endif
