/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many tickets a client gets in TLS 1.3: what the virtual host that SNI chose says
 * (StekTicketCount), or what the client asks for, up to the vhost's maximum (RFC 9149).  TLS 1.2 has
 * one ticket a handshake.
 *
 *     ClientHello          ticket_request { u8 new_session_count, u8 resumption_count }
 *     EncryptedExtensions  ticket_request { u8 expected_count }
 *
 * Two counts of 0 are a good request: of a client that will not resume (RFC 9149, 2).  It is told 0.
 * A request of another length ends the handshake with decode_error, one that differs after a
 * HelloRetryRequest with illegal_parameter.
 *
 * OpenSSL takes the number from the SSL_CTX with which a connection began; so it is set for each
 * connection, once it is known whether it is resumed.  Any thread of a child.
 */
#ifndef MOD_STEK_TICKET_COUNT_H
#define MOD_STEK_TICKET_COUNT_H

#include "mod_stek_ticket_outcome.h"

#pragma GCC visibility push(hidden)

/* What a handshake comes to; none: it gives no ticket. */
enum {
    MOD_STEK_TICKETS_UNDECIDED,
    MOD_STEK_TICKETS_NONE,
    MOD_STEK_TICKETS_FULL,
    MOD_STEK_TICKETS_RESUMED
};

/* init_server: lets clients ask.  On every vhost, asking or not: OpenSSL lists the extensions of a
 * ClientHello by the SSL_CTX with which the connection began, and reads them by the one that SNI
 * chose.  0 if OpenSSL refuses. */
int mod_stek_ticket_count_install(SSL_CTX *ctx);

/* From the ticket and session callbacks: a handshake of that vhost comes to this.  The last call counts. */
void mod_stek_ticket_count_choose(SSL *ssl, const mod_stek_vhost_t *vhost,
                                  mod_stek_ticket_outcome_t *record, int chosen);

#pragma GCC visibility pop
#endif
