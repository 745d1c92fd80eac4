/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings by name (ring_name.h).  stekctl; one thread.
 */
#include "ring_name.h"

#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "stek_file.h"
#include "stek_secret_file.h"
#include "suggestion.h"

#define NAMES_MAX 1000
#define RING_SUFFIX ".ring"

/* More than a name was not asked for. */
static int is_read(apr_status_t rv)
{
    return rv == APR_SUCCESS || rv == APR_INCOMPLETE;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the rings in a directory: those of *.ring. */
static apr_array_header_t *ring_names(const char *dir_path, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 8, sizeof(const char *));
    apr_finfo_t entry;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, dir_path, pool) != APR_SUCCESS) {
        return names;
    }
    while (names->nelts < NAMES_MAX && is_read(apr_dir_read(&entry, APR_FINFO_NAME, dir))) {
        apr_size_t len = strlen(entry.name);

        if (len > sizeof(RING_SUFFIX) - 1 && entry.name[0] != '.'
            && !strcmp(entry.name + len - (sizeof(RING_SUFFIX) - 1), RING_SUFFIX)) {
            APR_ARRAY_PUSH(names, const char *) = apr_pstrmemdup(pool, entry.name,
                                                                 len - (sizeof(RING_SUFFIX) - 1));
        }
    }
    apr_dir_close(dir);
    qsort(names->elts, (size_t)names->nelts, sizeof(const char *), by_name);
    return names;
}

ctl_exit_e ring_by_name(ctl_t *ctl, const char *name)
{
    const char *slash = strrchr(ctl->ring_path, '/'), *dir;
    const apr_array_header_t *names;
    stek_stamp_t stamp;

    if (!*name || *name == '.' || strchr(name, '/')) {
        return report_usage(ctl, "invalid ring name '%s': give a path with --ring", name);
    }
    dir = slash ? apr_pstrmemdup(ctl->pool, ctl->ring_path, (apr_size_t)(slash - ctl->ring_path))
                : ".";
    ctl->ring_path = apr_pstrcat(ctl->pool, dir, "/", name, RING_SUFFIX, NULL);
    if (!ctl->secret_given) {
        ctl->secret_path = stek_secret_path_beside(ctl->ring_path, ctl->pool);
    }
    if (!APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->ring_path, &stamp))) {
        return CTL_DONE;
    }
    names = ring_names(dir, ctl->pool);
    report_line(
        "%s: no ring '%s' here%s; %s%s", ctl->ring_path, name,
        suggestion(name, (const char *const *)names->elts, (apr_size_t)names->nelts, "", ctl->pool),
        names->nelts ? "there are: " : "give its path with --ring",
        names->nelts ? apr_array_pstrcat(ctl->pool, names, ' ') : "");
    return CTL_IO;
}
