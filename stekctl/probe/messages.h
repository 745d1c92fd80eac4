/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection's messages tell that SSL_connect does not: whether the server took a ticket
 * before things went wrong, alerts, ticket nonces, requests for a certificate; and the tickets that
 * came.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_MESSAGES_H
#define STEKCTL_PROBE_MESSAGES_H

#include <apr_pools.h>
#include <openssl/ssl.h>

#include "exchange.h"

#pragma GCC visibility push(hidden)

/* Of one connection. */
typedef struct probe_messages_t {
    const probe_offer_t *offer;
    probe_reply_t *reply; /* what is seen is written there */
    apr_time_t sent_at;   /* the ClientHello; 0: not yet */
    int took_ticket, saw_cert;
    unsigned char nonce[PROBE_NONCE_MAX]; /* of the ticket that came last */
    apr_size_t nonce_len;
    apr_pool_t *pool;
} probe_messages_t;

/* Once for each context whose connections are watched. */
void probe_messages_prepare(SSL_CTX *context);

/* Watches ssl, whose offer, reply and pool are set in messages.  0: out of memory. */
int probe_messages_watch(SSL *ssl, probe_messages_t *messages);

#pragma GCC visibility pop
#endif
