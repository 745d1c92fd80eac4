/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions as bytes (session.h).  To alter a ticket, element [10] of the session's DER, which
 * contains it, is replaced.  An altered ticket gets a random session id, or the server could resume
 * from its session cache.
 */
#include "session.h"

#include <apr_strings.h>
#include <openssl/rand.h>
#include <string.h>

#include "stek_session.h"

#define PEER_TAG 0xa3   /* [3], constructed */
#define TICKET_TAG 0xaa /* [10], constructed, of OpenSSL's SSL_SESSION_ASN1 */
#define OCTETS_TAG 0x04

static apr_size_t der_head(unsigned char *out, int tag, apr_size_t len)
{
    apr_size_t n = 0, bytes_n = len < 0x80 ? 0 : len < 0x100 ? 1 : len < 0x10000 ? 2 : 3;

    out[n++] = (unsigned char)tag;
    if (bytes_n == 0) {
        out[n++] = (unsigned char)len;
        return n;
    }
    out[n++] = (unsigned char)(0x80 | bytes_n);
    while (bytes_n-- > 0) {
        out[n++] = (unsigned char)(len >> (8 * bytes_n));
    }
    return n;
}

/* Moves *pat from an element to its value and returns the value's length in *plen.  0, or -1 if
 * malformed. */
static int der_enter(const unsigned char *der, apr_size_t end, apr_size_t *pat, apr_size_t *plen)
{
    apr_size_t at = *pat, len, n;

    if (end < 2 || at > end - 2) {
        return -1;
    }
    len = der[at + 1];
    at += 2;
    if (len & 0x80) {
        n = len & 0x7f;
        if (n == 0 || n > 3 || n > end - at) {
            return -1;
        }
        for (len = 0; n > 0; n--) {
            len = len << 8 | der[at++];
        }
    }
    if (len > end - at) {
        return -1;
    }
    *pat = at;
    *plen = len;
    return 0;
}

/* A copy of session[len] without the element that begins with this tag; the session itself if there is
 * none. */
static const unsigned char *without(const unsigned char *session, apr_size_t *plen, int tag,
                                    apr_pool_t *pool)
{
    apr_size_t at = 0, len, from, end, next, head_n;
    unsigned char head[8], *out;

    if (der_enter(session, *plen, &at, &len) != 0) {
        return session;
    }
    from = at;
    end = at + len;
    for (; at < end && session[at] != tag; at = next + len) {
        next = at;
        if (der_enter(session, end, &next, &len) != 0) {
            return session;
        }
    }
    next = at;
    if (at >= end || der_enter(session, end, &next, &len) != 0) {
        return session;
    }
    next += len;
    head_n = der_head(head, session[0], at - from + (end - next));
    out = apr_palloc(pool, head_n + (at - from) + (end - next));
    memcpy(out, head, head_n);
    memcpy(out + head_n, session + from, at - from);
    memcpy(out + head_n + (at - from), session + next, end - next);
    *plen = head_n + (at - from) + (end - next);
    return out;
}

/* Without the server's certificate: it is most of a session, and would be parsed for every offer. */
const unsigned char *probe_session_encode(SSL_SESSION *session, apr_size_t *plen, apr_pool_t *pool)
{
    unsigned char *der = NULL;
    int len = i2d_SSL_SESSION(session, &der);
    const unsigned char *short_der, *kept;

    if (len <= 0) {
        return NULL;
    }
    *plen = (apr_size_t)len;
    short_der = without(der, plen, PEER_TAG, pool);
    kept = short_der == der ? apr_pmemdup(pool, der, *plen) : short_der;
    OPENSSL_clear_free(der, (size_t)len);
    return kept;
}

unsigned char *probe_session_with_ticket(const unsigned char *session, apr_size_t session_len,
                                         const unsigned char *ticket, apr_size_t ticket_len,
                                         apr_size_t *plen, apr_pool_t *pool)
{
    apr_size_t at = 0, len, end, from, n, body_len, inner_n;
    unsigned char inner[8], outer[8], whole[8], *out;

    if (ticket_len > 0xffff || session_len < 2 || der_enter(session, session_len, &at, &len) != 0) {
        return NULL;
    }
    from = at;
    end = at + len;
    while (at < end && session[at] != TICKET_TAG) {
        if (der_enter(session, end, &at, &len) != 0) {
            return NULL;
        }
        at += len;
    }
    n = at - from;
    if (at >= end || der_enter(session, end, &at, &len) != 0) {
        return NULL;
    }
    at += len;
    inner_n = der_head(inner, OCTETS_TAG, ticket_len);
    len = der_head(outer, TICKET_TAG, inner_n + ticket_len);
    body_len = n + len + inner_n + ticket_len + (end - at);
    out = apr_palloc(pool, sizeof(whole) + body_len);
    *plen = der_head(out, session[0], body_len);
    memcpy(out + *plen, session + from, n);
    memcpy(out + *plen + n, outer, len);
    memcpy(out + *plen + n + len, inner, inner_n);
    memcpy(out + *plen + n + len + inner_n, ticket, ticket_len);
    memcpy(out + *plen + n + len + inner_n + ticket_len, session + at, end - at);
    *plen += body_len;
    return out;
}

