/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis and Valkey: GET, then one script that compares and sets.  It compares the value's SHA-1,
 * because that is what Redis can compute.  The digest only distinguishes states; nothing depends on
 * its strength.  Runs in the store's worker.
 *
 * A node of a cluster that has not the object says which has: that ends this worker's connection, and the
 * next worker's is to the other.
 */
#include "store_driver.h"

#ifdef STEK_WITH_HIREDIS

#include <hiredis.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stek_seal.h"
#include "store_redis_watch.h"
#include "store_tls.h"
#include "store_words.h"

#define NAME "Redis"
#define SHA1_LEN 20
#define WHERE_MAX 300

static const char script[] =
    "if redis.sha1hex(redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then\n"
    "  return 0\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[2])\n"
    "local told = redis.pcall('PUBLISH', KEYS[1], redis.sha1hex(ARGV[2]))\n"
    "return type(told) == 'number' and 1 or 2\n";

/* Short, because it is sent in every cycle. */
static const char digest_script[] = "return redis.sha1hex(redis.call('GET',KEYS[1])or'')";

typedef struct conn_t {
    const store_target_t *target;
    SSL_CTX *ctx;       /* NULL: in the clear */
    char *list;         /* what the link's host points into */
    redis_link_t redis; /* fd < 0: not connected */
    redis_watch_t watch;
    redisReply *reply; /* of the last read */
    int logged_in;
    int has_read; /* seen is valid */
    char seen[2 * SHA1_LEN + 1];
    char where[WHERE_MAX]; /* the object is, if not here */
} conn_t;

/* ---- open and connect ---- */

static void redis_close(void *data)
{
    conn_t *conn = data;

    if (conn->reply) {
        freeReplyObject(conn->reply);
    }
    redis_link_end(&conn->redis);
    SSL_CTX_free(conn->ctx);
    free(conn->list);
    free(conn);
}

static void *redis_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->target = target;
        conn->redis.link.fd = -1;
        conn->list = strdup(target->host);
    }
    if (conn && !conn->list) {
        redis_close(conn);
        conn = NULL;
    }
    return conn;
}

static store_result_e redis_connect(void *data, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const store_target_t *target = conn->target;
    int ok = 1;

    if (target->tls) {
        conn->ctx = store_tls_load(target, why);
        ok = conn->ctx != NULL;
    }
    if (ok && conn->list[0] == '/') {
        ok = store_link_open(&conn->redis.link, target, conn->list, 0, NULL, target->timeout_ms,
                             why);
    }
    else if (ok) {
        ok = store_link_open_any(&conn->redis.link, target, conn->list, conn->ctx, why);
    }
    if (ok && !redis_link_start(&conn->redis, NAME)) {
        snprintf(why, STORE_WHY_LEN, "out of memory");
        ok = 0;
    }
    return ok ? STORE_DONE : STORE_SILENT;
}

/* ---- logging in ---- */

static const char *element(const redisReply *reply, size_t i)
{
    return i < reply->elements && reply->element[i]->type == REDIS_REPLY_STRING
               ? reply->element[i]->str
               : "";
}

/* Hosts that each took another of several servers would keep different rings; those of a cluster are one
 * server.  Every user may ask this. */
static store_result_e need_cluster(conn_t *conn, char *why)
{
    const char *words[] = {"HELLO"}, *mode = "";
    redisReply *reply = NULL;
    store_result_e result = redis_link_call(&conn->redis, 1, words, NULL, REDIS_REPLY_ARRAY, &reply,
                                            why);
    size_t i;

    if (!reply) {
        return result;
    }
    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        mode = !strcmp(element(reply, i), "mode") ? element(reply, i + 1) : mode;
    }
    if (strcmp(mode, "cluster") != 0) {
        snprintf(why, STORE_WHY_LEN,
                 "its URL names several hosts, but this is no cluster: name one, or use "
                 "redis+sentinel://, or a --store for each");
        result = STORE_REFUSED;
    }
    freeReplyObject(reply);
    return result;
}

