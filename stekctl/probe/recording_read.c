/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads recordings (recording.h), which may have been made by anybody: lengths, numbers and the
 * order of lines are checked.
 */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "recording.h"
#include "words.h"

#define TICKET_MAX 65535
#define LINE_SIZE (2 * TICKET_MAX + 4096)
#define TICKETS_MAX 65536
#define OPENS_MAX 1024

/* ---- values ---- */

/* A number from least to most, up to the end of text.  0: it is not one; the same for those below.
 */
static int get_number(const char *text, apr_int64_t least, apr_int64_t most, apr_int64_t *pnumber)
{
    char *end;

    *pnumber = apr_strtoi64(text, &end, 10);
    return end != text && *end == '\0' && strspn(text, "-0123456789") == strlen(text)
           && *pnumber >= least && *pnumber <= most;
}

/* The next word of *ptext, "key=value", whose value goes to *pvalue. */
static int get_field(char **ptext, const char *key, char **pvalue)
{
    apr_size_t key_len = strlen(key);
    char *word = *ptext, *end = word + strcspn(word, " ");

    if (strncmp(word, key, key_len) != 0 || word[key_len] != '=') {
        return 0;
    }
    *ptext = *end ? end + 1 : end;
    *end = '\0';
    *pvalue = word + key_len + 1;
    return 1;
}

static int get_field_number(char **ptext, const char *key, apr_int64_t least, apr_int64_t most,
                            apr_int64_t *pnumber)
{
    char *value;

    return get_field(ptext, key, &value) && get_number(value, least, most, pnumber);
}

