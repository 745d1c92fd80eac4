/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis's protocol over a connection: a command, and its reply, with hiredis's reader.  Redis and Sentinel speak
 * it.  One thread, the worker's.
 */
#ifndef STEKCTL_STORE_REDIS_LINK_H
#define STEKCTL_STORE_REDIS_LINK_H

#include "store_link.h"

#pragma GCC visibility push(hidden)

/* hiredis's; its header is for sources alone. */
struct redisReader;
struct redisReply;

#define REDIS_ERROR_MAX 320
#define REDIS_ELEMENTS_MAX 64

typedef struct redis_link_t {
    store_link_t link;
    const char *name;            /* who is expected, for people */
    struct redisReader *reader;  /* NULL: not started */
    int answered;                /* a command has been */
    char error[REDIS_ERROR_MAX]; /* "" or what the last command was refused with */
} redis_link_t;

/* What comes before the first command, once the link is open.  0: out of memory. */
int redis_link_start(redis_link_t *redis, const char *name);

/* Sends a command of n words and receives the reply, of that type, or nil; none, unless the result is
 * STORE_DONE.  lens: NULL if all words end with NUL. */
store_result_e redis_link_call(redis_link_t *redis, int n, const char **words, const size_t *lens,
                               int type, struct redisReply **preply, char why[STORE_WHY_LEN]);

/* The same, if the reply is OK. */
store_result_e redis_link_expect_ok(redis_link_t *redis, int n, const char **words,
                                    char why[STORE_WHY_LEN]);

/* Logs in as the target says, with a password. */
store_result_e redis_link_log_in(redis_link_t *redis, char why[STORE_WHY_LEN]);

/* Closes the connection, too. */
void redis_link_end(redis_link_t *redis);

#pragma GCC visibility pop
#endif
