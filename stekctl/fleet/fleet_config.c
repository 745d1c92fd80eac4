/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds configurations (fleet_config.h).  stekctl; one thread.
 */
#include "fleet_config.h"

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY "/etc/stek"
#define RUN "/run/stek-"

const char *fleet_config_path(const char *name, apr_pool_t *pool)
{
    return strchr(name, '/') ? name : apr_psprintf(pool, DIRECTORY "/%s.conf", name);
}

static const char *only_one(apr_pool_t *pool)
{
    DIR *dir = opendir(DIRECTORY);
    const char *found = NULL;
    struct dirent *entry;
    int n = 0;

    while (dir && (entry = readdir(dir)) != NULL) {
        if (apr_fnmatch("*.conf", entry->d_name, APR_FNM_PERIOD) == APR_SUCCESS) {
            found = apr_pstrcat(pool, DIRECTORY "/", entry->d_name, NULL);
            n++;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return n == 1 ? found : NULL;
}

const char *fleet_config_find(const char *ring_path, apr_pool_t *pool)
{
    if (!strncmp(ring_path, RUN, strlen(RUN))) {
        const char *name = ring_path + strlen(RUN);
        const char *path = apr_psprintf(pool, DIRECTORY "/%.*s.conf", (int)strcspn(name, "/"),
                                        name);

        if (access(path, F_OK) == 0) {
            return path;
        }
    }
    return only_one(pool);
}
