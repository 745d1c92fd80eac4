/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of a file.  Core; POSIX, no state, any thread, any phase.  This runs in httpd's parent,
 * so it waits for another process no longer than the caller allows.  A file in the lock's place is
 * changed only if it has proved to be a lock's file.
 */
#include "stek_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "stek_error.h"
#include "stek_owner.h"
#include "stek_path.h"

#define LOCK_POLL_MS 10
#define PID_LEN_MAX 24

/* Whether this can be our lock's file, by everything except its content; STEK_EPERM if it could be,
 * but is somebody else's. The owner of the directory could put another one there anyway. No name:
 * it was removed in the meantime, which lock_is_current sees. */
static apr_status_t check_lock(const struct stat *st, const struct stat *dir)
{
    if (!S_ISREG(st->st_mode)) {
        return STEK_EKIND;
    }
    if (st->st_nlink > 1 || st->st_size >= PID_LEN_MAX) {
        return STEK_EFOREIGN;
    }
    return stek_owner_is_trusted(st->st_uid, geteuid()) || st->st_uid == dir->st_uid ? APR_SUCCESS
                                                                                     : STEK_EPERM;
}

/* Opens the lock's file without changing it. */
static apr_status_t lock_open(const char *lock_path, apr_pool_t *pool, int *pfd)
{
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct stat st, dir;
    apr_status_t rv = APR_SUCCESS;
    int fd;

    if (stat(stek_file_dir(lock_path, pool), &dir) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (stek_owner_others_write(&dir)) {
        return STEK_ESHARED;
    }
    if (lstat(lock_path, &st) == 0) {
        rv = check_lock(&st, &dir);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    do {
        fd = open(lock_path, flags, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (fstat(fd, &st) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    else {
        rv = check_lock(&st, &dir);
    }
    if (rv != APR_SUCCESS) {
        close(fd);
        return rv;
    }
    *pfd = fd;
    return APR_SUCCESS;
}

static pid_t lock_holder(int fd)
{
    char text[PID_LEN_MAX];
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    char *end;
    long pid;

    if (len <= 0) {
        return 0;
    }
    text[len] = '\0';
    errno = 0;
    pid = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\n' || pid <= 0 || pid > INT_MAX) {
        return 0;
    }
    return (pid_t)pid;
}

/* Whether the file contains what lock_sign writes, or the beginning of that. */
static apr_status_t check_signature(int fd)
{
    char text[PID_LEN_MAX + 1];
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    size_t digits;

    if (len < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    text[len] = '\0';
    digits = strspn(text, "0123456789");
    return text[digits] == '\0' || (digits > 0 && strcmp(text + digits, "\n") == 0) ? APR_SUCCESS
                                                                                    : STEK_EFOREIGN;
}

/* Makes the file inaccessible to other users, because flock needs no right to write; and records
 * who holds the lock. On a full disk, that is left out. */
static apr_status_t lock_sign(int fd)
{
    char text[PID_LEN_MAX];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    struct stat st;
    apr_status_t rv = check_signature(fd);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (fstat(fd, &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if ((st.st_mode & 0777) != 0600 && fchmod(fd, 0600) != 0) {
        return STEK_EPERM;
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        return APR_SUCCESS;
    }
    return APR_SUCCESS;
}

/* Whether the locked file still has that name, or was removed. */
static int lock_is_current(const char *lock_path, int fd)
{
    struct stat named, locked;

    return lstat(lock_path, &named) == 0 && fstat(fd, &locked) == 0 && named.st_dev == locked.st_dev
           && named.st_ino == locked.st_ino;
}

/* One try. */
static apr_status_t lock_try(const char *lock_path, apr_pool_t *pool, stek_lock_t *lock,
                             pid_t *pholder)
{
    int fd = -1;
    apr_status_t rv = lock_open(lock_path, pool, &fd);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rv = errno == EWOULDBLOCK || errno == EINTR ? STEK_ELOCKED : APR_FROM_OS_ERROR(errno);
        if (rv == STEK_ELOCKED) {
            *pholder = lock_holder(fd);
        }
        close(fd);
        return rv;
    }
    if (!lock_is_current(lock_path, fd)) {
        close(fd);
        *pholder = 0;
        return STEK_ELOCKED;
    }
    rv = lock_sign(fd);
    if (rv != APR_SUCCESS) {
        close(fd);
        return rv;
    }
    lock->fd = fd;
    return APR_SUCCESS;
}

apr_status_t stek_lock_take(const char *path, apr_interval_time_t wait, stek_lock_t *lock,
                            pid_t *pholder, apr_pool_t *pool)
{
    const apr_interval_time_t step = apr_time_from_msec(LOCK_POLL_MS);
    const char *lock_path = apr_pstrcat(pool, path, ".lock", NULL);
    pid_t holder = 0;
    apr_status_t rv;

    lock->fd = -1;
    rv = lock_try(lock_path, pool, lock, &holder);
    while (rv == STEK_ELOCKED && wait > 0) {
        apr_sleep(wait < step ? wait : step);
        wait -= step;
        rv = lock_try(lock_path, pool, lock, &holder);
    }
    if (rv == STEK_ELOCKED && pholder) {
        *pholder = holder;
    }
    return rv;
}

void stek_lock_release(stek_lock_t *lock)
{
    if (lock->fd < 0) {
        return;
    }
    if (ftruncate(lock->fd, 0) != 0) {
        errno = 0;
    }
    /* Not only close: a child that was forked in the meantime shares the open file. */
    flock(lock->fd, LOCK_UN);
    close(lock->fd);
    lock->fd = -1;
}
