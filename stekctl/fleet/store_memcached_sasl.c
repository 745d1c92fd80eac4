/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached with a user: SASL, mechanism PLAIN, which needs memcached's binary protocol.  libmemcached logs in
 * while it connects, which would be before the worker is confined; so this speaks the few commands itself.
 * Runs in the store's worker.
 *
 *     0      1       2-3      4       5     6-7              8-11    12-15   16-23  24...
 *     magic  opcode  key len  extras  type  status (answer)  length  opaque  cas    extras | key | value
 */
#include "store_driver.h"

#ifdef STEK_WITH_MEMCACHED

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monotonic.h"
#include "stek_seal.h"
#include "store_link.h"
#include "store_words.h"

#define NAME "memcached"
#define HEAD_LEN 24
#define EXTRAS_MAX 8
#define TEXT_MAX 120

enum { OP_GET = 0x00, OP_SET = 0x01, OP_ADD = 0x02, OP_AUTH = 0x21 };
enum {
    STATUS_OK = 0,
    STATUS_ABSENT = 1,
    STATUS_EXISTS = 2,
    STATUS_TOO_LARGE = 3,
    STATUS_NOT_STORED = 5,
    STATUS_AUTH = 0x20,
    STATUS_UNKNOWN = 0x81,
    STATUS_NO_MEMORY = 0x82
};

typedef struct conn_t {
    const store_target_t *target;
    store_link_t link; /* fd < 0: not connected */
    int logged_in;
    int answered;
    int has_read, absent; /* by the last read */
    unsigned char cas[8]; /* the same */
    unsigned char *body;  /* of the last answer; STEK_RING_BYTES_MAX + EXTRAS_MAX */
} conn_t;

typedef struct request_t {
    int op, extras_len;
    const char *key;
    const unsigned char *cas; /* NULL: whatever is there */
    const void *value;
    apr_size_t value_len;
} request_t;

typedef struct answer_t {
    int status, too_long;
    const unsigned char *value;
    apr_size_t value_len;
    unsigned char cas[8];
} answer_t;

static void sasl_close(void *data)
{
    conn_t *conn = data;

    store_link_close(&conn->link);
    free(conn->body);
    free(conn);
}

static void *sasl_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->target = target;
        conn->link.fd = -1;
        conn->body = malloc(STEK_RING_BYTES_MAX + EXTRAS_MAX);
    }
    if (conn && !conn->body) {
        sasl_close(conn);
        conn = NULL;
    }
    return conn;
}

static store_result_e sasl_connect(void *data, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const store_target_t *target = conn->target;

    return store_link_open(&conn->link, target, target->host, target->port, NULL,
                           target->timeout_ms, why)
               ? STORE_DONE
               : STORE_SILENT;
}

/* ---- calls ---- */

static void put_number(unsigned char *at, int n, apr_size_t value)
{
    while (n-- > 0) {
        at[n] = (unsigned char)(value & 0xff);
        value >>= 8;
    }
}

static apr_size_t get_number(const unsigned char *at, int n)
{
    apr_size_t value = 0;

    while (n-- > 0) {
        value = value << 8 | *at++;
    }
    return value;
}

static store_link_e send_request(conn_t *conn, const request_t *request, apr_int64_t deadline_ms,
                                 char *why)
{
    unsigned char head[HEAD_LEN + EXTRAS_MAX] = {0x80, (unsigned char)request->op};
    apr_size_t key_len = strlen(request->key), extras_len = (apr_size_t)request->extras_len;
    store_link_e result;

    put_number(head + 2, 2, key_len);
    head[4] = (unsigned char)extras_len;
    put_number(head + 8, 4, extras_len + key_len + request->value_len);
    if (request->cas) {
        memcpy(head + 16, request->cas, 8);
    }
    result = store_link_send(&conn->link, head, HEAD_LEN + extras_len, deadline_ms, why);
    if (result == STORE_LINK_DONE) {
        result = store_link_send(&conn->link, request->key, key_len, deadline_ms, why);
    }
    if (result == STORE_LINK_DONE) {
        result = store_link_send(&conn->link, request->value, request->value_len, deadline_ms, why);
    }
    return result;
}

/* Receives len bytes; *pgot of them if it fails. */
static store_link_e receive_all(conn_t *conn, unsigned char *bytes, apr_size_t len,
                                apr_size_t *pgot, apr_int64_t deadline_ms, char *why)
{
    store_link_e result = STORE_LINK_DONE;

    *pgot = 0;
    while (*pgot < len && result == STORE_LINK_DONE) {
        apr_size_t more = 0;

        result = store_link_receive(&conn->link, bytes + *pgot, len - *pgot, &more, deadline_ms,
                                    why);
        *pgot += result == STORE_LINK_DONE ? more : 0;
    }
    return result;
}

