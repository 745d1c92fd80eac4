/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Careful reads, atomic replacement and the lock.  Core layer; POSIX, no state, any thread, any
 * phase.  Nothing here waits for another process or blocks on what it opens, but for the lock's
 * bounded wait: it runs in httpd's parent.  Directories are checked by name before the file is
 * trusted: who can change a name on the way is then root, the owner, or nobody.  Ages of temporary
 * files are told by the file system's own times, so that no clock is read.
 */
#include "stek_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/statfs.h>
#endif

#include <apr_strings.h>

#include "stek_error.h"

#define LINKS_MAX 40     /* as many as Linux follows */
#define TMP_AGE_MAX_S 60 /* then the writer is dead */
#define LOCK_POLL_MS 10
#define PID_LEN_MAX 24

static apr_int64_t timespec_ns(struct timespec t)
{
    return (apr_int64_t)t.tv_sec * APR_INT64_C(1000000000) + t.tv_nsec;
}

void stek_stamp_set(stek_stamp_t *stamp, const struct stat *st)
{
    stamp->dev = st->st_dev;
    stamp->ino = st->st_ino;
    stamp->size = st->st_size;
    stamp->mtime_ns = timespec_ns(st->st_mtim);
    stamp->ctime_ns = timespec_ns(st->st_ctim);
}

int stek_stamp_equal(const stek_stamp_t *a, const stek_stamp_t *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns
           && a->ctime_ns == b->ctime_ns;
}

apr_status_t stek_file_stamp(const char *path, stek_stamp_t *stamp)
{
    return stek_file_stamp_at(AT_FDCWD, path, stamp);
}

apr_status_t stek_file_stamp_at(int dir_fd, const char *path, stek_stamp_t *stamp)
{
    struct stat st;

    if (fstatat(dir_fd, path, &st, 0) != 0) {
        apr_status_t rv = APR_FROM_OS_ERROR(errno);

        memset(stamp, 0, sizeof(*stamp));
        return rv;
    }
    stek_stamp_set(stamp, &st);
    return APR_SUCCESS;
}

const char *stek_file_dir(const char *path, apr_pool_t *pool)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return ".";
    }
    return slash == path ? "/" : apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));
}

/* A walk along a path: done holds no link, "." or ".." any more, and "" stands for the root. */
typedef struct walk_t {
    const char *done;
    const char *rest;
    int link_n;
    uid_t owner;
    const char *culprit;
    apr_pool_t *pool;
} walk_t;

static int is_trusted(uid_t uid, uid_t owner)
{
    return uid == 0 || uid == owner;
}

static apr_status_t check_dir(walk_t *walk, const char *dir, const struct stat *st)
{
    if (!is_trusted(st->st_uid, walk->owner)
        || ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st->st_mode & S_ISVTX) == 0)) {
        walk->culprit = dir;
        return STEK_EPERM;
    }
    return APR_SUCCESS;
}

