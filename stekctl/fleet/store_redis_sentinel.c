/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis Sentinel: who the primary is now.  The worker connects to all Sentinels of the URL before it is
 * confined, and asks one after the other until one knows.  Then it ends, and the next worker connects to
 * that primary.  Every worker begins here, so a promotion is followed as soon as the old primary has hung up
 * or refuses a write.  Runs in the store's worker.
 */
#include "store_driver.h"

#ifdef STEK_WITH_HIREDIS

#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monotonic.h"
#include "store_member.h"
#include "store_redis_link.h"
#include "store_tls.h"
#include "store_words.h"

#define NAME "Sentinel"
#define SENTINELS_MAX 16
#define WHERE_MAX 300

typedef struct conn_t {
    const store_target_t *target;
    SSL_CTX *ctx;
    char *list; /* what the links' hosts point into */
    redis_link_t links[SENTINELS_MAX];
    int link_n;            /* of those that are connected */
    char where[WHERE_MAX]; /* the primary is */
} conn_t;

static void sentinel_close(void *data)
{
    conn_t *conn = data;

    while (conn->link_n > 0) {
        redis_link_end(&conn->links[--conn->link_n]);
    }
    SSL_CTX_free(conn->ctx);
    free(conn->list);
    free(conn);
}

static void *sentinel_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->target = target;
        conn->list = strdup(target->host);
    }
    if (conn && !conn->list) {
        sentinel_close(conn);
        conn = NULL;
    }
    return conn;
}

/* The first reason is told. */
static void tell(const conn_t *conn, const char *host, int port, const char *reason, char *why)
{
    if (*why) {
        return;
    }
    if (strchr(conn->target->host, ',')) {
        snprintf(why, STORE_WHY_LEN, "%.100s:%d: %.130s", host, port, reason);
    }
    else {
        snprintf(why, STORE_WHY_LEN, "%s", reason);
    }
}

static int members_n(const char *list)
{
    int n = 1;

    for (; *list; list++) {
        n += *list == ',';
    }
    return n;
}

static store_result_e sentinel_connect(void *data, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const store_target_t *target = conn->target;
    apr_int64_t end_ms = monotonic_ms() + target->timeout_ms;
    int left_n = members_n(conn->list);
    char *list = conn->list, reason[STORE_WHY_LEN];

    if (target->tls) {
        conn->ctx = store_tls_load(target, why);
        if (!conn->ctx) {
            return STORE_SILENT;
        }
    }
    *why = '\0';
    for (; list && conn->link_n < SENTINELS_MAX; left_n--) {
        redis_link_t *redis = &conn->links[conn->link_n];
        apr_int64_t now = monotonic_ms(), left = end_ms > now ? end_ms - now : 1;
        char *host;
        int port = store_member_next(&list, target->port, &host);

        if (!store_link_open(&redis->link, target, host, port, conn->ctx,
                             (int)(left / (left_n > 0 ? left_n : 1)) + 1, reason)) {
            tell(conn, host, port, reason, why);
        }
        else if (!redis_link_start(redis, NAME)) {
            store_link_close(&redis->link);
        }
        else {
            conn->link_n++;
        }
    }
    return conn->link_n > 0 ? STORE_DONE : STORE_SILENT;
}

/* The reply: host and port, or nil. */
static store_result_e take_reply(conn_t *conn, const redisReply *reply, char *why)
{
    if (reply->type == REDIS_REPLY_NIL) {
        snprintf(why, STORE_WHY_LEN, "it knows no primary '%.100s': correct its name in the URL",
                 conn->target->master);
        return STORE_REFUSED;
    }
    if (reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[1]->type != REDIS_REPLY_STRING
        || snprintf(conn->where, sizeof(conn->where), "%s %s", reply->element[0]->str,
                    reply->element[1]->str)
               >= (int)sizeof(conn->where)) {
        return store_words_strange(NAME, "an array of something else", why);
    }
    return STORE_MOVED;
}

static store_result_e ask(conn_t *conn, redis_link_t *redis, char *why)
{
    const char *words[] = {"SENTINEL", "get-master-addr-by-name", conn->target->master};
    redisReply *reply = NULL;
    store_result_e result = redis_link_call(redis, 3, words, NULL, REDIS_REPLY_ARRAY, &reply, why);

    /* Many Sentinels ask for no password: those do not get to see the primary's. */
    if (store_words_begin(redis->error, "NOAUTH ") && conn->target->password) {
        result = redis_link_log_in(redis, why);
        if (result == STORE_DONE) {
            result = redis_link_call(redis, 3, words, NULL, REDIS_REPLY_ARRAY, &reply, why);
        }
    }
    if (reply) {
        result = take_reply(conn, reply, why);
        freeReplyObject(reply);
    }
    return result;
}

static store_result_e sentinel_read(void *data, const unsigned char **pbytes, apr_size_t *plen,
                                    char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    store_result_e result = STORE_SILENT, first = STORE_SILENT;
    char reason[STORE_WHY_LEN];
    int i;

    *why = '\0';
    for (i = 0; i < conn->link_n && result != STORE_MOVED; i++) {
        result = ask(conn, &conn->links[i], reason);
        if (result != STORE_MOVED) {
            first = *why ? first : result;
            tell(conn, conn->links[i].link.host, conn->links[i].link.port, reason, why);
        }
    }
    if (result != STORE_MOVED) {
        return first;
    }
    *pbytes = (const unsigned char *)conn->where;
    *plen = strlen(conn->where);
    return STORE_MOVED;
}

/* Nothing was read here. */
static store_result_e sentinel_write(void *data, const unsigned char *bytes, apr_size_t len,
                                     char why[STORE_WHY_LEN])
{
    (void)data;
    (void)bytes;
    (void)len;
    snprintf(why, STORE_WHY_LEN, "nothing was read before this write");
    return STORE_SILENT;
}

#define SENTINEL(tls_)                                                                             \
    .name = NAME, .port = 26379,                                                                   \
    .url = STORE_URL_USER | STORE_URL_DB | STORE_URL_LIST | STORE_URL_MASTER, .has_tls = (tls_),   \
    .open = sentinel_open, .connect = sentinel_connect, .read = sentinel_read,                     \
    .write = sentinel_write, .close = sentinel_close

const store_driver_t store_redis_sentinel = {
    .scheme = "redis+sentinel", .next = &store_redis, SENTINEL(0)};

const store_driver_t store_rediss_sentinel = {
    .scheme = "rediss+sentinel", .next = &store_rediss, SENTINEL(1)};

#endif