static store_result_e failed(const conn_t *conn, store_link_e result, const store_peek_t *peek,
                             char *why)
{
    return store_words_failed(NAME, peek,
                              result == STORE_LINK_LATE ? STORE_FAULT_LATE : STORE_FAULT_CLOSED,
                              conn->answered, why);
}

/* Receives what is too long to be a ring, and forgets it. */
static store_link_e skip(conn_t *conn, apr_size_t len, apr_int64_t deadline_ms, char *why)
{
    store_link_e result = STORE_LINK_DONE;

    while (len > 0 && result == STORE_LINK_DONE) {
        apr_size_t part = len < STEK_RING_BYTES_MAX ? len : STEK_RING_BYTES_MAX, got;

        result = receive_all(conn, conn->body, part, &got, deadline_ms, why);
        len -= got;
    }
    return result;
}

/* A head that begins as the answer to op should; else STORE_SILENT. */
static store_result_e check_head(const unsigned char *head, apr_size_t got, int op,
                                 store_peek_t *peek, char *why)
{
    store_peek_keep((const char *)head, got, peek);
    if (got == HEAD_LEN && head[0] == 0x81 && head[1] == op) {
        return get_number(head + 8, 4) > STORE_READ_MAX
                   ? store_words_announced(get_number(head + 8, 4), why)
                   : STORE_DONE;
    }
    return store_words_strange(NAME, head[0] == 0x81 ? "an answer to something else" : peek->said,
                               why);
}

static store_result_e receive_answer(conn_t *conn, int op, apr_int64_t deadline_ms,
                                     answer_t *answer, char *why)
{
    unsigned char head[HEAD_LEN];
    store_peek_t peek = {STORE_PEEK_CLOSED, 0, ""};
    apr_size_t got, len, skipped;
    store_link_e link = receive_all(conn, head, sizeof(head), &got, deadline_ms, why);
    store_result_e result;

    if (got == 0) {
        return failed(conn, link, &peek, why);
    }
    result = check_head(head, got, op, &peek, why);
    if (result != STORE_DONE) {
        return result;
    }
    len = get_number(head + 8, 4);
    skipped = (apr_size_t)head[4] + get_number(head + 2, 2);
    answer->status = (int)get_number(head + 6, 2);
    answer->too_long = len > STEK_RING_BYTES_MAX + EXTRAS_MAX;
    memcpy(answer->cas, head + 16, 8);
    link = answer->too_long ? skip(conn, len, deadline_ms, why)
                            : receive_all(conn, conn->body, len, &got, deadline_ms, why);
    if (link != STORE_LINK_DONE || skipped > len) {
        return link != STORE_LINK_DONE ? failed(conn, link, &peek, why)
                                       : store_words_strange(NAME, "a length that is wrong", why);
    }
    answer->value = conn->body + skipped;
    answer->value_len = len - skipped;
    return STORE_DONE;
}

static store_result_e call(conn_t *conn, const request_t *request, answer_t *answer, char *why)
{
    apr_int64_t deadline_ms = monotonic_ms() + conn->target->timeout_ms;
    const store_peek_t closed = {STORE_PEEK_CLOSED, 0, ""};
    store_link_e link = send_request(conn, request, deadline_ms, why);
    store_result_e result;

    if (link == STORE_LINK_LATE) {
        return failed(conn, link, &closed, why);
    }
    result = receive_answer(conn, request->op, deadline_ms, answer, why);
    conn->answered = conn->answered || result == STORE_DONE;
    return result;
}

/* What a status means that is none of those a call expects. */
static store_result_e refused(const answer_t *answer, char *why)
{
    char said[TEXT_MAX + 1];
    apr_size_t len = answer->too_long ? 0 : answer->value_len;

    len = len < TEXT_MAX ? len : TEXT_MAX;
    if (len > 0) {
        memcpy(said, answer->value, len);
    }
    said[len] = '\0';
    switch (answer->status) {
    case STATUS_AUTH:
        snprintf(why, STORE_WHY_LEN,
                 "wrong user or password, or no mechanism PLAIN (" STORE_WORDS_SAID("%s") ")",
                 said);
        return STORE_REFUSED;
    case STATUS_UNKNOWN:
        snprintf(why, STORE_WHY_LEN,
                 "it has no users, but the URL names one: leave out USER@, or start it with -S "
                 "(" STORE_WORDS_SAID("%s") ")",
                 said);
        return STORE_REFUSED;
    case STATUS_TOO_LARGE:
        return store_words_error(NAME, "SERVER_ERROR object too large for cache", why);
    case STATUS_NO_MEMORY:
        return store_words_error(NAME, "SERVER_ERROR out of memory", why);
    default:
        return store_words_error(NAME, said, why);
    }
}