static store_result_e log_in(conn_t *conn, char *why)
{
    const store_target_t *target = conn->target;
    store_result_e result;
    char db[16];

    if (conn->logged_in) {
        return STORE_DONE;
    }
    result = redis_link_log_in(&conn->redis, why);
    if (target->password) {
        /* One connection, so it has done its work. */
        OPENSSL_cleanse(target->password, strlen(target->password));
    }
    if (result == STORE_DONE && (target->listed || strchr(target->host, ','))) {
        result = need_cluster(conn, why);
    }
    if (result == STORE_DONE && target->db > 0) {
        const char *words[] = {"SELECT", db};

        snprintf(db, sizeof(db), "%d", target->db);
        result = redis_link_expect_ok(&conn->redis, 2, words, why);
    }
    conn->logged_in = result == STORE_DONE;
    return result;
}

/* ---- clusters ---- */

/* From "MOVED SLOT HOST:PORT", or ASK: another node has the object.  A host that is missing is this one's. */
static int find_where(conn_t *conn)
{
    const store_link_t *link = &conn->redis.link;
    const char *error = conn->redis.error;
    int ask = store_words_begin(error, "ASK ");
    char text[REDIS_ERROR_MAX], *host, *port;

    if (!ask && !store_words_begin(error, "MOVED ")) {
        return 0;
    }
    snprintf(text, sizeof(text), "%s", error);
    host = strchr(text + (ask ? 4 : 6), ' ');
    port = host ? strrchr(++host, ':') : NULL;
    if (!port || (port == host && link->host[0] == '/')) {
        return 0;
    }
    *port++ = '\0';
    return snprintf(conn->where, sizeof(conn->where), "%s%s %s", ask ? "ASK " : "",
                    *host ? host : link->host, port)
           < (int)sizeof(conn->where);
}

/* A command for the object. */
static store_result_e command(conn_t *conn, int n, const char **words, const size_t *lens, int type,
                              redisReply **preply, char *why)
{
    const char *asking[] = {"ASKING"};
    store_result_e result = STORE_DONE;

    if (conn->target->asking) {
        result = redis_link_expect_ok(&conn->redis, 1, asking, why);
    }
    if (result == STORE_DONE) {
        result = redis_link_call(&conn->redis, n, words, lens, type, preply, why);
    }
    if (result != STORE_REFUSED || !find_where(conn)) {
        return result;
    }
    if (conn->redis.link.host[0] == '/') {
        snprintf(
            why, STORE_WHY_LEN,
            "it is a node of a cluster and sends stekctl to " STORE_WORDS_SAID(
                "%.60s") ", but "
                         "the URL of a Unix socket stays on this machine: use redis://HOST,HOST",
            conn->where);
        return STORE_REFUSED;
    }
    snprintf(why, STORE_WHY_LEN, STORE_WORDS_SAID("%.200s"), conn->redis.error);
    return STORE_MOVED;
}

/* ---- read and write ---- */

static int note_seen(conn_t *conn, const char *bytes, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_len = 0, i;

    if (EVP_Digest(bytes, len, digest, &digest_len, EVP_sha1(), NULL) != 1
        || digest_len != SHA1_LEN) {
        ERR_clear_error();
        return 0;
    }
    for (i = 0; i < SHA1_LEN; i++) {
        snprintf(conn->seen + (size_t)2 * i, 3, "%02x", digest[i]);
    }
    return 1;
}

static store_result_e redis_read(void *data, const unsigned char **pbytes, apr_size_t *plen,
                                 char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const char *words[] = {"GET", conn->target->object};
    store_result_e result = log_in(conn, why);
    redisReply *reply = NULL;

    conn->has_read = 0;
    if (result == STORE_DONE) {
        result = command(conn, 2, words, NULL, REDIS_REPLY_STRING, &reply, why);
    }
    if (result == STORE_MOVED) {
        *pbytes = (const unsigned char *)conn->where;
        *plen = strlen(conn->where);
    }
    if (!reply) {
        return result;
    }
    if (conn->reply) {
        freeReplyObject(conn->reply);
    }
    conn->reply = reply;
    if (!note_seen(conn, reply->type == REDIS_REPLY_STRING ? reply->str : "",
                   reply->type == REDIS_REPLY_STRING ? (size_t)reply->len : 0)) {
        snprintf(why, STORE_WHY_LEN, "this machine's OpenSSL does not support SHA-1");
        return STORE_SILENT;
    }
    conn->has_read = 1;
    if (reply->type == REDIS_REPLY_NIL) {
        return STORE_ABSENT;
    }
    *plen = (apr_size_t)reply->len;
    *pbytes = *plen <= STEK_RING_BYTES_MAX ? (const unsigned char *)reply->str : NULL;
    return STORE_DONE;
}

