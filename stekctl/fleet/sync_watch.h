/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for what stores say of changes: for each store that can, a worker that does nothing else.  They only shorten
 * the time to the next cycle; nothing that they say is believed.  One thread.
 */
#ifndef STEKCTL_SYNC_WATCH_H
#define STEKCTL_SYNC_WATCH_H

#include <poll.h>

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Begins what is due at the monotonic time now_ms: to watch, to watch again, to wait again. */
void sync_watch_begin(sync_host_t *host, apr_int64_t now_ms);

/* When something will be due; INT64_MAX: not by itself. */
apr_int64_t sync_watch_due(const sync_host_t *host);

/* fds[i] is for what the store i says; its fd is -1 if there is nothing to wait for. */
void sync_watch_poll(const sync_host_t *host, struct pollfd fds[SYNC_STORES_MAX]);

/* Takes what those stores have said for which poll() has found something.  Nonzero: it is time for a cycle. */
int sync_watch_take(sync_host_t *host, const struct pollfd fds[SYNC_STORES_MAX],
                    apr_int64_t now_ms);

/* Whether what was read last is known to be what the store still has. */
int sync_watch_vouches(const sync_store_t *store);

/* After a read: before is the mark that was known before it. */
void sync_watch_note_read(sync_store_t *store, const char *before);

/* After a write that has succeeded. */
void sync_watch_note_written(sync_store_t *store);

void sync_watch_close(sync_host_t *host);

#pragma GCC visibility pop
#endif
