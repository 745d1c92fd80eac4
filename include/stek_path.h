/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who can change a path: checks of the directories on the way, even those that symlinks lead
 * through.  POSIX; no state; any thread, any phase.
 */
#ifndef STEK_PATH_H
#define STEK_PATH_H

#include <apr_pools.h>
#include <sys/stat.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* The directory of path, in pool: "." if it has no slash. */
const char *stek_file_dir(const char *path, apr_pool_t *pool);

/* The last part of path. */
const char *stek_file_base(const char *path);

/* For reading path: every directory on the way belongs to root or owner and is not writable by
 * group or others, or is sticky; every symlink belongs to root or owner.  Else STEK_EPERM, and
 * *pculprit (if not NULL) is the path at fault, in pool. */
apr_status_t stek_file_check_dirs(const char *path, uid_t owner, const char **pculprit,
                                  apr_pool_t *pool);

/* The same once path is open, with fstat's result: STEK_ECHANGED if the path does not lead there any
 * more.  Someone who swaps names in a sticky directory cannot have one file checked and another
 * read. */
apr_status_t stek_path_check_opened(const char *path, uid_t owner, const struct stat *opened,
                                    const char **pculprit, apr_pool_t *pool);

/* For creating, replacing or removing path: in addition, nobody but root and owner can create files
 * beside it. Does not follow a symlink at path itself. STEK_EPERM as above; STEK_ESHARED is about
 * path's own directory. */
apr_status_t stek_path_check_written(const char *path, uid_t owner, const char **pculprit,
                                     apr_pool_t *pool);

/* For trusting the owner of path: in addition, anything inside a sticky directory on the way must
 * belong to root or to the process's user. Anyone can make a directory below /tmp, and then files
 * in it. */
apr_status_t stek_path_check_placed(const char *path, uid_t owner, const char **pculprit,
                                    apr_pool_t *pool);

/* Of the directories on the way to path, the first that does not exist, in pool; NULL: all do, or
 * that cannot be seen. */
const char *stek_path_missing_dir(const char *path, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
