/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file ring on a path or in anonymous memory.  Core layer; any thread; parent
 * and stekctl read and write, children only read.  Anonymous memory is a memfd of mode 0600 that is
 * opened twice: children keep the read-only descriptor, and cannot reopen it for writing, because they
 * have another uid.
 */
#include "stek_ring_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "stek_claim.h"
#include "stek_error.h"
#include "stek_jail.h"
#include "stek_mem.h"

#define RING_MODE 0640
#define LOCK_LEN_MAX 24 /* a pid */

/* How often a reader of anonymous memory tries again, because a writer may be at work. */
#define MEMORY_TRIES 8
#define MEMORY_RETRY_MS 2

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

void stek_ring_file_init(stek_ring_file_t *file, const char *path, uid_t owner, gid_t gid)
{
    file->path = path;
    file->owner = owner;
    file->gid = gid;
    file->memory_fd = -1;
    file->writer_fd = -1;
    file->dir_fd = -1;
    file->in_jail = 0;
}

#ifdef MFD_CLOEXEC
/* No seal can be added: a descriptor that gets into wrong hands must not end all writing for good. */
static int create_memory(void)
{
    int fd = memfd_create("stek-ring", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (fd < 0) { /* before Linux 6.3; without the flag the seal is there from the start */
        return errno == EINVAL ? memfd_create("stek-ring", MFD_CLOEXEC) : -1;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) != 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int open_again(int fd, int mode)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, mode | O_CLOEXEC);
}
#endif

apr_status_t stek_ring_file_init_memory(stek_ring_file_t *file, uid_t owner)
{
#ifdef MFD_CLOEXEC
    int writer_fd, memory_fd;

    writer_fd = create_memory();
    if (writer_fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    memory_fd = fchmod(writer_fd, 0600) == 0 ? open_again(writer_fd, O_RDONLY) : -1;
    if (memory_fd < 0) {
        apr_status_t rv = APR_FROM_OS_ERROR(errno);

        close(writer_fd);
        return rv;
    }
    stek_ring_file_init(file, NULL, owner, (gid_t)-1);
    file->memory_fd = memory_fd;
    file->writer_fd = writer_fd;
    return APR_SUCCESS;
#else
    (void)file;
    (void)owner;
    return APR_ENOTIMPL;
#endif
}

apr_status_t stek_ring_file_open_writer(stek_ring_file_t *file)
{
#ifdef MFD_CLOEXEC
    const int unwritable = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
    int seals = fcntl(file->memory_fd, F_GET_SEALS);

    if (seals < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if ((seals & F_SEAL_SEAL) == 0 || (seals & unwritable) != 0) {
        return APR_FROM_OS_ERROR(EPERM);
    }
    if (file->writer_fd < 0) {
        file->writer_fd = open_again(file->memory_fd, O_RDWR);
    }
    return file->writer_fd >= 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
#else
    (void)file;
    return APR_ENOTIMPL;
#endif
}

void stek_ring_file_drop_writer(stek_ring_file_t *file)
{
    if (file->writer_fd >= 0) {
        close(file->writer_fd);
        file->writer_fd = -1;
    }
}

void stek_ring_file_close(stek_ring_file_t *file)
{
    stek_ring_file_drop_writer(file);
    if (file->memory_fd >= 0) {
        close(file->memory_fd);
        file->memory_fd = -1;
    }
    if (file->dir_fd >= 0) {
        close(file->dir_fd);
        file->dir_fd = -1;
    }
}

/* A ring, a secret or a lock: what children may see from within their jail. */
static int is_ours(const char *path, uid_t owner, apr_pool_t *pool)
{
    const char *found, *end = strrchr(path, '.');
    apr_status_t rv = stek_claim_check(&stek_claim_ring, path, owner, &found, pool);
    struct stat st;

    if (rv == STEK_EFOREIGN) {
        rv = stek_claim_check(&stek_claim_secret, path, owner, &found, pool);
    }
    if (rv == STEK_EFOREIGN && end && strcmp(end, ".lock") == 0 && lstat(path, &st) == 0) {
        return S_ISREG(st.st_mode) && st.st_size <= LOCK_LEN_MAX;
    }
    return rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv);
}

/* APR_SUCCESS if the directory holds nothing of others': from a jail a socket or a pipe there would lead
 * out. */
static apr_status_t check_own_directory(const stek_ring_file_t *file, apr_pool_t *pool)
{
    const char *path = stek_file_dir(file->path, pool);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    apr_status_t rv = APR_SUCCESS;

    if (!dir) {
        return APR_FROM_OS_ERROR(errno);
    }
    while (rv == APR_SUCCESS && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0
            && !is_ours(apr_pstrcat(pool, path, "/", entry->d_name, NULL), file->owner, pool)) {
            rv = STEK_EFOREIGN;
        }
    }
    closedir(dir);
    return rv;
}

