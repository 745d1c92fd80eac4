/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only places where a probe waits: for a socket, and for a point in time.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_WAIT_H
#define STEKCTL_PROBE_WAIT_H

#include <apr_time.h>

#pragma GCC visibility push(hidden)

/* Waits for POLLIN or POLLOUT on fd, until the given time at most.  1: the event, or an error that
 * the next call on the socket reports; 0: the time is over. */
int probe_wait(int fd, short events, apr_time_t until);

void probe_wait_until(apr_time_t until);

#pragma GCC visibility pop
#endif
