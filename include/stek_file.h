/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that contain rings and secrets: careful reads, atomic replacement.  Includes the checks of
 * their paths and their lock.  POSIX; no state; any thread, any phase.
 */
#ifndef STEK_FILE_H
#define STEK_FILE_H

#include <apr_pools.h>
#include <apr_time.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "stek_lock.h"
#include "stek_path.h"

#pragma GCC visibility push(hidden)

typedef enum stek_file_kind_e {
    STEK_FILE_RING,  /* not writable by others */
    STEK_FILE_SECRET /* nor readable by group or others */
} stek_file_kind_e;

/* Distinguishes the states of a file; all zero: no file. */
typedef struct stek_stamp_t {
    dev_t dev;
    ino_t ino;
    apr_int64_t size;
    apr_int64_t mtime_ns;
    apr_int64_t ctime_ns;
} stek_stamp_t;

/* The stamp of a result of fstat or stat. */
void stek_stamp_set(stek_stamp_t *stamp, const struct stat *st);

int stek_stamp_equal(const stek_stamp_t *a, const stek_stamp_t *b);

/* A cheap test for a change: one stat. APR_ENOENT and a zero *stamp if there is no such file. */
apr_status_t stek_file_stamp(const char *path, stek_stamp_t *stamp);

/* The same for a name in the directory dir_fd, whose path this process may not be able to see;
 * AT_FDCWD: as above. */
apr_status_t stek_file_stamp_at(int dir_fd, const char *path, stek_stamp_t *stamp);

/* Reads the whole file into buf[buf_size]; *plen bytes.  Never blocks on a fifo or device
 * (O_NONBLOCK, then S_ISREG: STEK_EKIND), follows symlinks.  The file belongs to root or owner
 * and is not writable by group or others; every directory on the way, even those that symlinks
 * lead through, belongs to root or owner and is not writable by group or others, or is sticky;
 * every symlink belongs to root or owner: else STEK_EPERM, and *pculprit (if not NULL) is the path
 * at fault, in pool.  STEK_ETOOBIG if it does not fit, STEK_ECHANGED if it changed
 * while it was being read.
 * *stamp (if not NULL) is the file's whenever there is one, on failure too; else all zero. */
apr_status_t stek_file_read(const char *path, stek_file_kind_e kind, uid_t owner, void *buf,
                            apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                            const char **pculprit, apr_pool_t *pool);

/* The same for a ring of that name in the directory dir_fd. Does not check directories: the caller
 * did so before it opened dir_fd. */
apr_status_t stek_file_read_at(int dir_fd, const char *name, uid_t owner, void *buf,
                               apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                               const char **pculprit, apr_pool_t *pool);

#define STEK_FILE_EXCLUSIVE 0x1 /* fail with APR_EEXIST if path exists */
#define STEK_FILE_FSYNC 0x2     /* sync file and directory to the disk before returning */

typedef struct stek_file_how_t {
    uid_t owner; /* besides root: who may own the directory, and the file that is replaced */
    uid_t uid;   /* the new file's owner; (uid_t)-1: the process's */
    gid_t gid;   /* (gid_t)-1: the process's */
    mode_t mode;
    int flags;
} stek_file_how_t;

/* Removes what killed writers left beside path more than a minute ago, as stek_file_replace does. */
void stek_file_sweep(const char *path, uid_t owner, apr_pool_t *pool);

/* Puts bytes[len] at path in one step: a temporary file beside it (PATH.tmp- and 16 random
 * hexadecimal digits, O_EXCL), then rename; readers see the old or the new, never less.  On failure
 * the old file is as it was and no temporary file is left (but where only the directory could not
 * be synced, the new file is there); those of killed writers are removed after a minute.  Every
 * replacement has a new mtime.
 * Directories as stek_path_check_written: STEK_EPERM, STEK_ESHARED.  What is replaced is a regular
 * file of root's or owner's with one name: EISDIR, STEK_EKIND (a symlink, too), STEK_EFOREIGN; the
 * caller has checked what it contains (stek_claim.h). */
apr_status_t stek_file_replace(const char *path, const void *bytes, apr_size_t len,
                               const stek_file_how_t *how, apr_pool_t *pool);

/* The same for a writer without the file's lock, whom another may overtake after its last look at the
 * file: *preplaced, in pool, is the path of what was there in the moment of the replacement, for the
 * caller to read and to remove, also after a failure.  NULL: nothing was there, or the system cannot
 * keep it. */
apr_status_t stek_file_replace_unlocked(const char *path, const void *bytes, apr_size_t len,
                                        const stek_file_how_t *how, const char **preplaced,
                                        apr_pool_t *pool);

/* Nonzero if path (or, if it does not exist, its directory) is on a memory file system, so that
 * nothing reaches a disk. Where the system cannot tell: nonzero. */
int stek_file_in_memory(const char *path, apr_pool_t *pool);

/* STEK_FILE_FSYNC if path is on a disk; 0 in memory, and for NULL. */
int stek_file_fsync_flag(const char *path, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