apr_status_t stek_ring_file_prepare_jail(stek_ring_file_t *file, apr_status_t *pwhy,
                                         apr_pool_t *pool)
{
    stek_ring_file_t copy;
    apr_status_t rv = stek_jail_open(stek_file_dir(file->path, pool), &file->dir_fd);

    if (rv == APR_SUCCESS) {
        rv = stek_jail_check(file->dir_fd, stek_file_base(file->path));
        if (rv == APR_SUCCESS) {
            rv = check_own_directory(file, pool);
        }
        if (rv == APR_SUCCESS) {
            *pwhy = APR_SUCCESS;
            return APR_SUCCESS;
        }
        close(file->dir_fd);
        file->dir_fd = -1;
    }
    *pwhy = rv;
    stek_ring_file_init(&copy, NULL, file->owner, (gid_t)-1);
    rv = stek_ring_file_init_memory(&copy, file->owner);
    if (rv == APR_SUCCESS) {
        file->memory_fd = copy.memory_fd;
        file->writer_fd = copy.writer_fd;
    }
    return rv;
}

int stek_ring_file_has_copy(const stek_ring_file_t *file)
{
    return file->path && file->writer_fd >= 0;
}

int stek_ring_file_jail_is_left(const stek_ring_file_t *file, apr_pool_t *pool)
{
    struct stat named, opened;

    return file->path && file->dir_fd >= 0 && stat(stek_file_dir(file->path, pool), &named) == 0
           && fstat(file->dir_fd, &opened) == 0
           && (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino);
}

void stek_ring_file_enter_jail(stek_ring_file_t *file)
{
    file->in_jail = file->path != NULL;
}

/* Nonzero if this process reads the ring from memory. */
static int is_memory(const stek_ring_file_t *file)
{
    return !file->path || (file->in_jail && file->dir_fd < 0);
}

const char *stek_ring_file_name(const stek_ring_file_t *file)
{
    return file->path ? file->path : "memory";
}

