/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands and replies (store_redis_link.h).
 *
 * hiredis keeps an answer until it is complete, however long that is, and allocates the arrays that a server
 * announces; so it only gets to see answers that begin as they should, piece by piece, up to a limit.
 */
#ifdef STEK_WITH_HIREDIS

#include "store_redis_link.h"

#include <hiredis.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monotonic.h"
#include "store_words.h"

#define PIECE_LEN 16384

int redis_link_start(redis_link_t *redis, const char *name)
{
    redis->name = name;
    redis->reader = redisReaderCreate();
    return redis->reader != NULL;
}

void redis_link_end(redis_link_t *redis)
{
    if (redis->reader) {
        redisReaderFree(redis->reader);
    }
    redis->reader = NULL;
    store_link_close(&redis->link);
}

/* No reply came. */
static store_result_e failed(const redis_link_t *redis, store_peek_t *peek, store_link_e result,
                             char *why)
{
    if (result == STORE_LINK_FAILED) {
        return STORE_SILENT;
    }
    if (peek->how == STORE_PEEK_SAID && peek->said[0] == '-') {
        return store_words_error(redis->name, peek->said + 1, why);
    }
    if (result == STORE_LINK_CLOSED && redis->link.ssl && !redis->answered) {
        snprintf(why, STORE_WHY_LEN, "it closed the connection without answering: is it %s?",
                 redis->name);
        return STORE_SILENT;
    }
    return store_words_failed(redis->name, peek,
                              result == STORE_LINK_LATE     ? STORE_FAULT_LATE
                              : result == STORE_LINK_CLOSED ? STORE_FAULT_CLOSED
                                                            : STORE_FAULT_NONSENSE,
                              redis->answered, why);
}

/* The first line of an answer: of the types that the commands here have.  STORE_DONE: the library may read
 * it. */
static store_result_e check_line(const redis_link_t *redis, const store_peek_t *peek, int type,
                                 char *why)
{
    unsigned long long n;
    char kind = *peek->said;

    if (!kind || !strchr(type == REDIS_REPLY_ARRAY ? "+-:$*" : "+-:$", kind)) {
        return store_words_strange(redis->name, peek->said, why);
    }
    n = (kind == '$' || kind == '*') && peek->said[1] != '-' ? strtoull(peek->said + 1, NULL, 10)
                                                             : 0;
    if (kind == '*' && n > REDIS_ELEMENTS_MAX) {
        return store_words_strange(redis->name, peek->said, why);
    }
    return n > STORE_READ_MAX ? store_words_announced(n, why) : STORE_DONE;
}

static store_result_e send_command(redis_link_t *redis, int n, const char **words,
                                   const size_t *lens, apr_int64_t deadline_ms, store_link_e *plink,
                                   char *why)
{
    char *text = NULL;
    long long len = redisFormatCommandArgv(&text, n, words, lens);

    if (len < 0 || !text) {
        snprintf(why, STORE_WHY_LEN, "out of memory");
        return STORE_SILENT;
    }
    *plink = store_link_send(&redis->link, text, (apr_size_t)len, deadline_ms, why);
    OPENSSL_cleanse(text, (size_t)len); /* it may be a password */
    redisFreeCommand(text);
    return STORE_DONE;
}

/* Receives until there is a line, or as much as nobody would begin an answer with.  What a server says before
 * it hangs up tells what is wrong. */
static store_link_e receive_head(redis_link_t *redis, apr_int64_t deadline_ms, store_peek_t *peek,
                                 char *why)
{
    static char piece[PIECE_LEN];
    store_link_e result = STORE_LINK_DONE;
    apr_size_t len = 0, more;

    while (result == STORE_LINK_DONE && len < STORE_PEEK_MAX && !memchr(piece, '\n', len)) {
        result = store_link_receive(&redis->link, piece + len, sizeof(piece) - len, &more,
                                    deadline_ms, why);
        len += result == STORE_LINK_DONE ? more : 0;
    }
    memset(peek, 0, sizeof(*peek));
    peek->how = result == STORE_LINK_LATE ? STORE_PEEK_LATE : STORE_PEEK_CLOSED;
    if (len > 0) {
        store_peek_keep(piece, len, peek);
        result = result == STORE_LINK_FAILED ? result : STORE_LINK_DONE;
    }
    return len > 0 && redisReaderFeed(redis->reader, piece, len) != REDIS_OK ? STORE_LINK_FAILED
                                                                             : result;
}