static int get_field_hex(char **ptext, const char *key, unsigned char *out, apr_size_t most,
                         apr_size_t *plen)
{
    apr_size_t i;
    char *value;

    if (!get_field(ptext, key, &value)) {
        return 0;
    }
    for (i = 0; value[2 * i]; i++) {
        int high = probe_hex_value(value[2 * i]);
        int low = high < 0 ? -1 : probe_hex_value(value[2 * i + 1]);

        if (low < 0 || i == most) {
            return 0;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    *plen = i;
    return 1;
}

/* ---- lines ---- */

/* What is not ASCII would reach a terminal. */
static int is_text(const char *text)
{
    while ((unsigned char)*text >= ' ' && (unsigned char)*text < 0x7f) {
        text++;
    }
    return *text == '\0';
}

/* The next line without its end.  APR_EOF: no complete one. */
static apr_status_t read_line(probe_reader_t *reader, const char **pwhy)
{
    apr_size_t len;

    if (!fgets(reader->line, LINE_SIZE, reader->file)) {
        return APR_EOF;
    }
    reader->line_n++;
    len = strlen(reader->line);
    if (len == 0 || reader->line[len - 1] != '\n') {
        *pwhy = "the line is too long";
        return feof(reader->file) ? APR_EOF : APR_EGENERAL;
    }
    reader->line[len - 1] = '\0';
    *pwhy = "not text";
    return is_text(reader->line) ? APR_SUCCESS : APR_EGENERAL;
}

/* Moves *ptext behind "1.2 ".  -1: it is no version; otherwise its index. */
static int get_version(char **ptext)
{
    int i;

    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        const char *name = probe_version_name(PROBE_VERSION_FIRST + i) + strlen("TLS ");

        if (!strncmp(*ptext, name, strlen(name)) && (*ptext)[strlen(name)] == ' ') {
            *ptext += strlen(name) + 1;
            return i;
        }
    }
    return -1;
}

/* VERSION TEXT: the server no longer answered. */
static int add_lost(probe_host_t *host, char *text, apr_pool_t *pool)
{
    int i = get_version(&text);
    probe_finding_t *finding;

    if (i < 0 || host->failure || host->versions[i].is_offered) {
        return 0;
    }
    finding = apr_array_push(host->findings);
    memset(finding, 0, sizeof(*finding));
    finding->test = PROBE_TEST_SUPPORT;
    finding->verdict = PROBE_UNTESTED;
    finding->version = host->versions[i].version;
    finding->text = apr_pstrdup(pool, text);
    return 1;
}

static int set_version(probe_host_t *host, char *text, probe_version_t **pversion, apr_pool_t *pool)
{
    apr_int64_t per_connection, by_id, resumes, asked, alert, full_n, empty_n, faces_n, steady;
    probe_reply_t *own = apr_pcalloc(pool, sizeof(*own));
    apr_size_t cert_len = 0;
    int i = get_version(&text);

    if (i < 0 || host->versions[i].is_offered
        || !get_field_number(&text, "per_connection", 0, 255, &per_connection)
        || !get_field_number(&text, "session_ids", -1, 1, &by_id)
        || !get_field_number(&text, "resumes", 0, 1, &resumes)
        || !get_field_number(&text, "asked_cert", 0, 1, &asked)
        || !get_field_number(&text, "alert", -1, 255, &alert)
        || !get_field_number(&text, "full", 0, TICKETS_MAX, &full_n)
        || !get_field_number(&text, "empty", 0, TICKETS_MAX, &empty_n)
        || !get_field_number(&text, "faces", 0, PROBE_FACES_MAX, &faces_n)
        || !get_field_number(&text, "steady", 0, 1, &steady)
        || !get_field_hex(&text, "cert", own->cert_head, sizeof(own->cert_head), &cert_len) || *text
        || (cert_len && cert_len != sizeof(own->cert_head))) {
        return 0;
    }
    own->has_cert = cert_len > 0;
    own->asked_cert = (int)asked;
    own->alert = (int)alert;
    *pversion = &host->versions[i];
    (*pversion)->is_offered = 1;
    (*pversion)->per_connection = (int)per_connection;
    (*pversion)->by_session_id = (int)by_id;
    (*pversion)->is_accepted = (int)resumes;
    (*pversion)->full_n = (int)full_n;
    (*pversion)->empty_n = (int)empty_n;
    (*pversion)->faces_n = (int)faces_n;
    (*pversion)->is_steady = (int)steady;
    (*pversion)->own = own;
    return 1;
}

static int add_ticket(probe_version_t *version, char *text, apr_pool_t *pool)
{
    probe_ticket_t ticket = {.is_tls13 = PROBE_VERSION_AT(version->version) == 3};
    unsigned char *bytes = apr_palloc(pool, strlen(text) / 2 + 1);
    unsigned char more[PROBE_MORE_N * PROBE_SECRET_MAX];
    apr_size_t more_len = 0, i;
    apr_int64_t hint, at, connection;

    if (version->tickets->nelts >= TICKETS_MAX
        || !get_field_number(&text, "hint", 0, 0xffffffff, &hint)
        || !get_field_number(&text, "at", 0, APR_INT64_MAX, &at)
        || !get_field_number(&text, "connection", 0, APR_INT32_MAX, &connection)
        || !get_field_hex(&text, "secret", ticket.secret, sizeof(ticket.secret), &ticket.secret_len)
        || !get_field_hex(&text, "more", more, sizeof(more), &more_len)
        || (more_len
            && (!ticket.secret_len || more_len % ticket.secret_len
                || more_len / ticket.secret_len > PROBE_MORE_N))
        || !get_field_hex(&text, "nonce", ticket.nonce, sizeof(ticket.nonce), &ticket.nonce_len)
        || !get_field_hex(&text, "bytes", bytes, TICKET_MAX, &ticket.len) || *text
        || ticket.len == 0) {
        return 0;
    }
    for (i = 0; i * ticket.secret_len < more_len; i++) {
        memcpy(ticket.more[i], more + i * ticket.secret_len, ticket.secret_len);
    }
    ticket.more_n = i;
    ticket.at = at;
    ticket.connection = (apr_size_t)connection;
    ticket.hint_s = (apr_uint32_t)hint;
    ticket.bytes = bytes;
    APR_ARRAY_PUSH(version->tickets, probe_ticket_t) = ticket;
    return 1;
}

/* Cuts "@HEX" off the name of a test. */
static int get_backends(char *text, apr_uint64_t *pbackends)
{
    char *at = strchr(text, '@');

    if (!at) {
        return 1;
    }
    *at++ = '\0';
    *pbackends = 0;
    if (!*at || strlen(at) > 16) {
        return 0;
    }
    for (; *at; at++) {
        if (probe_hex_value(*at) < 0) {
            return 0;
        }
        *pbackends = *pbackends << 4 | (apr_uint64_t)probe_hex_value(*at);
    }
    return *pbackends != 0;
}

/* Sets what one word says: a verdict, or what became of a forged ticket.  0: unknown. */
static int set_verdict(probe_finding_t *finding, const char *word, int is_forged)
{
    int i = is_forged;
    int last = is_forged ? (int)PROBE_FORGED_ACCEPTED : (int)PROBE_BROKEN;

    finding->is_moot = !is_forged && !strcmp(word, "nothing-to-test");
    if (!is_forged && (finding->is_moot || !strcmp(word, "not-testable"))) {
        finding->verdict = PROBE_UNTESTED;
        return 1;
    }
    while (i <= last
           && strcmp(is_forged ? probe_forged_word((probe_forged_e)i)
                               : probe_verdict_name((probe_verdict_e)i),
                     word)
                  != 0) {
        i++;
    }
    if (is_forged) {
        finding->forged = (probe_forged_e)i;
    }
    else {
        finding->verdict = (probe_verdict_e)i;
    }
    return i <= last;
}

/* TEST[@BACKENDS] VERDICT TEXT; the verdict is one word, unlike in reports. */
static int add_finding(probe_host_t *host, const probe_version_t *version, char *text,
                       int is_forged, apr_pool_t *pool)
{
    char *verdict = strchr(text, ' '), *words = verdict ? strchr(verdict + 1, ' ') : NULL;
    probe_finding_t finding = {.version = version->version};
    int test = 0;

    if (!words) {
        return 0;
    }
    *verdict++ = *words++ = '\0';
    if (!get_backends(text, &finding.backends)) {
        return 0;
    }
    while (test < PROBE_TEST_N && strcmp(probe_test_name((probe_test_e)test), text) != 0) {
        test++;
    }
    if (test == PROBE_TEST_N || !set_verdict(&finding, verdict, is_forged)) {
        return 0;
    }
    finding.test = (probe_test_e)test;
    finding.text = apr_pstrdup(pool, words);
    APR_ARRAY_PUSH(host->findings, probe_finding_t) = finding;
    return 1;
}

/* Of the finding above it, which must be one of this version. */
static int set_detectable(probe_host_t *host, const probe_version_t *version, const char *text)
{
    probe_finding_t *finding = apr_array_pop(host->findings);
    apr_int64_t number;

    if (!finding || finding->version != version->version
        || !get_number(text, 1, APR_INT64_MAX, &number)) {
        return 0;
    }
    finding->detectable_us = number;
    host->findings->nelts++;
    return 1;
}

static int add_spare(probe_host_t *host, const probe_version_t *version, char *text,
                     apr_pool_t *pool)
{
    probe_finding_t finding = {.version = version->version, .test = PROBE_TEST_CIPHER_KEY};
    probe_spare_t *spare = apr_pcalloc(pool, sizeof(*spare));
    apr_int64_t tried_n, resumes, alert, secret_at;
    apr_size_t name_len, mac_len;

    if (!get_field_number(&text, "tried", 0, TICKETS_MAX, &tried_n)
        || !get_field_number(&text, "resumes", 0, 1, &resumes)
        || !get_field_number(&text, "alert", -1, 255, &alert)
        || !get_field_number(&text, "secret_at", 0, TICKET_MAX, &secret_at)
        || !get_field_hex(&text, "name", spare->name, sizeof(spare->name), &name_len)
        || !get_field_hex(&text, "cipher", spare->cipher_key, sizeof(spare->cipher_key),
                          &spare->key_len)
        || !get_field_hex(&text, "mac", spare->mac_key, sizeof(spare->mac_key), &mac_len) || *text
        || (spare->key_len && spare->key_len != 16 && spare->key_len != 32)
        || mac_len != spare->key_len || name_len != (mac_len ? sizeof(spare->name) : 0)) {
        return 0;
    }
    spare->tried_n = (int)tried_n;
    spare->resumes = (int)resumes;
    spare->alert = (int)alert;
    spare->secret_at = (apr_size_t)secret_at;
    finding.spare = spare;
    APR_ARRAY_PUSH(host->findings, probe_finding_t) = finding;
    return 1;
}

static int set_number(probe_host_t *host, const char *word, const char *text)
{
    apr_int64_t number;
    int is_time = !strcmp(word, "time");

    if (!get_number(text, 0, is_time ? APR_INT64_MAX / APR_USEC_PER_SEC : APR_INT32_MAX, &number)) {
        return 0;
    }
    if (is_time) {
        host->at = apr_time_from_sec(number);
    }
    else if (!strcmp(word, "planned")) {
        host->planned_n = (int)number;
    }
    else if (!strcmp(word, "connections")) {
        host->connections_n = (apr_size_t)number;
    }
    else if (!strcmp(word, "stalled")) {
        host->stalled_n = (int)number;
    }
    else if (!strcmp(word, "took")) {
        host->took = apr_time_from_sec(number);
    }
    else {
        return 0;
    }
    return 1;
}

/* A line inside a host: its first word, and the rest. */
static int take_line(probe_host_t *host, const char *word, char *text, probe_version_t **pversion,
                     apr_pool_t *pool)
{
    if (!strcmp(word, "failure")) {
        host->failure = apr_pstrdup(pool, text);
        return !*pversion;
    }
    if (!strcmp(word, "address")) {
        host->address = apr_pstrdup(pool, text);
        return 1;
    }
    if (!strcmp(word, "sni")) {
        host->sni = apr_pstrdup(pool, text);
        return 1;
    }
    if (!strcmp(word, "opens")) {
        APR_ARRAY_PUSH(host->opens, const char *) = apr_pstrdup(pool, text);
        return host->opens->nelts <= OPENS_MAX;
    }
    if (!strcmp(word, "version")) {
        return !host->failure && set_version(host, text, pversion, pool);
    }
    if (!strcmp(word, "ticket")) {
        return *pversion && add_ticket(*pversion, text, pool);
    }
    if (!strcmp(word, "finding") || !strcmp(word, "forged")) {
        return *pversion && add_finding(host, *pversion, text, word[1] == 'o', pool);
    }
    if (!strcmp(word, "spare")) {
        return *pversion && add_spare(host, *pversion, text, pool);
    }
    if (!strcmp(word, "detectable")) {
        return *pversion && set_detectable(host, *pversion, text);
    }
    if (!strcmp(word, "lost")) {
        return add_lost(host, text, pool);
    }
    return set_number(host, word, text);
}

static int set_place(probe_host_t *host, const char *text, apr_pool_t *pool)
{
    const char *space = strrchr(text, ' ');
    apr_int64_t port;

    if (!space || space == text || !get_number(space + 1, 1, 65535, &port)) {
        return 0;
    }
    host->name = apr_pstrmemdup(pool, text, (apr_size_t)(space - text));
    host->port = (int)port;
    return strchr(host->name, ' ') == NULL;
}

static void empty(probe_host_t *host, apr_pool_t *pool)
{
    int i;

    memset(host, 0, sizeof(*host));
    host->findings = apr_array_make(pool, 2 * PROBE_TEST_N, sizeof(probe_finding_t));
    host->opens = apr_array_make(pool, 4, sizeof(const char *));
    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        host->versions[i].version = PROBE_VERSION_FIRST + i;
        host->versions[i].tickets = apr_array_make(pool, 8, sizeof(probe_ticket_t));
    }
}

