/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What httpd's children can read (mod_stek_reach.h).  Glue; parent only.
 */
#include "mod_stek_reach.h"

#include "httpd.h"
#include "http_config.h"
#include "unixd.h"
#include "apr_strings.h"
#include "apr_user.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/fsuid.h>
#include <sys/syscall.h>
#endif

#define GROUPS_MAX 256

/* Of this configuration's children; none: not asked for yet. */
static gid_t groups[GROUPS_MAX];
static int groups_n;

void mod_stek_reach_reset(void)
{
    groups_n = 0;
}

/* As initgroups gives them.  Asked for once: it may take a directory service. */
static void find_groups(void)
{
    const char *name = ap_unixd_config.user_name;
    int n = GROUPS_MAX;

    if (groups_n > 0) {
        return;
    }
    /* httpd does so too. */
    if (name && name[0] == '#') {
        const struct passwd *user = getpwuid(ap_unixd_config.user_id);

        name = user ? user->pw_name : NULL;
    }
    if (!name || getgrouplist(name, ap_unixd_config.group_id, groups, &n) < 0) {
        groups[0] = ap_unixd_config.group_id;
        n = 1;
    }
    groups_n = n;
}

static int grants(const struct stat *st, mode_t owner_bit)
{
    int i;

    if (st->st_uid == ap_unixd_config.user_id) {
        return (st->st_mode & owner_bit) != 0;
    }
    for (i = 0; i < groups_n; i++) {
        if (st->st_gid == groups[i]) {
            return (st->st_mode & (owner_bit >> 3)) != 0;
        }
    }
    return (st->st_mode & (owner_bit >> 6)) != 0;
}

/* What lets children into the ring's own directory.  One above it may be shut on purpose. */
static const char *opening(const char *dir, int is_last, const struct stat *st, apr_pool_t *pool)
{
    char *group;

    if (!is_last) {
        return "; let them, or name a directory that they can enter";
    }
    if (apr_gid_name_get(&group, ap_unixd_config.group_id, pool) != APR_SUCCESS) {
        group = apr_psprintf(pool, "%ld", (long)ap_unixd_config.group_id);
    }
    return apr_psprintf(pool, "; to let them: chgrp %s %s && chmod %04o %s", group, dir,
                        (unsigned)((st->st_mode & 07777) | S_IRWXU | S_IRGRP | S_IXGRP), dir);
}

apr_status_t mod_stek_reach_check(const char *path, int readable, const char **pculprit,
                                  apr_pool_t *pool)
{
    const char *slash = path;
    struct stat st;

    find_groups();
    while ((slash = strchr(slash + 1, '/')) != NULL) {
        const char *dir = apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));

        if (stat(dir, &st) == 0 && !grants(&st, S_IXUSR)) {
            *pculprit = apr_psprintf(pool, "%s (httpd's children cannot enter it%s)", dir,
                                     opening(dir, !strchr(slash + 1, '/'), &st, pool));
            return APR_FROM_OS_ERROR(EACCES);
        }
    }
    if (readable && stat(path, &st) == 0 && !grants(&st, S_IRUSR)) {
        *pculprit = apr_psprintf(pool, "%s (httpd's children cannot read it)", path);
        return APR_FROM_OS_ERROR(EACCES);
    }
    return APR_SUCCESS;
}

/* mpm-itk's processes handshake as root. */
static int sees_as_children(void)
{
    return geteuid() != 0 || ap_find_linked_module("mpm_itk.c");
}

/* Where rights cannot be given up. */
static apr_status_t open_by_mode(const char *path, int flags, int *fd)
{
    const char *culprit;
    apr_pool_t *pool;
    apr_status_t rv = apr_pool_create(&pool, NULL);
    int opened;

    if (rv == APR_SUCCESS) {
        rv = mod_stek_reach_check(path, 1, &culprit, pool);
        apr_pool_destroy(pool);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    opened = open(path, flags);
    if (opened < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    *fd = opened;
    return APR_SUCCESS;
}

#ifdef __linux__
#ifdef SYS_setgroups32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_GROUPS SYS_setgroups
#endif

/* What this thread gives up to see files as children do. */
typedef struct rights_t {
    gid_t groups[GROUPS_MAX];
    int groups_n;
} rights_t;

/* By raw calls, which change this thread alone.  With fsuid, the kernel takes away what lets root
 * read everything, and gives it back. */
static int give_up(rights_t *rights)
{
    find_groups();
    rights->groups_n = getgroups(GROUPS_MAX, rights->groups);
    if (rights->groups_n < 0 || syscall(SET_GROUPS, (size_t)groups_n, groups) != 0) {
        return 0;
    }
    setfsgid(ap_unixd_config.group_id);
    setfsuid(ap_unixd_config.user_id);
    return (uid_t)setfsuid((uid_t)-1) == ap_unixd_config.user_id
           && (gid_t)setfsgid((gid_t)-1) == ap_unixd_config.group_id;
}

static int take_back(const rights_t *rights)
{
    setfsuid(geteuid());
    setfsgid(getegid());
    return (uid_t)setfsuid((uid_t)-1) == geteuid() && (gid_t)setfsgid((gid_t)-1) == getegid()
           && rights->groups_n >= 0
           && syscall(SET_GROUPS, (size_t)rights->groups_n, rights->groups) == 0;
}

static apr_status_t open_as_child(const char *path, int flags, int *fd)
{
    rights_t rights;
    int given = give_up(&rights), opened = given ? open(path, flags) : -1;
    int code = errno, taken = take_back(&rights);

    if (!given && geteuid() == (uid_t)setfsuid((uid_t)-1)) {
        return open_by_mode(path, flags, fd);
    }
    if (!taken) {
        if (opened >= 0) {
            close(opened);
        }
        return APR_FROM_OS_ERROR(EPERM);
    }
    if (opened < 0) {
        return APR_FROM_OS_ERROR(code);
    }
    *fd = opened;
    return APR_SUCCESS;
}
#else
#define open_as_child open_by_mode
#endif

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

static apr_status_t open_path(const char *path, int flags, int *fd, struct stat *st)
{
    int opened = -1;
    apr_status_t rv = APR_SUCCESS;

    if (!sees_as_children()) {
        rv = open_as_child(path, flags, &opened);
    }
    else if ((opened = open(path, flags)) < 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    if (rv == APR_SUCCESS && fstat(opened, st) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
        close(opened);
    }
    if (rv == APR_SUCCESS) {
        *fd = opened;
    }
    return rv;
}

apr_status_t mod_stek_reach_stat(const char *path, struct stat *st)
{
    int fd;
    apr_status_t rv = open_path(path, O_PATH | O_CLOEXEC | O_NONBLOCK, &fd, st);

    if (rv == APR_SUCCESS) {
        close(fd);
    }
    return rv;
}

apr_status_t mod_stek_reach_open(const char *path, int *pfd)
{
    struct stat st;
    int fd;
    apr_status_t rv = open_path(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, &fd, &st);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return APR_FROM_OS_ERROR(ENOENT);
    }
    *pfd = fd;
    return APR_SUCCESS;
}