static apr_status_t memory_stamp(int fd, stek_stamp_t *stamp)
{
    struct stat st;

    memset(stamp, 0, sizeof(*stamp));
    if (fstat(fd, &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (st.st_size == 0) {
        return APR_ENOENT;
    }
    stek_stamp_set(stamp, &st);
    return APR_SUCCESS;
}

apr_status_t stek_ring_file_stamp(const stek_ring_file_t *file, stek_stamp_t *stamp)
{
    if (is_memory(file)) {
        return memory_stamp(file->memory_fd, stamp);
    }
    return file->in_jail ? stek_file_stamp_at(file->dir_fd, stek_file_base(file->path), stamp)
                         : stek_file_stamp(file->path, stamp);
}

static apr_status_t memory_read(int fd, unsigned char *buf, apr_size_t buf_size, apr_size_t *plen,
                                stek_stamp_t *stamp)
{
    apr_size_t len, done = 0;
    stek_stamp_t after;
    apr_status_t rv = memory_stamp(fd, stamp);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((apr_uint64_t)stamp->size > buf_size) {
        return STEK_ETOOBIG;
    }
    len = (apr_size_t)stamp->size;
    while (done < len) {
        ssize_t n = pread(fd, buf + done, len - done, (off_t)done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? STEK_ECHANGED : APR_FROM_OS_ERROR(errno);
        }
        done += (apr_size_t)n;
    }
    rv = memory_stamp(fd, &after);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *plen = len;
    return stek_stamp_equal(stamp, &after) ? APR_SUCCESS : STEK_ECHANGED;
}

/* Tries again after results that a write in progress can cause; times are too coarse to show one. */
static apr_status_t memory_load(int fd, const stek_secrets_t *secrets, unsigned char *buf,
                                stek_ring_t **pring, stek_stamp_t *stamp)
{
    int i;
    stek_stamp_t unwanted;
    apr_status_t rv = APR_SUCCESS;

    if (!stamp) {
        stamp = &unwanted;
    }
    for (i = 0; i < MEMORY_TRIES; i++) {
        apr_size_t len = 0;

        if (i > 0) {
            apr_sleep(apr_time_from_msec(MEMORY_RETRY_MS));
        }
        rv = memory_read(fd, buf, STEK_RING_BYTES_MAX, &len, stamp);
        if (rv == APR_SUCCESS) {
            rv = stek_ring_unseal(buf, len, secrets, 1, pring, NULL);
        }
        if (rv != STEK_ECHANGED && rv != STEK_ELENGTH && rv != STEK_ESEAL && rv != STEK_ESECRET) {
            break;
        }
    }
    return rv;
}

static apr_status_t path_read(const stek_ring_file_t *file, unsigned char *buf, apr_size_t *plen,
                              stek_stamp_t *stamp, const char **pculprit, apr_pool_t *pool)
{
    if (file->in_jail) {
        return stek_file_read_at(file->dir_fd, stek_file_base(file->path), file->owner, buf,
                                 STEK_RING_BYTES_MAX, plen, stamp, pculprit, pool);
    }
    return stek_file_read(file->path, STEK_FILE_RING, file->owner, buf, STEK_RING_BYTES_MAX, plen,
                          stamp, pculprit, pool);
}

apr_status_t stek_ring_file_read(const stek_ring_file_t *file, unsigned char **psealed,
                                 apr_size_t *plen, stek_stamp_t *stamp, const char **pculprit,
                                 apr_pool_t *pool)
{
    unsigned char *buf = malloc(STEK_RING_BYTES_MAX);
    stek_header_t header;
    apr_size_t len = 0;
    apr_status_t rv = buf ? path_read(file, buf, &len, stamp, pculprit, pool) : APR_ENOMEM;

    if (rv == APR_SUCCESS) {
        rv = stek_header_read(buf, len, &header);
    }
    if (rv != APR_SUCCESS) {
        free(buf);
        return rv;
    }
    *psealed = buf;
    *plen = len;
    return APR_SUCCESS;
}

apr_status_t stek_ring_file_load(const stek_ring_file_t *file, const stek_secrets_t *secrets,
                                 stek_ring_t **pring, stek_stamp_t *stamp, const char **pculprit,
                                 apr_pool_t *pool)
{
    unsigned char *buf = malloc(STEK_RING_BYTES_MAX);
    apr_size_t len = 0;
    apr_status_t rv;

    if (!buf) {
        return APR_ENOMEM;
    }
    if (is_memory(file)) {
        rv = memory_load(file->memory_fd, secrets, buf, pring, stamp);
    }
    else {
        rv = path_read(file, buf, &len, stamp, pculprit, pool);
        if (rv == APR_SUCCESS) {
            rv = stek_ring_unseal(buf, len, secrets, 1, pring, NULL);
        }
    }
    free(buf);
    return rv;
}

static apr_status_t memory_write_all(int fd, const unsigned char *bytes, apr_size_t len)
{
    apr_size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(fd, bytes + done, len - done, (off_t)done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? APR_FROM_OS_ERROR(EIO) : APR_FROM_OS_ERROR(errno);
        }
        done += (apr_size_t)n;
    }
    return ftruncate(fd, (off_t)len) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

/* Makes the time of this write later than the one before, even within one tick of the clock. */
static apr_status_t memory_set_later(int fd, const stek_stamp_t *before)
{
    struct timespec times[2];
    stek_stamp_t now;
    apr_status_t rv = memory_stamp(fd, &now);

    if (rv != APR_SUCCESS || now.mtime_ns != before->mtime_ns) {
        return rv;
    }
    times[0].tv_sec = 0;
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = (time_t)((before->mtime_ns + 1) / APR_INT64_C(1000000000));
    times[1].tv_nsec = (long)((before->mtime_ns + 1) % APR_INT64_C(1000000000));
    return futimens(fd, times) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

static apr_status_t memory_save(int fd, const unsigned char *bytes, apr_size_t len, int flags)
{
    stek_stamp_t before;
    apr_status_t rv = memory_stamp(fd, &before);

    if (rv == APR_SUCCESS && (flags & STEK_FILE_EXCLUSIVE) != 0) {
        return APR_EEXIST;
    }
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
        return rv;
    }
#ifdef FALLOC_FL_KEEP_SIZE
    /* Where there is no room the old ring stays. */
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)len) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
#endif
    rv = memory_write_all(fd, bytes, len);
    return rv == APR_SUCCESS ? memory_set_later(fd, &before) : rv;
}

/* The one rule for the group of a ring (stek_ring_file_save_under). */
static gid_t group_of(const stek_ring_file_t *file, int *pdemanded, apr_pool_t *pool)
{
    struct stat st;

    *pdemanded = 1;
    if (file->gid != (gid_t)-1) {
        return file->gid;
    }
    if (lstat(file->path, &st) == 0) {
        return st.st_gid;
    }
    *pdemanded = 0;
    return stat(stek_file_dir(file->path, pool), &st) == 0 ? st.st_gid : (gid_t)-1;
}

/* preplaced NULL: the caller holds the lock; else as stek_file_replace_unlocked. */
static apr_status_t replace(const stek_ring_file_t *file, const unsigned char *bytes,
                            apr_size_t len, const stek_file_how_t *how, const char **preplaced,
                            apr_pool_t *pool)
{
    return preplaced ? stek_file_replace_unlocked(file->path, bytes, len, how, preplaced, pool)
                     : stek_file_replace(file->path, bytes, len, how, pool);
}

