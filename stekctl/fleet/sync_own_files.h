/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that stekctl sync writes, and that must not be others of its files.  One thread.
 */
#ifndef STEKCTL_SYNC_OWN_FILES_H
#define STEKCTL_SYNC_OWN_FILES_H

#include "sync_settings.h"

#pragma GCC visibility push(hidden)

/* Nonzero if both paths lead to one file, or would if it existed. */
int sync_own_files_same(const char *a, const char *b, apr_pool_t *pool);

/* Refuses a floor or metrics at the path of another file of these settings, or of one that belongs to it: a
 * lock, the state of sync, or what was moved aside.  CTL_DONE, or the code of what was reported. */
ctl_exit_e sync_own_files_check(ctl_t *ctl, const sync_settings_t *settings);

#pragma GCC visibility pop
#endif
