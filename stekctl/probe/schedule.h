/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secrets behind a TLS 1.3 session, which its client can compute but OpenSSL does not hand out:
 * handshake secret, master secret and resumption master secret (RFC 9846, 7.1, where the last two
 * are main secret and resumption secret).  A ticket may contain the last, instead of the PSK that
 * is derived from it.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_SCHEDULE_H
#define STEKCTL_PROBE_SCHEDULE_H

#include <apr_pools.h>
#include <openssl/ssl.h>

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* The messages of a handshake, as they were sent and received.  Zeros: none yet. */
typedef struct probe_transcript_t {
    unsigned char *bytes;
    apr_size_t len, room;
    apr_size_t hello_len; /* of the first ClientHello */
    int is_retried;       /* a HelloRetryRequest came */
    int is_complete;      /* up to and with the client's Finished */
} probe_transcript_t;

/* Nonzero: this ServerHello, without its header, is a HelloRetryRequest. */
int probe_schedule_is_retry(const unsigned char *hello, apr_size_t len);

/* Adds a message with its header. */
void probe_transcript_add(probe_transcript_t *transcript, int is_write, const unsigned char *bytes,
                          apr_size_t len, apr_pool_t *pool);

/* Sets ticket->more, after a full handshake.  Sets nothing if the ticket's PSK does not follow from
 * what it computes. */
void probe_schedule_secrets(SSL *ssl, const probe_transcript_t *transcript, probe_ticket_t *ticket);

/* HKDF-Expand-Label (RFC 9846, 7.1), one block: out and secret are len bytes long, 32 or 48.  0:
 * failed. */
int probe_schedule_expand(const unsigned char *secret, apr_size_t len, const char *label,
                          const unsigned char *context, apr_size_t context_len, unsigned char *out);

#pragma GCC visibility pop
#endif
