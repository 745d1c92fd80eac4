/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof: a session's own secret in a text.  A ticket of TLS 1.3 may hold the PSK itself, or the
 * resumption master secret from which ticket_nonce makes it (RFC 8446, 4.6.1).  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_SECRET_H
#define STEKCTL_PROBE_SECRET_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* Where the secret, less its first 16 bytes, stands in text[len]; NULL: nowhere. */
const unsigned char *probe_secret_find(const unsigned char *text, apr_size_t len,
                                       const probe_ticket_t *ticket);

/* Where a resumption master secret of this ticket stands in text[len]; NULL: nowhere. */
const unsigned char *probe_secret_find_master(const unsigned char *text, apr_size_t len,
                                              const probe_ticket_t *ticket);

#pragma GCC visibility pop
#endif
