/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key schedule of TLS 1.3 (schedule.h), without a PSK.
 *
 *     0 -> early secret -> handshake secret -> master secret -> resumption master secret -> PSK
 *                                ^                                      ^                   ^
 *                        key exchange's secret             hash of the handshake      ticket_nonce
 */
#include "schedule.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define CONTEXT_MAX 255
#define SHARED_MAX 1024             /* bytes of a key exchange's secret: DH with 8192 bits */
#define HEAD_LEN 4                  /* of a handshake message */
#define TRANSCRIPT_MAX (256 * 1024) /* OpenSSL takes 100 KiB of certificates */

/* The random of a ServerHello that asks for another ClientHello (RFC 9846, 4.2.3). */
static const unsigned char retry[32] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

static void append(probe_transcript_t *transcript, const unsigned char *bytes, apr_size_t len,
                   apr_pool_t *pool)
{
    if (transcript->len + len > transcript->room) {
        apr_size_t room = 2 * (transcript->len + len);
        unsigned char *more = apr_palloc(pool, room);

        if (transcript->len) {
            memcpy(more, transcript->bytes, transcript->len);
        }
        transcript->bytes = more;
        transcript->room = room;
    }
    memcpy(transcript->bytes + transcript->len, bytes, len);
    transcript->len += len;
}

int probe_schedule_is_retry(const unsigned char *hello, apr_size_t len)
{
    return len >= 2 + sizeof(retry) && memcmp(hello + 2, retry, sizeof(retry)) == 0;
}

void probe_transcript_add(probe_transcript_t *transcript, int is_write, const unsigned char *bytes,
                          apr_size_t len, apr_pool_t *pool)
{
    /* A request for another handshake is none of its messages (RFC 5246, 7.4.1.1). */
    if (transcript->is_complete || len < HEAD_LEN || bytes[0] == SSL3_MT_HELLO_REQUEST
        || transcript->len + len > TRANSCRIPT_MAX) {
        return;
    }
    if (bytes[0] == SSL3_MT_SERVER_HELLO && !is_write
        && probe_schedule_is_retry(bytes + HEAD_LEN, len - HEAD_LEN)) {
        transcript->is_retried = 1;
        transcript->hello_len = transcript->len;
    }
    append(transcript, bytes, len, pool);
    transcript->is_complete = is_write && bytes[0] == SSL3_MT_FINISHED;
}

/* The hash of the handshake; a first ClientHello that was refused counts as its hash (RFC 9846,
 * 4.1). */
static int hash_transcript(const probe_transcript_t *transcript, const EVP_MD *md,
                           unsigned char *out)
{
    unsigned char head[HEAD_LEN] = {SSL3_MT_MESSAGE_HASH, 0, 0, 0}, first[EVP_MAX_MD_SIZE];
    apr_size_t from = transcript->is_retried ? transcript->hello_len : 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned int len = 0;
    int is_good = ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1;

    if (is_good && from) {
        is_good = EVP_Digest(transcript->bytes, from, first, &len, md, NULL) == 1;
        head[3] = (unsigned char)len;
        is_good = is_good && EVP_DigestUpdate(ctx, head, sizeof(head)) == 1
                  && EVP_DigestUpdate(ctx, first, len) == 1;
    }
    is_good = is_good
              && EVP_DigestUpdate(ctx, transcript->bytes + from, transcript->len - from) == 1
              && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return is_good;
}