/* Puts what the link says in front of the rest. */
static apr_status_t follow_link(walk_t *walk, const char *link, const struct stat *st)
{
    char target[PATH_MAX];
    ssize_t len;

    /* In a sticky directory anybody may have put it there. */
    if (!is_trusted(st->st_uid, walk->owner)) {
        walk->culprit = link;
        return STEK_EPERM;
    }
    if (++walk->link_n > LINKS_MAX) {
        return APR_FROM_OS_ERROR(ELOOP);
    }
    len = readlink(link, target, sizeof(target));
    if (len < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (len == 0 || (size_t)len >= sizeof(target)) {
        return APR_FROM_OS_ERROR(ENAMETOOLONG);
    }
    target[len] = '\0';
    if (target[0] == '/') {
        walk->done = "";
    }
    walk->rest = apr_pstrcat(walk->pool, target, "/", walk->rest, NULL);
    if (strlen(walk->rest) >= 2 * PATH_MAX) {
        return APR_FROM_OS_ERROR(ENAMETOOLONG);
    }
    return APR_SUCCESS;
}

/* Takes one component off the rest; it is "" when nothing is left. */
static const char *next_component(walk_t *walk)
{
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t len = strcspn(start, "/");

    walk->rest = start + len;
    return apr_pstrmemdup(walk->pool, start, len);
}

static int is_last(const walk_t *walk)
{
    return walk->rest[strspn(walk->rest, "/")] == '\0';
}

static apr_status_t walk_step(walk_t *walk, const char *component)
{
    const char *path;
    struct stat st;
    apr_status_t rv;

    if (strcmp(component, ".") == 0) {
        return APR_SUCCESS;
    }
    if (strcmp(component, "..") == 0) {
        const char *slash = strrchr(walk->done, '/');

        if (slash != NULL) {
            walk->done = apr_pstrmemdup(walk->pool, walk->done, (apr_size_t)(slash - walk->done));
        }
        return APR_SUCCESS;
    }
    path = apr_pstrcat(walk->pool, walk->done, "/", component, NULL);
    if (lstat(path, &st) != 0) {
        /* A file that is not there yet lies in good directories all the same. */
        return errno == ENOENT && is_last(walk) ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    }
    if (S_ISLNK(st.st_mode)) {
        return follow_link(walk, path, &st);
    }
    if (is_last(walk)) {
        return APR_SUCCESS;
    }
    if (!S_ISDIR(st.st_mode)) {
        return APR_FROM_OS_ERROR(ENOTDIR);
    }
    rv = check_dir(walk, path, &st);
    walk->done = path;
    return rv;
}

static apr_status_t walk_path(walk_t *walk)
{
    struct stat st;
    apr_status_t rv;

    if (stat("/", &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    rv = check_dir(walk, "/", &st);
    while (rv == APR_SUCCESS && !is_last(walk)) {
        rv = walk_step(walk, next_component(walk));
    }
    return rv;
}

apr_status_t stek_file_check_dirs(const char *path, uid_t owner, const char **pculprit,
                                  apr_pool_t *pool)
{
    walk_t walk = {"", path, 0, owner, NULL, NULL};
    char cwd[PATH_MAX];
    apr_status_t rv;

    if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL) {
        return APR_FROM_OS_ERROR(errno);
    }
    rv = apr_pool_create(&walk.pool, pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (path[0] != '/') {
        walk.rest = apr_pstrcat(walk.pool, cwd, "/", path, NULL);
    }
    rv = walk_path(&walk);
    if (rv == STEK_EPERM && pculprit != NULL) {
        *pculprit = apr_pstrdup(pool, walk.culprit);
    }
    apr_pool_destroy(walk.pool);
    return rv;
}

/* The open file itself. */
static apr_status_t check_file(const struct stat *st, stek_file_kind_e kind, uid_t owner)
{
    mode_t bad = S_IWGRP | S_IWOTH;

    if (kind == STEK_FILE_SECRET) {
        bad |= S_IRGRP | S_IROTH;
    }
    return is_trusted(st->st_uid, owner) && (st->st_mode & bad) == 0 ? APR_SUCCESS : STEK_EPERM;
}

/* All len bytes, and that they are all. */
static apr_status_t read_exactly(int fd, unsigned char *buf, apr_size_t len)
{
    apr_size_t done = 0;
    unsigned char beyond;
    ssize_t n;

    while (done < len) {
        n = read(fd, buf + done, len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? STEK_ECHANGED : APR_FROM_OS_ERROR(errno);
        }
        done += (apr_size_t)n;
    }
    do {
        n = read(fd, &beyond, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 0) {
        return n > 0 ? STEK_ECHANGED : APR_FROM_OS_ERROR(errno);
    }
    return APR_SUCCESS;
}

/* Opens what is a regular file, and nothing else: opening a device may already do something. */
static apr_status_t open_regular(int dir_fd, const char *path, int *pfd, struct stat *st)
{
    int fd;

    if (fstatat(dir_fd, path, st, 0) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (!S_ISREG(st->st_mode)) {
        return STEK_EKIND;
    }
    do {
        fd = openat(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (fstat(fd, st) != 0) {
        apr_status_t rv = APR_FROM_OS_ERROR(errno);

        close(fd);
        return rv;
    }
    *pfd = fd;
    return S_ISREG(st->st_mode) ? APR_SUCCESS : STEK_EKIND;
}

apr_status_t stek_file_read(const char *path, stek_file_kind_e kind, uid_t owner, void *buf,
                            apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                            const char **pculprit, apr_pool_t *pool)
{
    return stek_file_read_at(AT_FDCWD, path, kind, owner, buf, buf_size, plen, stamp, pculprit,
                             pool);
}

apr_status_t stek_file_read_at(int dir_fd, const char *path, stek_file_kind_e kind, uid_t owner,
                               void *buf, apr_size_t buf_size, apr_size_t *plen,
                               stek_stamp_t *stamp, const char **pculprit, apr_pool_t *pool)
{
    struct stat st = {0}, after;
    int fd = -1;
    apr_status_t rv = open_regular(dir_fd, path, &fd, &st);

    if (stamp != NULL) {
        stek_stamp_set(stamp, &st);
    }
    if (rv != APR_SUCCESS) {
        goto cleanup;
    }
    if (dir_fd == AT_FDCWD) {
        rv = stek_file_check_dirs(path, owner, pculprit, pool);
        if (rv != APR_SUCCESS) {
            goto cleanup;
        }
    }
    rv = check_file(&st, kind, owner);
    if (rv != APR_SUCCESS) {
        if (pculprit != NULL) {
            *pculprit = apr_pstrdup(pool, path);
        }
        goto cleanup;
    }
    if (st.st_size < 0 || (apr_uint64_t)st.st_size > buf_size) {
        rv = STEK_ETOOBIG;
        goto cleanup;
    }
    rv = read_exactly(fd, buf, (apr_size_t)st.st_size);
    if (rv == APR_SUCCESS && fstat(fd, &after) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    /* Not the ctime: it moves when a writer's rename takes this file's name away. */
    if (rv == APR_SUCCESS
        && (after.st_size != st.st_size || timespec_ns(after.st_mtim) != timespec_ns(st.st_mtim))) {
        rv = STEK_ECHANGED;
    }
    if (rv == APR_SUCCESS) {
        *plen = (apr_size_t)st.st_size;
    }

cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return rv;
}

/* A file on its way to its place. */
typedef struct writer_t {
    const char *path;
    const char *dir;
    const char *base;
    const char *tmp;
    struct stat st; /* the temporary file's, when it was new: tells the file system's time */
    int fd;
    int dir_fd; /* -1 unless it is to be synced */
} writer_t;

static apr_status_t writer_open(writer_t *writer, const char *path, int flags, apr_pool_t *pool)
{
    int open_flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;

    writer->path = path;
    writer->dir = stek_file_dir(path, pool);
    writer->base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    writer->tmp = apr_psprintf(pool, "%s.tmp-%ld", path, (long)getpid());
    writer->fd = -1;
    writer->dir_fd = -1;
    if ((flags & STEK_FILE_FSYNC) != 0) {
        writer->dir_fd = open(writer->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (writer->dir_fd < 0) {
            return APR_FROM_OS_ERROR(errno);
        }
    }
    writer->fd = open(writer->tmp, open_flags, 0600);
    /* A dead process of our pid has left it. */
    if (writer->fd < 0 && errno == EEXIST && unlink(writer->tmp) == 0) {
        writer->fd = open(writer->tmp, open_flags, 0600);
    }
    if (writer->fd < 0 || fstat(writer->fd, &writer->st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    return APR_SUCCESS;
}

/* Whether name is base ".tmp-" and digits. */
static int is_tmp_name(const char *name, const char *base)
{
    size_t base_len = strlen(base);
    const char *digits;

    if (strncmp(name, base, base_len) != 0 || strncmp(name + base_len, ".tmp-", 5) != 0) {
        return 0;
    }
    digits = name + base_len + 5;
    return *digits != '\0' && digits[strspn(digits, "0123456789")] == '\0';
}

/* Removes what killed writers left behind.  No failure of the write if that fails. */
static void writer_sweep(const writer_t *writer)
{
    const char *own = writer->tmp + (writer->base - writer->path);
    DIR *dir = opendir(writer->dir);
    struct dirent *entry;
    struct stat st;

    if (dir == NULL) {
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (is_tmp_name(entry->d_name, writer->base) && strcmp(entry->d_name, own) != 0
            && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISREG(st.st_mode)
            && writer->st.st_mtim.tv_sec - st.st_mtim.tv_sec > TMP_AGE_MAX_S) {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    closedir(dir);
}

static apr_status_t write_all(int fd, const unsigned char *bytes, apr_size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? APR_FROM_OS_ERROR(EIO) : APR_FROM_OS_ERROR(errno);
        }
        bytes += n;
        len -= (apr_size_t)n;
    }
    return APR_SUCCESS;
}

/* Stamps tell states apart by time as well: two writes in one tick of the clock, of which the
 * second gets the inode that the first has freed, must not look alike. */
static apr_status_t writer_set_later(const writer_t *writer)
{
    struct stat old, st;
    struct timespec times[2];
    apr_int64_t ahead_ns;

    if (lstat(writer->path, &old) != 0) {
        return APR_SUCCESS;
    }
    if (fstat(writer->fd, &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    ahead_ns = timespec_ns(old.st_mtim) - timespec_ns(st.st_mtim);
    if (ahead_ns < 0 || ahead_ns >= APR_INT64_C(1000000000)) {
        return APR_SUCCESS;
    }
    times[0].tv_sec = 0;
    times[0].tv_nsec = UTIME_OMIT;
    times[1] = old.st_mtim;
    if (++times[1].tv_nsec == 1000000000L) {
        times[1].tv_nsec = 0;
        times[1].tv_sec++;
    }
    return futimens(writer->fd, times) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

static apr_status_t writer_fill(writer_t *writer, const void *bytes, apr_size_t len, mode_t mode,
                                gid_t gid, int flags)
{
    int fd = writer->fd;
    apr_status_t rv = write_all(fd, bytes, len);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) != 0) || fchmod(fd, mode) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    rv = writer_set_later(writer);
    if (rv == APR_SUCCESS && (flags & STEK_FILE_FSYNC) != 0 && fsync(fd) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    /* Some file systems tell only now that there was no room. */
    writer->fd = -1;
    if (close(fd) != 0 && errno != EINTR && rv == APR_SUCCESS) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    return rv;
}

static apr_status_t writer_commit(const writer_t *writer, int flags)
{
    if ((flags & STEK_FILE_EXCLUSIVE) != 0) {
        if (link(writer->tmp, writer->path) != 0) {
            return APR_FROM_OS_ERROR(errno);
        }
        unlink(writer->tmp);
    }
    else if (rename(writer->tmp, writer->path) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    /* EINVAL: a file system whose directories need no sync. */
    if (writer->dir_fd >= 0 && fsync(writer->dir_fd) != 0 && errno != EINVAL) {
        return APR_FROM_OS_ERROR(errno);
    }
    return APR_SUCCESS;
}

apr_status_t stek_file_replace(const char *path, const void *bytes, apr_size_t len, mode_t mode,
                               gid_t gid, int flags, apr_pool_t *pool)
{
    apr_pool_t *subpool;
    writer_t writer;
    int made;
    apr_status_t rv = apr_pool_create(&subpool, pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = writer_open(&writer, path, flags, subpool);
    made = writer.fd >= 0;
    if (rv == APR_SUCCESS) {
        writer_sweep(&writer);
        rv = writer_fill(&writer, bytes, len, mode, gid, flags);
        if (rv == APR_SUCCESS) {
            rv = writer_commit(&writer, flags);
        }
    }
    if (rv != APR_SUCCESS && made) {
        unlink(writer.tmp);
    }
    if (writer.fd >= 0) {
        close(writer.fd);
    }
    if (writer.dir_fd >= 0) {
        close(writer.dir_fd);
    }
    apr_pool_destroy(subpool);
    return rv;
}

/* Opens the lock's file so that no other user can open it: flock needs no right to write. */
static apr_status_t lock_open(const char *lock_path, int *pfd)
{
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct stat st;
    apr_status_t rv = APR_SUCCESS;
    int fd;

    if (lstat(lock_path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return STEK_EKIND;
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
    else if (!S_ISREG(st.st_mode)) {
        rv = STEK_EKIND;
    }
    else if ((st.st_mode & 0777) != 0600 && fchmod(fd, 0600) != 0) {
        rv = STEK_EPERM;
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

/* Tells others who has the lock; on a full disk they do without. */
static void lock_sign(int fd)
{
    char text[PID_LEN_MAX];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        return;
    }
}

/* Whether the locked file is still the one of that name, and not one that was removed. */
static int lock_is_current(const char *lock_path, int fd)
{
    struct stat named, locked;

    return lstat(lock_path, &named) == 0 && fstat(fd, &locked) == 0 && named.st_dev == locked.st_dev
           && named.st_ino == locked.st_ino;
}

/* One try. */
static apr_status_t lock_try(const char *lock_path, stek_lock_t *lock, pid_t *pholder)
{
    int fd = -1;
    apr_status_t rv = lock_open(lock_path, &fd);

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
    lock_sign(fd);
    lock->fd = fd;
    return APR_SUCCESS;
}

apr_status_t stek_file_lock(const char *path, apr_interval_time_t wait, stek_lock_t *lock,
                            pid_t *pholder, apr_pool_t *pool)
{
    const apr_interval_time_t step = apr_time_from_msec(LOCK_POLL_MS);
    const char *lock_path = apr_pstrcat(pool, path, ".lock", NULL);
    pid_t holder = 0;
    apr_status_t rv;

    lock->fd = -1;
    rv = lock_try(lock_path, lock, &holder);
    while (rv == STEK_ELOCKED && wait > 0) {
        apr_sleep(wait < step ? wait : step);
        wait -= step;
        rv = lock_try(lock_path, lock, &holder);
    }
    if (rv == STEK_ELOCKED && pholder != NULL) {
        *pholder = holder;
    }
    return rv;
}

void stek_file_unlock(stek_lock_t *lock)
{
    if (lock->fd < 0) {
        return;
    }
    if (ftruncate(lock->fd, 0) != 0) {
        errno = 0;
    }
    /* Not close alone: a child forked meanwhile has the same open file. */
    flock(lock->fd, LOCK_UN);
    close(lock->fd);
    lock->fd = -1;
}

int stek_file_in_memory(const char *path, apr_pool_t *pool)
{
#ifdef __linux__
    const unsigned int tmpfs = 0x01021994, ramfs = 0x858458f6;
    struct statfs fs;
    int rc = statfs(path, &fs);

    if (rc != 0) {
        rc = statfs(stek_file_dir(path, pool), &fs);
    }
    return rc != 0 || (unsigned int)fs.f_type == tmpfs || (unsigned int)fs.f_type == ramfs;
#else
    (void)path;
    (void)pool;
    return 1;
#endif
}
