/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof that a text is a decrypted ticket: it contains the session's own secret.  A TLS 1.3
 * ticket may contain the PSK itself, or the resumption master secret from which it is derived with
 * ticket_nonce (RFC 9846, 4.7.1).  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_SECRET_H
#define STEKCTL_PROBE_SECRET_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* The position in text[len] of the secret without its first 16 bytes; NULL if it is not there. */
const unsigned char *probe_secret_find(const unsigned char *text, apr_size_t len,
                                       const probe_ticket_t *ticket);

/* The position in text[len] of this ticket's resumption master secret; NULL if it is not there. */
const unsigned char *probe_secret_find_master(const unsigned char *text, apr_size_t len,
                                              const probe_ticket_t *ticket);

#pragma GCC visibility pop
#endif
