/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of simulated hosts, for production's code the ones of a POSIX system: below sim_dir they are in
 * this process's memory, and their times are the world's, so that a history leaves the same bytes behind
 * every time.  Directories have no entries for directories, and there are no links but hard ones.  All
 * other paths and descriptors are the system's.  Crashes are in sim_disk.c.  One thread.
 */
#include "sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_FIRST (1 << 20)
#define FD_MAX 1024
#define DIR_FD_FIRST (FD_FIRST + FD_MAX)
#define LISTING_MAX 16
#define DIR_BUCKETS 1024
#define DEVICE 77

char sim_dir[] = "/simulated";

typedef struct inode_t {
    ino_t number;
    unsigned char *bytes;
    size_t len, room;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t mtime_ns, ctime_ns;
    unsigned name_n, open_n;
    unsigned lock_n; /* shared ones */
    int is_locked;   /* by one that does not share */
} inode_t;

typedef struct name_t {
    char *text;
    inode_t *inode;
} name_t;

typedef struct dir_t {
    struct dir_t *next; /* in its bucket */
    char *path;
    ino_t number;
    name_t *names;
    int n, room;
} dir_t;

/* An open file; inode NULL: free. */
typedef struct opened_t {
    inode_t *inode;
    size_t at;
    int lock; /* LOCK_SH, LOCK_EX or 0 */
} opened_t;

/* A directory that is being read, as it was when it was opened; dir NULL: free. */
typedef struct listing_t {
    dir_t *dir;
    char **names;
    int n, at;
    struct dirent entry;
} listing_t;

static dir_t *dirs[DIR_BUCKETS];
static opened_t files[FD_MAX];
static listing_t listings[LISTING_MAX];
static ino_t last_number;

static int fail(int error)
{
    errno = error;
    return -1;
}

static int64_t now_ns(void)
{
    return sim ? sim->now_ms * 1000000 : 0;
}

int sim_is_below(const char *path)
{
    size_t len = sizeof(sim_dir) - 1;

    return !strncmp(path, sim_dir, len) && (path[len] == '/' || path[len] == '\0');
}

/* ---- directories and their names ---- */

static dir_t **dir_place(const char *path, size_t len)
{
    unsigned hash = 0;
    dir_t **place;
    size_t i;

    for (i = 0; i < len; i++) {
        hash = hash * 31 + (unsigned char)path[i];
    }
    for (place = &dirs[hash % DIR_BUCKETS];
         *place && (strncmp((*place)->path, path, len) != 0 || (*place)->path[len] != '\0');
         place = &(*place)->next) {
    }
    return place;
}

