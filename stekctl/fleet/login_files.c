/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of password, certificates and key (login_files.h).  What is read of them is wiped.
 */
#include "login_files.h"

#include <apr_strings.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "stek_owner.h"

#define FILE_MAX 65536

typedef struct wanted_t {
    const char *option, *path;
    stek_file_kind_e kind;
} wanted_t;

/* Who runs stekctl sync: whoever runs the check, but if that is root, the owner of the ring's directory. */
static uid_t user_of_sync(const ctl_t *ctl)
{
    struct stat st;

    return geteuid() == 0 && stat(stek_file_dir(ctl->ring_path, ctl->pool), &st) == 0 ? st.st_uid
                                                                                      : ctl->owner;
}

static const char *name_of(uid_t uid, apr_pool_t *pool)
{
    const struct passwd *entry = getpwuid(uid); /* NOLINT(concurrency-mt-unsafe) */

    return entry ? apr_pstrdup(pool, entry->pw_name) : apr_psprintf(pool, "%u", (unsigned)uid);
}

/* Root can read it in any case. */
static int can_read(uid_t user, const struct stat *st)
{
    return user == 0
           || (st->st_uid == user ? (st->st_mode & S_IRUSR) != 0
                                  : (st->st_mode & (S_IRGRP | S_IROTH)) != 0);
}

static int has_text(const char *text, apr_size_t len)
{
    return len > 0 && *text != '\n' && *text != '\r' && *text != '\0';
}

/* NULL, or what is wrong. */
static const char *find_fault(const ctl_t *ctl, const wanted_t *wanted, uid_t user,
                              const struct stat *st)
{
    const char *culprit = NULL, *why = NULL;
    char *text = stek_mem_alloc(FILE_MAX), reason[120];
    apr_size_t len = 0;
    apr_status_t rv = text ? stek_file_read(wanted->path, wanted->kind, user, text, FILE_MAX, &len,
                                            NULL, &culprit, ctl->pool)
                           : APR_ENOMEM;

    if (rv == STEK_EPERM && culprit && strcmp(culprit, wanted->path) != 0) {
        why = apr_psprintf(ctl->pool, "others can change %s",
                           stek_owner_describe(culprit, user, ctl->pool));
    }
    else if (rv == STEK_EPERM) {
        why = st->st_uid != 0 && st->st_uid != user ? "somebody else owns it"
              : st->st_mode & (S_IWGRP | S_IWOTH)   ? "others can write to it"
                                                    : "others can read it";
    }
    else if (rv != APR_SUCCESS) {
        why = apr_pstrdup(ctl->pool, stek_strerror(rv, reason, sizeof(reason)));
    }
    else if (!can_read(user, st)) {
        why = "sync's user cannot read it";
    }
    else if (!has_text(text, len)) {
        why = "it is empty";
    }
    stek_mem_free(text);
    return why;
}

static ctl_exit_e check(ctl_t *ctl, const wanted_t *wanted, uid_t user)
{
    const char *mode = wanted->kind == STEK_FILE_SECRET ? "0600" : "0644", *why;
    const char *name = name_of(user, ctl->pool);
    struct stat st;

    if (!wanted->path) {
        return CTL_DONE;
    }
    if (stat(wanted->path, &st) != 0) {
        report_line(
            "%s (%s): there is no such file, or it cannot be seen; wanted: owner %s, mode %s",
            wanted->path, wanted->option, name, mode);
        return CTL_IO;
    }
    why = find_fault(ctl, wanted, user, &st);
    if (!why) {
        return CTL_DONE;
    }
    report_line(
        "%s (%s): %s; found: owner %s, mode %04o, %ld bytes; wanted: owner %s, mode %s, not "
        "empty",
        wanted->path, wanted->option, why, name_of(st.st_uid, ctl->pool),
        (unsigned)(st.st_mode & 07777), (long)st.st_size, name, mode);
    return CTL_REFUSED;
}

ctl_exit_e login_files_check(ctl_t *ctl, const sync_options_t *options)
{
    const wanted_t files[] = {
        {"--password", options->password_path, STEK_FILE_SECRET},
        {"--store-ca", options->ca_path, STEK_FILE_RING},
        {"--store-cert", options->cert_path, options->key_path ? STEK_FILE_RING : STEK_FILE_SECRET},
        {"--store-key", options->key_path, STEK_FILE_SECRET},
    };
    uid_t user = user_of_sync(ctl);
    ctl_exit_e code = CTL_DONE;
    apr_size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        ctl_exit_e one = check(ctl, &files[i], user);

        code = code == CTL_DONE ? one : code;
    }
    return code;
}
