/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that talks to one store, without any secret but its password.
 */
#ifndef STEKCTL_STORE_WORKER_H
#define STEKCTL_STORE_WORKER_H

#pragma GCC visibility push(hidden)

/* Its whole life, with the socket at WIRE_FD; returns the exit code. */
int store_worker(void);

#pragma GCC visibility pop
#endif
