/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an SSL_CTX accepts, read from a ClientHello (mod_stek_hello.h).  Glue; parent only, while it
 * configures.  Nothing goes over a network, and mod_ssl hears nothing of it.
 */
#include "mod_stek_hello.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "stek_error.h"

enum { EXTENSION_GROUPS = 10, EXTENSION_SIGALGS = 13 };

/* Above these are groups for key exchange only (RFC 8422, 5.1.1; RFC 7027). */
#define LAST_CERT_GROUP 28

#define VALUES_MAX 256

typedef struct hello_t {
    unsigned char bytes[8192];
    size_t len;
} hello_t;

static void on_message(int is_written, int version, int type, const void *bytes, size_t len,
                       SSL *ssl, void *arg)
{
    hello_t *hello = arg;

    (void)version;
    (void)ssl;
    if (hello && is_written && type == SSL3_RT_HANDSHAKE && hello->len == 0
        && len <= sizeof(hello->bytes)) {
        memcpy(hello->bytes, bytes, len);
        hello->len = len;
    }
}

/* NULL would stand for what the context has called in handshakes. */
static void tell_nobody(const SSL *ssl, int where, int ret)
{
    (void)ssl;
    (void)where;
    (void)ret;
}

/* What is made here of the context depends on nothing but what is looked for: not on its ciphers,
 * versions or security level. */
static int make_hello(SSL_CTX *ctx, hello_t *hello)
{
    SSL *ssl = SSL_new(ctx);
    BIO *nowhere = ssl ? BIO_new(BIO_s_null()) : NULL;

    hello->len = 0;
    if (nowhere) {
        SSL_set_bio(ssl, nowhere, nowhere);
        SSL_set_info_callback(ssl, tell_nobody);
        SSL_set_msg_callback(ssl, on_message);
        SSL_set_security_level(ssl, 0);
        SSL_clear_options(ssl, SSL_OP_NO_SSL_MASK);
        if (SSL_set_msg_callback_arg(ssl, hello) && SSL_set_ssl_method(ssl, TLS_client_method())
            && SSL_set_min_proto_version(ssl, TLS1_2_VERSION) && SSL_set_max_proto_version(ssl, 0)
            && SSL_set_cipher_list(ssl, "ECDHE")) {
            SSL_set_connect_state(ssl);
            SSL_do_handshake(ssl);
        }
    }
    SSL_free(ssl);
    ERR_clear_error();
    return hello->len > 0;
}

/* A part of a message. */
typedef struct span_t {
    const unsigned char *at, *end;
} span_t;

/* Takes a number of so many bytes off the span's begin; sets at to NULL beyond its end. */
static unsigned take_number(span_t *span, int len)
{
    unsigned number = 0;

    if (!span->at || span->end - span->at < len) {
        span->at = NULL;
        return 0;
    }
    for (; len > 0; len--) {
        number = number << 8 | *span->at++;
    }
    return number;
}

/* Takes a vector off, whose length stands in so many bytes (RFC 9846, 3.4). */
static span_t take_vector(span_t *span, int len_len)
{
    unsigned len = take_number(span, len_len);
    span_t vector = {NULL, NULL};

    if (!span->at || (size_t)(span->end - span->at) < len) {
        span->at = NULL;
        return vector;
    }
    vector.at = span->at;
    vector.end = span->at += len;
    return vector;
}

/* RFC 9846, 4.2.2: type, length, version, random, session, suites, compression, extensions.  The
 * list in the extension of that type; at is NULL if there is none. */
static span_t find_list(const hello_t *hello, unsigned type)
{
    span_t rest = {hello->bytes, hello->bytes + hello->len}, extensions, extension = {NULL, NULL};

    if (hello->len < 38) {
        return extension;
    }
    rest.at += 38;
    take_vector(&rest, 1);
    take_vector(&rest, 2);
    take_vector(&rest, 1);
    extensions = take_vector(&rest, 2);
    while (extensions.at && extensions.at < extensions.end) {
        unsigned found = take_number(&extensions, 2);

        extension = take_vector(&extensions, 2);
        if (found == type && extension.at) {
            return take_vector(&extension, 2);
        }
    }
    extension.at = NULL;
    return extension;
}

static int compare_values(const void *a, const void *b)
{
    return (int)*(const unsigned *)a - (int)*(const unsigned *)b;
}

/* Digests the set of the values up to last; their order only says what is liked best. */
static int digest_list(const hello_t *hello, unsigned type, unsigned last,
                       unsigned char digest[STEK_DIGEST_LEN])
{
    size_t i;
    span_t list = find_list(hello, type);
    unsigned values[VALUES_MAX];
    size_t n = 0;

    if (!list.at) {
        return 0;
    }
    memset(values, 0, sizeof(values));
    while (list.at && list.at < list.end && n < VALUES_MAX) {
        unsigned value = take_number(&list, 2);

        if (value <= last) {
            values[n++] = value;
        }
    }
    qsort(values, n, sizeof(values[0]), compare_values);
    for (i = 0; i < n; i++) {
        unsigned value = values[i];
        unsigned char *bytes = (unsigned char *)&values[i];

        /* The same on hosts of either order of bytes. */
        bytes[0] = (unsigned char)(value >> 8);
        bytes[1] = (unsigned char)value;
        bytes[2] = bytes[3] = 0;
    }
    return EVP_Digest(values, n * sizeof(values[0]), digest, NULL, EVP_sha256(), NULL);
}

apr_status_t mod_stek_hello_digest(SSL_CTX *ctx, unsigned char groups[STEK_DIGEST_LEN],
                                   unsigned char sigalgs[STEK_DIGEST_LEN])
{
    unsigned char digests[2][STEK_DIGEST_LEN];
    hello_t hello;

    if (!make_hello(ctx, &hello)
        || !digest_list(&hello, EXTENSION_GROUPS, LAST_CERT_GROUP, digests[0])
        || !digest_list(&hello, EXTENSION_SIGALGS, 0xffff, digests[1])) {
        ERR_clear_error();
        return STEK_ECRYPTO;
    }
    memcpy(groups, digests[0], STEK_DIGEST_LEN);
    memcpy(sigalgs, digests[1], STEK_DIGEST_LEN);
    return APR_SUCCESS;
}
