/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for long work, beside the one that has the connections: one for every processor.  All
 * calls are made by that one.  stekctl.
 */
#ifndef STEKCTL_PROBE_WORKERS_H
#define STEKCTL_PROBE_WORKERS_H

#pragma GCC visibility push(hidden)

typedef struct probe_job_t {
    void (*run)(void *arg); /* in another thread */
    void *arg, *owner;
    struct probe_job_t *next;
} probe_job_t;

/* Starts them.  Returns a descriptor that is readable when jobs are done; -1: there are none. */
int probe_workers_begin(void);

/* The job must last until it is done.  is_first: before all that wait. */
void probe_workers_add(probe_job_t *job, int is_first);

/* A job that is done; NULL: no other is. */
probe_job_t *probe_workers_take(void);

/* How many wait for a thread. */
int probe_workers_waiting(void);

/* All jobs are done. */
void probe_workers_end(void);

#pragma GCC visibility pop
#endif
