/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that export leaves (output.h).  nginx's directory holds a file per key, stek-NAME.key, and
 * tickets.conf, which names them in order: key files come before it and go after it, so that what
 * it names is always there.  stekctl; one thread.
 */
#include "output.h"

#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"
#include "ringio.h"
#include "stek_error.h"
#include "stek_file.h"
#include "stek_mem.h"

#define KEY_PREFIX "stek-"
#define KEY_SUFFIX ".key"
#define KEY_FILE_LEN (sizeof(KEY_PREFIX) - 1 + 2 * STEK_NAME_LEN + sizeof(KEY_SUFFIX) - 1)

static ctl_exit_e write_file(ctl_t *ctl, const output_t *output, const char *path,
                             const void *bytes, apr_size_t len)
{
    apr_status_t rv = stek_file_replace(path, bytes, len, 0600, (gid_t)-1,
                                        ringio_fsync_flag(ctl, path), ctl->pool);

    if (rv == APR_SUCCESS && output->uid != (uid_t)-1
        && chown(path, output->uid, output->gid) != 0) {
        rv = errno;
    }
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, path, rv, NULL);
}

static const char *key_file(const unsigned char name[STEK_NAME_LEN], apr_pool_t *pool)
{
    char *text = apr_palloc(pool, KEY_FILE_LEN + 1), *at = text;
    int i;

    at += sprintf(at, KEY_PREFIX);
    for (i = 0; i < STEK_NAME_LEN; i++) {
        at += sprintf(at, "%02x", name[i]);
    }
    memcpy(at, KEY_SUFFIX, sizeof(KEY_SUFFIX));
    return text;
}

static int is_key_file(const char *name)
{
    return strlen(name) == KEY_FILE_LEN && !strncmp(name, KEY_PREFIX, sizeof(KEY_PREFIX) - 1)
           && strspn(name + sizeof(KEY_PREFIX) - 1, "0123456789abcdef") == (size_t)2 * STEK_NAME_LEN
           && !strcmp(name + KEY_FILE_LEN - (sizeof(KEY_SUFFIX) - 1), KEY_SUFFIX);
}

/* In quotes, for nginx. */
static const char *quote(const char *text, apr_pool_t *pool)
{
    char *quoted = apr_palloc(pool, 2 * strlen(text) + 3), *at = quoted;

    *at++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            *at++ = '\\';
        }
        *at++ = *text;
    }
    memcpy(at, "\"", 2);
    return quoted;
}

static ctl_exit_e write_tickets_conf(ctl_t *ctl, const output_t *output,
                                     const selection_t *selection, apr_pool_t *pool)
{
    char directory[PATH_MAX];
    const char *path = apr_pstrcat(pool, output->path, "/" OUTPUT_TICKETS_CONF, NULL);
    ctl_exit_e code;
    char *text = NULL;
    apr_size_t i;
    size_t len;
    FILE *out;

    if (!realpath(output->path, directory)) {
        return report_status(ctl, output->path, errno, NULL);
    }
    out = open_memstream(&text, &len);
    if (!out) {
        return report_status(ctl, path, APR_ENOMEM, NULL);
    }
    fputs("# Written by stekctl export.  The first key encrypts, all decrypt.\n", out);
    for (i = 0; i < selection->key_n; i++) {
        fprintf(
            out, "ssl_session_ticket_key %s;\n",
            quote(apr_pstrcat(pool, directory, "/", key_file(selection->keys[i]->name, pool), NULL),
                  pool));
    }
    code = fclose(out) == 0 ? write_file(ctl, output, path, text, len)
                            : report_status(ctl, path, APR_ENOMEM, NULL);
    free(text);
    return code;
}

static int is_selected(const selection_t *selection, const char *name, apr_pool_t *pool)
{
    apr_size_t i;

    for (i = 0; selection && i < selection->key_n; i++) {
        if (!strcmp(name, key_file(selection->keys[i]->name, pool))) {
            return 1;
        }
    }
    return 0;
}

