/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd 3.4 and later, over its JSON gateway: a range, then a transaction that compares the key's
 * mod_revision.  Reads are linearizable: a member that is cut off says nothing rather than something old.
 * The worker connects to all members of the URL before it is confined, and asks one after the other until
 * one answers.  Runs in the store's worker.
 */
#include "store_driver.h"

#ifdef STEK_WITH_ETCD

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monotonic.h"
#include "stek_seal.h"
#include "store_connect.h"
#include "store_etcd_http.h"
#include "store_etcd_json.h"
#include "store_etcd_watch.h"
#include "store_etcd_words.h"
#include "store_member.h"
#include "store_words.h"

#define NAME "etcd"

/* Sync waits for three time-outs: connecting has taken one. */
#define CALL_MS(timeout_ms) (2 * (timeout_ms)-200)

typedef struct member_t {
    char *host;
    int port;
    int usable; /* connected, and has not failed since */
} member_t;

typedef struct conn_t {
    const store_target_t *target;
    etcd_http_t *http; /* NULL: not connected */
    char *names;       /* what the members' hosts point into */
    member_t members[ETCD_MEMBERS_MAX];
    int member_n;
    int at;                     /* the member that is asked first */
    int answered;               /* one has */
    int lost;                   /* one that had answered has closed the connection */
    char token[ETCD_TOKEN_MAX]; /* empty: not logged in */
    int has_read, too_long, succeeded;
    apr_int64_t written_at; /* revision of the last transaction */
    etcd_value_t seen;      /* the last read */
    unsigned char bytes[ETCD_VALUE_ROOM];
} conn_t;

/* A call, and what understands its reply: nonzero if it is what etcd answers. */
typedef struct request_t {
    const char *path;
    char *body; /* NULL: out of memory */
    int writing;
    int (*take)(conn_t *conn, const etcd_reply_t *reply);
} request_t;

/* ---- open and connect ---- */

static void etcd_close(void *data)
{
    conn_t *conn = data;

    etcd_http_close(conn->http);
    OPENSSL_cleanse(conn->token, sizeof(conn->token));
    free(conn->names);
    free(conn);
}

static void *etcd_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));
    char *list;
    int port;

    if (!conn) {
        return NULL;
    }
    conn->target = target;
    conn->names = list = strdup(target->host);
    while (list && conn->member_n < ETCD_MEMBERS_MAX) {
        member_t *member = &conn->members[conn->member_n];

        port = store_member_next(&list, target->port, &member->host);
        member->port = port;
        conn->member_n += port > 0;
    }
    if (conn->member_n == 0) {
        etcd_close(conn);
        return NULL;
    }
    /* Not the same for all hosts, or the first member would have all the work. */
    conn->at = (int)(getpid() % conn->member_n);
    return conn;
}

/* The reason, with the member's name if there are several. */
static void tell(const conn_t *conn, const member_t *member, const char *reason, char *why)
{
    if (conn->member_n > 1) {
        snprintf(why, STORE_WHY_LEN, "%s:%d: %.*s", member->host, member->port, STORE_WHY_LEN - 100,
                 reason);
    }
    else {
        snprintf(why, STORE_WHY_LEN, "%s", reason);
    }
}

static int join(conn_t *conn, int i, int limit_ms, char *why)
{
    const member_t *member = &conn->members[i];
    store_target_t target = *conn->target;
    int fd;

    target.host = member->host;
    target.port = member->port;
    target.timeout_ms = limit_ms;
    fd = store_connect(&target, why);
    if (fd >= 0 && !etcd_http_join(conn->http, i, member->host, member->port, fd)) {
        close(fd);
        fd = -1;
        snprintf(why, STORE_WHY_LEN,
                 "libcurl cannot be used: out of memory, or built without OpenSSL");
    }
    return fd >= 0;
}

static store_result_e etcd_connect(void *data, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    apr_int64_t end_ms = monotonic_ms() + conn->target->timeout_ms;
    char reason[STORE_WHY_LEN] = "";
    int i, n = 0;

    etcd_json_start();
    conn->http = etcd_http_open(conn->target, why);
    if (!conn->http) {
        return STORE_SILENT;
    }
    for (i = 0; i < conn->member_n; i++) {
        apr_int64_t now = monotonic_ms(), left = end_ms > now ? end_ms - now : 1;

        conn->members[i].usable = join(conn, i, (int)(left / (conn->member_n - i)) + 1, reason);
        n += conn->members[i].usable;
        if (!conn->members[i].usable && n == 0) {
            tell(conn, &conn->members[i], reason, why);
        }
    }
    return n > 0 ? STORE_DONE : STORE_SILENT;
}

