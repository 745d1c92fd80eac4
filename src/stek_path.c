/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories on the way to a file.  Core; POSIX, no state, any thread, any phase.  They are
 * checked by name before a file is trusted or created; after that, only root and the owner can
 * change a name on the way.
 */
#include "stek_path.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "stek_error.h"
#include "stek_owner.h"

#define LINKS_MAX 40 /* as many as Linux follows */

const char *stek_file_dir(const char *path, apr_pool_t *pool)
{
    const char *slash = strrchr(path, '/');

    if (!slash) {
        return ".";
    }
    return slash == path ? "/" : apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));
}

const char *stek_file_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A walk along a path: done contains no link, "." or ".."; "" is the root. */
typedef struct walk_t {
    const char *done;
    const char *rest;
    int link_n;
    uid_t owner;
    int strict; /* directories of owner's inside a sticky directory are not trusted */
    const char *culprit;
    apr_pool_t *pool;
    dev_t last_dev; /* of what the path leads to, once it is there */
    ino_t last_ino;
} walk_t;

static apr_status_t check_dir(walk_t *walk, const char *dir, const struct stat *st)
{
    if (!stek_owner_is_trusted(st->st_uid, walk->owner)
        || (stek_owner_others_write(st) && (st->st_mode & S_ISVTX) == 0)) {
        walk->culprit = dir;
        return STEK_EPERM;
    }
    return APR_SUCCESS;
}

/* Whether an entry of walk->done may belong to uid: in a sticky directory anyone can create files,
 * but only root can create root's. */
static int is_placed(const walk_t *walk, uid_t uid)
{
    struct stat st;

    return !walk->strict || uid == 0 || uid == geteuid()
           || (stat(*walk->done != '\0' ? walk->done : "/", &st) == 0
               && !stek_owner_others_write(&st));
}

/* Puts the link's target in front of the rest. */
static apr_status_t follow_link(walk_t *walk, const char *link, const struct stat *st)
{
    char target[PATH_MAX];
    ssize_t len;

    /* Anyone can have put it into a sticky directory. */
    if (!stek_owner_is_trusted(st->st_uid, walk->owner)) {
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

/* Takes one component off the rest, which is "" after the last one. */
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

        if (slash) {
            walk->done = apr_pstrmemdup(walk->pool, walk->done, (apr_size_t)(slash - walk->done));
        }
        return APR_SUCCESS;
    }
    path = apr_pstrcat(walk->pool, walk->done, "/", component, NULL);
    if (lstat(path, &st) != 0) {
        /* A file that does not exist yet can still be in safe directories. */
        return errno == ENOENT && is_last(walk) ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    }
    if (!is_placed(walk, st.st_uid)) {
        walk->culprit = path;
        return STEK_EPERM;
    }
    if (S_ISLNK(st.st_mode)) {
        return follow_link(walk, path, &st);
    }
    if (is_last(walk)) {
        walk->last_dev = st.st_dev;
        walk->last_ino = st.st_ino;
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

/* opened, if not NULL, must be what the path leads to. */
static apr_status_t check_dirs(const char *path, uid_t owner, int strict, const struct stat *opened,
                               const char **pculprit, apr_pool_t *pool)
{
    walk_t walk = {.done = "", .rest = path, .owner = owner, .strict = strict};
    char cwd[PATH_MAX];
    apr_status_t rv;

    if (path[0] != '/' && !getcwd(cwd, sizeof(cwd))) {
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
    if (rv == STEK_EPERM && pculprit) {
        *pculprit = apr_pstrdup(pool, walk.culprit);
    }
    if (rv == APR_SUCCESS && opened
        && (walk.last_dev != opened->st_dev || walk.last_ino != opened->st_ino)) {
        rv = STEK_ECHANGED;
    }
    apr_pool_destroy(walk.pool);
    return rv;
}

apr_status_t stek_file_check_dirs(const char *path, uid_t owner, const char **pculprit,
                                  apr_pool_t *pool)
{
    return check_dirs(path, owner, 0, NULL, pculprit, pool);
}

apr_status_t stek_path_check_opened(const char *path, uid_t owner, const struct stat *opened,
                                    const char **pculprit, apr_pool_t *pool)
{
    return check_dirs(path, owner, 0, opened, pculprit, pool);
}

static apr_status_t check_written(const char *path, uid_t owner, int strict, const char **pculprit,
                                  apr_pool_t *pool)
{
    const char *dir = stek_file_dir(path, pool);
    apr_status_t rv = check_dirs(apr_pstrcat(pool, dir, "/.", NULL), owner, strict, NULL, pculprit,
                                 pool);
    struct stat st;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (stat(dir, &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (stek_owner_others_write(&st)) {
        if (pculprit) {
            *pculprit = dir;
        }
        return STEK_ESHARED;
    }
    return APR_SUCCESS;
}

apr_status_t stek_path_check_written(const char *path, uid_t owner, const char **pculprit,
                                     apr_pool_t *pool)
{
    return check_written(path, owner, 0, pculprit, pool);
}

apr_status_t stek_path_check_placed(const char *path, uid_t owner, const char **pculprit,
                                    apr_pool_t *pool)
{
    return check_written(path, owner, 1, pculprit, pool);
}

const char *stek_path_missing_dir(const char *path, apr_pool_t *pool)
{
    const char *missing = NULL, *dir = stek_file_dir(path, pool);
    struct stat st;

    while (stat(dir, &st) != 0 && errno == ENOENT && strcmp(dir, ".") != 0) {
        missing = dir;
        dir = stek_file_dir(dir, pool);
    }
    return missing;
}