unsigned char *probe_session_of_server(const unsigned char *session, apr_size_t session_len,
                                       const unsigned char *context, apr_size_t context_len,
                                       apr_size_t *plen, apr_pool_t *pool)
{
    SSL_SESSION *own = d2i_SSL_SESSION(NULL, &session, (long)session_len);
    unsigned char *der = NULL, *out = NULL;
    const unsigned char *kept;
    int len;

    if (!own || SSL_SESSION_set1_id_context(own, context, (unsigned int)context_len) != 1) {
        SSL_SESSION_free(own);
        return NULL;
    }
    stek_session_set_time(own, apr_time_now() - apr_time_from_sec(1));
    len = i2d_SSL_SESSION(own, &der);
    if (len > 0) {
        *plen = (apr_size_t)len;
        kept = without(der, plen, TICKET_TAG, pool);
        out = apr_pmemdup(pool, kept, *plen);
        OPENSSL_clear_free(der, (size_t)len);
    }
    SSL_SESSION_free(own);
    return out;
}

/* The first suite of a version whose hash is, or is not, that of cipher. */
static const SSL_CIPHER *find_suite(SSL *ssl, int version, const SSL_CIPHER *cipher, int is_same)
{
    STACK_OF(SSL_CIPHER) *all = SSL_get_ciphers(ssl);
    const EVP_MD *hash = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
    int i;

    for (i = 0; i < sk_SSL_CIPHER_num(all); i++) {
        const SSL_CIPHER *one = sk_SSL_CIPHER_value(all, i);
        int is_13 = !strcmp(SSL_CIPHER_get_version(one), "TLSv1.3");

        if (is_13 == (version == TLS1_3_VERSION)
            && (SSL_CIPHER_get_handshake_digest(one) == hash) == is_same) {
            return one;
        }
    }
    return NULL;
}

/* In the other version, the secret stays what it is; there must be a suite of that version. */
static int change_version(SSL *ssl, SSL_SESSION *session, int version)
{
    const SSL_CIPHER *suite = find_suite(ssl, version, SSL_SESSION_get0_cipher(session), 1);

    suite = suite ? suite : find_suite(ssl, version, NULL, 0);
    return suite && SSL_SESSION_set_cipher(session, suite) == 1
           && SSL_SESSION_set_protocol_version(session, version) == 1;
}

/* Takes the session's suite, and those with the same hash, off what is offered. */
static int change_suite(SSL *ssl, const SSL_SESSION *session, int version, apr_pool_t *pool)
{
    STACK_OF(SSL_CIPHER) *all = SSL_get_ciphers(ssl);
    const SSL_CIPHER *own = SSL_SESSION_get0_cipher(session);
    const char *names = "";
    int i;

    for (i = 0; own && i < sk_SSL_CIPHER_num(all); i++) {
        const SSL_CIPHER *one = sk_SSL_CIPHER_value(all, i);
        int is_13 = !strcmp(SSL_CIPHER_get_version(one), "TLSv1.3");

        if (is_13 == (version == TLS1_3_VERSION)
            && SSL_CIPHER_get_handshake_digest(one) != SSL_CIPHER_get_handshake_digest(own)) {
            names = apr_pstrcat(pool, names, *names ? ":" : "", SSL_CIPHER_get_name(one), NULL);
        }
    }
    return *names
           && (version == TLS1_3_VERSION ? SSL_set_ciphersuites(ssl, names)
                                         : SSL_set_cipher_list(ssl, names))
                  == 1;
}

static int apply_change(SSL *ssl, SSL_SESSION *session, const probe_offer_t *offer,
                        apr_pool_t *pool)
{
    switch (offer->change) {
    case PROBE_CHANGE_VERSION:
        return change_version(ssl, session, offer->version);
    case PROBE_CHANGE_SUITE:
        return change_suite(ssl, session, offer->version, pool);
    default:
        return 1;
    }
}

int probe_session_offer(SSL *ssl, const probe_offer_t *offer, apr_pool_t *pool)
{
    const unsigned char *der = offer->session;
    apr_size_t len = offer->session_len;
    SSL_SESSION *session = NULL;
    unsigned char id[32], secret[PROBE_SECRET_MAX];
    size_t secret_len;
    int is_good = 0;

    if (!der) {
        return 1;
    }
    if (offer->ticket) {
        der = probe_session_with_ticket(der, len, offer->ticket, offer->ticket_len, &len, pool);
    }
    session = der ? d2i_SSL_SESSION(NULL, &der, (long)len) : NULL;
    if (session) {
        /* OpenSSL's client drops a session that seems over, or from the future, because time() may
         * lag behind APR's clock.  But the server is to decide. */
        stek_session_set_time(session, apr_time_now() - apr_time_from_sec(1));
        is_good = ((!offer->ticket && offer->change == PROBE_CHANGE_NONE)
                   || (RAND_bytes(id, sizeof(id)) == 1
                       && SSL_SESSION_set1_id(session, id, sizeof(id)) == 1))
                  && apply_change(ssl, session, offer, pool)
                  && (offer->drops_session || SSL_set_session(ssl, session) == 1);
        if (is_good && offer->secret) {
            is_good = SSL_SESSION_set1_master_key(session, offer->secret, offer->secret_len) == 1;
        }
        if (is_good && offer->wrong_secret) {
            secret_len = SSL_SESSION_get_master_key(session, secret, sizeof(secret));
            secret[0] ^= 1;
            is_good = SSL_SESSION_set1_master_key(session, secret, secret_len) == 1;
            OPENSSL_cleanse(secret, sizeof(secret));
        }
    }
    SSL_SESSION_free(session);
    return is_good;
}
