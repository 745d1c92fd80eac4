/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection's messages show that SSL_connect does not: whether the server accepted a ticket
 * before the handshake failed, alerts, ticket nonces, certificate requests, and the tickets.
 * stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_MESSAGES_H
#define STEKCTL_PROBE_MESSAGES_H

#include <apr_pools.h>
#include <openssl/ssl.h>

#include "exchange.h"
#include "schedule.h"

#pragma GCC visibility push(hidden)

/* Of one connection. */
typedef struct probe_messages_t {
    const probe_offer_t *offer;
    probe_reply_t *reply; /* receives what is seen */
    apr_time_t sent_at;   /* when the ClientHello was sent; 0: not yet */
    int took_ticket, saw_cert;
    int saw_hello;                        /* the ServerHello that a handshake goes on with */
    int is_tls13;                         /* that names its version in an extension: TLS 1.3 */
    unsigned char nonce[PROBE_NONCE_MAX]; /* of the latest ticket */
    apr_size_t nonce_len;
    apr_size_t tickets_len;        /* of those that were kept */
    apr_uint32_t hint_s;           /* of the latest ticket */
    probe_transcript_t transcript; /* if tickets are collected */
    apr_pool_t *pool;
} probe_messages_t;

/* Call it once for every context whose connections are watched. */
void probe_messages_prepare(SSL_CTX *context);

/* Watches ssl, whose offer, reply and pool are set in messages.  0: out of memory. */
int probe_messages_watch(SSL *ssl, probe_messages_t *messages);

/* Looks at a ServerHello, without its header, before OpenSSL does or as it does. */
void probe_messages_hello(probe_messages_t *messages, const unsigned char *body, apr_size_t len);

#pragma GCC visibility pop
#endif
