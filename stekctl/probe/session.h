/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's sessions as bytes (DER), to be kept, altered and offered again.  stekctl.
 */
#ifndef STEKCTL_PROBE_SESSION_H
#define STEKCTL_PROBE_SESSION_H

#include <apr_pools.h>
#include <openssl/ssl.h>

#include "exchange.h"

#pragma GCC visibility push(hidden)

/* Encodes the session in pool; NULL if that fails. */
const unsigned char *probe_session_encode(SSL_SESSION *session, apr_size_t *plen, apr_pool_t *pool);

/* Returns a copy of a session's DER with another ticket, and its length in *plen.  NULL if it is
 * not a session with a ticket, or too large. */
unsigned char *probe_session_with_ticket(const unsigned char *session, apr_size_t session_len,
                                         const unsigned char *ticket, apr_size_t ticket_len,
                                         apr_size_t *plen, apr_pool_t *pool);

/* The DER of a session as its server puts it into a ticket, with this session id context, and as if
 * it began now.  NULL: not a session. */
unsigned char *probe_session_of_server(const unsigned char *session, apr_size_t session_len,
                                       const unsigned char *context, apr_size_t context_len,
                                       apr_size_t *plen, apr_pool_t *pool);

/* Makes ssl offer the session in offer, if there is one.  0: failed. */
int probe_session_offer(SSL *ssl, const probe_offer_t *offer, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
