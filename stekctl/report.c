/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for people (report.h).  The table below maps every status code to its exit code, to what
 * is wrong and to what to do.  stekctl; one thread.
 */
#include "report.h"

#include <apr_strings.h>
#include <apr_user.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "stek_error.h"
#include "stek_escape.h"
#include "stek_owner.h"
#include "stek_path.h"
#include "stek_time.h"
#include "wrap.h"

#define KEPT_MAX 16 /* lines, for JSON: sync would never end */

typedef struct advice_t {
    apr_status_t rv;
    ctl_exit_e code;
    const char *what; /* %s: the detail; NULL: without_detail, always */
    const char *without_detail;
    const char *todo;
} advice_t;

#define NEW_RING "remove it; httpd, stekctl sync or 'stekctl new' then creates a new ring"

static const advice_t advices[] = {
    {STEK_EMAGIC, CTL_REFUSED, NULL, "is not a ring", "use --ring to name a file ring"},
    {STEK_EVERSION, CTL_REFUSED, NULL, "was written by a later version",
     "use a stekctl of that version or a later one"},
    {STEK_ELENGTH, CTL_REFUSED, "has the wrong length, %s", "has the wrong length",
     "it may be truncated; move it away: httpd and stekctl sync write their rings again"},
    {STEK_ESEAL, CTL_REFUSED, NULL, "was changed since it was sealed", NEW_RING},
    {STEK_ESECRET, CTL_REFUSED, "is sealed with a secret that is not in %s",
     "is sealed with another secret", "use --secret to name the right file"},
    {STEK_EMALFORMED, CTL_REFUSED, NULL, "can be opened, but has invalid contents", NEW_RING},
    {STEK_EWEAK, CTL_REFUSED, "contains a weak key: %s", "contains a weak key",
     "find it with 'stekctl audit' and replace it"},
    {STEK_EPERM, CTL_REFUSED, "%s can be read or changed by others",
     "can be read or changed by others", "correct its owner and mode"},
    {STEK_EKIND, CTL_REFUSED, NULL, "is not a regular file", "give the path of a file"},
    {STEK_ETOOBIG, CTL_REFUSED, NULL, "is too large for a file of this kind", "check the path"},
    {STEK_EFULL, CTL_REFUSED, "is full: %s", "has no room for another key or tombstone",
     "revoke all keys with 'stekctl revoke --all'"},
    {STEK_ELOCKED, CTL_IO, "is locked by %s", "is locked by another process",
     "try again, or find out what holds the lock"},
    {STEK_ERNG, CTL_IO, NULL, "the random number generator failed", "check the system's OpenSSL"},
    {STEK_ECRYPTO, CTL_IO, NULL, "a cryptographic call failed", "check the system's OpenSSL"},
    {STEK_ESYNTAX, CTL_REFUSED, "is not well formed, %s", "is not well formed",
     "compare it with stek-ring(5)"},
    {STEK_EEMPTY, CTL_REFUSED, NULL, "is empty", "check the path"},
    {STEK_ECHANGED, CTL_IO, NULL, "changed while it was being read", "try again"},
    {STEK_EFOREIGN, CTL_REFUSED, "%s, so stekctl did not change it",
     "is not one of stekctl's files, so stekctl did not change it",
     "choose another path, or move what is there out of the way"},
    {STEK_ESHARED, CTL_REFUSED, "others can create files in %s",
     "others can create files beside it",
     "choose a directory that only root or its owner can write to"},
    {STEK_EFLEET, CTL_REFUSED, NULL, "is a fleet secret, not a local secret",
     "use --secret to name the local secret"},
    {STEK_EEPOCH, CTL_REFUSED, NULL, "has an epoch more than a day ahead of this host's clock",
     "check the clock; if it is right, someone else has used the secret: stop httpd and stekctl sync, "
     "remove the ring and the secret, and start both again"},
    {APR_ENOENT, CTL_IO, NULL, "does not exist", "check the path"},
    {APR_EACCES, CTL_IO, NULL, "permission denied", "run stekctl as root or as its owner"},
    {APR_FROM_OS_ERROR(EPERM), CTL_IO, NULL, "operation not permitted",
     "run stekctl as root or as its owner"},
    {APR_EEXIST, CTL_REFUSED, NULL, "already exists", "remove it first, or choose another path"},
    {APR_ENOSPC, CTL_IO, NULL, "no space left on its file system", "free some space and try again"},
    {APR_ENOTDIR, CTL_IO, NULL, "part of the path is not a directory", "check the path"},
    {APR_FROM_OS_ERROR(EISDIR), CTL_REFUSED, NULL, "is a directory", "give the path of a file"},
    {APR_FROM_OS_ERROR(EROFS), CTL_IO, NULL, "its file system is read-only",
     "choose a writable path"},
    {APR_ENOMEM, CTL_IO, NULL, "out of memory", "try again"},
};

/* The bytes of one character that a terminal may get; 0: it may not. */
static int shown_len(const char *at)
{
    const unsigned char *c = (const unsigned char *)at;

    /* C1 controls are in UTF-8 what ESC and a letter are. */
    return *c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0) ? 0 : stek_utf8_len(at);
}

static const ctl_t *reporting; /* NULL: nobody */
static const char *kept[KEPT_MAX];
static int kept_n;

void report_begin(const ctl_t *ctl)
{
    reporting = ctl;
}

static void put_line(char *text)
{
    char *at = text;

    while (*at) {
        int len = shown_len(at);

        if (len == 0) {
            *at = '?';
        }
        at += len ? len : 1;
    }
    if (reporting && kept_n < KEPT_MAX) {
        kept[kept_n++] = apr_pstrdup(reporting->pool, text);
    }
    if (isatty(STDERR_FILENO)) {
        fputs("stekctl: ", stderr);
        (void)wrap_words(stderr, text, 9, 2, wrap_columns(STDERR_FILENO));
        putc('\n', stderr);
    }
    else {
        fprintf(stderr, "stekctl: %s\n", text);
    }
}

