/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What httpd's children can read (mod_stek_reach.h).  Glue; parent only.
 */
#include "mod_stek_reach.h"

#include "httpd.h"
#include "unixd.h"
#include "apr_strings.h"
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>

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
    int n = GROUPS_MAX;

    if (groups_n > 0) {
        return;
    }
    if (!ap_unixd_config.user_name || ap_unixd_config.user_name[0] == '#'
        || getgrouplist(ap_unixd_config.user_name, ap_unixd_config.group_id, groups, &n) < 0) {
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

apr_status_t mod_stek_reach_check(const char *path, int readable, const char **pculprit,
                                  apr_pool_t *pool)
{
    const char *slash = path;
    struct stat st;

    find_groups();
    while ((slash = strchr(slash + 1, '/')) != NULL) {
        const char *dir = apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));

        if (stat(dir, &st) == 0 && !grants(&st, S_IXUSR)) {
            *pculprit = apr_psprintf(pool, "%s (httpd's children cannot enter it)", dir);
            return APR_FROM_OS_ERROR(EACCES);
        }
    }
    if (readable && stat(path, &st) == 0 && !grants(&st, S_IRUSR)) {
        *pculprit = apr_psprintf(pool, "%s (httpd's children cannot read it)", path);
        return APR_FROM_OS_ERROR(EACCES);
    }
    return APR_SUCCESS;
}
