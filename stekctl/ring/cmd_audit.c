/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command audit: checks every key of the given rings and key files, by itself and against all other
 * keys.  Changes nothing.  Reads key files whatever their permissions: that others can access them
 * is a finding, not an error.  stekctl; one thread.
 */
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert.h"
#include "json.h"
#include "options.h"
#include "report.h"
#include "ring.h"
#include "ringio.h"
#include "stek_error.h"
#include "stek_mem.h"

/* One file of the command line. */
typedef struct subject_t {
    const char *path;
    const char *format; /* NULL: binary keys in an unknown order */
    const stek_key_t *keys;
    apr_size_t key_n;
    const char **weaknesses; /* per key, NULL: none */
    int open_to_others;
    ctl_exit_e code; /* not CTL_DONE: could not be read, already reported */
    keyfile_t file;
    ringio_t io;
} subject_t;

typedef struct audit_t {
    subject_t *subjects;
    int subject_n;
    apr_size_t key_n, weak_n;
    int open_n;
    ctl_exit_e code; /* the highest of all files */
} audit_t;

/* Reads a file without checking who else can access it. */
static apr_status_t read_any(const char *path, unsigned char *buf, apr_size_t buf_size,
                             apr_size_t *plen, mode_t *pmode)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    apr_status_t rv = APR_SUCCESS;
    apr_size_t len = 0;
    struct stat st;
    ssize_t n = 1;

    if (fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (fstat(fd, &st) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    else if (!S_ISREG(st.st_mode)) {
        rv = STEK_EKIND;
    }
    else if (st.st_size > (off_t)buf_size) {
        rv = STEK_ETOOBIG;
    }
    while (rv == APR_SUCCESS && n > 0 && len < buf_size) {
        n = read(fd, buf + len, buf_size - len);
        if (n < 0 && errno != EINTR) {
            rv = APR_FROM_OS_ERROR(errno);
        }
        len += n > 0 ? (apr_size_t)n : 0;
        n = n < 0 ? 1 : n;
    }
    close(fd);
    *plen = len;
    *pmode = st.st_mode;
    return rv;
}

static ctl_exit_e load_ring(ctl_t *ctl, subject_t *subject)
{
    ctl_exit_e code = ringio_load(ctl, subject->path, 0, &subject->io);

    if (code == CTL_DONE) {
        subject->format = "ring";
        subject->keys = subject->io.ring->keys;
        subject->key_n = subject->io.ring->key_n;
    }
    return code;
}

static ctl_exit_e load_keyfile(ctl_t *ctl, subject_t *subject, const format_e *pformat,
                               const unsigned char *bytes, apr_size_t len)
{
    format_e format = pformat ? *pformat : FORMAT_NGINX;
    apr_status_t rv = pformat ? APR_SUCCESS : format_guess(bytes, len, &format);
    ctl_exit_e code;

    if (rv == STEK_ESYNTAX) {
        report_line("%s: could contain 48-byte or 80-byte keys; use --format to say which "
                    "program's file it is",
                    subject->path);
        return CTL_REFUSED;
    }
    if (rv != APR_SUCCESS) {
        report_line("%s: is neither a ring nor a key file that stekctl recognises; see stekctl(8)",
                    subject->path);
        return CTL_REFUSED;
    }
    code = keyfile_parse(ctl, subject->path, format, bytes, len, &subject->file);
    if (code == CTL_DONE) {
        subject->keys = subject->file.keys;
        subject->key_n = subject->file.key_n;
        if (pformat || format == FORMAT_HAPROXY || format == FORMAT_LIGHTTPD) {
            subject->format = format_name(format);
        }
    }
    return code;
}

static void load(ctl_t *ctl, subject_t *subject, const format_e *pformat)
{
    apr_size_t size = STEK_RING_BYTES_MAX > FORMAT_FILE_MAX ? STEK_RING_BYTES_MAX : FORMAT_FILE_MAX;
    unsigned char *bytes = stek_mem_alloc(size);
    apr_size_t len = 0, i;
    apr_status_t rv;
    mode_t mode = 0;

    rv = bytes ? read_any(subject->path, bytes, size, &len, &mode) : APR_ENOMEM;
    if (rv != APR_SUCCESS) {
        subject->code = report_status(ctl, subject->path, rv, NULL);
    }
    else if (len >= 8 && !memcmp(bytes, "STEKRING", 8)) {
        subject->code = load_ring(ctl, subject);
    }
    else {
        subject->open_to_others = (mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0;
        subject->code = load_keyfile(ctl, subject, pformat, bytes, len);
    }
    stek_mem_free(bytes);
    subject->weaknesses = apr_pcalloc(ctl->pool,
                                      (subject->key_n + 1) * sizeof(*subject->weaknesses));
    for (i = 0; i < subject->key_n; i++) {
        subject->weaknesses[i] = keyfile_weakness(&subject->keys[i], ctl->pool);
    }
}

static void mark(const char **pweakness, const char *clash)
{
    if (!*pweakness) {
        *pweakness = clash;
    }
}

/* Compares key i of a file with all keys of another file, or with those after it in its own. */
static void compare_key(subject_t *mine, apr_size_t i, subject_t *theirs)
{
    apr_size_t j;

    for (j = theirs == mine ? i + 1 : 0; j < theirs->key_n; j++) {
        const char *clash = keyfile_clash(&mine->keys[i], &theirs->keys[j]);

        if (clash) {
            mark(&mine->weaknesses[i], clash);
            mark(&theirs->weaknesses[j], clash);
        }
    }
}

static void compare_all(audit_t *audit)
{
    int mine, theirs;
    apr_size_t i;

    for (mine = 0; mine < audit->subject_n; mine++) {
        for (i = 0; i < audit->subjects[mine].key_n; i++) {
            for (theirs = mine; theirs < audit->subject_n; theirs++) {
                compare_key(&audit->subjects[mine], i, &audit->subjects[theirs]);
            }
        }
    }
}

static void count(audit_t *audit)
{
    apr_size_t i;
    int n;

    for (n = 0; n < audit->subject_n; n++) {
        subject_t *subject = &audit->subjects[n];

        audit->key_n += subject->key_n;
        audit->open_n += subject->open_to_others;
        for (i = 0; i < subject->key_n; i++) {
            audit->weak_n += subject->weaknesses[i] != NULL;
        }
        if (subject->code > audit->code) {
            audit->code = subject->code;
        }
    }
    if (audit->code == CTL_DONE && audit->weak_n + (apr_size_t)audit->open_n > 0) {
        audit->code = CTL_FINDING;
    }
}

static int bits(const stek_key_t *key)
{
    return key->flags & STEK_KEY_AES128 ? 128 : 256;
}

static void print_text(ctl_t *ctl, const audit_t *audit)
{
    char hex[STEK_HEX_LEN];
    apr_size_t i;
    int n;

    for (n = 0; n < audit->subject_n; n++) {
        const subject_t *subject = &audit->subjects[n];

        if (subject->code != CTL_DONE) {
            continue;
        }
        printf("%s%s%s\n", report_path(subject->path, ctl->pool), subject->format ? ": " : "",
               subject->format ? subject->format : "");
        if (subject->open_to_others) {
            puts("  file      accessible to others; chmod 0600, and replace its keys");
        }
        for (i = 0; i < subject->key_n; i++) {
            const stek_key_t *key = &subject->keys[i];

            printf("  %s  %s%s%s\n", stek_key_hex(key->name, hex),
                   subject->weaknesses[i] ? "weak: " : "ok",
                   subject->weaknesses[i] ? subject->weaknesses[i] : "",
                   bits(key) == 128 ? " (AES-128)" : "");
        }
    }
    printf("%d key%s, %d weak\n", (int)audit->key_n, audit->key_n == 1 ? "" : "s",
           (int)audit->weak_n);
}

static void print_json(const audit_t *audit)
{
    char hex[STEK_HEX_LEN];
    apr_size_t i;
    json_t json;
    int n;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_count(&json, "keys", audit->key_n);
    json_count(&json, "weak", audit->weak_n);
    json_open(&json, "files", '[');
    for (n = 0; n < audit->subject_n; n++) {
        const subject_t *subject = &audit->subjects[n];

        json_open(&json, NULL, '{');
        json_string(&json, "path", subject->path);
        json_bool(&json, "read", subject->code == CTL_DONE);
        json_string(&json, "format", subject->format);
        json_bool(&json, "open_to_others", subject->open_to_others);
        json_open(&json, "keys", '[');
        for (i = 0; i < subject->key_n; i++) {
            json_open(&json, NULL, '{');
            json_string(&json, "name", stek_key_hex(subject->keys[i].name, hex));
            json_number(&json, "bits", bits(&subject->keys[i]));
            json_string(&json, "weakness", subject->weaknesses[i]);
            json_close(&json, '}');
        }
        json_close(&json, ']');
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

ctl_exit_e cmd_audit(ctl_t *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    format_e format = FORMAT_NGINX;
    audit_t audit = {0};
    int option, has_format = 0, n;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        if (format_find(optarg, &format) != APR_SUCCESS) {
            return report_usage(ctl, "invalid format '%s': must be one of %s", optarg,
                                format_names());
        }
        has_format = 1;
    }
    if (optind == argc) {
        return report_usage(ctl, "missing file name");
    }
    audit.subject_n = argc - optind;
    audit.subjects = apr_pcalloc(ctl->pool, (apr_size_t)audit.subject_n * sizeof(subject_t));
    for (n = 0; n < audit.subject_n; n++) {
        audit.subjects[n].path = argv[optind + n];
        load(ctl, &audit.subjects[n], has_format ? &format : NULL);
    }
    compare_all(&audit);
    count(&audit);
    if (ctl->json) {
        print_json(&audit);
    }
    else {
        print_text(ctl, &audit);
    }
    for (n = 0; n < audit.subject_n; n++) {
        keyfile_release(&audit.subjects[n].file);
        ringio_release(&audit.subjects[n].io);
    }
    return audit.code;
}
