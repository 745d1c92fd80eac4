/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes recordings (recording.h).
 */
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "words.h"

#define TAIL_MAX 1048576 /* a host is looked for that far from the end */

/* Where the last complete host ends, or the first line; -1: not found. */
static off_t find_end(FILE *file)
{
    static const char last[] = "\nend\n", first[] = "stek-probe 1\n";
    char *bytes = NULL;
    off_t size, from, found = -1;
    apr_size_t len, i;

    if (fseeko(file, 0, SEEK_END) != 0) {
        return -1;
    }
    size = ftello(file);
    from = size > TAIL_MAX ? size - TAIL_MAX : 0;
    len = (apr_size_t)(size - from);
    bytes = malloc(len + 1);
    if (!bytes || fseeko(file, from, SEEK_SET) != 0 || fread(bytes, 1, len, file) != len) {
        goto cleanup;
    }
    if (from == 0 && len >= sizeof(first) - 1 && !memcmp(bytes, first, sizeof(first) - 1)) {
        found = (off_t)sizeof(first) - 1;
    }
    for (i = 0; i + sizeof(last) - 1 <= len; i++) {
        if (memcmp(bytes + i, last, sizeof(last) - 1) == 0) {
            found = from + (off_t)(i + sizeof(last) - 1);
        }
    }
cleanup:
    free(bytes);
    return found;
}

apr_status_t probe_recording_create(FILE **pfile, const char *path, int is_resumed)
{
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (is_resumed ? 0 : O_EXCL);
    int fd = open(path, flags, S_IRUSR | S_IWUSR);
    struct stat info;
    FILE *file = NULL;
    apr_status_t rv = APR_SUCCESS;
    off_t end;

    if (fd < 0 || fstat(fd, &info) != 0 || !(file = fdopen(fd, "r+"))) {
        rv = APR_FROM_OS_ERROR(errno);
        goto cleanup;
    }
    if (info.st_size == 0) {
        rv = fputs("stek-probe 1\n", file) < 0 ? APR_FROM_OS_ERROR(errno) : APR_SUCCESS;
        goto cleanup;
    }
    end = S_ISREG(info.st_mode) ? find_end(file) : -1;
    if (end < 0) {
        rv = APR_EINVAL;
    }
    else if (ftruncate(fd, end) != 0 || fseeko(file, end, SEEK_SET) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
cleanup:
    if (rv == APR_SUCCESS) {
        *pfile = file;
    }
    else if (file) {
        fclose(file);
    }
    else if (fd >= 0) {
        close(fd);
    }
    return rv;
}

/* Text to the end of a line, in ASCII. */
static void put_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        putc((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f ? '?' : *text, file);
    }
    putc('\n', file);
}

static void put_bytes(FILE *file, const unsigned char *bytes, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        fprintf(file, "%02x", bytes[i]);
    }
}

static void put_hex(FILE *file, const char *key, const unsigned char *bytes, apr_size_t len)
{
    fprintf(file, " %s=", key);
    put_bytes(file, bytes, len);
}

/* Of versions that are not offered, only that the server no longer answered is told. */
static void add_lost(FILE *file, const probe_host_t *host)
{
    int i;

    for (i = 0; i < host->findings->nelts; i++) {
        const probe_finding_t *finding = &APR_ARRAY_IDX(host->findings, i, probe_finding_t);

        if (!host->versions[PROBE_VERSION_AT(finding->version)].is_offered) {
            fprintf(file, "lost %s ", probe_version_name(finding->version) + strlen("TLS "));
            put_text(file, finding->text);
        }
    }
}

/* Tests that examine tickets are done again; those that offer them cannot be. */
static int is_kept(const probe_version_t *version, const probe_finding_t *finding)
{
    return finding->version == version->version && finding->test != PROBE_TEST_SUPPORT
           && !finding->spare && (finding->test >= PROBE_TEST_MAC || version->tickets->nelts == 0);
}

static void put_test(FILE *file, const char *kind, const probe_finding_t *finding)
{
    fprintf(file, "%s %s", kind, probe_test_name(finding->test));
    if (finding->backends) {
        fprintf(file, "@%" APR_UINT64_T_HEX_FMT, finding->backends);
    }
}