/* ---- the driver's calls ---- */

static store_result_e log_in(conn_t *conn, char *why)
{
    const store_target_t *target = conn->target;
    request_t request = {.op = OP_AUTH, .key = "PLAIN"};
    answer_t answer = {0};
    store_result_e result;
    apr_size_t user_len;
    char *words;

    if (conn->logged_in) {
        return STORE_DONE;
    }
    if (!target->user || !target->password) {
        snprintf(why, STORE_WHY_LEN, "the user in its URL has no password: use --password");
        return STORE_REFUSED;
    }
    user_len = strlen(target->user);
    request.value_len = 2 + user_len + strlen(target->password);
    words = calloc(1, request.value_len + 1);
    if (!words) {
        snprintf(why, STORE_WHY_LEN, "out of memory");
        return STORE_SILENT;
    }
    memcpy(words + 1, target->user, user_len);
    memcpy(words + 2 + user_len, target->password, strlen(target->password));
    request.value = words;
    result = call(conn, &request, &answer, why);
    OPENSSL_cleanse(words, request.value_len);
    free(words);
    if (result == STORE_DONE) {
        conn->logged_in = answer.status == STATUS_OK;
        result = conn->logged_in ? STORE_DONE : refused(&answer, why);
    }
    OPENSSL_cleanse(target->password,
                    strlen(target->password)); /* what was said is told without it */
    return result;
}

static store_result_e sasl_read(void *data, const unsigned char **pbytes, apr_size_t *plen,
                                char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const request_t request = {.op = OP_GET, .key = conn->target->object};
    answer_t answer = {0};
    store_result_e result = log_in(conn, why);

    conn->has_read = 0;
    if (result == STORE_DONE) {
        result = call(conn, &request, &answer, why);
    }
    if (result != STORE_DONE) {
        return result;
    }
    if (answer.status != STATUS_OK && answer.status != STATUS_ABSENT) {
        return refused(&answer, why);
    }
    conn->has_read = 1;
    conn->absent = answer.status == STATUS_ABSENT;
    memcpy(conn->cas, answer.cas, sizeof(conn->cas));
    if (conn->absent) {
        return STORE_ABSENT;
    }
    answer.too_long = answer.too_long || answer.value_len > STEK_RING_BYTES_MAX;
    *pbytes = answer.too_long ? NULL : answer.value;
    *plen = answer.too_long ? STEK_RING_BYTES_MAX + 1 : answer.value_len;
    return STORE_DONE;
}

static store_result_e sasl_write(void *data, const unsigned char *bytes, apr_size_t len,
                                 char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const request_t request = {.op = conn->absent ? OP_ADD : OP_SET,
                               .extras_len = EXTRAS_MAX, /* flags and expiry: none */
                               .key = conn->target->object,
                               .cas = conn->absent ? NULL : conn->cas,
                               .value = bytes,
                               .value_len = len};
    answer_t answer = {0};
    store_result_e result;

    if (!conn->has_read) {
        snprintf(why, STORE_WHY_LEN, "nothing was read before this write");
        return STORE_SILENT;
    }
    result = call(conn, &request, &answer, why);
    if (result != STORE_DONE) {
        return result;
    }
    switch (answer.status) {
    case STATUS_OK:
        return STORE_DONE;
    case STATUS_ABSENT:
    case STATUS_EXISTS:
    case STATUS_NOT_STORED:
        return STORE_CHANGED;
    default:
        return refused(&answer, why);
    }
}

#define SASL                                                                                       \
    .name = NAME, .open = sasl_open, .connect = sasl_connect, .read = sasl_read,                   \
    .write = sasl_write, .close = sasl_close

const store_driver_t store_memcached_sasl = {
    .scheme = "memcached+sasl", .port = 11211, .url = STORE_URL_USER, SASL};

const store_driver_t store_memcached_sasl_unix = {
    .scheme = "memcached+sasl+unix", .url = STORE_URL_USER | STORE_URL_SOCKET, SASL};

#endif
