/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions on stacks of their own, which wait for each other's sake: a probe of one host is
 * written as one straight story, and yet thousands run in one thread.  A fiber runs until it pauses
 * or returns; nothing interrupts it.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_FIBER_H
#define STEKCTL_PROBE_FIBER_H

#pragma GCC visibility push(hidden)

typedef struct probe_fiber_t probe_fiber_t;

/* Runs run(arg) up to its first pause.  0: no memory for its stack. */
int probe_fiber_start(void (*run)(void *arg), void *arg);

/* The fiber that runs; NULL: none does. */
probe_fiber_t *probe_fiber_current(void);

/* Goes back to who started or continued the current fiber, until somebody continues it. */
void probe_fiber_pause(void);

/* Continues a paused fiber, up to its next pause. */
void probe_fiber_continue(probe_fiber_t *fiber);

/* Frees what ended fibers have left. */
void probe_fiber_free_all(void);

#pragma GCC visibility pop
#endif
