/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock that writers of a ring or secret take.  POSIX; no state; any thread, any phase.
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

/* Takes the lock PATH.lock (flock; 0600, group-writable never): at once, or within wait (0: one
 * try). STEK_ELOCKED if another process has it: then *pholder (if not NULL) is its pid, 0 if
 * unknown.  STEK_EKIND and STEK_EFOREIGN: what stands there is no lock's file, and is left as it
 * is.  STEK_ESHARED: others may make files in the directory. */
apr_status_t stek_file_lock(const char *path, apr_interval_time_t wait, stek_lock_t *lock,
                            pid_t *pholder, apr_pool_t *pool);
void stek_file_unlock(stek_lock_t *lock);

#pragma GCC visibility pop
#endif
