/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes in a chroot (ChrootDir) may be given to follow a file that is outside.  The file is
 * replaced by rename, so its directory has to be looked at; but from a directory's descriptor ".."
 * leads out of any chroot.  Hence a mount of the directory that is attached nowhere: nothing is above
 * it.  Core; no state, any thread; needs CAP_SYS_ADMIN and Linux 5.6.
 */
#ifndef STEK_JAIL_H
#define STEK_JAIL_H

#include <apr_errno.h>

#pragma GCC visibility push(hidden)

/* A descriptor of the directory dir, for openat and fstatat, that leads nowhere else and does not let
 * write; close it.  APR_ENOTIMPL where the system has no such thing, or its error. */
apr_status_t stek_jail_open(const char *dir, int *pfd);

/* APR_SUCCESS if name, there or not, is found in that directory wherever the root is: a symlink that
 * leads out of it is not (EXDEV). */
apr_status_t stek_jail_check(int fd, const char *name);

#pragma GCC visibility pop
#endif