/* Receives a reply, whose head the reader has. */
static store_result_e receive(redis_link_t *redis, store_peek_t *peek, apr_int64_t deadline_ms,
                              redisReply **preply, char *why)
{
    static char piece[PIECE_LEN];
    void *reply = NULL;

    for (;;) {
        store_link_e result;
        apr_size_t len = 0;

        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
            return redis->reader->err == REDIS_ERR_OOM ? store_words_too_long(why)
                                                       : failed(redis, peek, STORE_LINK_DONE, why);
        }
        if (reply) {
            *preply = reply;
            return STORE_DONE;
        }
        if (redis->reader->len > STORE_READ_MAX) {
            return store_words_too_long(why);
        }
        result = store_link_receive(&redis->link, piece, sizeof(piece), &len, deadline_ms, why);
        if (result != STORE_LINK_DONE) {
            return failed(redis, peek, result, why);
        }
        if (redisReaderFeed(redis->reader, piece, len) != REDIS_OK) {
            return store_words_too_long(why);
        }
    }
}

/* Whether the reply is what was asked for, and all. */
static store_result_e check_reply(redis_link_t *redis, const redisReply *reply, int type,
                                  const store_peek_t *peek, char *why)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        snprintf(redis->error, sizeof(redis->error), "%s", reply->str);
        return store_words_error(redis->name, reply->str, why);
    }
    if ((reply->type != type
         && !((type == REDIS_REPLY_STRING || type == REDIS_REPLY_ARRAY)
              && reply->type == REDIS_REPLY_NIL))
        || redis->reader->len > redis->reader->pos) {
        return store_words_strange(redis->name, peek->said, why);
    }
    return STORE_DONE;
}

store_result_e redis_link_call(redis_link_t *redis, int n, const char **words, const size_t *lens,
                               int type, redisReply **preply, char why[STORE_WHY_LEN])
{
    apr_int64_t deadline_ms = monotonic_ms() + redis->link.target->timeout_ms;
    store_link_e moved = STORE_LINK_DONE;
    redisReply *reply = NULL;
    store_result_e result;
    store_peek_t peek = {STORE_PEEK_CLOSED, 0, ""};

    redis->error[0] = '\0';
    result = send_command(redis, n, words, lens, deadline_ms, &moved, why);
    if (result != STORE_DONE) {
        return result;
    }
    if (moved == STORE_LINK_DONE || moved == STORE_LINK_CLOSED) {
        moved = receive_head(redis, deadline_ms, &peek, why);
    }
    if (moved != STORE_LINK_DONE) {
        return failed(redis, &peek, moved, why);
    }
    result = check_line(redis, &peek, type, why);
    if (result == STORE_DONE) {
        result = receive(redis, &peek, deadline_ms, &reply, why);
    }
    if (reply) {
        result = check_reply(redis, reply, type, &peek, why);
    }
    if (result != STORE_DONE) {
        freeReplyObject(reply);
        return result;
    }
    redis->answered = 1;
    *preply = reply;
    return STORE_DONE;
}

store_result_e redis_link_expect_ok(redis_link_t *redis, int n, const char **words,
                                    char why[STORE_WHY_LEN])
{
    redisReply *reply = NULL;
    store_result_e result = redis_link_call(redis, n, words, NULL, REDIS_REPLY_STATUS, &reply, why);

    if (reply) {
        freeReplyObject(reply);
    }
    return result;
}

store_result_e redis_link_log_in(redis_link_t *redis, char why[STORE_WHY_LEN])
{
    const store_target_t *target = redis->link.target;
    const char *with_user[] = {"AUTH", target->user, target->password};
    const char *without[] = {"AUTH", target->password};

    if (target->user && !target->password) {
        snprintf(why, STORE_WHY_LEN, "the user in its URL has no password: use --password");
        return STORE_REFUSED;
    }
    return !target->password ? STORE_DONE
           : target->user    ? redis_link_expect_ok(redis, 3, with_user, why)
                             : redis_link_expect_ok(redis, 2, without, why);
}

#endif
