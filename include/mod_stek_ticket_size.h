/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long tickets are on the wire.  OpenSSL's ticket callbacks tell no lengths, so they are read
 * where they stand: in the ClientHello while OpenSSL works on it, and in the message that takes a
 * ticket to the client.  Glue; any thread of a child, in handshakes.
 */
#ifndef MOD_STEK_TICKET_SIZE_H
#define MOD_STEK_TICKET_SIZE_H

#include "apr.h"
#include <openssl/ssl.h>

#pragma GCC visibility push(hidden)

/* Bytes of all tickets in the ClientHello that OpenSSL works on.  first: the first of them, as
 * OpenSSL hands it to the callbacks.  0 if they cannot be told. */
apr_size_t mod_stek_ticket_size_offered(SSL *ssl, const unsigned char *first);

/* Bytes of the ticket in a whole handshake message; 0 if it is not a NewSessionTicket.  version: of
 * the connection, as OpenSSL numbers them. */
apr_size_t mod_stek_ticket_size_issued(int version, const void *message, apr_size_t len);

#pragma GCC visibility pop
#endif
