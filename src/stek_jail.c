/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory for processes in a chroot (stek_jail.h).  Core; no state, any thread.  Uses system
 * calls, because some C libraries have no functions for them.
 */
#include "stek_jail.h"

#include <apr.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(SYS_open_tree) && defined(SYS_mount_setattr) && defined(SYS_openat2)

#define TREE_CLONE 1 /* <linux/mount.h>: OPEN_TREE_CLONE, */
#define ATTR_RDONLY 0x01
#define ATTR_NOSUID 0x02
#define ATTR_NODEV 0x04
#define ATTR_NOEXEC 0x08
#define RESOLVE_INSIDE 0x08 /* <linux/openat2.h>: RESOLVE_BENEATH */

typedef struct mount_attrs_t {
    apr_uint64_t set, clear, propagation, userns_fd;
} mount_attrs_t;

typedef struct how_t {
    apr_uint64_t flags, mode, resolve;
} how_t;

static int is_top(int fd)
{
    struct stat here, above;

    return fstat(fd, &here) == 0 && fstatat(fd, "..", &above, 0) == 0 && here.st_dev == above.st_dev
           && here.st_ino == above.st_ino;
}

apr_status_t stek_jail_open(const char *dir, int *pfd)
{
    mount_attrs_t attrs = {ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC, 0, 0, 0};
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, dir, TREE_CLONE | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOSYS ? APR_ENOTIMPL : APR_FROM_OS_ERROR(errno);
    }
    /* Before Linux 5.12, anyone who can write there anyway can also write through it. */
    (void)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attrs, sizeof(attrs));
    if (!is_top(fd)) {
        close(fd);
        return APR_ENOTIMPL;
    }
    *pfd = fd;
    return APR_SUCCESS;
}

apr_status_t stek_jail_check(int fd, const char *name)
{
    how_t how = {O_PATH | O_CLOEXEC, 0, RESOLVE_INSIDE};
    int found = (int)syscall(SYS_openat2, fd, name, &how, sizeof(how));

    if (found >= 0) {
        close(found);
        return APR_SUCCESS;
    }
    return errno == ENOENT ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

#else

apr_status_t stek_jail_open(const char *dir, int *pfd)
{
    (void)dir;
    (void)pfd;
    return APR_ENOTIMPL;
}

apr_status_t stek_jail_check(int fd, const char *name)
{
    (void)fd;
    (void)name;
    return APR_ENOTIMPL;
}

#endif
