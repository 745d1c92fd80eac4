/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for messages (store_redis_watch.h).  A message only means that it is worth while to look, so it is not
 * parsed: of what the server sends, lines are looked at, and only what a wake-up needs is kept of them.
 */
#ifdef STEK_WITH_HIREDIS

#include "store_redis_watch.h"

#include <hiredis.h>
#include <stdio.h>
#include <string.h>

#include "monotonic.h"
#include "store_words.h"

#define DIGEST_LEN 40
#define PIECE_LEN 16384

/* Of a flood, so many pieces are taken at once. */
#define PIECES_MAX 4

static store_result_e subscribe(redis_link_t *redis, char *why)
{
    const char *words[] = {"SUBSCRIBE", redis->link.target->object};
    redisReply *reply = NULL;
    store_result_e result = redis_link_call(redis, 2, words, NULL, REDIS_REPLY_ARRAY, &reply, why);

    if (reply) {
        result = reply->type == REDIS_REPLY_ARRAY ? STORE_DONE : STORE_SILENT;
        freeReplyObject(reply);
    }
    if (result == STORE_REFUSED && store_words_begin(redis->error, "NOPERM")) {
        snprintf(
            why, STORE_WHY_LEN,
            "no permission to subscribe: grant this user the command 'subscribe' and the channel "
            "'%.80s'",
            redis->link.target->object);
    }
    return result;
}

/* One line of what the server sends: part of a message, of the answer to PING, or an error. */
static store_result_e take_line(redis_watch_t *watch, const redis_link_t *redis, char *mark,
                                char *why)
{
    const char *line = watch->line;

    if (*line == '-' && watch->asked) {
        return STORE_DONE; /* it may forbid PING, but it is there */
    }
    if (*line == '-') {
        return store_words_error(redis->name, line + 1, why);
    }
    if (watch->line_n == DIGEST_LEN && strspn(line, "0123456789abcdef") == DIGEST_LEN) {
        memcpy(mark, line, DIGEST_LEN + 1);
        return STORE_CHANGED;
    }
    return !strcmp(line, "message") ? STORE_CHANGED : STORE_DONE;
}

/* The result is that of the last line that says something. */
static store_result_e take_piece(redis_watch_t *watch, const redis_link_t *redis, const char *piece,
                                 apr_size_t len, char *mark, char *why)
{
    store_result_e result = STORE_DONE;
    apr_size_t i;

    for (i = 0; i < len && result < STORE_REFUSED; i++) {
        if (piece[i] == '\n') {
            store_result_e of_line = take_line(watch, redis, mark, why);

            result = of_line == STORE_DONE ? result : of_line;
            watch->line_n = 0;
            watch->line[0] = '\0';
        }
        else if (piece[i] != '\r') {
            if (watch->line_n < sizeof(watch->line) - 1) {
                watch->line[watch->line_n] = piece[i];
                watch->line[watch->line_n + 1] = '\0';
            }
            watch->line_n++;
        }
    }
    return result;
}

static store_result_e ended(const redis_link_t *redis, store_link_e result, char *why)
{
    const store_peek_t blind = {STORE_PEEK_BLIND, 0, ""};

    return result == STORE_LINK_FAILED
               ? STORE_SILENT
               : store_words_failed(
                   redis->name, &blind,
                   result == STORE_LINK_LATE ? STORE_FAULT_LATE : STORE_FAULT_CLOSED, 1, why);
}

/* Nothing has come for a period: makes sure that the server is there, or that it has answered that. */
static store_result_e ask(redis_watch_t *watch, redis_link_t *redis, char *why)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    store_link_e sent;

    if (watch->asked) {
        return ended(redis, STORE_LINK_LATE, why);
    }
    watch->asked = 1;
    sent = store_link_send(&redis->link, ping, sizeof(ping) - 1,
                           monotonic_ms() + redis->link.target->timeout_ms, why);
    return sent == STORE_LINK_DONE ? STORE_DONE : ended(redis, sent, why);
}

store_result_e redis_watch_wait(redis_watch_t *watch, redis_link_t *redis,
                                char mark[STORE_MARK_LEN], char why[STORE_WHY_LEN])
{
    const store_target_t *target = redis->link.target;
    store_result_e result = STORE_DONE;
    char piece[PIECE_LEN];
    int n = 0;

    if (!watch->stands) {
        result = subscribe(redis, why);
        watch->stands = result == STORE_DONE;
        return result;
    }
    mark[0] = '\0';
    while (result == STORE_DONE || (result == STORE_CHANGED && n < PIECES_MAX)) {
        int limit_ms = result == STORE_CHANGED ? 0
                       : watch->asked          ? target->timeout_ms
                                               : target->period_ms;
        apr_size_t len = 0;
        store_link_e got = store_link_receive(&redis->link, piece, sizeof(piece), &len,
                                              monotonic_ms() + limit_ms, why);

        if (got == STORE_LINK_DONE) {
            store_result_e of_piece = take_piece(watch, redis, piece, len, mark, why);

            result = of_piece == STORE_DONE ? result : of_piece;
            watch->asked = 0;
            n++;
        }
        else if (got == STORE_LINK_LATE && result == STORE_CHANGED) {
            break;
        }
        else {
            result = got == STORE_LINK_LATE ? ask(watch, redis, why) : ended(redis, got, why);
        }
    }
    return result;
}

#endif