int probe_schedule_expand(const unsigned char *secret, apr_size_t len, const char *label,
                          const unsigned char *context, apr_size_t context_len, unsigned char *out)
{
    unsigned char info[4 + 64 + CONTEXT_MAX + 1], block[EVP_MAX_MD_SIZE];
    apr_size_t label_len = strlen(label), n = 0;
    const EVP_MD *md = len == 48 ? EVP_sha384() : EVP_sha256();
    unsigned int block_len = 0;

    if (label_len > 64 - 6 || context_len > CONTEXT_MAX) {
        return 0;
    }
    info[n++] = 0;
    info[n++] = (unsigned char)len;
    info[n++] = (unsigned char)(label_len + 6);
    memcpy(info + n, "tls13 ", 6);
    memcpy(info + n + 6, label, label_len);
    n += 6 + label_len;
    info[n++] = (unsigned char)context_len;
    if (context_len) {
        memcpy(info + n, context, context_len);
    }
    n += context_len;
    info[n++] = 1;
    if (!HMAC(md, secret, (int)len, info, n, block, &block_len) || block_len != len) {
        return 0;
    }
    memcpy(out, block, len);
    OPENSSL_cleanse(block, sizeof(block));
    return 1;
}

static apr_size_t derive_shared(EVP_PKEY *own, EVP_PKEY *peer, unsigned char *shared)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    size_t len = SHARED_MAX;
    int is_good = ctx && EVP_PKEY_derive_init(ctx) == 1;

    if (is_good && EVP_PKEY_get_base_id(own) == EVP_PKEY_DH) {
        is_good = EVP_PKEY_CTX_set_dh_pad(ctx, 1) > 0;
    }
    is_good = is_good && EVP_PKEY_derive_set_peer(ctx, peer) == 1
              && EVP_PKEY_derive(ctx, shared, &len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_good ? len : 0;
}

/* Derive-Secret(secret, "derived", ""), then HKDF-Extract with input. */
static int go_on(const EVP_MD *md, unsigned char *secret, apr_size_t len,
                 const unsigned char *input, apr_size_t input_len)
{
    unsigned char empty[EVP_MAX_MD_SIZE], salt[PROBE_SECRET_MAX];
    int is_good = EVP_Digest("", 0, empty, NULL, md, NULL) == 1
                  && probe_schedule_expand(secret, len, "derived", empty, len, salt)
                  && HMAC(md, salt, (int)len, input, input_len, secret, NULL) != NULL;

    OPENSSL_cleanse(salt, sizeof(salt));
    return is_good;
}

/* more[0] resumption master secret, more[1] master secret, more[2] handshake secret. */
static int compute(const EVP_MD *md, const unsigned char *shared, apr_size_t shared_len,
                   const probe_transcript_t *transcript, probe_ticket_t *ticket)
{
    static const unsigned char zeros[PROBE_SECRET_MAX];
    unsigned char secret[EVP_MAX_MD_SIZE], hash[EVP_MAX_MD_SIZE], psk[PROBE_SECRET_MAX];
    apr_size_t len = (apr_size_t)EVP_MD_get_size(md);
    int is_good = len == ticket->secret_len && HMAC(md, zeros, (int)len, zeros, len, secret, NULL)
                  && go_on(md, secret, len, shared, shared_len);

    if (is_good) {
        memcpy(ticket->more[2], secret, len);
        is_good = go_on(md, secret, len, zeros, len);
    }
    if (is_good) {
        memcpy(ticket->more[1], secret, len);
        is_good = hash_transcript(transcript, md, hash)
                  && probe_schedule_expand(secret, len, "res master", hash, len, ticket->more[0])
                  && probe_schedule_expand(ticket->more[0], len, "resumption", ticket->nonce,
                                           ticket->nonce_len, psk)
                  && memcmp(psk, ticket->secret, len) == 0;
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(psk, sizeof(psk));
    return is_good;
}

void probe_schedule_secrets(SSL *ssl, const probe_transcript_t *transcript, probe_ticket_t *ticket)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const EVP_MD *md = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
    EVP_PKEY *own = NULL, *peer = NULL;
    unsigned char shared[SHARED_MAX];
    apr_size_t len;

    if (md && transcript->is_complete && SSL_get_tmp_key(ssl, &own) == 1
        && SSL_get_peer_tmp_key(ssl, &peer) == 1) {
        len = derive_shared(own, peer, shared);
        ticket->more_n = len && compute(md, shared, len, transcript, ticket) ? PROBE_MORE_N : 0;
        OPENSSL_cleanse(shared, sizeof(shared));
    }
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    ERR_clear_error();
}
