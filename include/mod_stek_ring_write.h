/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the parent writes a ring: under its lock, on top of what other writers have put there; a bad
 * ring is moved aside first.  Parent only (in one-process mode: the timer thread), one thread.
 */
#ifndef MOD_STEK_RING_WRITE_H
#define MOD_STEK_RING_WRITE_H

#include "mod_stek_task.h"

#pragma GCC visibility push(hidden)

/* Whether keys are missing, or the ring's file is missing or lacks what the live keyring has.
 * load_status is what reading the file gave. */
int mod_stek_ring_needs_writing(const mod_stek_task_t *task, apr_status_t load_status);

/* Adds the keys that the schedule asks for and writes the ring; flags as in stek_file.h.  Waits for
 * the lock no longer than lock_wait; when keys run out, it writes without the lock.  STEK_ELOCKED,
 * STEK_EFOREIGN (not a ring, stays where it is), or why it could not be written; task->culprit is
 * then the path. */
apr_status_t mod_stek_ring_write(mod_stek_task_t *task, apr_interval_time_t lock_wait, int flags);

#pragma GCC visibility pop
#endif