/* The directory of a path; NULL: there is none. */
static dir_t *dir_of(const char *path)
{
    return *dir_place(path, (size_t)(strrchr(path, '/') - path));
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

static int index_of(const dir_t *dir, const char *name)
{
    int i;

    for (i = 0; i < dir->n && strcmp(dir->names[i].text, name) != 0; i++) {
    }
    return i < dir->n ? i : -1;
}

static inode_t *look_up(const dir_t *dir, const char *name)
{
    int i = dir ? index_of(dir, name) : -1;

    return i < 0 ? NULL : dir->names[i].inode;
}

static void release(inode_t *inode)
{
    if (inode->name_n == 0 && inode->open_n == 0) {
        free(inode->bytes);
        free(inode);
    }
}

static void take_name(dir_t *dir, int i)
{
    inode_t *inode = dir->names[i].inode;

    free(dir->names[i].text);
    dir->n--;
    memmove(dir->names + i, dir->names + i + 1, (size_t)(dir->n - i) * sizeof(*dir->names));
    inode->name_n--;
    inode->ctime_ns = now_ns();
    release(inode);
}

static void give_name(dir_t *dir, const char *name, inode_t *inode)
{
    if (dir->n == dir->room) {
        dir->room = dir->room ? dir->room * 2 : 8;
        dir->names = realloc(dir->names, (size_t)dir->room * sizeof(*dir->names));
    }
    dir->names[dir->n++] = (name_t){strdup(name), inode};
    inode->name_n++;
    inode->ctime_ns = now_ns();
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_mkdir(const char *path, mode_t mode)
{
    dir_t **place;

    if (!sim_is_below(path)) {
        return __real_mkdir(path, mode);
    }
    place = dir_place(path, strlen(path));
    if (*place) {
        return fail(EEXIST);
    }
    *place = calloc(1, sizeof(**place));
    (*place)->path = strdup(path);
    (*place)->number = ++last_number;
    return 0;
}

int sim_unlink(const char *path)
{
    dir_t *dir = dir_of(path);
    int i = dir ? index_of(dir, name_of(path)) : -1;

    if (i < 0) {
        return fail(ENOENT);
    }
    take_name(dir, i);
    return 0;
}

int sim_link(const char *from, const char *to)
{
    inode_t *inode = look_up(dir_of(from), name_of(from));
    dir_t *dir = dir_of(to);

    if (!inode || !dir) {
        return fail(ENOENT);
    }
    if (index_of(dir, name_of(to)) >= 0) {
        return fail(EEXIST);
    }
    give_name(dir, name_of(to), inode);
    return 0;
}

int sim_rename(const char *from, const char *to)
{
    dir_t *from_dir = dir_of(from), *dir = dir_of(to);
    inode_t *inode = look_up(from_dir, name_of(from));
    int i;

    if (!inode || !dir) {
        return fail(ENOENT);
    }
    i = index_of(dir, name_of(to));
    if (i >= 0 && dir->names[i].inode == inode) {
        return 0;
    }
    if (i >= 0) {
        take_name(dir, i);
    }
    give_name(dir, name_of(to), inode);
    take_name(from_dir, index_of(from_dir, name_of(from)));
    return 0;
}

/* ---- what stat tells ---- */

static void tell(const inode_t *inode, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_dev = DEVICE;
    st->st_ino = inode->number;
    st->st_mode = S_IFREG | inode->mode;
    st->st_nlink = inode->name_n;
    st->st_uid = inode->uid;
    st->st_gid = inode->gid;
    st->st_size = (off_t)inode->len;
    st->st_mtim.tv_sec = inode->mtime_ns / 1000000000;
    st->st_mtim.tv_nsec = inode->mtime_ns % 1000000000;
    st->st_ctim.tv_sec = inode->ctime_ns / 1000000000;
    st->st_ctim.tv_nsec = inode->ctime_ns % 1000000000;
}

static int stat_below(const char *path, struct stat *st)
{
    const inode_t *inode = look_up(dir_of(path), name_of(path));
    const dir_t *dir = inode ? NULL : *dir_place(path, strlen(path));

    if (inode) {
        tell(inode, st);
        return 0;
    }
    if (!dir) {
        return fail(ENOENT);
    }
    memset(st, 0, sizeof(*st));
    st->st_dev = DEVICE;
    st->st_ino = dir->number;
    st->st_mode = S_IFDIR | 0700;
    st->st_nlink = 2;
    st->st_uid = geteuid();
    st->st_gid = getegid();
    return 0;
}

int __real_stat(const char *path, struct stat *st);
int __real_lstat(const char *path, struct stat *st);
int __real_fstat(int fd, struct stat *st);
int __real_fstatat(int dir_fd, const char *path, struct stat *st, int flags);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_lstat(const char *path, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstatat(int dir_fd, const char *path, struct stat *st, int flags);

int __wrap_stat(const char *path, struct stat *st)
{
    return sim_is_below(path) ? stat_below(path, st) : __real_stat(path, st);
}

int __wrap_lstat(const char *path, struct stat *st)
{
    return sim_is_below(path) ? stat_below(path, st) : __real_lstat(path, st);
}

static opened_t *file_of(int fd)
{
    return fd >= FD_FIRST && fd < FD_FIRST + FD_MAX ? &files[fd - FD_FIRST] : NULL;
}

static listing_t *listing_of(int fd)
{
    return fd >= DIR_FD_FIRST && fd < DIR_FD_FIRST + LISTING_MAX ? &listings[fd - DIR_FD_FIRST]
                                                                 : NULL;
}

int __wrap_fstat(int fd, struct stat *st)
{
    const opened_t *file = file_of(fd);

    if (!file) {
        return __real_fstat(fd, st);
    }
    tell(file->inode, st);
    return 0;
}

int __wrap_fstatat(int dir_fd, const char *path, struct stat *st, int flags)
{
    const listing_t *listing = listing_of(dir_fd);

    if (listing) {
        const inode_t *inode = look_up(listing->dir, path);

        if (inode) {
            tell(inode, st);
        }
        return inode ? 0 : fail(ENOENT);
    }
    return sim_is_below(path) ? stat_below(path, st) : __real_fstatat(dir_fd, path, st, flags);
}

/* ---- open files ---- */

static inode_t *new_file(mode_t mode)
{
    inode_t *inode = calloc(1, sizeof(*inode));

    inode->number = ++last_number;
    inode->mode = mode & 0777;
    inode->uid = geteuid();
    inode->gid = getegid();
    inode->mtime_ns = now_ns();
    return inode;
}

static int open_below(const char *path, int flags, mode_t mode)
{
    dir_t *dir = dir_of(path);
    inode_t *inode = look_up(dir, name_of(path));
    int i;

    for (i = 0; i < FD_MAX && files[i].inode; i++) {
    }
    if (i == FD_MAX) {
        return fail(EMFILE);
    }
    if (inode && (flags & O_EXCL) != 0) {
        return fail(EEXIST);
    }
    if (!inode) {
        if (!dir || (flags & O_CREAT) == 0) {
            return fail(ENOENT);
        }
        inode = new_file(mode);
        give_name(dir, name_of(path), inode);
    }
    if ((flags & O_TRUNC) != 0) {
        inode->len = 0;
        inode->mtime_ns = inode->ctime_ns = now_ns();
    }
    inode->open_n++;
    files[i] = (opened_t){.inode = inode};
    return FD_FIRST + i;
}

int __real_open(const char *path, int flags, ...);
int __real_openat(int dir_fd, const char *path, int flags, ...);
int __real_close(int fd);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_close(int fd);

int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if ((flags & O_CREAT) != 0) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return sim_is_below(path) ? open_below(path, flags, mode) : __real_open(path, flags, mode);
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if ((flags & O_CREAT) != 0) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return sim_is_below(path) ? open_below(path, flags, mode)
                              : __real_openat(dir_fd, path, flags, mode);
}

static void unlock(opened_t *file)
{
    file->inode->lock_n -= file->lock == LOCK_SH;
    file->inode->is_locked &= file->lock != LOCK_EX;
    file->lock = 0;
}

int __wrap_close(int fd)
{
    opened_t *file = file_of(fd);
    inode_t *inode;

    if (!file) {
        return __real_close(fd);
    }
    if (!file->inode) {
        return fail(EBADF);
    }
    unlock(file);
    inode = file->inode;
    file->inode = NULL;
    inode->open_n--;
    release(inode);
    return 0;
}

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

/* Never waits. */
int __wrap_flock(int fd, int operation)
{
    opened_t *file = file_of(fd);
    int lock = operation & ~LOCK_NB;

    if (!file) {
        return __real_flock(fd, operation);
    }
    unlock(file);
    if (lock == LOCK_UN) {
        return 0;
    }
    if (file->inode->is_locked || (lock == LOCK_EX && file->inode->lock_n > 0)) {
        return fail(EWOULDBLOCK);
    }
    file->lock = lock;
    file->inode->lock_n += lock == LOCK_SH;
    file->inode->is_locked = lock == LOCK_EX;
    return 0;
}

/* ---- bytes ---- */

static ssize_t read_at(const inode_t *inode, size_t at, void *bytes, size_t len)
{
    size_t n = at < inode->len ? inode->len - at : 0;

    n = n < len ? n : len;
    if (n > 0) {
        memcpy(bytes, inode->bytes + at, n);
    }
    return (ssize_t)n;
}

static void set_len(inode_t *inode, size_t len)
{
    if (len > inode->room) {
        inode->room = len + len / 2;
        inode->bytes = realloc(inode->bytes, inode->room);
    }
    if (len > inode->len) {
        memset(inode->bytes + inode->len, 0, len - inode->len);
    }
    inode->len = len;
    inode->mtime_ns = inode->ctime_ns = now_ns();
}

static ssize_t write_at(inode_t *inode, size_t at, const void *bytes, size_t len)
{
    set_len(inode, at + len > inode->len ? at + len : inode->len);
    if (len > 0) {
        memcpy(inode->bytes + at, bytes, len);
    }
    return (ssize_t)len;
}

ssize_t __real_read(int fd, void *bytes, size_t len);
ssize_t __real_pread(int fd, void *bytes, size_t len, off_t at);
ssize_t __real_pwrite(int fd, const void *bytes, size_t len, off_t at);
ssize_t __real_write(int fd, const void *bytes, size_t len);
int __real_ftruncate(int fd, off_t len);
ssize_t __wrap_read(int fd, void *bytes, size_t len);
ssize_t __wrap_pread(int fd, void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at);
int __wrap_ftruncate(int fd, off_t len);

ssize_t __wrap_read(int fd, void *bytes, size_t len)
{
    opened_t *file = file_of(fd);
    ssize_t n;

    if (!file) {
        return __real_read(fd, bytes, len);
    }
    n = read_at(file->inode, file->at, bytes, len);
    file->at += (size_t)n;
    return n;
}

ssize_t __wrap_pread(int fd, void *bytes, size_t len, off_t at)
{
    const opened_t *file = file_of(fd);

    return file ? read_at(file->inode, (size_t)at, bytes, len) : __real_pread(fd, bytes, len, at);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    const opened_t *file = file_of(fd);

    return file ? write_at(file->inode, (size_t)at, bytes, len) : __real_pwrite(fd, bytes, len, at);
}

ssize_t sim_write(int fd, const void *bytes, size_t len)
{
    opened_t *file = file_of(fd);

    if (!file) {
        return __real_write(fd, bytes, len);
    }
    (void)write_at(file->inode, file->at, bytes, len);
    file->at += len;
    return (ssize_t)len;
}

int __wrap_ftruncate(int fd, off_t len)
{
    const opened_t *file = file_of(fd);

    if (!file) {
        return __real_ftruncate(fd, len);
    }
    set_len(file->inode, (size_t)len);
    return 0;
}

/* ---- owners, modes and times ---- */

int __real_fchmod(int fd, mode_t mode);
int __real_fchown(int fd, uid_t uid, gid_t gid);
int __real_futimens(int fd, const struct timespec times[2]);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_futimens(int fd, const struct timespec times[2]);

int __wrap_fchmod(int fd, mode_t mode)
{
    const opened_t *file = file_of(fd);

    if (!file) {
        return __real_fchmod(fd, mode);
    }
    file->inode->mode = mode & 0777;
    file->inode->ctime_ns = now_ns();
    return 0;
}

int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
    const opened_t *file = file_of(fd);

    if (!file) {
        return __real_fchown(fd, uid, gid);
    }
    file->inode->uid = uid == (uid_t)-1 ? file->inode->uid : uid;
    file->inode->gid = gid == (gid_t)-1 ? file->inode->gid : gid;
    file->inode->ctime_ns = now_ns();
    return 0;
}

int __wrap_futimens(int fd, const struct timespec times[2])
{
    const opened_t *file = file_of(fd);

    if (!file) {
        return __real_futimens(fd, times);
    }
    file->inode->mtime_ns = times[1].tv_nsec == UTIME_NOW
                                ? now_ns()
                                : times[1].tv_sec * INT64_C(1000000000) + times[1].tv_nsec;
    file->inode->ctime_ns = now_ns();
    return 0;
}

/* ---- directories that are read ---- */

DIR *__real_opendir(const char *path);
struct dirent *__real_readdir(DIR *dir);
int __real_closedir(DIR *dir);
int __real_dirfd(DIR *dir);
int __real_unlinkat(int dir_fd, const char *path, int flags);
DIR *__wrap_opendir(const char *path);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_dirfd(DIR *dir);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);

