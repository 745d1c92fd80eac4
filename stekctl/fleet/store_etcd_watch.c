/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd's watch (store_etcd_watch.h).  One member, over two connections: on one it says line by line what changes,
 * and the other is for logging in, and to make sure now and then that the member is there, because HTTP has no
 * means for that on a connection whose answer never ends.  A member that loses its leader ends the watch.
 */
#include "store_etcd_watch.h"

#ifdef STEK_WITH_ETCD

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monotonic.h"
#include "stek_seal.h"
#include "store_connect.h"
#include "store_etcd_http.h"
#include "store_etcd_json.h"
#include "store_etcd_words.h"
#include "store_member.h"
#include "store_words.h"

/* Of a flood, so many lines are taken at once. */
#define LINES_MAX 64

typedef struct conn_t {
    const store_target_t *target;
    etcd_http_t *stream, *side; /* NULL: not connected */
    int stands;                 /* the watch has begun */
    int greets;                 /* the member answers on the side */
    apr_int64_t greeted_ms;
    char token[ETCD_TOKEN_MAX]; /* empty: none */
} conn_t;

/* ---- open and connect ---- */

static void watch_close(void *data)
{
    conn_t *conn = data;

    etcd_http_close(conn->stream);
    etcd_http_close(conn->side);
    OPENSSL_cleanse(conn->token, sizeof(conn->token));
    free(conn);
}

static void *watch_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->target = target;
    }
    return conn;
}

/* A network that has gone is noticed within a period, and one that forgets quiet connections does not forget this
 * one. */
static void keep_alive(int fd, int period_ms)
{
    int on = 1, idle_s = period_ms / 2000 > 0 ? period_ms / 2000 : 1, pause_s = (idle_s + 3) / 4,
        n = 3;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause_s, sizeof(pause_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n, sizeof(n));
}

static int join(etcd_http_t *http, const store_target_t *member, int period_ms, char *why)
{
    int fd = store_connect(member, why);

    if (fd < 0) {
        return 0;
    }
    keep_alive(fd, period_ms);
    if (!etcd_http_join(http, 0, member->host, member->port, fd)) {
        close(fd);
        snprintf(why, STORE_WHY_LEN, "out of memory");
        return 0;
    }
    return 1;
}

/* Joins the first member that lets it in, beginning with another one in every process. */
static store_result_e join_any(conn_t *conn, char *why)
{
    const store_target_t *target = conn->target;
    store_target_t members[ETCD_MEMBERS_MAX];
    char *names = strdup(target->host), *list = names;
    store_result_e result = STORE_SILENT;
    int i, n = 0;

    while (list && n < ETCD_MEMBERS_MAX) {
        members[n] = *target;
        members[n].port = store_member_next(&list, target->port, &members[n].host);
        n += members[n].port > 0;
    }
    for (i = 0; i < n && result != STORE_DONE; i++) {
        store_target_t *member = &members[(getpid() + i) % n];

        member->timeout_ms = target->timeout_ms / n / 2 + 1;
        if (join(conn->side, member, target->period_ms, why)
            && join(conn->stream, member, target->period_ms, why)) {
            result = STORE_DONE;
        }
    }
    free(names);
    return result;
}

static store_result_e watch_connect(void *data, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;

    etcd_json_start();
    conn->side = etcd_http_open(conn->target, why);
    conn->stream = conn->side ? etcd_http_open(conn->target, why) : NULL;
    return conn->stream ? join_any(conn, why) : STORE_SILENT;
}

/* ---- the beginning ---- */

/* An answer that is an error. */
static store_result_e refused(const conn_t *conn, const etcd_reply_t *reply, char *why)
{
    char message[ETCD_MESSAGE_MAX];

    if (reply->status == 0) {
        return STORE_SILENT;
    }
    etcd_json_read_error(reply->body, reply->len, message);
    if (reply->status == 200 && !*message) {
        snprintf(why, STORE_WHY_LEN, "it has ended the watch");
        return STORE_LOST;
    }
    store_words_hide(message, conn->token);
    return etcd_words(reply->status, message, 0, why);
}

static store_result_e log_in(conn_t *conn, char *why)
{
    const store_target_t *target = conn->target;
    etcd_reply_t reply = {0};
    char *body;
    int ok;

    if (!target->user || !target->password) {
        return STORE_DONE;
    }
    body = etcd_json_login(target->user, target->password);
    OPENSSL_cleanse(target->password, strlen(target->password));
    if (!body) {
        snprintf(why, STORE_WHY_LEN, "the user or the password is not UTF-8");
        return STORE_REFUSED;
    }
    etcd_http_post(conn->side, 0, "/v3/auth/authenticate", NULL, body, target->timeout_ms, &reply,
                   why);
    OPENSSL_cleanse(body, strlen(body));
    free(body);
    ok = reply.status == 200 && !reply.too_long
         && etcd_json_read_login(reply.body, reply.len, conn->token);
    return ok ? STORE_DONE : refused(conn, &reply, why);
}

