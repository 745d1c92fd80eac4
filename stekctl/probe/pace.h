/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often connections are made: to one address, and to all.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_PACE_H
#define STEKCTL_PROBE_PACE_H

#include <apr_pools.h>
#include <apr_time.h>

#pragma GCC visibility push(hidden)

typedef struct probe_pace_t {
    apr_interval_time_t gap;
    apr_time_t next_at; /* nothing before that time */
} probe_pace_t;

/* Of hosts that are probed at the same time. */
typedef struct probe_paces_t probe_paces_t;

probe_paces_t *probe_paces_create(int per_second_each, int per_second_all, apr_pool_t *pool);

/* The pace of one address, which everyone who has entered shares.  NULL: out of memory. */
probe_pace_t *probe_paces_enter(probe_paces_t *paces, const void *address, apr_size_t len);
void probe_paces_leave(probe_paces_t *paces, probe_pace_t *pace);

/* Waits until the next connection may be made at this pace, and at that of all (NULL: none). */
void probe_pace_keep(probe_pace_t *pace, probe_paces_t *paces);

#pragma GCC visibility pop
#endif
