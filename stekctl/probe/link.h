/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection, from connect to close: sockets that do not block under OpenSSL, waited for by poll
 * with what is left of the connection's time, so that a peer that sends a byte a second gains
 * nothing.  stekctl; one thread.
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
    apr_pool_t *pool;
} probe_link_t;

/* The outcome, and why. */
void probe_link_fail(probe_link_t *link, probe_outcome_e outcome, const char *why);

/* Connects to *pchosen, or to the first of the addresses that answers, which becomes *pchosen: all
 * tests shall meet the same server.  0: none does, as the reply tells; so do those below. */
int probe_link_open(probe_link_t *link, const struct addrinfo *addresses,
                    const struct addrinfo **pchosen);

/* The handshake, with what is offered. */
int probe_link_shake(probe_link_t *link, SSL_CTX *context);

/* Asks for / of the offer's host, and reads as far as the answer's headers.  Nonzero: the server is
 * mute; no other request needs to wait for it. */
int probe_link_request(probe_link_t *link);

/* Waits for tickets of TLS 1.3, which follow the handshake. */
void probe_link_collect(probe_link_t *link);

void probe_link_close(probe_link_t *link);

#pragma GCC visibility pop
#endif
