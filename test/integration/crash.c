/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a process: kills it before its CRASH_AT-th call that changes a file, counted from 1; a write
 * is done by half first.  Workers of stekctl sync change no file, so their calls do not count.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int left = -1;

static int is_worker(void)
{
    char line[4096];
    FILE *file = fopen("/proc/self/cmdline", "r");
    size_t i, len = file ? fread(line, 1, sizeof(line) - 1, file) : 0;
    int found = 0;

    for (i = 0; i + 8 < len; i++) {
        found = found || memcmp(line + i, "--worker", 8) == 0;
    }
    if (file) {
        fclose(file);
    }
    return found;
}

static int is_last(void)
{
    if (left < 0) {
        const char *at = getenv("CRASH_AT");

        left = at && !is_worker() ? atoi(at) : 0;
    }
    return left > 0 && --left == 0;
}

static void maybe_crash(void)
{
    if (is_last()) {
        (void)kill(getpid(), SIGKILL);
    }
}

#define NEXT(name) (*(void **)&next = dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t len)
{
    ssize_t (*next)(int, const void *, size_t);
    struct stat st;

    NEXT("write");
    if (fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_last()) {
        (void)!next(fd, bytes, len / 2);
        (void)kill(getpid(), SIGKILL);
    }
    return next(fd, bytes, len);
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *);

    NEXT("rename");
    maybe_crash();
    return next(from, to);
}

int unlink(const char *path)
{
    int (*next)(const char *);

    NEXT("unlink");
    maybe_crash();
    return next(path);
}

int fsync(int fd)
{
    int (*next)(int);

    NEXT("fsync");
    maybe_crash();
    return next(fd);
}

int fchmod(int fd, mode_t mode)
{
    int (*next)(int, mode_t);

    NEXT("fchmod");
    maybe_crash();
    return next(fd, mode);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
    int (*next)(int, uid_t, gid_t);

    NEXT("fchown");
    maybe_crash();
    return next(fd, uid, gid);
}