/* ---- one member ---- */

/* STORE_DONE: it has answered, and the answer was taken.  STORE_SILENT: another may do better.  Otherwise
 * the result of the call. */
static store_result_e post(conn_t *conn, int i, const request_t *request, apr_int64_t until_ms,
                           char *why)
{
    apr_int64_t left = until_ms - monotonic_ms();
    int limit_ms = left < conn->target->timeout_ms ? (int)left : conn->target->timeout_ms;
    char message[ETCD_MESSAGE_MAX];
    etcd_reply_t reply = {0};

    if (!request->body || limit_ms <= 0) {
        snprintf(why, STORE_WHY_LEN, "%s",
                 request->body ? "connected, but no answer in time" : "out of memory");
        return STORE_SILENT;
    }
    etcd_http_post(conn->http, i, request->path, *conn->token ? conn->token : NULL, request->body,
                   limit_ms, &reply, why);
    if (reply.status == 0) {
        if (reply.closed && conn->answered) {
            snprintf(why, STORE_WHY_LEN, "connection lost");
            conn->lost = 1;
        }
        return STORE_SILENT;
    }
    if (reply.status == 200) {
        if (request->take(conn, &reply)) {
            conn->answered = 1;
            return STORE_DONE;
        }
        snprintf(why, STORE_WHY_LEN, "unintelligible answer, so this may not be etcd");
        return STORE_SILENT;
    }
    etcd_json_read_error(reply.body, reply.len, message);
    store_words_hide(message, conn->token);
    return etcd_words(reply.status, message, request->writing, why);
}

static int take_login(conn_t *conn, const etcd_reply_t *reply)
{
    return !reply->too_long && etcd_json_read_login(reply->body, reply->len, conn->token);
}

/* A login is good at all members, and longer than a worker lives. */
static store_result_e log_in(conn_t *conn, int i, apr_int64_t until_ms, char *why)
{
    const store_target_t *target = conn->target;
    request_t request = {.path = "/v3/auth/authenticate", .take = take_login};
    store_result_e result;

    if (!target->user || *conn->token) {
        return STORE_DONE;
    }
    request.body = target->password ? etcd_json_login(target->user, target->password) : NULL;
    if (!request.body) {
        snprintf(why, STORE_WHY_LEN, "%s",
                 target->password ? "the user or the password is not UTF-8"
                                  : "the user in its URL has no password: use --password");
        return STORE_REFUSED;
    }
    result = post(conn, i, &request, until_ms, why);
    OPENSSL_cleanse(request.body, strlen(request.body));
    free(request.body);
    if (result == STORE_DONE) {
        OPENSSL_cleanse(target->password, strlen(target->password));
    }
    return result;
}

/* ---- all members ---- */

/* Asks one after the other until one answers.  Frees the request's body. */
static store_result_e call(conn_t *conn, request_t *request, apr_int64_t end_ms, char *why)
{
    store_result_e result = STORE_SILENT;
    char reason[STORE_WHY_LEN] = "";
    int i, told = 0;

    conn->lost = 0;
    snprintf(why, STORE_WHY_LEN, "connection lost");
    for (i = 0; i < conn->member_n && result == STORE_SILENT; i++) {
        member_t *member = &conn->members[conn->at];
        apr_int64_t now = monotonic_ms(), until_ms = now + (end_ms - now) / (conn->member_n - i);

        if (member->usable) {
            result = log_in(conn, conn->at, until_ms, reason);
            if (result == STORE_DONE) {
                result = post(conn, conn->at, request, until_ms, reason);
            }
            if (result != STORE_DONE && (!told || result != STORE_SILENT)) {
                tell(conn, member, reason, why);
                told = 1;
            }
            member->usable = result != STORE_SILENT;
        }
        if (result == STORE_SILENT) {
            conn->at = (conn->at + 1) % conn->member_n;
        }
    }
    free(request->body);
    if (result == STORE_DONE) {
        *why = '\0';
    }
    return result == STORE_SILENT && conn->lost ? STORE_LOST : result;
}

/* ---- read and write ---- */

