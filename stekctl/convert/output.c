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
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format_json.h"
#include "report.h"
#include "ringio.h"
#include "stek_claim.h"
#include "stek_error.h"
#include "stek_file.h"
#include "stek_mem.h"
#include "stek_owner.h"

#define KEY_PREFIX "stek-"
#define KEY_SUFFIX ".key"
#define KEY_FILE_LEN (sizeof(KEY_PREFIX) - 1 + 2 * STEK_NAME_LEN + sizeof(KEY_SUFFIX) - 1)

#define CONF_HEAD "# Written by stekctl export."

/* ---- what an earlier export has left, and what is somebody else's ---- */

/* Nonzero for text, and for DER that is as long as it says: keys are neither. */
static int is_other_kind(const unsigned char *bytes, apr_size_t len)
{
    apr_size_t i = 0;

    if (len > 4 && bytes[0] == 0x30
        && ((bytes[1] == 0x82 && len - 4 == ((apr_size_t)bytes[2] << 8 | bytes[3]))
            || (bytes[1] == 0x81 && len - 3 == bytes[2]))) {
        return 1;
    }
    while (i < len && bytes[i] < 0x80) {
        i++;
    }
    return i == len;
}

/* Raw keys look like any random bytes of that size; but the sizes are unusual enough. */
static int is_export(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    const format_e *pformat = baton;
    apr_size_t key_max = len / FORMAT_KEY_SHORT_LEN + 1, key_n = 0;
    stek_key_t *keys;
    apr_status_t rv;
    int line = 0;

    if (format_json_is(*pformat)) {
        return format_json_is_head(*pformat, bytes, len);
    }
    if (*pformat != FORMAT_HAPROXY && is_other_kind(bytes, len)) {
        return 0;
    }
    keys = stek_mem_alloc(key_max * sizeof(*keys));
    if (!keys) {
        return 0;
    }
    rv = format_parse(*pformat, bytes, len, keys, key_max, &key_n, &line);
    stek_mem_free(keys);
    return rv == APR_SUCCESS;
}

static int is_conf(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    (void)baton;
    return len >= strlen(CONF_HEAD) && !memcmp(bytes, CONF_HEAD, strlen(CONF_HEAD));
}

static int is_anything(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    (void)bytes;
    (void)len;
    (void)baton;
    return 1;
}

static const stek_claim_t conf_claim = {"a list of keys that stekctl has written",
                                        sizeof(CONF_HEAD) - 1, 0, is_conf, NULL};
static const stek_claim_t any_claim = {"a file", 1, 0, is_anything, NULL};

static stek_claim_t export_claim(const format_e *pformat)
{
    int is_json = format_json_is(*pformat);
    stek_claim_t claim = {"an export in this format",
                          is_json ? FORMAT_JSON_HEAD_MAX : FORMAT_FILE_MAX, !is_json, is_export,
                          pformat};

    return claim;
}

static uid_t files_owner(const ctl_t *ctl, const output_t *output)
{
    return output->uid != (uid_t)-1 ? output->uid : ctl->owner;
}

/* Whether path may be written over: a file of ours, or nothing.  Reports. */
static ctl_exit_e check_claim(ctl_t *ctl, const output_t *output, const stek_claim_t *claim,
                              const char *path)
{
    const char *found = NULL, *kind = NULL;
    uid_t owner = files_owner(ctl, output);
    apr_status_t rv = stek_claim_check(output->force ? &any_claim : claim, path, owner, &found,
                                       ctl->pool);

    if (rv != STEK_EFOREIGN) {
        return rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv) ? CTL_DONE
                                                             : report_status(ctl, path, rv, NULL);
    }
    if (stek_claim_check(&any_claim, path, owner, &kind, ctl->pool) == APR_SUCCESS) {
        report_line("%s: %s, so stekctl did not change it; name another path, or overwrite it with "
                    "--force",
                    path, found);
        return CTL_REFUSED;
    }
    return report_status(ctl, path, rv, found);
}

