/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Careful reads and atomic replacement.  Core; POSIX, no state, any thread, any phase.  This runs
 * in httpd's parent, so nothing here waits for another process or blocks on a file that it opens.
 * The age of a temporary file is measured by the file system's own times, so no clock is read.
 */
#include "stek_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/statfs.h>
#endif

#include <apr_strings.h>

#include "stek_error.h"
#include "stek_key.h"
#include "stek_owner.h"

#define READ_TRIES 3     /* if the file is replaced meanwhile */
#define TMP_AGE_MAX_S 60 /* after this time, the writer is dead */
#define TMP_TRIES 16
#define TMP_MARK ".tmp-"
#define TMP_HEX_LEN 16

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

/* The open file itself. */
static apr_status_t check_file(int fd, const struct stat *st, stek_file_kind_e kind, uid_t owner)
{
    return stek_owner_is_trusted(st->st_uid, owner) && !stek_owner_others_write(st)
                   && (kind != STEK_FILE_SECRET || !stek_owner_others_read(fd, st, owner))
               ? APR_SUCCESS
               : STEK_EPERM;
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

/* Opens regular files only: opening a device may already have an effect. */
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

/* What to read, and how carefully. */
typedef struct reader_t {
    int dir_fd; /* AT_FDCWD: path is absolute or relative to the working directory, and is
                   checked */
    const char *path;
    stek_file_kind_e kind;
    uid_t owner;
    const char **pculprit; /* may be NULL */
    apr_pool_t *pool;
} reader_t;

static apr_status_t check_reader(const reader_t *reader, int fd, const struct stat *st)
{
    apr_status_t rv = APR_SUCCESS;

    if (reader->dir_fd == AT_FDCWD) {
        rv = stek_path_check_opened(reader->path, reader->owner, st, reader->pculprit,
                                    reader->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = check_file(fd, st, reader->kind, reader->owner);
        if (rv != APR_SUCCESS && reader->pculprit) {
            *reader->pculprit = apr_pstrdup(reader->pool, reader->path);
        }
    }
    return rv;
}

static apr_status_t read_file(const reader_t *reader, void *buf, apr_size_t buf_size,
                              apr_size_t *plen, stek_stamp_t *stamp)
{
    struct stat st = {0}, after;
    int fd = -1;
    apr_status_t rv = open_regular(reader->dir_fd, reader->path, &fd, &st);

    if (stamp) {
        stek_stamp_set(stamp, &st);
    }
    if (rv == APR_SUCCESS) {
        rv = check_reader(reader, fd, &st);
    }
    if (rv != APR_SUCCESS) {
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

apr_status_t stek_file_read(const char *path, stek_file_kind_e kind, uid_t owner, void *buf,
                            apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                            const char **pculprit, apr_pool_t *pool)
{
    const reader_t reader = {AT_FDCWD, path, kind, owner, pculprit, pool};
    apr_status_t rv = STEK_ECHANGED;
    int i;

    for (i = 0; i < READ_TRIES && rv == STEK_ECHANGED; i++) {
        rv = read_file(&reader, buf, buf_size, plen, stamp);
    }
    return rv;
}

apr_status_t stek_file_read_at(int dir_fd, const char *name, uid_t owner, void *buf,
                               apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                               const char **pculprit, apr_pool_t *pool)
{
    const reader_t reader = {dir_fd, name, STEK_FILE_RING, owner, pculprit, pool};

    return read_file(&reader, buf, buf_size, plen, stamp);
}

/* A file that is about to replace another. */
typedef struct writer_t {
    const char *path;
    const stek_file_how_t *how;
    const char *dir;
    const char *base;
    const char *tmp;
    struct stat st; /* the temporary file's when it was new: by the file system's clock */
    int fd;
    int dir_fd; /* -1 unless it is to be synced */
} writer_t;

/* Whether the file at the path may be replaced, as far as that can be told without its content. */
static apr_status_t check_replaced(const writer_t *writer)
{
    struct stat st;

    if (lstat(writer->path, &st) != 0) {
        return errno == ENOENT ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    }
    if ((writer->how->flags & STEK_FILE_EXCLUSIVE) != 0) {
        return APR_EEXIST;
    }
    if (S_ISDIR(st.st_mode)) {
        return APR_FROM_OS_ERROR(EISDIR);
    }
    if (!S_ISREG(st.st_mode)) {
        return STEK_EKIND;
    }
    return stek_owner_is_trusted(st.st_uid, writer->how->owner) && st.st_nlink == 1 ? APR_SUCCESS
                                                                                    : STEK_EFOREIGN;
}

/* A name that nobody can predict. Without random bytes, it still differs on every try. */
static const char *tmp_name(const char *path, int try_n, apr_pool_t *pool)
{
    apr_uint64_t bits = 0;

    if (stek_rng_system((unsigned char *)&bits, sizeof(bits)) != APR_SUCCESS) {
        bits = 0;
    }
    bits ^= (apr_uint64_t)getpid() << 8 ^ (apr_uint64_t)try_n;
    return apr_psprintf(pool, "%s" TMP_MARK "%016" APR_UINT64_T_HEX_FMT, path, bits);
}

static apr_status_t writer_open(writer_t *writer, const char *path, const stek_file_how_t *how,
                                apr_pool_t *pool)
{
    int open_flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;
    apr_status_t rv;
    int try_n = 0;

    writer->path = path;
    writer->how = how;
    writer->dir = stek_file_dir(path, pool);
    writer->base = stek_file_base(path);
    writer->fd = -1;
    writer->dir_fd = -1;
    rv = stek_path_check_written(path, how->owner, NULL, pool);
    if (rv == APR_SUCCESS) {
        rv = check_replaced(writer);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((how->flags & STEK_FILE_FSYNC) != 0) {
        writer->dir_fd = open(writer->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (writer->dir_fd < 0) {
            return APR_FROM_OS_ERROR(errno);
        }
    }
    do {
        writer->tmp = tmp_name(path, try_n, pool);
        writer->fd = open(writer->tmp, open_flags, 0600);
    } while (writer->fd < 0 && errno == EEXIST && ++try_n < TMP_TRIES);
    if (writer->fd < 0 || fstat(writer->fd, &writer->st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    return APR_SUCCESS;
}

/* Whether name is base, ".tmp-" and 16 hexadecimal digits. Fewer digits may be someone's date. */
static int is_tmp_name(const char *name, const char *base)
{
    size_t base_len = strlen(base);
    const char *end;

    if (strncmp(name, base, base_len) != 0
        || strncmp(name + base_len, TMP_MARK, strlen(TMP_MARK)) != 0) {
        return 0;
    }
    end = name + base_len + strlen(TMP_MARK);
    return strlen(end) == TMP_HEX_LEN && strspn(end, "0123456789abcdef") == TMP_HEX_LEN;
}

/* Whether a file with such a name was left by a killed writer: perhaps while the clock was ahead. */
static int is_left_behind(const writer_t *writer, const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_nlink == 1
           && stek_owner_is_trusted(st->st_uid, writer->how->owner)
           && labs((long)(writer->st.st_mtim.tv_sec - st->st_mtim.tv_sec)) > TMP_AGE_MAX_S;
}

/* Removes what killed writers left. If that fails, the write still succeeds. */
static void writer_sweep(const writer_t *writer)
{
    const char *own = writer->tmp + (writer->base - writer->path);
    DIR *dir = opendir(writer->dir);
    struct dirent *entry;
    struct stat st;

    if (!dir) {
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (is_tmp_name(entry->d_name, writer->base) && strcmp(entry->d_name, own) != 0
            && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
            && is_left_behind(writer, &st)) {
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

/* Stamps also distinguish states by time. Otherwise two writes within one tick of the clock would
 * look alike if the second got the inode that the first had freed. */
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

static apr_status_t writer_fill(writer_t *writer, const void *bytes, apr_size_t len)
{
    const stek_file_how_t *how = writer->how;
    int fd = writer->fd;
    apr_status_t rv = write_all(fd, bytes, len);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* By descriptor, before the file gets its name: by then, the name may lead to something
     * else. */
    if (((how->uid != (uid_t)-1 || how->gid != (gid_t)-1) && fchown(fd, how->uid, how->gid) != 0)
        || fchmod(fd, how->mode) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    rv = writer_set_later(writer);
    if (rv == APR_SUCCESS && (how->flags & STEK_FILE_FSYNC) != 0 && fsync(fd) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    /* Some file systems report a full disk only now. */
    writer->fd = -1;
    if (close(fd) != 0 && errno != EINTR && rv == APR_SUCCESS) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    return rv;
}

/* Gives the path to the temporary file, and its name to the file that was there.  Nonzero if it did:
 * nothing may be there, or the system cannot. */
static int exchange(const writer_t *writer)
{
#ifdef RENAME_EXCHANGE
    return renameat2(AT_FDCWD, writer->tmp, AT_FDCWD, writer->path, RENAME_EXCHANGE) == 0;
#else
    (void)writer;
    return 0;
#endif
}

/* *pkept (may be NULL): whether the temporary name is now that of what was replaced. */
static apr_status_t writer_commit(const writer_t *writer, int *pkept)
{
    if (pkept && exchange(writer)) {
        *pkept = 1;
    }
    else if ((writer->how->flags & STEK_FILE_EXCLUSIVE) != 0) {
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

/* preplaced NULL: what is replaced is not kept. */
static apr_status_t put(const char *path, const void *bytes, apr_size_t len,
                        const stek_file_how_t *how, const char **preplaced, apr_pool_t *pool)
{
    apr_pool_t *subpool;
    writer_t writer = {0};
    int made, kept = 0;
    apr_status_t rv = apr_pool_create(&subpool, pool);

    if (preplaced) {
        *preplaced = NULL;
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = writer_open(&writer, path, how, subpool);
    made = writer.fd >= 0;
    if (rv == APR_SUCCESS && made) {
        writer_sweep(&writer);
        rv = writer_fill(&writer, bytes, len);
        if (rv == APR_SUCCESS) {
            rv = writer_commit(&writer, preplaced ? &kept : NULL);
        }
    }
    if (rv != APR_SUCCESS && made && !kept) {
        unlink(writer.tmp);
    }
    if (kept) {
        *preplaced = apr_pstrdup(pool, writer.tmp);
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

apr_status_t stek_file_replace(const char *path, const void *bytes, apr_size_t len,
                               const stek_file_how_t *how, apr_pool_t *pool)
{
    return put(path, bytes, len, how, NULL, pool);
}

apr_status_t stek_file_replace_unlocked(const char *path, const void *bytes, apr_size_t len,
                                        const stek_file_how_t *how, const char **preplaced,
                                        apr_pool_t *pool)
{
    return put(path, bytes, len, how, preplaced, pool);
}

void stek_file_sweep(const char *path, uid_t owner, apr_pool_t *pool)
{
    const stek_file_how_t how = {owner, (uid_t)-1, (gid_t)-1, 0600, 0};
    writer_t writer = {0};
    apr_pool_t *subpool;

    if (apr_pool_create(&subpool, pool) != APR_SUCCESS) {
        return;
    }
    /* A new file tells the time by the file system's clock. */
    if (writer_open(&writer, path, &how, subpool) == APR_SUCCESS) {
        writer_sweep(&writer);
    }
    if (writer.fd >= 0) {
        unlink(writer.tmp);
        close(writer.fd);
    }
    apr_pool_destroy(subpool);
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

int stek_file_fsync_flag(const char *path, apr_pool_t *pool)
{
    return path && !stek_file_in_memory(path, pool) ? STEK_FILE_FSYNC : 0;
}
