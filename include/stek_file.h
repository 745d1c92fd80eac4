/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that hold rings and secrets: careful reads, atomic replacement, a lock that is tried and
 * never waited for without a bound.  POSIX; no state; any thread, any phase.
 */
#ifndef STEK_FILE_H
#define STEK_FILE_H

#include <apr_pools.h>
#include <apr_time.h>
#include <sys/stat.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

typedef enum stek_file_kind_e {
    STEK_FILE_RING,  /* not writable by others */
    STEK_FILE_SECRET /* moreover not readable by group or others */
} stek_file_kind_e;

/* Tells one state of a file from another; all zero: no file. */
typedef struct stek_stamp_t {
    dev_t dev;
    ino_t ino;
    apr_int64_t size;
    apr_int64_t mtime_ns;
    apr_int64_t ctime_ns;
} stek_stamp_t;

/* The directory that path is in, in pool: "." without a slash. */
const char *stek_file_dir(const char *path, apr_pool_t *pool);

/* The stamp of what fstat or stat has told. */
void stek_stamp_set(stek_stamp_t *stamp, const struct stat *st);

int stek_stamp_equal(const stek_stamp_t *a, const stek_stamp_t *b);

/* Cheap look for a change: one stat.  APR_ENOENT and a zero *stamp if there is no such file. */
apr_status_t stek_file_stamp(const char *path, stek_stamp_t *stamp);

/* The same of a name in the directory dir_fd, whose own name this process may not see; AT_FDCWD: as
 * above. */
apr_status_t stek_file_stamp_at(int dir_fd, const char *path, stek_stamp_t *stamp);

/* Reads the whole file into buf[buf_size]; *plen bytes.  Never blocks on a fifo or device
 * (O_NONBLOCK, then S_ISREG: STEK_EKIND), follows symlinks.  The file belongs to root or owner
 * and is not writable by group or others; each directory on the way, also those that symlinks
 * lead through, belongs to root or owner and is not writable by group or others, or is sticky;
 * each symlink belongs to root or owner: else STEK_EPERM, and *pculprit (if not NULL) is the path
 * at fault, in pool.  STEK_ETOOBIG if it does not fit, STEK_ECHANGED if it changed meanwhile.
 * *stamp (if not NULL) is the file's whenever there is one, on failure too; else all zero. */
apr_status_t stek_file_read(const char *path, stek_file_kind_e kind, uid_t owner, void *buf,
                            apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                            const char **pculprit, apr_pool_t *pool);

/* The same of a name in the directory dir_fd.  Directories are not checked: whoever opened it has done
 * so. */
apr_status_t stek_file_read_at(int dir_fd, const char *name, stek_file_kind_e kind, uid_t owner,
                               void *buf, apr_size_t buf_size, apr_size_t *plen,
                               stek_stamp_t *stamp, const char **pculprit, apr_pool_t *pool);

/* The check of the directories above path alone. */
apr_status_t stek_file_check_dirs(const char *path, uid_t owner, const char **pculprit,
                                  apr_pool_t *pool);

#define STEK_FILE_EXCLUSIVE 0x1 /* APR_EEXIST if path is there */
#define STEK_FILE_FSYNC 0x2     /* file and directory reach the disk before it returns */

/* Puts bytes[len] at path in one step: a temporary file PATH.tmp-PID beside it (O_EXCL, mode,
 * group gid unless (gid_t)-1), then rename; readers see the old or the new, never less.  On
 * failure the old file is as it was and no temporary file is left (but where only the directory
 * could not be synced, the new file is there); those of killed writers are swept after a minute.
 * Each replacement has another mtime.  A symlink at path is replaced, not followed. */
apr_status_t stek_file_replace(const char *path, const void *bytes, apr_size_t len, mode_t mode,
                               gid_t gid, int flags, apr_pool_t *pool);

typedef struct stek_lock_t {
    int fd; /* -1: not held */
} stek_lock_t;

/* Takes the lock PATH.lock (flock; 0600, group-writable never): at once, or within wait (0: one
 * try). STEK_ELOCKED if another process has it: then *pholder (if not NULL) is its pid, 0 if
 * unknown. */
apr_status_t stek_file_lock(const char *path, apr_interval_time_t wait, stek_lock_t *lock,
                            pid_t *pholder, apr_pool_t *pool);
void stek_file_unlock(stek_lock_t *lock);

/* Nonzero if path (or, if missing, its directory) lies on a memory file system: nothing on disk.
 * Systems that cannot tell say yes. */
int stek_file_in_memory(const char *path, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