static ctl_exit_e write_file(ctl_t *ctl, const output_t *output, const stek_claim_t *claim,
                             const char *path, const void *bytes, apr_size_t len)
{
    const stek_file_how_t how = {files_owner(ctl, output), output->uid, output->gid, 0600,
                                 stek_file_fsync_flag(path, ctl->pool)};
    ctl_exit_e code = check_claim(ctl, output, claim, path);
    apr_status_t rv;

    if (code != CTL_DONE) {
        return code;
    }
    rv = stek_file_replace(path, bytes, len, &how, ctl->pool);
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

/* By descriptor: what is removed from it is removed there, wherever its name leads by then. */
static int open_directory(const output_t *output, const char *path)
{
    return open(path,
                O_RDONLY | O_DIRECTORY | O_CLOEXEC | (output->uid != (uid_t)-1 ? O_NOFOLLOW : 0));
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
                                     const export_keys_t *selection, apr_pool_t *pool)
{
    char directory[PATH_MAX];
    const char *path = apr_pstrcat(pool, output->path, "/" OUTPUT_TICKETS_CONF, NULL);
    ctl_exit_e code;
    char *text = NULL;
    apr_size_t i;
    size_t len;
    FILE *out;

    if (!realpath(output->path, directory)) {
        return report_status(ctl, output->path, APR_FROM_OS_ERROR(errno), NULL);
    }
    out = open_memstream(&text, &len);
    if (!out) {
        return report_status(ctl, path, APR_ENOMEM, NULL);
    }
    fputs(CONF_HEAD "  The first key encrypts, all decrypt.\n", out);
    for (i = 0; i < selection->key_n; i++) {
        fprintf(
            out, "ssl_session_ticket_key %s;\n",
            quote(apr_pstrcat(pool, directory, "/", key_file(selection->keys[i]->name, pool), NULL),
                  pool));
    }
    code = fclose(out) == 0 ? write_file(ctl, output, &conf_claim, path, text, len)
                            : report_status(ctl, path, APR_ENOMEM, NULL);
    free(text);
    return code;
}

static int is_selected(const export_keys_t *selection, const char *name, apr_pool_t *pool)
{
    apr_size_t i;

    for (i = 0; selection && i < selection->key_n; i++) {
        if (!strcmp(name, key_file(selection->keys[i]->name, pool))) {
            return 1;
        }
    }
    return 0;
}

/* Removes one key file of the directory, if it is one. */
static ctl_exit_e remove_file(ctl_t *ctl, const output_t *output, const stek_claim_t *claim,
                              int dir_fd, const char *path)
{
    const char *found = NULL;
    apr_status_t rv = stek_claim_check(claim, path, files_owner(ctl, output), &found, ctl->pool);

    if (rv == STEK_EFOREIGN) {
        return report_status(ctl, path, rv, found);
    }
    if (rv == APR_SUCCESS && unlinkat(dir_fd, stek_file_base(path), 0) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    return rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv) ? CTL_DONE
                                                         : report_status(ctl, path, rv, NULL);
}

/* Removes key files that are not in the selection (NULL: all). */
static ctl_exit_e sweep(ctl_t *ctl, const output_t *output, const export_keys_t *selection,
                        apr_pool_t *pool)
{
    const stek_claim_t claim = export_claim(&output->format);
    int fd = open_directory(output, output->path);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    ctl_exit_e code = CTL_DONE, removed;
    struct dirent *entry;

    if (!directory) {
        apr_status_t rv = APR_FROM_OS_ERROR(errno);

        if (fd >= 0) {
            close(fd);
        }
        return report_status(ctl, output->path, rv, NULL);
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while ((entry = readdir(directory))) {
        if (is_key_file(entry->d_name) && !is_selected(selection, entry->d_name, pool)) {
            removed = remove_file(ctl, output, &claim, fd,
                                  apr_pstrcat(pool, output->path, "/", entry->d_name, NULL));
            code = removed == CTL_DONE ? code : removed;
        }
    }
    closedir(directory);
    return code;
}

static ctl_exit_e write_nginx(ctl_t *ctl, const output_t *output, const export_keys_t *selection,
                              apr_pool_t *pool)
{
    const stek_claim_t claim = export_claim(&output->format);
    unsigned char raw[FORMAT_KEY_LEN];
    ctl_exit_e code = CTL_DONE;
    apr_size_t i, len;
    apr_status_t rv;

    for (i = 0; code == CTL_DONE && i < selection->key_n; i++) {
        const char *path = apr_pstrcat(pool, output->path, "/",
                                       key_file(selection->keys[i]->name, pool), NULL);

        rv = format_emit(output->format, &selection->keys[i], 1, raw, sizeof(raw), &len);
        code = rv == APR_SUCCESS ? write_file(ctl, output, &claim, path, raw, len)
                                 : report_status(ctl, path, rv, NULL);
    }
    OPENSSL_cleanse(raw, sizeof(raw));
    if (code == CTL_DONE) {
        code = write_tickets_conf(ctl, output, selection, pool);
    }
    return code == CTL_DONE ? sweep(ctl, output, selection, pool) : code;
}

static ctl_exit_e write_single(ctl_t *ctl, const output_t *output, const export_keys_t *selection)
{
    int is_json = format_json_is(output->format);
    apr_size_t size = is_json ? format_json_size(selection->key_n)
                              : (selection->key_n + 1) * (FORMAT_LINE_LEN + 1);
    apr_size_t len = 0;
    const stek_claim_t claim = export_claim(&output->format);
    unsigned char *bytes = stek_mem_alloc(size);
    ctl_exit_e code;
    apr_status_t rv;

    if (!bytes) {
        return report_status(ctl, output->path, APR_ENOMEM, NULL);
    }
    rv = is_json
             ? format_json_emit(output->format, selection->keys, selection->key_n, bytes, size,
                                &len)
             : format_emit(output->format, selection->keys, selection->key_n, bytes, size, &len);
    code = rv == APR_SUCCESS ? write_file(ctl, output, &claim, output->path, bytes, len)
                             : report_status(ctl, output->path, rv, NULL);
    stek_mem_free(bytes);
    return code;
}

/* nginx's directory, made if it is missing.  Given away by descriptor: its name is the new owner's
 * to change. */
static ctl_exit_e make_directory(ctl_t *ctl, const output_t *output)
{
    apr_status_t rv = APR_SUCCESS;
    struct stat st;
    int fd;

    if (mkdir(output->path, 0700) != 0) {
        if (errno != EEXIST) {
            return report_status(ctl, output->path, APR_FROM_OS_ERROR(errno), NULL);
        }
        if (stat(output->path, &st) == 0 && !S_ISDIR(st.st_mode)) {
            report_line("%s: is not a directory; nginx needs one", output->path);
            return CTL_REFUSED;
        }
        return CTL_DONE;
    }
    if (output->uid == (uid_t)-1) {
        return CTL_DONE;
    }
    fd = open_directory(output, output->path);
    if (fd < 0 || fchown(fd, output->uid, output->gid) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, output->path, rv, NULL);
}

/* nginx's directory may be the files' new owner's, since nobody but root can put another one
 * there. */
static ctl_exit_e check_given_directory(ctl_t *ctl, const output_t *output)
{
    const char *path = output->path;
    struct stat st;

    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? CTL_DONE
                               : report_status(ctl, path, APR_FROM_OS_ERROR(errno), NULL);
    }
    if (S_ISLNK(st.st_mode)) {
        report_line("%s: is a symbolic link; with --owner, name the directory itself", path);
        return CTL_REFUSED;
    }
    if (!stek_owner_is_trusted(st.st_uid, output->uid) || stek_owner_others_write(&st)) {
        return report_status(ctl, path, STEK_EPERM,
                             stek_owner_describe(path, output->uid, ctl->pool));
    }
    return CTL_DONE;
}

/* "x/" is the directory x, or that name's fault. */
static const char *without_slash(const char *path, apr_pool_t *pool)
{
    apr_size_t len = strlen(path);
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        return path;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return apr_pstrmemdup(pool, path, len);
}

/* Where files are given away: whoever gets them could put a link in the place of a directory of
 * his, and root would write, and remove, where it leads.  All above must be root's. */
static ctl_exit_e check_way(ctl_t *ctl, const output_t *output)
{
    const char *culprit = NULL;
    apr_status_t rv;

    if (output->uid == (uid_t)-1) {
        return CTL_DONE;
    }
    rv = stek_path_check_written(output->path, ctl->owner, &culprit, ctl->pool);
    if ((rv == STEK_EPERM || rv == STEK_ESHARED) && culprit) {
        report_line("%s: with --owner, only root may own and write to the directories above it, "
                    "unlike %s; choose another path, such as one below /run",
                    output->path, stek_owner_describe(culprit, ctl->owner, ctl->pool));
        return CTL_REFUSED;
    }
    if (rv != APR_SUCCESS) {
        return report_status(ctl, output->path, rv, culprit);
    }
    return output->format == FORMAT_NGINX ? check_given_directory(ctl, output) : CTL_DONE;
}

ctl_exit_e output_prepare(ctl_t *ctl, output_t *output)
{
    const stek_claim_t claim = export_claim(&output->format);
    const char *culprit = NULL, *inside = output->path;
    int is_nginx = output->format == FORMAT_NGINX;
    ctl_exit_e code = CTL_DONE;
    struct stat st;
    apr_status_t rv;

    output->path = without_slash(output->path, ctl->pool);
    code = check_way(ctl, output);
    if (code != CTL_DONE) {
        return code;
    }
    if (is_nginx) {
        rv = stek_path_check_written(output->path, ctl->owner, &culprit, ctl->pool);
        if (rv != APR_SUCCESS) {
            return report_status(ctl, output->path, rv, culprit);
        }
        code = make_directory(ctl, output);
        inside = apr_pstrcat(ctl->pool, output->path, "/" OUTPUT_TICKETS_CONF, NULL);
    }
    else if (stat(output->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return report_status(ctl, output->path,
                             S_ISDIR(st.st_mode) ? APR_FROM_OS_ERROR(EISDIR) : STEK_EKIND, NULL);
    }
    if (code != CTL_DONE) {
        return code;
    }
    rv = stek_path_check_written(inside, files_owner(ctl, output), &culprit, ctl->pool);
    return rv == APR_SUCCESS ? check_claim(ctl, output, is_nginx ? &conf_claim : &claim, inside)
                             : report_status(ctl, output->path, rv, culprit);
}

ctl_exit_e output_write(ctl_t *ctl, const output_t *output, const export_keys_t *selection)
{
    apr_pool_t *pool;
    ctl_exit_e code = check_way(ctl, output);

    if (code != CTL_DONE) {
        return code;
    }
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
    const stek_claim_t claim = export_claim(&output->format);
    int is_nginx = output->format == FORMAT_NGINX;
    ctl_exit_e code = check_way(ctl, output);
    const char *dir = is_nginx ? output->path : stek_file_dir(output->path, ctl->pool);
    int fd;

    if (code != CTL_DONE) {
        return code;
    }
    fd = open_directory(output, dir);
    if (fd < 0) {
        return report_status(ctl, dir, APR_FROM_OS_ERROR(errno), NULL);
    }
    code = is_nginx
               ? remove_file(ctl, output, &conf_claim, fd,
                             apr_pstrcat(ctl->pool, output->path, "/" OUTPUT_TICKETS_CONF, NULL))
               : remove_file(ctl, output, &claim, fd, output->path);
    close(fd);
    return code == CTL_DONE && is_nginx ? sweep(ctl, output, NULL, ctl->pool) : code;
}
