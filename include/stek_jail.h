/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes in a chroot (ChrootDir) may be given to follow a file that is outside.  The file
 * is replaced by rename, so its directory has to be looked at; but from a directory's descriptor
 * ".." leads out of any chroot.  Hence a mount of the directory that is attached nowhere: nothing
 * is above it.  Core; no state, any thread; needs CAP_SYS_ADMIN and Linux 5.6.
 */
#ifndef STEK_JAIL_H
#define STEK_JAIL_H

#include <apr_errno.h>

#pragma GCC visibility push(hidden)

/* A descriptor of the directory dir, for openat and fstatat. It leads nowhere else and cannot be
 * written through; the caller closes it. APR_ENOTIMPL where the system has no such thing, or its
 * error. */
apr_status_t stek_jail_open(const char *dir, int *pfd);

/* APR_SUCCESS if name, whether it exists or not, is in that directory under any root. A symlink
 * that leads out of it is not: EXDEV. */
apr_status_t stek_jail_check(int fd, const char *name);

#pragma GCC visibility pop
#endif
