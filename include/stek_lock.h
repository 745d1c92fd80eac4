/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock that writers of a ring or a secret take. POSIX; no state; any thread, any phase.
 */
#ifndef STEK_LOCK_H
#define STEK_LOCK_H

#include <apr_pools.h>
#include <apr_time.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

typedef struct stek_lock_t {
    int fd; /* -1: not held */
} stek_lock_t;

/* Takes the lock PATH.lock (flock; mode 0600, never writable by the group), waiting at most wait
 * (0: one try). STEK_ELOCKED: another process holds it, and *pholder (if not NULL) is its pid, or 0
 * if unknown. STEK_EKIND, STEK_EFOREIGN: what is at that path is not a lock's file; it stays as it
 * is. STEK_EPERM: it may be one, but is another user's. STEK_ESHARED: others can create files in the
 * directory. */
apr_status_t stek_lock_take(const char *path, apr_interval_time_t wait, stek_lock_t *lock,
                            pid_t *pholder, apr_pool_t *pool);
void stek_lock_release(stek_lock_t *lock);

#pragma GCC visibility pop
#endif
