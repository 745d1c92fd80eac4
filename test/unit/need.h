/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights that some tests need and not everybody who builds has.  Each is found out by trying, by system
 * calls that no fakeroot replaces; without it the test says what it needs, and is skipped.  build/run_unit.py
 * counts a skipped test that says nothing as failed.  Included after cmocka's headers.
 */
#ifndef NEED_H
#define NEED_H

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEED_NOBODY 65534

static inline void need_or_skip(int there, const char *what)
{
    if (!there) {
        print_message("needs %s\n", what);
        skip();
    }
}

/* Files of another user's, and to become that user. */
static inline void need_other_users(void)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = memfd_create("need", MFD_CLOEXEC);

        _exit(syscall(SYS_geteuid) == NEED_NOBODY
              || syscall(SYS_fchown, fd, NEED_NOBODY, NEED_NOBODY) != 0
              || syscall(SYS_setgid, NEED_NOBODY) != 0 || syscall(SYS_setuid, NEED_NOBODY) != 0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    need_or_skip(status == 0, "root, to act as another user");
}

static inline int need_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    return file != NULL && fputs(text, file) >= 0 && fclose(file) == 0;
}

/* In a child: mounts of its own, as root or in a user namespace.  Zero: not permitted here. */
static inline int need_own_mounts(void)
{
    char uid_map[64], gid_map[64];

    snprintf(uid_map, sizeof(uid_map), "%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
    snprintf(gid_map, sizeof(gid_map), "%u %u 1", (unsigned)getegid(), (unsigned)getegid());
    if (unshare(CLONE_NEWNS) != 0
        && (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !need_write("/proc/self/setgroups", "deny")
            || !need_write("/proc/self/uid_map", uid_map)
            || !need_write("/proc/self/gid_map", gid_map))) {
        return 0;
    }
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

#endif
