/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection, from connect to close.  OpenSSL uses non-blocking sockets, and poll waits for at
 * most what is left of the connection's time, so a peer that sends a byte per second gains nothing.
 * stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_LINK_H
#define STEKCTL_PROBE_LINK_H

#include <apr_pools.h>
#include <netdb.h>
#include <openssl/ssl.h>

#include "exchange.h"
#include "messages.h"

#pragma GCC visibility push(hidden)

typedef struct probe_link_t {
    const probe_offer_t *offer;
    probe_reply_t *reply;
    apr_time_t deadline;
    int fd; /* -1: none */
    SSL *ssl;
    probe_messages_t messages;
    apr_size_t read_len,
        turn_len;     /* bytes of TLS that were read: in all, and since the latest wait */
    int is_ignored;   /* the server has ignored the ticket, and nothing else was to be learnt */
    const char *path; /* of a request */
    apr_pool_t *pool;
} probe_link_t;

/* Sets the outcome and the reason. */
void probe_link_fail(probe_link_t *link, probe_outcome_e outcome, const char *why);

/* Connects to *pchosen, or to the first of the addresses that answers, which becomes *pchosen, so
 * all tests reach the same server.  0: failed, and the reply says why; the same for those below. */
int probe_link_open(probe_link_t *link, const struct addrinfo *addresses,
                    const struct addrinfo **pchosen);

/* Makes the handshake with the offer. */
int probe_link_shake(probe_link_t *link, SSL_CTX *context);

/* Requests the path from the offer's host, and reads up to the end of the headers.  Nonzero: the server
 * does not respond; do not wait for a response again. */
int probe_link_request(probe_link_t *link);

/* Waits for TLS 1.3 tickets, which come after the handshake. */
void probe_link_collect(probe_link_t *link);

void probe_link_close(probe_link_t *link);

#pragma GCC visibility pop
#endif
