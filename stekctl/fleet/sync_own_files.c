/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of what sync writes (sync_own_files.h).
 */
#include "sync_own_files.h"

#include <apr_strings.h>
#include <string.h>
#include <sys/stat.h>

#include "report.h"
#include "stek_path.h"

/* A file of the settings, and what may stand beside it, with its path in front. */
typedef struct own_file_t {
    const char *option, *path;
    const char *beside[5]; /* NULL: no more; one that ends with '-' has more behind it */
} own_file_t;

static int same_inode(const char *a, const char *b)
{
    struct stat st_a, st_b;

    return stat(a, &st_a) == 0 && stat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev
           && st_a.st_ino == st_b.st_ino;
}

static int same_directory(const char *a, const char *b, apr_pool_t *pool)
{
    const char *dir_a = stek_file_dir(a, pool), *dir_b = stek_file_dir(b, pool);

    return !strcmp(dir_a, dir_b) || same_inode(dir_a, dir_b);
}

int sync_own_files_same(const char *a, const char *b, apr_pool_t *pool)
{
    return same_inode(a, b)
           || (!strcmp(stek_file_base(a), stek_file_base(b)) && same_directory(a, b, pool));
}

/* What of the file path is, as its suffix; "" the file itself; NULL: nothing. */
static const char *find_part(const own_file_t *own, const char *path, apr_pool_t *pool)
{
    const char *base = stek_file_base(own->path), *name = stek_file_base(path);
    apr_size_t i, len = strlen(base);

    if (sync_own_files_same(path, own->path, pool)) {
        return "";
    }
    for (i = 0; i < sizeof(own->beside) / sizeof(own->beside[0]) && own->beside[i]; i++) {
        const char *suffix = own->beside[i];
        int begins = suffix[strlen(suffix) - 1] == '-';

        if ((!strncmp(name, base, len) && same_directory(path, own->path, pool)
             && (begins ? !strncmp(name + len, suffix, strlen(suffix))
                        : !strcmp(name + len, suffix)))
            || (!begins && same_inode(path, apr_pstrcat(pool, own->path, suffix, NULL)))) {
            return suffix;
        }
    }
    return NULL;
}

static ctl_exit_e check(ctl_t *ctl, const char *option, const char *path, const own_file_t *own,
                        apr_size_t own_n)
{
    apr_size_t i;

    for (i = 0; path && i < own_n; i++) {
        const char *part = own[i].path && strcmp(own[i].option, option) != 0
                               ? find_part(&own[i], path, ctl->pool)
                               : NULL;

        if (part && !*part) {
            return report_usage(ctl, "%s and %s are the same file: give the %s its own", option,
                                own[i].option, option + 2);
        }
        if (part) {
            return report_usage(ctl, "%s: %s belongs to %s %s: give the %s a file of its own",
                                option, path, own[i].option, own[i].path, option + 2);
        }
    }
    return CTL_DONE;
}

ctl_exit_e sync_own_files_check(ctl_t *ctl, const sync_settings_t *settings)
{
    const sync_options_t *options = &settings->options;
    const own_file_t own[] = {
        {"--ring", ctl->ring_path, {".lock", ".sync", ".sync.tmp-", ".refused-", ".tmp-"}},
        {"--secret", ctl->secret_path, {".lock", ".refused-", ".tmp-"}},
        {"--fleet-secret", options->fleet_secret_path, {".lock", ".refused-", ".tmp-"}},
        {"--password", options->password_path, {NULL}},
        {"--store-ca", options->ca_path, {NULL}},
        {"--store-cert", options->cert_path, {NULL}},
        {"--store-key", options->key_path, {NULL}},
        {"--floor", options->floor_path, {".lock", ".refused-", ".tmp-"}},
        {"--metrics", options->metrics_path, {".tmp-"}},
        {"--config", settings->config_path, {NULL}},
    };
    apr_size_t own_n = sizeof(own) / sizeof(own[0]);
    ctl_exit_e code = check(ctl, "--floor", options->floor_path, own, own_n);

    return code == CTL_DONE ? check(ctl, "--metrics", options->metrics_path, own, own_n) : code;
}