void report_line(const char *format, ...)
{
    char text[8192];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put_line(text);
}

ctl_exit_e report_usage(const ctl_t *ctl, const char *format, ...)
{
    const char *name = ctl->command ? ctl->command->name : NULL;
    char text[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (name) {
        report_line("%s: %s; see 'stekctl %s --help'", name, text, name);
    }
    else {
        report_line("%s; see 'stekctl --help'", text);
    }
    return CTL_USAGE;
}

/* What is known about a path that is refused, besides its name: owner and mode, as they are and as they
 * should be, or the directory that is missing.  Either the detail, or what follows the sentence. */
static const char *add_to_detail(const ctl_t *ctl, const char *path, apr_status_t rv,
                                 const char *detail, const char **pafter)
{
    const char *about = detail ? detail : path, *more, *missing;
    struct stat st;

    *pafter = "";
    if (rv == STEK_EPERM || rv == STEK_ESHARED) {
        more = stek_owner_describe(about, ctl->owner, ctl->pool);
        if (!detail && strlen(more) > strlen(path)) {
            *pafter = more + strlen(path);
        }
        return detail ? more : NULL;
    }
    if (APR_STATUS_IS_ENOENT(rv) && (missing = stek_path_missing_dir(path, ctl->pool)) != NULL) {
        *pafter = apr_psprintf(ctl->pool, ", nor does %s", missing);
    }
    if (APR_STATUS_IS_EACCES(rv) && stat(path, &st) == 0) {
        *pafter = apr_psprintf(ctl->pool, " (owner uid %ld, mode %04o)", (long)st.st_uid,
                               (unsigned)(st.st_mode & 07777));
    }
    return detail;
}

/* Root finds the files of a fleet's sync in another user's hands: to take them away would stop it. */
static const char *todo_of(const ctl_t *ctl, const advice_t *advice, const char *about)
{
    struct stat st;
    apr_uid_t uid;
    apr_gid_t gid;
    char *user, *group;
    const char *as_group = "";

    if (advice->rv != STEK_EPERM || geteuid() != 0 || lstat(about, &st) != 0 || st.st_uid == 0
        || stek_owner_others_write(&st)
        || apr_uid_name_get(&user, st.st_uid, ctl->pool) != APR_SUCCESS
        || apr_uid_get(&uid, &gid, user, ctl->pool) != APR_SUCCESS) {
        return advice->todo;
    }
    /* Only a member of the ring's group may give it to that group again. */
    if (st.st_gid != gid && apr_gid_name_get(&group, st.st_gid, ctl->pool) == APR_SUCCESS) {
        as_group = apr_psprintf(ctl->pool, " -g %s", group);
    }
    return apr_psprintf(ctl->pool,
                        "%s, or, if %s is the user who writes this ring, run stekctl as that user: "
                        "runuser -u %s%s -- stekctl ...",
                        advice->todo, user, user, as_group);
}

ctl_exit_e report_status(ctl_t *ctl, const char *path, apr_status_t rv, const char *detail)
{
    const char *after, *about = detail ? detail : path;
    char text[256];
    apr_size_t i;

    if (detail && !strcmp(detail, path)) {
        detail = NULL;
    }
    detail = add_to_detail(ctl, path, rv, detail, &after);
    for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        const advice_t *advice = &advices[i];

        if (advice->rv == rv) {
            report_line("%s: %s%s; %s", path,
                        detail && advice->what ? apr_psprintf(ctl->pool, advice->what, detail)
                                               : advice->without_detail,
                        after, todo_of(ctl, advice, about));
            return advice->code;
        }
    }
    report_line("%s: %s; check the path and the file system", path,
                stek_strerror(rv, text, sizeof(text)));
    return CTL_IO;
}

const char *report_span(apr_interval_time_t span, apr_pool_t *pool)
{
    return stek_time_rough(span, "", pool);
}

const char *report_strftime(apr_time_t t, const char *format, apr_pool_t *pool)
{
    time_t s = (time_t)apr_time_sec(t);
    char text[64];
    struct tm tm;

    if (!gmtime_r(&s, &tm) || strftime(text, sizeof(text), format, &tm) == 0) {
        return apr_psprintf(pool, "%" APR_TIME_T_FMT, apr_time_sec(t));
    }
    return apr_pstrdup(pool, text);
}

const char *report_time(apr_time_t t, apr_time_t now, apr_pool_t *pool)
{
    int same_day = !strcmp(report_strftime(t, "%F", pool), report_strftime(now, "%F", pool));

    return report_strftime(t, same_day ? "%H:%M:%S UTC" : "%b %d %H:%M:%S UTC", pool);
}

const char *report_path(const char *path, apr_pool_t *pool)
{
    char *copy = apr_pstrdup(pool, path), *at;

    for (at = copy; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
    return copy;
}

static void put_errors(ctl_exit_e code)
{
    json_t json;
    int i;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_open(&json, "errors", '[');
    for (i = 0; i < kept_n; i++) {
        json_string(&json, NULL, kept[i]);
    }
    json_close(&json, ']');
    json_number(&json, "exit_code", code);
    json_close(&json, '}');
    json_end(&json);
}

ctl_exit_e report_finish(ctl_exit_e code)
{
    if (reporting && reporting->json && code != CTL_DONE && !json_has_begun()) {
        put_errors(code);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        report_line("standard output: %s; check where it goes", strerror(errno));
        return CTL_IO;
    }
    return code;
}
