/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of files share: a directory of their own, files in it, rings to put there.  Needs
 * core_util.h first.  Included once by each test program.
 */
#ifndef FILE_UTIL_H
#define FILE_UTIL_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

#include "need.h"
#include "stek_ring.h"
#include "stek_secret.h"

#define NOBODY 65534

static apr_pool_t *pool;
static char *base; /* the test's own directory, 0755, below sticky or safe ones */

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int base_setup(void **state)
{
    const char *parent = getenv("TMPDIR");

    (void)state;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return -1;
    }
    base = apr_pstrcat(pool, parent != NULL ? parent : "/tmp", "/stek-unit-XXXXXX", NULL);
    return mkdtemp(base) != NULL && chmod(base, 0755) == 0 ? 0 : -1;
}

static inline int base_teardown(void **state)
{
    int rc = nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);

    (void)state;
    apr_pool_destroy(pool);
    return rc;
}

/* Path of a name in the test's directory. */
static inline const char *in_base(const char *name)
{
    return apr_pstrcat(pool, base, "/", name, NULL);
}

static inline void make_dir(const char *path, mode_t mode)
{
    assert_int_equal(mkdir(path, mode), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static inline void make_link(const char *target, const char *path)
{
    assert_int_equal(symlink(target, path), 0);
}

static inline void make_file(const char *path, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

/* The file's content, terminated, in pool; NULL if there is none. */
static inline char *file_text(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = apr_pcalloc(pool, 4096);
    ssize_t len;

    if (fd < 0) {
        return NULL;
    }
    len = read(fd, text, 4095);
    assert_true(len >= 0);
    close(fd);
    return text;
}

/* Entries of a directory whose names contain part. */
static inline int count_names(const char *dir_path, const char *part)
{
    DIR *dir = opendir(dir_path);
    struct dirent *entry;
    int n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        n += strstr(entry->d_name, part) != NULL;
    }
    closedir(dir);
    return n;
}

/* Exit status of run(data) in a child; 256 and more: a signal. */
static inline int run_in_child(int (*run)(void *), void *data)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        _exit(run(data));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* A ring that its generation determines: that many keys, a tombstone, good spans. */
static inline stek_ring_t *ring_of(unsigned generation, unsigned key_n)
{
    stek_key_t gone = good_key(generation * 8192 + key_n, T0, HOUR, DAY);
    stek_tombstone_t tombstone;
    stek_ring_t *ring = NULL;

    if (stek_ring_create(key_n, 1, &ring) != APR_SUCCESS) {
        abort();
    }
    ring->epoch = 3;
    ring->generation = generation;
    ring->written_at = T0 + SEC(generation);
    ring->interval = HOUR;
    ring->lifetime = DAY;
    for (unsigned i = 0; i < key_n; i++) {
        stek_key_t key = good_key(generation * 8192 + i, T0 + i * HOUR, HOUR, DAY);

        if (stek_ring_add_key(ring, &key) != APR_SUCCESS) {
            abort();
        }
    }
    memcpy(tombstone.name, gone.name, STEK_NAME_LEN);
    tombstone.until = T0 + DAY;
    if (stek_ring_add_tombstone(ring, &tombstone) != APR_SUCCESS) {
        abort();
    }
    return ring;
}

#endif