static store_result_e redis_write(void *data, const unsigned char *bytes, apr_size_t len,
                                  char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const char *words[] = {
        "EVAL", script, "1", conn->target->object, conn->seen, (const char *)bytes};
    size_t lens[] = {4,  sizeof(script) - 1, 1, strlen(conn->target->object), strlen(conn->seen),
                     len};
    redisReply *reply = NULL;
    store_result_e result;
    long long done;

    if (!conn->has_read) {
        snprintf(why, STORE_WHY_LEN, "nothing was read before this write");
        return STORE_SILENT;
    }
    result = command(conn, 6, words, lens, REDIS_REPLY_INTEGER, &reply, why);
    if (!reply) {
        return result;
    }
    done = reply->integer;
    freeReplyObject(reply);
    if (done == 0) {
        return STORE_CHANGED;
    }
    if (!note_seen(conn, (const char *)bytes, len)) {
        conn->has_read = 0;
    }
    if (done == 2) {
        snprintf(
            why, STORE_WHY_LEN,
            "no permission to publish: grant this user the command 'publish' and the channel '%.80s'",
            conn->target->object);
    }
    return STORE_DONE;
}

/* ---- marks ---- */

static void redis_get_mark(const void *data, char mark[STORE_MARK_LEN])
{
    const conn_t *conn = data;

    snprintf(mark, STORE_MARK_LEN, "%s", conn->has_read ? conn->seen : "");
}

static void redis_set_mark(void *data, const char *mark)
{
    conn_t *conn = data;

    conn->has_read = strlen(mark) == sizeof(conn->seen) - 1;
    snprintf(conn->seen, sizeof(conn->seen), "%s", conn->has_read ? mark : "");
}

static store_result_e redis_compare(void *data, const char *mark, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const char *words[] = {"EVAL", digest_script, "1", conn->target->object};
    store_result_e result = log_in(conn, why);
    redisReply *reply = NULL;

    if (result == STORE_DONE) {
        result = command(conn, 4, words, NULL, REDIS_REPLY_STRING, &reply, why);
    }
    if (reply) {
        result = reply->type == REDIS_REPLY_STRING && !strcmp(reply->str, mark) ? STORE_SAME
                                                                                : STORE_CHANGED;
        freeReplyObject(reply);
    }
    return result;
}

static const store_marks_t marks = {redis_get_mark, redis_set_mark, redis_compare};

static store_result_e redis_wait(void *data, char mark[STORE_MARK_LEN], char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    store_result_e result = log_in(conn, why);

    return result == STORE_DONE ? redis_watch_wait(&conn->watch, &conn->redis, mark, why) : result;
}

/* Hosts of an older version do not publish. */
static const store_watch_t watch = {redis_open, redis_connect, redis_wait, redis_close, 0};

#define REDIS(tls_)                                                                                \
    .name = NAME, .has_tls = (tls_), .open = redis_open, .connect = redis_connect,                 \
    .read = redis_read, .write = redis_write, .close = redis_close, .marks = &marks,               \
    .watch = &watch

/* By TCP: a server of a cluster may name another. */
#define REDIS_TCP(tls_, next_)                                                                     \
    .port = 6379, .url = STORE_URL_USER | STORE_URL_DB | STORE_URL_LIST, .next = (next_),          \
    REDIS(tls_)

const store_driver_t store_redis = {.scheme = "redis", REDIS_TCP(0, &store_redis)};
const store_driver_t store_rediss = {.scheme = "rediss", REDIS_TCP(1, &store_rediss)};

/* What a socket says leads to no other server: whoever names one wants to stay on this machine. */
const store_driver_t store_redis_unix = {
    .scheme = "redis+unix", .url = STORE_URL_USER | STORE_URL_DB | STORE_URL_SOCKET, REDIS(0)};

#endif
