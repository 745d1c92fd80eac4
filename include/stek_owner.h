/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who must own a file or directory, and who else may write to it; the words for one that is
 * refused.  The directories on the way to it are checked in stek_path.h.  POSIX; no state; any
 * thread, any phase.
 */
#ifndef STEK_OWNER_H
#define STEK_OWNER_H

#include <apr_pools.h>
#include <sys/stat.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* Nonzero if uid is root or owner. */
int stek_owner_is_trusted(uid_t uid, uid_t owner);

/* Nonzero if group or others can write to the file, or create files in the directory, sticky or
 * not. */
int stek_owner_others_write(const struct stat *st);

/* Nonzero if anyone but root and owner can read the open file, whose stat is st.  An ACL that lets
 * owner alone read root's file is good: so systemd (254 and later) gives credentials to a unit's user,
 * and the mode is then 0440. */
int stek_owner_others_read(int fd, const struct stat *st, uid_t owner);

/* The path that STEK_EPERM or STEK_ESHARED was about, and in brackets its owner and mode, those
 * that are wanted, and the command for it. In pool, or path itself. */
const char *stek_owner_describe(const char *path, uid_t owner, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
