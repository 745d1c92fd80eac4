/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of OpenSSL as bytes (DER), so that they are kept, changed and offered again.  stekctl.
 */
#ifndef STEKCTL_PROBE_SESSION_H
#define STEKCTL_PROBE_SESSION_H

#include <apr_pools.h>
#include <openssl/ssl.h>

#include "exchange.h"

#pragma GCC visibility push(hidden)

/* The session in pool; NULL: it cannot be encoded. */
const unsigned char *probe_session_encode(SSL_SESSION *session, apr_size_t *plen, apr_pool_t *pool);

/* A copy of a session's DER with another ticket in it; *plen its length.  NULL: not a session
 * with a ticket, or too large. */
unsigned char *probe_session_with_ticket(const unsigned char *session, apr_size_t session_len,
                                         const unsigned char *ticket, apr_size_t ticket_len,
                                         apr_size_t *plen, apr_pool_t *pool);

/* Has ssl offer the session of offer, if there is one.  0: it cannot. */
int probe_session_offer(SSL *ssl, const probe_offer_t *offer, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
