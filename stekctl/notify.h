/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the service manager with sd_notify(3)'s protocol: a datagram to the socket that
 * $NOTIFY_SOCKET names.  Without that variable, nothing is sent.  One thread.
 */
#ifndef STEKCTL_NOTIFY_H
#define STEKCTL_NOTIFY_H

#include <apr_time.h>

#pragma GCC visibility push(hidden)

/* Lines as in sd_notify(3): "READY=1", "STATUS=...". */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The longest time that the manager allows between two WATCHDOG=1; 0: no watchdog. */
apr_interval_time_t notify_watchdog(void);

#pragma GCC visibility pop
#endif