static listing_t *as_listing(DIR *dir)
{
    listing_t *listing = (listing_t *)(void *)dir;

    return listing >= listings && listing < listings + LISTING_MAX ? listing : NULL;
}

DIR *__wrap_opendir(const char *path)
{
    dir_t *dir;
    int i, k;

    if (!sim_is_below(path)) {
        return __real_opendir(path);
    }
    dir = *dir_place(path, strlen(path));
    for (i = 0; i < LISTING_MAX && listings[i].dir; i++) {
    }
    if (!dir || i == LISTING_MAX) {
        errno = dir ? EMFILE : ENOENT;
        return NULL;
    }
    listings[i] = (listing_t){.dir = dir, .n = dir->n};
    listings[i].names = calloc((size_t)dir->n + 1, sizeof(*listings[i].names));
    for (k = 0; k < dir->n; k++) {
        listings[i].names[k] = strdup(dir->names[k].text);
    }
    return (DIR *)(void *)&listings[i];
}

struct dirent *__wrap_readdir(DIR *dir)
{
    listing_t *listing = as_listing(dir);

    if (!listing) {
        return __real_readdir(dir);
    }
    if (listing->at == listing->n) {
        return NULL;
    }
    snprintf(listing->entry.d_name, sizeof(listing->entry.d_name), "%s",
             listing->names[listing->at++]);
    listing->entry.d_type = DT_REG;
    return &listing->entry;
}

int __wrap_closedir(DIR *dir)
{
    listing_t *listing = as_listing(dir);
    int i;

    if (!listing) {
        return __real_closedir(dir);
    }
    for (i = 0; i < listing->n; i++) {
        free(listing->names[i]);
    }
    free(listing->names);
    listing->dir = NULL;
    return 0;
}

int __wrap_dirfd(DIR *dir)
{
    const listing_t *listing = as_listing(dir);

    return listing ? DIR_FD_FIRST + (int)(listing - listings) : __real_dirfd(dir);
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
    const listing_t *listing = listing_of(dir_fd);
    int i = listing ? index_of(listing->dir, path) : -1;

    if (!listing) {
        return __real_unlinkat(dir_fd, path, flags);
    }
    if (i < 0) {
        return fail(ENOENT);
    }
    take_name(listing->dir, i);
    return 0;
}
