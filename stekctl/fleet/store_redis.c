/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis, with hiredis: GET, then one script that compares and sets.  It compares the value's SHA-1,
 * because that is what Redis can compute.  The digest only distinguishes states; nothing depends on
 * its strength.  Runs in the store's worker.
 *
 * hiredis keeps an answer until it is complete, however long that is, and allocates the arrays that a server
 * announces; so it only gets to see answers that begin as they should, piece by piece, up to a limit.
 */
#include "store_driver.h"

#ifdef STEK_WITH_HIREDIS

#include <errno.h>
#include <fcntl.h>
#include <hiredis.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monotonic.h"
#include "stek_seal.h"
#include "store_connect.h"
#include "store_words.h"

#define NAME "Redis"
#define SHA1_LEN 20

static const char script[] = "if redis.sha1hex(redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then\n"
                             "  return 0\n"
                             "end\n"
                             "redis.call('SET', KEYS[1], ARGV[2])\n"
                             "local told = redis.pcall('PUBLISH', KEYS[1], redis.sha1hex(ARGV[2]))\n"
                             "return type(told) == 'number' and 1 or 2\n";

/* Short, because it is sent in every cycle. */
static const char digest_script[] = "return redis.sha1hex(redis.call('GET',KEYS[1])or'')";

typedef struct conn_t {
    const store_target_t *target;
    redisContext *redis; /* NULL: not connected */
    redisReply *reply;   /* of the last read */
    int logged_in;
    int answered; /* Redis has answered a call */
    int has_read; /* seen is valid */
    char seen[2 * SHA1_LEN + 1];
} conn_t;

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
    conn_t *conn = data;

    if (conn->reply) {
        freeReplyObject(conn->reply);
    }
    if (conn->redis) {
        redisFree(conn->redis);
    }
    free(conn);
}

static store_result_e redis_connect(void *data, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    int ms = conn->target->timeout_ms, fd = store_connect(conn->target, why);
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};

    if (fd < 0) {
        return STORE_SILENT;
    }
    if (fcntl(fd, F_SETFL, 0) == 0) {
        conn->redis = redisConnectFd(fd);
    }
    if (!conn->redis) {
        close(fd);
    }
    if (!conn->redis || conn->redis->err || redisSetTimeout(conn->redis, limit) != REDIS_OK) {
        snprintf(why, STORE_WHY_LEN, "hiredis: %s",
                 conn->redis ? conn->redis->errstr : "out of memory");
        return STORE_SILENT;
    }
    return STORE_DONE;
}

/* No reply came, or none that anybody could understand. */
static store_result_e failed(conn_t *conn, const store_peek_t *peek, char *why)
{
    const redisContext *redis = conn->redis;
    store_fault_e fault = STORE_FAULT_NONSENSE;

    if (peek->how == STORE_PEEK_SAID && peek->said[0] == '-') {
        return store_words_error(NAME, peek->said + 1, why);
    }
    if (redis->err == REDIS_ERR_OOM) {
        return store_words_too_long(why);
    }
    if (peek->how == STORE_PEEK_LATE
        || (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK))) {
        fault = STORE_FAULT_LATE;
    }
    else if (redis->err == REDIS_ERR_EOF || redis->err == REDIS_ERR_IO
             || peek->how == STORE_PEEK_CLOSED) {
        fault = STORE_FAULT_CLOSED;
    }
    return store_words_failed(NAME, peek, fault, conn->answered, why);
}

/* The first line of an answer: of the types that the commands here have.  STORE_DONE: the library may read
 * it. */
static store_result_e check_line(const store_peek_t *peek, char *why)
{
    unsigned long long len;

    if (!*peek->said || !strchr("+-:$", *peek->said)) {
        return store_words_strange(NAME, peek->said, why);
    }
    len = *peek->said == '$' && peek->said[1] != '-' ? strtoull(peek->said + 1, NULL, 10) : 0;
    return len > STORE_READ_MAX ? store_words_announced(len, why) : STORE_DONE;
}

/* Receives a reply, which begins with what was peeked at. */
static store_result_e receive(conn_t *conn, const store_peek_t *peek, apr_int64_t deadline_ms,
                              redisReply **preply, char *why)
{
    redisContext *redis = conn->redis;
    void *reply = NULL;

    while (!reply) {
        if (redisGetReplyFromReader(redis, &reply) != REDIS_OK) {
            return failed(conn, peek, why);
        }
        if (reply) {
            break;
        }
        if (redis->reader->len > STORE_READ_MAX) {
            return store_words_too_long(why);
        }
        if (monotonic_ms() >= deadline_ms) {
            return store_words_failed(NAME, peek, STORE_FAULT_LATE, conn->answered, why);
        }
        if (redisBufferRead(redis) != REDIS_OK) {
            return failed(conn, peek, why);
        }
    }
    *preply = reply;
    return STORE_DONE;
}

/* Sends a command and receives the reply, of that type; none, unless the result is STORE_DONE. */
static store_result_e command(conn_t *conn, int n, const char **words, const size_t *lens, int type,
                              redisReply **preply, char *why)
{
    apr_int64_t deadline_ms = monotonic_ms() + conn->target->timeout_ms;
    redisContext *redis = conn->redis;
    int sent = 0, ok = redisAppendCommandArgv(redis, n, words, lens) == REDIS_OK;
    redisReply *reply = NULL;
    store_result_e result;
    store_peek_t peek;

    while (ok && !sent && monotonic_ms() < deadline_ms) {
        ok = redisBufferWrite(redis, &sent) == REDIS_OK;
    }
    /* What a server says before it hangs up tells what is wrong. */
    store_peek(redis->fd, deadline_ms, &peek);
    result = peek.how == STORE_PEEK_SAID    ? check_line(&peek, why)
             : peek.how == STORE_PEEK_BLIND ? STORE_DONE
                                            : failed(conn, &peek, why);
    if (result == STORE_DONE) {
        result = receive(conn, &peek, deadline_ms, &reply, why);
    }
    if (!reply) {
        return result;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        result = store_words_error(NAME, reply->str, why);
    }
    else if ((reply->type != type
              && !(type == REDIS_REPLY_STRING && reply->type == REDIS_REPLY_NIL))
             || redis->reader->len > redis->reader->pos) {
        /* The wrong type, or more than what was asked for. */
        result = store_words_strange(NAME, peek.said, why);
    }
    if (result != STORE_DONE) {
        freeReplyObject(reply);
        return result;
    }
    conn->answered = 1;
    *preply = reply;
    return STORE_DONE;
}

/* Sends a command that Redis answers with OK. */
static store_result_e expect_ok(conn_t *conn, int n, const char **words, char *why)
{
    redisReply *reply = NULL;
    store_result_e result = command(conn, n, words, NULL, REDIS_REPLY_STATUS, &reply, why);

    if (reply) {
        freeReplyObject(reply);
    }
    return result;
}

static store_result_e log_in(conn_t *conn, char *why)
{
    const store_target_t *target = conn->target;
    store_result_e result = STORE_DONE;
    char db[16];

    if (conn->logged_in) {
        return STORE_DONE;
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
    if (target->password) {
        /* One connection, so it has done its work. */
        OPENSSL_cleanse(target->password, strlen(target->password));
    }
    conn->logged_in = result == STORE_DONE;
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
        snprintf(why, STORE_WHY_LEN,
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

const store_driver_t store_redis = {
    "redis", NAME, 6379, 1, redis_open, redis_connect, redis_read, redis_write, redis_close, 0, 0,
    &marks,  NULL};

#endif
