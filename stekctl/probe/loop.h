/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop, by libevent: while a fiber waits, others run; searches have threads of their own.  Names are resolved by libevent,
 * too, from /etc/hosts and the servers in /etc/resolv.conf.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_LOOP_H
#define STEKCTL_PROBE_LOOP_H

#include <apr_time.h>

#pragma GCC visibility push(hidden)

/* Makes a loop, and has probe_wait and the others of wait.h use it.  Why not, as a clause; NULL: it
 * did. */
const char *probe_loop_begin(void);

/* Runs fiber run(arg) until it has ended; it has to wait for those that it starts.  0: failed. */
int probe_loop_run(void (*run)(void *arg), void *arg);

/* Within a fiber: waits for probe_loop_wake, or until the given time. */
void probe_loop_sleep(apr_time_t until);

/* Ends the sleep of the fiber that is in probe_loop_sleep, of which there is at most one. */
void probe_loop_wake(void);

/* How many searches wait for a thread. */
int probe_loop_waiting(void);

void probe_loop_end(void);

#pragma GCC visibility pop
#endif
