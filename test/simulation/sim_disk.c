/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of simulated hosts.  A host that has crashed cannot change its files any more; the crash comes
 * before any step that does.  One thread.
 */
#include "sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int __wrap_rename(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_unlink(const char *path);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

int sim_crash_point(void)
{
    if (!sim_host) {
        return 0;
    }
    if (!sim_host->frozen && sim_host->crash_in > 0 && --sim_host->crash_in == 0) {
        sim_host->frozen = 1;
    }
    return sim_host->frozen;
}

static int dead(void)
{
    if (sim_crash_point()) {
        errno = EIO;
        return 1;
    }
    return 0;
}

int __wrap_rename(const char *from, const char *to)
{
    return dead() ? -1 : sim_rename(from, to);
}

int __wrap_link(const char *from, const char *to)
{
    return dead() ? -1 : sim_link(from, to);
}

int __wrap_unlink(const char *path)
{
    return dead() ? -1 : sim_unlink(path);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    int before = !sim_host || sim_host->frozen;

    if (dead()) {
        /* In the middle of it. */
        if (!before && len > 1) {
            (void)!sim_write(fd, bytes, len / 2);
        }
        errno = EIO;
        return -1;
    }
    return sim_write(fd, bytes, len);
}

/* Whom directories belong to is not simulated, and looking takes half of the time. */
apr_status_t __wrap_stek_file_check_dirs(const char *path, uid_t owner, const char **pculprit,
                                         apr_pool_t *pool);
apr_status_t __wrap_stek_path_check_written(const char *path, uid_t owner, const char **pculprit,
                                            apr_pool_t *pool);

apr_status_t __wrap_stek_file_check_dirs(const char *path, uid_t owner, const char **pculprit,
                                         apr_pool_t *pool)
{
    (void)path;
    (void)owner;
    (void)pculprit;
    (void)pool;
    return APR_SUCCESS;
}

apr_status_t __wrap_stek_path_check_written(const char *path, uid_t owner, const char **pculprit,
                                            apr_pool_t *pool)
{
    return __wrap_stek_file_check_dirs(path, owner, pculprit, pool);
}

/* Nor is anybody who puts another file in a name's place between two steps. */
apr_status_t __wrap_stek_path_check_opened(const char *path, uid_t owner, const struct stat *opened,
                                           const char **pculprit, apr_pool_t *pool);

apr_status_t __wrap_stek_path_check_opened(const char *path, uid_t owner, const struct stat *opened,
                                           const char **pculprit, apr_pool_t *pool)
{
    (void)opened;
    return __wrap_stek_file_check_dirs(path, owner, pculprit, pool);
}

int __wrap_stek_file_fsync_flag(const char *path, apr_pool_t *pool);

int __wrap_stek_file_fsync_flag(const char *path, apr_pool_t *pool)
{
    (void)path;
    (void)pool;
    return 0;
}

int sim_file_read(const char *path, unsigned char **pbytes, size_t *plen)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    *pbytes = malloc((size_t)st.st_size + 1);
    n = read(fd, *pbytes, (size_t)st.st_size);
    close(fd);
    *plen = n < 0 ? 0 : (size_t)n;
    return 1;
}

void sim_file_write(const char *path, const unsigned char *bytes, size_t len, unsigned mode)
{
    int fd;

    (void)sim_unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || sim_write(fd, bytes, len) != (ssize_t)len) {
        fprintf(stderr, "simulate: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    close(fd);
}

void sim_dir_make(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "simulate: %s: %s\n", path, strerror(errno));
        exit(2);
    }
}

static int next_file(DIR *dir, const char *path, char *name, size_t name_size)
{
    const struct dirent *entry = readdir(dir);

    if (entry) {
        snprintf(name, name_size, "%s/%s", path, entry->d_name);
    }
    return entry != NULL;
}

void sim_dir_clear(const char *path)
{
    DIR *dir = opendir(path);
    char name[4096];

    if (!dir) {
        return;
    }
    while (next_file(dir, path, name, sizeof(name))) {
        (void)sim_unlink(name);
    }
    closedir(dir);
}

void sim_dir_copy(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    char name[4096], target[4096];

    sim_dir_clear(to);
    if (!dir) {
        return;
    }
    while (next_file(dir, from, name, sizeof(name))) {
        unsigned char *bytes = NULL;
        size_t len = 0;

        snprintf(target, sizeof(target), "%s/%s", to, strrchr(name, '/') + 1);
        if (!strstr(name, ".lock") && sim_file_read(name, &bytes, &len)) {
            sim_file_write(target, bytes, len, 0600);
            free(bytes);
        }
    }
    closedir(dir);
}
