/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths of tickets, from the messages that carry them (mod_stek_ticket_size.h).  Glue; no state.
 * Never reads beyond what it is given, whatever stands there.
 */
#include "mod_stek_ticket_size.h"

/* A number of two bytes at that offset; 0 beyond the end. */
static apr_size_t number_at(const unsigned char *bytes, apr_size_t len, apr_size_t at)
{
    return at + 2 > len ? 0 : (apr_size_t)bytes[at] << 8 | bytes[at + 1];
}

/* RFC 9846, 4.3.11: length 2 | for each identity: length 2, ticket, age 4 | length 2 | for each
 * identity: length 1, binder.  OpenSSL has taken the identities off when it asks for the key of
 * one, and leaves the binders: they end where the extension does, and count the identities. */
static apr_size_t identities_size(const unsigned char *first, const unsigned char *binders,
                                  apr_size_t len)
{
    apr_size_t between = (apr_size_t)((apr_uintptr_t)binders - (apr_uintptr_t)first);
    apr_size_t at = 2, n = 0;

    if (number_at(binders, len, 0) + 2 != len) {
        return 0;
    }
    for (; at < len; n++) {
        at += 1 + (apr_size_t)binders[at];
    }
    return at == len && between <= 0xffff && between + 2 >= 6 * n ? between + 2 - 6 * n : 0;
}

apr_size_t mod_stek_ticket_size_offered(SSL *ssl, const unsigned char *first)
{
    int is_tls13 = SSL_version(ssl) >= TLS1_3_VERSION;
    const unsigned char *bytes = NULL;
    size_t len = 0;

    if (!SSL_client_hello_get0_ext(ssl, is_tls13 ? TLSEXT_TYPE_psk : TLSEXT_TYPE_session_ticket,
                                   &bytes, &len)) {
        return 0;
    }
    return is_tls13 ? identities_size(first, bytes, len) : len;
}

/* Before TLS 1.3 (RFC 5077, 3.3): header 4 | lifetime 4 | length 2, ticket.  TLS 1.3 (RFC 9846,
 * 4.7.1): header 4 | lifetime 4 | age 4 | length 1, nonce | length 2, ticket | extensions. */
apr_size_t mod_stek_ticket_size_issued(int version, const void *message, apr_size_t len)
{
    const unsigned char *bytes = message;
    apr_size_t at = 8, size;

    if (len < 13 || bytes[0] != SSL3_MT_NEWSESSION_TICKET) {
        return 0;
    }
    if (version >= TLS1_3_VERSION) {
        at = 13 + (apr_size_t)bytes[12];
    }
    size = number_at(bytes, len, at);
    return at + 2 + size <= len ? size : 0;
}