static int take_range(conn_t *conn, const etcd_reply_t *reply)
{
    conn->too_long = reply->too_long;
    return reply->too_long
           || etcd_json_read_range(reply->body, reply->len, conn->target->object, conn->bytes,
                                   &conn->seen);
}

static store_result_e range(conn_t *conn, int keys_only, apr_int64_t end_ms, char *why)
{
    request_t request = {.path = "/v3/kv/range",
                         .body = etcd_json_range(conn->target->object, keys_only),
                         .take = take_range};

    return call(conn, &request, end_ms, why);
}

static store_result_e etcd_read(void *data, const unsigned char **pbytes, apr_size_t *plen,
                                char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    apr_int64_t end_ms = monotonic_ms() + CALL_MS(conn->target->timeout_ms);
    store_result_e result = range(conn, 0, end_ms, why);
    int too_long = 0;

    conn->has_read = 0;
    if (result == STORE_DONE && conn->too_long) {
        /* Which object it is, to be able to replace it. */
        too_long = 1;
        result = range(conn, 1, end_ms, why);
    }
    if (result == STORE_DONE && conn->too_long) {
        snprintf(why, STORE_WHY_LEN, "its answers are too long, so this may not be etcd");
        result = STORE_SILENT;
    }
    if (result != STORE_DONE) {
        return result;
    }
    conn->has_read = 1;
    if (conn->seen.mod_revision == 0) {
        return STORE_ABSENT;
    }
    too_long = too_long || conn->seen.len > STEK_RING_BYTES_MAX;
    *pbytes = too_long ? NULL : conn->bytes;
    *plen = too_long ? STEK_RING_BYTES_MAX + 1 : conn->seen.len;
    return STORE_DONE;
}

static int take_txn(conn_t *conn, const etcd_reply_t *reply)
{
    return !reply->too_long
           && etcd_json_read_txn(reply->body, reply->len, &conn->succeeded, &conn->written_at);
}

static store_result_e etcd_write(void *data, const unsigned char *bytes, apr_size_t len,
                                 char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    apr_int64_t end_ms = monotonic_ms() + CALL_MS(conn->target->timeout_ms);
    request_t request = {.path = "/v3/kv/txn", .writing = 1, .take = take_txn};
    store_result_e result;

    if (!conn->has_read) {
        snprintf(why, STORE_WHY_LEN, "nothing was read before this write");
        return STORE_SILENT;
    }
    request.body = etcd_json_txn(conn->target->object, conn->seen.mod_revision, bytes, len);
    /* A member that fails may have written it nevertheless: then the next one says that another was first,
     * and what is read then is this ring. */
    result = call(conn, &request, end_ms, why);
    if (result != STORE_DONE || !conn->succeeded) {
        return result != STORE_DONE ? result : STORE_CHANGED;
    }
    conn->seen.mod_revision = conn->written_at;
    conn->seen.version++;
    return STORE_DONE;
}

/* ---- marks ---- */

static void etcd_get_mark(const void *data, char mark[STORE_MARK_LEN])
{
    const conn_t *conn = data;

    etcd_json_mark(&conn->seen, mark);
}

static void etcd_set_mark(void *data, const char *mark)
{
    conn_t *conn = data;

    conn->has_read = etcd_json_unmark(mark, &conn->seen);
}

static store_result_e etcd_compare(void *data, const char *mark, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    apr_int64_t end_ms = monotonic_ms() + CALL_MS(conn->target->timeout_ms);
    store_result_e result = range(conn, 1, end_ms, why);
    char now[STORE_MARK_LEN];

    if (result != STORE_DONE || conn->too_long) {
        return result != STORE_DONE ? result : STORE_CHANGED;
    }
    etcd_json_mark(&conn->seen, now);
    return !strcmp(now, mark) ? STORE_SAME : STORE_CHANGED;
}

static const store_marks_t marks = {etcd_get_mark, etcd_set_mark, etcd_compare};

#define ETCD(tls_)                                                                                 \
    .name = NAME, .port = 2379, .url = STORE_URL_USER | STORE_URL_LIST | STORE_URL_PREFIX,         \
    .has_tls = (tls_), .open = etcd_open, .connect = etcd_connect, .read = etcd_read,              \
    .write = etcd_write, .close = etcd_close, .marks = &marks, .watch = &store_etcd_watch

const store_driver_t store_etcd = {.scheme = "etcd", ETCD(0)};
const store_driver_t store_etcds = {.scheme = "etcds", ETCD(1)};

#endif