/* Asks whether the member is there; one that does not know the question is not asked again. */
static store_result_e greet(conn_t *conn, char *why)
{
    char reason[STORE_WHY_LEN];
    int status = 0;

    if (!conn->stands || conn->greets) {
        etcd_http_greet(conn->side, 0, conn->target->timeout_ms, &status, reason);
    }
    conn->greeted_ms = monotonic_ms();
    if (!conn->stands) {
        conn->greets = status == 200;
        return STORE_DONE;
    }
    if (conn->greets && status != 200) {
        snprintf(why, STORE_WHY_LEN, "%s",
                 status ? "it no longer answers on its connection" : reason);
        return STORE_SILENT;
    }
    return STORE_DONE;
}

/* One line of the watch.  STORE_DONE: created; STORE_CHANGED: an event. */
static store_result_e take_line(const conn_t *conn, const etcd_reply_t *reply,
                                char mark[STORE_MARK_LEN], char *why)
{
    etcd_value_t value = {0, 0, 0};
    int is_event = 0;

    if (reply->status != 200
        || !etcd_json_read_event(reply->body, reply->len, conn->target->object, &is_event,
                                 &value)) {
        return refused(conn, reply, why);
    }
    if (reply->too_long || is_event) {
        mark[0] = '\0';
        if (is_event) {
            etcd_json_mark(&value, mark);
        }
        return STORE_CHANGED;
    }
    return STORE_DONE;
}

static store_result_e begin(conn_t *conn, char *why)
{
    store_result_e result = log_in(conn, why);
    etcd_reply_t reply = {0};
    char mark[STORE_MARK_LEN];
    char *body;
    int begun;

    if (result != STORE_DONE) {
        return result;
    }
    (void)greet(conn, why);
    body = etcd_json_watch(conn->target->object);
    begun = body
            && etcd_http_begin(conn->stream, 0, "/v3/watch", *conn->token ? conn->token : NULL,
                               body);
    free(body);
    if (!begun) {
        snprintf(why, STORE_WHY_LEN, "out of memory");
        return STORE_SILENT;
    }
    switch (etcd_http_line(conn->stream, conn->target->timeout_ms, &reply, why)) {
    case ETCD_LINE:
        result = take_line(conn, &reply, mark, why);
        break;
    case ETCD_LINE_END:
        result = refused(conn, &reply, why);
        break;
    default:
        snprintf(why, STORE_WHY_LEN, "connected, but no answer in time");
        result = STORE_SILENT;
    }
    conn->stands = result == STORE_DONE || result == STORE_CHANGED;
    return result;
}

/* ---- waiting ---- */

static store_result_e ended(const conn_t *conn, const etcd_reply_t *reply, char *why)
{
    if (reply->status == 0) {
        snprintf(why, STORE_WHY_LEN, "connection lost");
        return STORE_LOST;
    }
    return refused(conn, reply, why);
}

/* For how long until the member is to be greeted. */
static int quiet_ms(const conn_t *conn)
{
    apr_int64_t left = conn->greeted_ms + conn->target->period_ms - monotonic_ms();

    return left > 0 ? (int)left : 0;
}

static store_result_e watch_wait(void *data, char mark[STORE_MARK_LEN], char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    store_result_e result = STORE_DONE;
    int n = 0;

    if (!conn->stands) {
        return begin(conn, why);
    }
    while (result == STORE_DONE || (result == STORE_CHANGED && n < LINES_MAX)) {
        etcd_reply_t reply = {0};
        etcd_line_e line = etcd_http_line(
            conn->stream, result == STORE_CHANGED ? 0 : quiet_ms(conn), &reply, why);

        if (line == ETCD_LINE) {
            result = take_line(conn, &reply, mark, why);
            n++;
        }
        else if (line == ETCD_LINE_END) {
            result = ended(conn, &reply, why);
        }
        else if (result == STORE_CHANGED) {
            break;
        }
        else {
            result = greet(conn, why);
        }
    }
    return result;
}

const store_watch_t store_etcd_watch = {watch_open, watch_connect, watch_wait, watch_close, 1};

#endif