static apr_status_t path_save(const stek_ring_file_t *file, const unsigned char *bytes,
                              apr_size_t len, int flags, const char **preplaced, apr_pool_t *pool)
{
    const stek_claim_t *claim = stek_claim_is_floor(bytes, len) ? &stek_claim_sealed
                                                                : &stek_claim_ring;
    stek_file_how_t how = {file->owner, (uid_t)-1, (gid_t)-1, RING_MODE, flags};
    apr_status_t rv = (flags & STEK_FILE_EXCLUSIVE) != 0
                          ? APR_SUCCESS
                          : stek_claim_may_replace(claim, file->path, file->owner, pool);
    int demanded;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    how.gid = group_of(file, &demanded, pool);
    rv = replace(file, bytes, len, &how, preplaced, pool);
    if (APR_TO_OS_ERROR(rv) == EPERM && !demanded) {
        how.gid = (gid_t)-1;
        rv = replace(file, bytes, len, &how, preplaced, pool);
    }
    return rv;
}

int stek_ring_file_is_own_trouble(apr_status_t rv)
{
    return APR_STATUS_IS_ENOMEM(rv) || APR_STATUS_IS_EMFILE(rv) || APR_STATUS_IS_ENFILE(rv)
           || rv == STEK_ECRYPTO;
}

apr_status_t stek_ring_file_check(const stek_ring_file_t *file, const char **pdetail,
                                  apr_pool_t *pool)
{
    apr_status_t rv = stek_path_check_written(file->path, file->owner, pdetail, pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = stek_claim_check(&stek_claim_ring, file->path, file->owner, pdetail, pool);
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

apr_status_t stek_ring_file_save(const stek_ring_file_t *file, const stek_ring_t *ring,
                                 const stek_secrets_t *secrets, int flags, stek_rng_t *rng,
                                 stek_stamp_t *stamp, apr_pool_t *pool)
{
    return stek_ring_file_save_under(file, ring, &secrets->secrets[0], flags, rng, stamp, pool);
}

static apr_status_t save(const stek_ring_file_t *file, const stek_ring_t *ring,
                         const stek_secret_t *secret, int flags, stek_rng_t *rng,
                         stek_stamp_t *stamp, const char **preplaced, apr_pool_t *pool)
{
    unsigned char random[STEK_RING_SALT_RANDOM_LEN];
    unsigned char *sealed = NULL;
    stek_stamp_t written;
    apr_size_t len;
    apr_status_t rv;

    if (rng(random, sizeof(random)) != APR_SUCCESS) {
        return STEK_ERNG;
    }
    rv = stek_ring_seal(ring, secret, random, &sealed, &len);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (file->path) {
        rv = path_save(file, sealed, len, flags, preplaced, pool);
    }
    else {
        rv = file->writer_fd >= 0 ? memory_save(file->writer_fd, sealed, len, flags) : APR_EBADF;
    }
    free(sealed);
    if (rv == APR_SUCCESS && stamp && stek_ring_file_stamp(file, &written) == APR_SUCCESS) {
        *stamp = written;
    }
    return rv;
}

apr_status_t stek_ring_file_save_under(const stek_ring_file_t *file, const stek_ring_t *ring,
                                       const stek_secret_t *secret, int flags, stek_rng_t *rng,
                                       stek_stamp_t *stamp, apr_pool_t *pool)
{
    return save(file, ring, secret, flags, rng, stamp, NULL, pool);
}

apr_status_t stek_ring_file_save_unlocked(const stek_ring_file_t *file, const stek_ring_t *ring,
                                          const stek_secrets_t *secrets, int flags, stek_rng_t *rng,
                                          stek_stamp_t *stamp, stek_ring_t **preplaced,
                                          apr_pool_t *pool)
{
    const char *kept = NULL;
    apr_status_t rv = save(file, ring, &secrets->secrets[0], flags, rng, stamp, &kept, pool);

    *preplaced = NULL;
    if (kept) {
        stek_ring_file_t there = *file;

        there.path = kept;
        if (stek_ring_file_load(&there, secrets, preplaced, NULL, NULL, pool) != APR_SUCCESS) {
            *preplaced = NULL;
        }
        unlink(kept);
    }
    return rv;
}

apr_status_t stek_ring_file_publish(const stek_ring_file_t *file, const stek_ring_t *ring,
                                    const stek_secrets_t *secrets, stek_rng_t *rng)
{
    stek_ring_file_t copy = *file;

    copy.path = NULL;
    return stek_ring_file_save(&copy, ring, secrets, 0, rng, NULL, NULL);
}
