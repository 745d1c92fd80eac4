/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the service manager: sd_notify(3)'s protocol, a datagram to the socket that
 * $NOTIFY_SOCKET names.  Without that all of it does nothing.  One thread.
 */
#ifndef STEKCTL_NOTIFY_H
#define STEKCTL_NOTIFY_H

#include <apr_time.h>

#pragma GCC visibility push(hidden)

/* Lines as of sd_notify(3): "READY=1", "STATUS=...". */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager wants WATCHDOG=1 at the least; 0: never. */
apr_interval_time_t notify_watchdog(void);

#pragma GCC visibility pop
#endif