apr_status_t probe_reader_begin(probe_reader_t *reader, FILE *file, const char **pwhy,
                                apr_pool_t *pool)
{
    reader->file = file;
    reader->line_n = 0;
    reader->line = apr_palloc(pool, LINE_SIZE);
    reader->pool = pool;
    if (read_line(reader, pwhy) != APR_SUCCESS || strcmp(reader->line, "stek-probe 1") != 0) {
        *pwhy = "not a file of stekctl probe --collect, or one of a newer version";
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

apr_status_t probe_reader_next(probe_reader_t *reader, probe_host_t *host, const char **pwhy,
                               apr_pool_t *pool)
{
    probe_version_t *version = NULL;
    apr_status_t rv = read_line(reader, pwhy);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    empty(host, pool);
    *pwhy = "expected 'host NAME PORT'";
    if (strncmp(reader->line, "host ", 5) != 0 || !set_place(host, reader->line + 5, pool)) {
        return APR_EGENERAL;
    }
    while ((rv = read_line(reader, pwhy)) == APR_SUCCESS) {
        char *text = strchr(reader->line, ' ');

        if (!text) {
            *pwhy = "expected 'end'";
            return strcmp(reader->line, "end") == 0 ? APR_SUCCESS : APR_EGENERAL;
        }
        *text++ = '\0';
        if (!take_line(host, reader->line, text, &version, pool)) {
            *pwhy = apr_pstrcat(pool, "malformed '", reader->line, "'", NULL);
            return APR_EGENERAL;
        }
    }
    return rv;
}
