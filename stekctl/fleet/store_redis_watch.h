/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis's publish and subscribe, for store_driver.h: whoever writes an object publishes its digest on the channel of
 * the same name.  Runs in a worker of its own; one thread.
 */
#ifndef STEKCTL_STORE_REDIS_WATCH_H
#define STEKCTL_STORE_REDIS_WATCH_H

#include "store_redis_link.h"

#pragma GCC visibility push(hidden)

typedef struct redis_watch_t {
    int stands;        /* it has subscribed */
    int asked;         /* PING was sent, and nothing came since */
    char line[64];     /* the beginning of the one that is not complete */
    apr_size_t line_n; /* its length, which may be greater than what is kept */
} redis_watch_t;

/* store_watch_t's wait, on a link that is logged in. */
store_result_e redis_watch_wait(redis_watch_t *watch, redis_link_t *redis,
                                char mark[STORE_MARK_LEN], char why[STORE_WHY_LEN]);

#pragma GCC visibility pop
#endif
