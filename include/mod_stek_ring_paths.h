/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a ring is kept: its local secret, its file, or memory.  Parent only (in one-process mode:
 * the timer thread), one thread.  Errors are the system's or STEK_E*; task->culprit is then the
 * path that they are about.
 */
#ifndef MOD_STEK_RING_PATHS_H
#define MOD_STEK_RING_PATHS_H

#include "mod_stek_task.h"
#include "stek_ring_file.h"

#pragma GCC visibility push(hidden)

/* Last post_config: sets the live keyring to the configured path and loads its secret.  If a
 * ring that is generated here lacks its directory or its secret, they are created.  APR_SUCCESS
 * if the ring can be kept there. */
apr_status_t mod_stek_ring_paths_open(mod_stek_task_t *task);

/* The ring, started before this one, whose file is the same by another path; NULL: none. */
const mod_stek_ring_config_t *mod_stek_ring_paths_twin(const mod_stek_ring_config_t *ring,
                                                       apr_pool_t *pool);

/* Last post_config, after mod_stek_ring_paths_open: where ChrootDir is set, prepares what children
 * follow the ring by, and logs what they will not see. */
void mod_stek_ring_paths_prepare_jail(const mod_stek_task_t *task);

/* Loads a secret that appeared after httpd started: with generate=off, the ring's writer makes
 * it. */
apr_status_t mod_stek_ring_paths_late_secret(mod_stek_task_t *task);

/* While the ring works: if its secret's file is gone, which only the next start would need, writes it again where
 * httpd makes the secret.  If that fails, or what was at fault with it still is, sets the task's secret_status and
 * culprit. */
void mod_stek_ring_paths_keep_secret(mod_stek_task_t *task);

/* Follows the file (mod_stek_live_follow.h).  If it is sealed with a secret that the secret file has
 * only now, because somebody rolled it, takes that, too: else a good ring, perhaps with a revocation,
 * would pass for a bad one. */
apr_status_t mod_stek_ring_paths_read(mod_stek_task_t *task);

/* Whether a ring may be written at the file's path: the directories are nobody else's than owner's
 * and root's, and the file there, if any, is a ring.  STEK_EFOREIGN: *pculprit says what it
 * is.  Else as stek_path_check_written. */
apr_status_t mod_stek_ring_paths_check(const stek_ring_file_t *file, const char **pculprit,
                                       apr_pool_t *pool);

#pragma GCC visibility pop
#endif
