/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of a TLS session: OpenSSL 3.3 has other functions for it than 3.0, and 3.4 warns of the
 * old ones.  Core, any thread and phase; to the second.
 */
#ifndef STEK_SESSION_H
#define STEK_SESSION_H

#include <apr_time.h>
#include <openssl/ssl.h>

static inline apr_time_t stek_session_time(const SSL_SESSION *session)
{
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    return apr_time_from_sec(SSL_SESSION_get_time_ex(session));
#else
    return apr_time_from_sec(SSL_SESSION_get_time(session));
#endif
}

static inline void stek_session_set_time(SSL_SESSION *session, apr_time_t time)
{
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    SSL_SESSION_set_time_ex(session, (time_t)apr_time_sec(time));
#else
    SSL_SESSION_set_time(session, (long)apr_time_sec(time));
#endif
}

#endif
