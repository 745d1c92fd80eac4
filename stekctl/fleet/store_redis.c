/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis, with hiredis: GET, then one script that compares and sets.  It compares the value's SHA-1,
 * because that is what Redis can compute.  The digest only distinguishes states; nothing depends on
 * its strength.  Runs in the store's worker.
 */
#include "store_driver.h"

#ifdef STEK_WITH_HIREDIS

#include <hiredis.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stek_seal.h"

#define SHA1_LEN 20

static const char script[] = "if redis.sha1hex(redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then\n"
                             "  return 0\n"
                             "end\n"
                             "redis.call('SET', KEYS[1], ARGV[2])\n"
                             "return 1\n";

typedef struct conn_t {
    const store_target_t *target;
    redisContext *redis; /* NULL: not connected */
    redisReply *reply;   /* of the last read */
    char seen[2 * SHA1_LEN + 1];
} conn_t;

static void drop(conn_t *conn)
{
    if (conn->reply) {
        freeReplyObject(conn->reply);
    }
    if (conn->redis) {
        redisFree(conn->redis);
    }
    conn->reply = NULL;
    conn->redis = NULL;
}

static void *redis_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->target = target;
    }
    return conn;
}

static void redis_close(void *data)
{
    drop(data);
    free(data);
}

/* After the connection failed (reply NULL), or Redis answered with an error. */
static store_result_e failed(conn_t *conn, redisReply *reply, char *why)
{
    store_result_e result = reply && reply->type == REDIS_REPLY_ERROR ? STORE_REFUSED
                                                                      : STORE_SILENT;

    if (result == STORE_REFUSED) {
        snprintf(why, STORE_WHY_LEN, "%.*s", (int)reply->len, reply->str);
    }
    else if (reply) {
        snprintf(why, STORE_WHY_LEN, "unintelligible answer");
    }
    else {
        snprintf(why, STORE_WHY_LEN, "%s",
                 !conn->redis                       ? "out of memory"
                 : conn->redis->err == REDIS_ERR_IO ? "no connection, or no answer in time"
                                                    : conn->redis->errstr);
    }
    if (reply) {
        freeReplyObject(reply);
    }
    drop(conn);
    return result;
}

static redisReply *command(conn_t *conn, int argc, const char **argv, const size_t *lens)
{
    return redisCommandArgv(conn->redis, argc, argv, lens);
}

/* Sends a command that Redis answers with OK. */
static store_result_e expect_ok(conn_t *conn, int argc, const char **argv, char *why)
{
    redisReply *reply = command(conn, argc, argv, NULL);

    if (!reply || reply->type != REDIS_REPLY_STATUS) {
        return failed(conn, reply, why);
    }
    freeReplyObject(reply);
    return STORE_DONE;
}

static store_result_e connect_to(conn_t *conn, char *why)
{
    const store_target_t *target = conn->target;
    struct timeval limit = {target->timeout_ms / 1000, target->timeout_ms % 1000 * 1000};
    store_result_e result = STORE_DONE;
    char db[16];

    conn->redis = redisConnectWithTimeout(target->host, target->port, limit);
    if (!conn->redis || conn->redis->err != 0 || redisSetTimeout(conn->redis, limit) != REDIS_OK) {
        return failed(conn, NULL, why);
    }
    if (target->password && target->user) {
        const char *words[] = {"AUTH", target->user, target->password};

        result = expect_ok(conn, 3, words, why);
    }
    else if (target->password) {
        const char *words[] = {"AUTH", target->password};

        result = expect_ok(conn, 2, words, why);
    }
    if (result == STORE_DONE && target->db > 0) {
        const char *words[] = {"SELECT", db};

        snprintf(db, sizeof(db), "%d", target->db);
        result = expect_ok(conn, 2, words, why);
    }
    return result;
}

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

static redisReply *get(conn_t *conn)
{
    const char *words[] = {"GET", conn->target->object};

    return command(conn, 2, words, NULL);
}

static store_result_e redis_read(void *data, const unsigned char **pbytes, apr_size_t *plen,
                                 char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    int reused = conn->redis != NULL;
    store_result_e result = reused ? STORE_DONE : connect_to(conn, why);
    redisReply *reply = result == STORE_DONE ? get(conn) : NULL;

    if (result == STORE_DONE && !reply && reused) {
        /* The connection may be from before the store restarted: try a new one. */
        drop(conn);
        result = connect_to(conn, why);
        reply = result == STORE_DONE ? get(conn) : NULL;
    }
    if (result != STORE_DONE) {
        return result;
    }
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL)) {
        return failed(conn, reply, why);
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
    redisReply *reply;
    long long done;

    if (!conn->redis) {
        snprintf(why, STORE_WHY_LEN, "connection lost");
        return STORE_SILENT;
    }
    reply = command(conn, 6, words, lens);
    if (!reply || reply->type != REDIS_REPLY_INTEGER) {
        return failed(conn, reply, why);
    }
    done = reply->integer;
    freeReplyObject(reply);
    return done == 1 ? STORE_DONE : STORE_CHANGED;
}

const store_driver_t store_redis = {"redis",    6379,        1,          redis_open,
                                    redis_read, redis_write, redis_close};

#endif
