/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What counting costs a handshake: resumed TLS 1.3 handshakes in one process, through the module's
 * own ticket callbacks.  To be run under callgrind, which counts what happens inside `measured`:
 *
 *     valgrind --tool=callgrind --toggle-collect=measured handshake_cost on|off N [label]
 *
 * off: no counters, no record of the handshake and no info callback, as without all this.
 */
#include "play_httpd.h"

static int counting;

static stek_ring_t *default_keys(void)
{
    stek_ring_t *empty = NULL, *keys = NULL;
    apr_size_t made_n;

    check(stek_ring_create(1, 0, &empty) == APR_SUCCESS
              && stek_schedule_extend(empty, &ring.params, apr_time_now(), stek_rng_system, &keys,
                                      &made_n)
                     == APR_SUCCESS,
          "keys");
    stek_ring_destroy(empty);
    return keys;
}

static void connect_once(apr_pool_t *pool)
{
    SSL *server, *client;

    play_connect(counting, pool, &server, &client);
    play_free(server, client);
}

/* Callgrind collects what happens in here. */
__attribute__((noinline)) static void measured(int n, apr_pool_t *pool)
{
    while (n-- > 0) {
        connect_once(pool);
        apr_pool_clear(pool);
    }
}

int main(int argc, char **argv)
{
    mod_stek_totals_t totals;
    apr_pool_t *pool, *connection_pool;
    int n = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;

    if (n < 1 || (strcmp(argv[1], "on") != 0 && strcmp(argv[1], "off") != 0)) {
        fputs("usage: handshake_cost on|off N [label]\n", stderr);
        return 2;
    }
    counting = strcmp(argv[1], "on") == 0;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&connection_pool, pool);
    play_contexts();
    play_module(default_keys(), pool);
    if (counting) {
        mod_stek_ticket_outcome_install(&vhost);
    }
    connect_once(connection_pool); /* a full one, and all that is done once */
    connect_once(connection_pool);
    measured(n, connection_pool);
    mod_stek_counters_sum(mod_stek_live_counters(ring.live), &totals);
    check(totals.all[MOD_STEK_RESUMED_CURRENT] == (counting ? (apr_uint64_t)n + 1 : 0), "counting");
    printf("%d resumed\n", n);
    return 0;
}
