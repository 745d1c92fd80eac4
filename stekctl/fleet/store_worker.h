/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that talks to one store.  It has no secret except the store's password.
 */
#ifndef STEKCTL_STORE_WORKER_H
#define STEKCTL_STORE_WORKER_H

#pragma GCC visibility push(hidden)

/* Runs the worker on the socket WIRE_FD; returns its exit code. */
int store_worker(void);

#pragma GCC visibility pop
#endif
