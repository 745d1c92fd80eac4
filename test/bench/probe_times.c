/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records how long a server takes to answer changed tickets, as stekctl probe sees it: with right
 * padding ("r") and with wrong padding ("w"), in an order by chance, one line each in microseconds.
 * The recordings in test/data/probe-times were made by it; test_probe_padding.c replays them.
 *
 *     probe_times HOST PORT N RATE
 *
 * The ticket is changed as in stekctl/probe/padding.c.  Its MAC is taken for one of 32 bytes.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/client.h"
#include "probe/contexts.h"

#define MAC_LEN 32
#define BLOCK 16

static void give_up(const char *why)
{
    fprintf(stderr, "probe_times: %s\n", why);
    exit(1);
}

static probe_ticket_t get_ticket(probe_client_t *client, const char *host, apr_pool_t *pool)
{
    probe_offer_t offer = {.version = TLS1_3_VERSION, .sni = host, .collect = 1};
    probe_reply_t reply;

    probe_client_connect(client, &offer, &reply, pool);
    if (reply.tickets->nelts == 0) {
        give_up("no ticket came");
    }
    return APR_ARRAY_IDX(reply.tickets, 0, probe_ticket_t);
}

int main(int argc, char **argv)
{
    probe_client_t *client;
    probe_contexts_t *contexts;
    probe_client_hello_t hello = {0};
    probe_host_t host = {.path = "/"};
    probe_options_t options = {.has = {0, 0, 0, 1}, .timeout = apr_time_from_sec(5)};
    probe_ticket_t ticket;
    probe_offer_t offer = {.version = TLS1_3_VERSION};
    unsigned char *bytes;
    apr_pool_t *pool, *scratch;
    const char *why;
    int i, n = argc == 5 ? atoi(argv[3]) : 0;

    if (n < 1 || atoi(argv[4]) < 1) {
        give_up("usage: probe_times HOST PORT N RATE");
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&scratch, pool);
    host.name = argv[1];
    host.port = atoi(argv[2]);
    options.per_second = atoi(argv[4]);
    if (probe_contexts_create(&contexts, options.has, &hello, &why, pool) != APR_SUCCESS) {
        give_up(why);
    }
    options.contexts = contexts;
    if (probe_client_create(&client, &host, &options, &why, pool) != APR_SUCCESS) {
        give_up(why);
    }
    probe_client_allow_full(client, 1);
    probe_client_allow_offers(client, n);
    ticket = get_ticket(client, argv[1], pool);
    bytes = apr_palloc(pool, ticket.len);
    offer.sni = argv[1];
    offer.session = ticket.session;
    offer.session_len = ticket.session_len;
    offer.ticket = bytes;
    offer.ticket_len = ticket.len;
    for (i = 0; i < n; i++) {
        unsigned char *block = bytes + ticket.len - MAC_LEN - 2 * BLOCK, chance[4], change;
        probe_reply_t reply;

        if (RAND_bytes(chance, sizeof(chance)) != 1) {
            give_up("no random numbers");
        }
        /* No change leaves the padding right; any other makes it wrong, but for one that makes 01,
         * which is left out with its neighbours below 16. */
        change = chance[0] & 1 ? 0 : (unsigned char)(chance[1] | 0x20);
        memcpy(bytes, ticket.bytes, ticket.len);
        block[chance[2] % BLOCK - BLOCK] ^= chance[3] | 1;
        block[BLOCK - 1] ^= change;
        apr_pool_clear(scratch);
        probe_client_connect(client, &offer, &reply, scratch);
        if (reply.outcome != PROBE_FULL) {
            give_up("a changed ticket did not end in a full handshake");
        }
        printf("%c %d\n", change ? 'w' : 'r', (int)reply.first_us);
    }
    return 0;
}