/* Removes key files that are not in the selection (NULL: all). */
static ctl_exit_e sweep(ctl_t *ctl, const output_t *output, const selection_t *selection,
                        apr_pool_t *pool)
{
    DIR *directory = opendir(output->path);
    ctl_exit_e code = CTL_DONE;
    struct dirent *entry;

    if (!directory) {
        return report_status(ctl, output->path, errno, NULL);
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while ((entry = readdir(directory))) {
        if (is_key_file(entry->d_name) && !is_selected(selection, entry->d_name, pool)
            && unlinkat(dirfd(directory), entry->d_name, 0) != 0 && errno != ENOENT) {
            code = report_status(ctl, apr_pstrcat(pool, output->path, "/", entry->d_name, NULL),
                                 errno, NULL);
        }
    }
    closedir(directory);
    return code;
}

static ctl_exit_e write_nginx(ctl_t *ctl, const output_t *output, const selection_t *selection,
                              apr_pool_t *pool)
{
    unsigned char raw[FORMAT_KEY_LEN];
    ctl_exit_e code = CTL_DONE;
    apr_size_t i, len;
    apr_status_t rv;

    for (i = 0; code == CTL_DONE && i < selection->key_n; i++) {
        const char *path = apr_pstrcat(pool, output->path, "/",
                                       key_file(selection->keys[i]->name, pool), NULL);

        rv = format_emit(output->format, &selection->keys[i], 1, raw, sizeof(raw), &len);
        code = rv == APR_SUCCESS ? write_file(ctl, output, path, raw, len)
                                 : report_status(ctl, path, rv, NULL);
    }
    OPENSSL_cleanse(raw, sizeof(raw));
    if (code == CTL_DONE) {
        code = write_tickets_conf(ctl, output, selection, pool);
    }
    return code == CTL_DONE ? sweep(ctl, output, selection, pool) : code;
}

static ctl_exit_e write_single(ctl_t *ctl, const output_t *output, const selection_t *selection)
{
    apr_size_t size = (selection->key_n + 1) * (FORMAT_LINE_LEN + 1), len = 0;
    unsigned char *bytes = stek_mem_alloc(size);
    ctl_exit_e code;
    apr_status_t rv;

    if (!bytes) {
        return report_status(ctl, output->path, APR_ENOMEM, NULL);
    }
    rv = format_emit(output->format, selection->keys, selection->key_n, bytes, size, &len);
    code = rv == APR_SUCCESS ? write_file(ctl, output, output->path, bytes, len)
                             : report_status(ctl, output->path, rv, NULL);
    stek_mem_free(bytes);
    return code;
}

ctl_exit_e output_prepare(ctl_t *ctl, output_t *output)
{
    uid_t owner = output->uid != (uid_t)-1 ? output->uid : ctl->owner;
    const char *culprit = NULL, *inside = output->path;
    struct stat st;
    apr_status_t rv;

    if (output->format == FORMAT_NGINX) {
        if (mkdir(output->path, 0700) == 0) {
            if (output->uid != (uid_t)-1 && chown(output->path, output->uid, output->gid) != 0) {
                return report_status(ctl, output->path, errno, NULL);
            }
        }
        else if (errno != EEXIST) {
            return report_status(ctl, output->path, errno, NULL);
        }
        else if (stat(output->path, &st) == 0 && !S_ISDIR(st.st_mode)) {
            report_line("%s: is not a directory; nginx needs one", output->path);
            return CTL_REFUSED;
        }
        inside = apr_pstrcat(ctl->pool, output->path, "/" OUTPUT_TICKETS_CONF, NULL);
    }
    else if (stat(output->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return report_status(ctl, output->path, S_ISDIR(st.st_mode) ? EISDIR : STEK_EKIND, NULL);
    }
    rv = stek_file_check_dirs(inside, owner, &culprit, ctl->pool);
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, output->path, rv, culprit);
}

ctl_exit_e output_write(ctl_t *ctl, const output_t *output, const selection_t *selection)
{
    apr_pool_t *pool;
    ctl_exit_e code;

    if (output->format != FORMAT_NGINX) {
        return write_single(ctl, output, selection);
    }
    if (apr_pool_create(&pool, ctl->pool) != APR_SUCCESS) {
        return report_status(ctl, output->path, APR_ENOMEM, NULL);
    }
    code = write_nginx(ctl, output, selection, pool);
    apr_pool_destroy(pool);
    return code;
}

ctl_exit_e output_remove(ctl_t *ctl, const output_t *output)
{
    const char *path = output->path;

    if (output->format == FORMAT_NGINX) {
        path = apr_pstrcat(ctl->pool, path, "/" OUTPUT_TICKETS_CONF, NULL);
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return report_status(ctl, path, errno, NULL);
    }
    return output->format == FORMAT_NGINX ? sweep(ctl, output, NULL, ctl->pool) : CTL_DONE;
}