static void add_spare(FILE *file, const probe_spare_t *spare)
{
    fprintf(file, "spare tried=%d resumes=%d alert=%d secret_at=%d", spare->tried_n, spare->resumes,
            spare->alert, (int)spare->secret_at);
    put_hex(file, "name", spare->name, spare->key_len ? sizeof(spare->name) : 0);
    put_hex(file, "cipher", spare->cipher_key, spare->key_len);
    put_hex(file, "mac", spare->mac_key, spare->key_len);
    putc('\n', file);
}

static void add_finding(FILE *file, const probe_version_t *version, const probe_finding_t *finding)
{
    if (is_kept(version, finding)) {
        put_test(file, "finding", finding);
        fprintf(file, " %s ",
                finding->is_moot                     ? "nothing-to-test"
                : finding->verdict == PROBE_UNTESTED ? "not-testable"
                                                     : probe_verdict_name(finding->verdict));
        put_text(file, finding->text);
        if (finding->detectable_us) {
            fprintf(file, "detectable %" APR_INT64_T_FMT "\n", finding->detectable_us);
        }
    }
    if (finding->version == version->version && finding->spare) {
        add_spare(file, finding->spare);
    }
    else if (finding->version == version->version && finding->forged) {
        put_test(file, "forged", finding);
        fprintf(file, " %s ", probe_forged_word(finding->forged));
        put_text(file, finding->forged_text);
    }
}

static void add_version(FILE *file, const probe_host_t *host, const probe_version_t *version)
{
    int i, j;

    fprintf(file,
            "version %s per_connection=%d session_ids=%d resumes=%d asked_cert=%d alert=%d "
            "full=%d empty=%d faces=%d steady=%d",
            probe_version_name(version->version) + strlen("TLS "), version->per_connection,
            version->by_session_id, version->is_accepted, version->own->asked_cert,
            version->own->alert, version->full_n, version->empty_n, version->faces_n,
            version->is_steady);
    put_hex(file, "cert", version->own->cert_head, version->own->has_cert ? PROBE_CERT_HEAD : 0);
    putc('\n', file);
    for (i = 0; i < version->tickets->nelts; i++) {
        const probe_ticket_t *ticket = &APR_ARRAY_IDX(version->tickets, i, probe_ticket_t);

        fprintf(file, "ticket hint=%u at=%" APR_TIME_T_FMT " connection=%d",
                (unsigned)ticket->hint_s, ticket->at, (int)ticket->connection);
        put_hex(file, "secret", ticket->secret, ticket->secret_len);
        fputs(" more=", file);
        for (j = 0; j < (int)ticket->more_n; j++) {
            put_bytes(file, ticket->more[j], ticket->secret_len);
        }
        put_hex(file, "nonce", ticket->nonce, ticket->nonce_len);
        put_hex(file, "bytes", ticket->bytes, ticket->len);
        putc('\n', file);
    }
    for (i = 0; i < host->findings->nelts; i++) {
        add_finding(file, version, &APR_ARRAY_IDX(host->findings, i, probe_finding_t));
    }
}

apr_status_t probe_recording_add(FILE *file, const probe_host_t *host)
{
    int i;

    fprintf(file,
            "host %s %d\ntime %" APR_INT64_T_FMT
            "\nplanned %d\nconnections %d\ntook %d\nstalled %d\n",
            host->name, host->port, (apr_int64_t)apr_time_sec(host->at), host->planned_n,
            (int)host->connections_n, (int)apr_time_sec(host->took), host->stalled_n);
    if (host->address) {
        fputs("address ", file);
        put_text(file, host->address);
    }
    if (host->sni) {
        fputs("sni ", file);
        put_text(file, host->sni);
    }
    if (host->failure) {
        fputs("failure ", file);
        put_text(file, host->failure);
    }
    for (i = 0; host->opens && i < host->opens->nelts; i++) {
        fputs("opens ", file);
        put_text(file, APR_ARRAY_IDX(host->opens, i, const char *));
    }
    for (i = 0; i < PROBE_VERSIONS_N && !host->failure; i++) {
        if (host->versions[i].is_offered) {
            add_version(file, host, &host->versions[i]);
        }
    }
    if (!host->failure) {
        add_lost(file, host);
    }
    fputs("end\n", file);
    return fflush(file) == 0 && !ferror(file) ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}
