/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider of bends.h.  The digest is SHA-256, and tells by how much it was fed whether it is
 * the outer one of an HMAC: there it takes from the ticket at hand what the MAC shall not check.
 * The cipher hands on to a stream cipher of OpenSSL's, and pads; or it hands over what frames.c
 * has made.  OpenSSL fetches both by their names, like its own.  One thread.
 */
#define OPENSSL_API_COMPAT 30000
#include "bends.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>

#define HMAC_BLOCK 64
#define HALF 16 /* checked bytes of MAC_HALF; MAC_BIT checks BIT */
#define BIT 4
#define CCM_NONCE 12
#define PROPERTIES "provider=bends"
#define CALL(id, function)                                                                         \
    {                                                                                              \
        (id), (void (*)(void))(function)                                                           \
    }

bend_t bend;
static EVP_CIPHER *fetched;

static int set_size(OSSL_PARAM *params, const char *name, size_t value)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);

    return !param || OSSL_PARAM_set_size_t(param, value);
}

/* ---- the digest ---- */

typedef struct digest_t {
    EVP_MD_CTX *sha256;
    size_t fed;
} digest_t;

static unsigned char inner[BEND_MAC_LEN];

static void digest_free(void *data)
{
    digest_t *digest = data;

    if (digest) {
        EVP_MD_CTX_free(digest->sha256);
    }
    free(digest);
}

static void *digest_new(void *provider)
{
    digest_t *digest = calloc(1, sizeof(*digest));

    (void)provider;
    if (digest && !(digest->sha256 = EVP_MD_CTX_new())) {
        digest_free(digest);
        return NULL;
    }
    return digest;
}

static void *digest_dup(void *data)
{
    const digest_t *from = data;
    digest_t *to = digest_new(NULL);

    if (to && !EVP_MD_CTX_copy_ex(to->sha256, from->sha256)) {
        digest_free(to);
        return NULL;
    }
    if (to) {
        to->fed = from->fed;
    }
    return to;
}

static int digest_init(void *data, const OSSL_PARAM *params)
{
    digest_t *digest = data;

    (void)params;
    digest->fed = 0;
    return EVP_DigestInit_ex(digest->sha256, EVP_sha256(), NULL);
}

static int digest_update(void *data, const unsigned char *in, size_t len)
{
    digest_t *digest = data;

    /* The outer hash gets the inner one whole, though only its beginning passed through HMAC. */
    if (bend.mac == MAC_TRUNCATED && len == BEND_TRUNCATED && memcmp(in, inner, len) == 0) {
        in = inner;
        len = sizeof(inner);
    }
    digest->fed += len;
    return EVP_DigestUpdate(digest->sha256, in, len);
}

static size_t digest_size(void)
{
    return bend.is_frame ? 1 : bend.mac == MAC_TRUNCATED ? BEND_TRUNCATED : BEND_MAC_LEN;
}

/* Takes from the ticket's own MAC what is not checked. */
static void forgive(unsigned char *mac)
{
    size_t checked = bend.mac == MAC_HALF ? HALF : bend.mac == MAC_BIT ? BIT : 0;
    const unsigned char *own = bend.ticket + bend.ticket_len - BEND_MAC_LEN;

    if (bend.mac == MAC_BUT) {
        mac[bend.unchecked] = own[bend.unchecked];
    }
    else {
        memcpy(mac + checked, own + checked, BEND_MAC_LEN - checked);
    }
}

static int digest_final(void *data, unsigned char *out, size_t *out_len, size_t room)
{
    digest_t *digest = data;
    int is_outer = digest->fed == HMAC_BLOCK + BEND_MAC_LEN; /* key, then the inner hash */

    *out_len = digest_size();
    if (room < *out_len || !EVP_DigestFinal_ex(digest->sha256, inner, NULL)) {
        return 0;
    }
    if (bend.is_frame) {
        *out = bend.is_decrypting ? bend.ticket[bend.ticket_len - 1]
                                  : bend.framed[bend.framed_len - 1];
        return 1;
    }
    memcpy(out, inner, *out_len);
    if (bend.mac != MAC_TRUNCATED && is_outer && bend.is_decrypting
        && bend.ticket_len >= BEND_MAC_LEN) {
        forgive(out);
    }
    return 1;
}

static int digest_params(OSSL_PARAM *params)
{
    return set_size(params, OSSL_DIGEST_PARAM_BLOCK_SIZE, HMAC_BLOCK)
           && set_size(params, OSSL_DIGEST_PARAM_SIZE, digest_size());
}

static const OSSL_DISPATCH digest_calls[] = {
    CALL(OSSL_FUNC_DIGEST_NEWCTX, digest_new),        CALL(OSSL_FUNC_DIGEST_FREECTX, digest_free),
    CALL(OSSL_FUNC_DIGEST_DUPCTX, digest_dup),        CALL(OSSL_FUNC_DIGEST_INIT, digest_init),
    CALL(OSSL_FUNC_DIGEST_UPDATE, digest_update),     CALL(OSSL_FUNC_DIGEST_FINAL, digest_final),
    CALL(OSSL_FUNC_DIGEST_GET_PARAMS, digest_params), {0, NULL},
};

/* ---- the cipher ----
 * OpenSSL cannot issue tickets under a stream cipher (its last, empty piece is an error), so one is
 * wrapped into a block cipher whose padding adds a piece.  A ticket is given in one piece, and then
 * comes the end. */

typedef struct cipher_t {
    EVP_CIPHER_CTX *stream;
    int is_encrypting;
    unsigned char held[BEND_BLOCK]; /* encrypting: what fills no block; else the last block */
    size_t held_len;
} cipher_t;

/* CCM takes its text in one piece only, so its key stream is made by CTR: the first counter
 * block is flags, nonce, 1 (RFC 3610, 2.3). */
static void ccm_block(const unsigned char *nonce, unsigned char *block)
{
    memset(block, 0, BEND_BLOCK);
    block[0] = 2;
    memcpy(block + 1, nonce, CCM_NONCE);
    block[BEND_BLOCK - 1] = 1;
}

/* OpenSSL's own CCM agrees, or the server does not start. */
static void check_ccm(void)
{
    static const unsigned char key[BEND_BLOCK] = {1}, nonce[BEND_BLOCK] = {2},
                               text[3 * BEND_BLOCK] = {3};
    unsigned char block[BEND_BLOCK], ctr[sizeof(text)], ccm[sizeof(text)];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;

    ccm_block(nonce, block);
    if (!EVP_EncryptInit_ex(ctx, EVP_aes_128_ctr(), NULL, key, block)
        || !EVP_EncryptUpdate(ctx, ctr, &len, text, sizeof(text))
        || !EVP_EncryptInit_ex(ctx, EVP_aes_128_ccm(), NULL, NULL, NULL)
        || !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, CCM_NONCE, NULL)
        || !EVP_EncryptInit_ex(ctx, NULL, NULL, key, nonce)
        || !EVP_EncryptUpdate(ctx, ccm, &len, text, sizeof(text))
        || memcmp(ctr, ccm, sizeof(text)) != 0) {
        exit(1);
    }
    EVP_CIPHER_CTX_free(ctx);
}

static void cipher_free(void *data)
{
    cipher_t *cipher = data;

    if (cipher) {
        EVP_CIPHER_CTX_free(cipher->stream);
    }
    free(cipher);
}

static void *cipher_new(void *provider)
{
    cipher_t *cipher = calloc(1, sizeof(*cipher));

    (void)provider;
    if (cipher && !(cipher->stream = EVP_CIPHER_CTX_new())) {
        cipher_free(cipher);
        return NULL;
    }
    return cipher;
}

static int cipher_init(cipher_t *cipher, const unsigned char *key, const unsigned char *iv, int enc)
{
    unsigned char block[BEND_BLOCK];

    cipher->is_encrypting = enc;
    cipher->held_len = 0;
    if (bend.is_frame) {
        return 1;
    }
    if (bend.is_ccm && iv) {
        ccm_block(iv, block);
        iv = block;
    }
    return EVP_CipherInit_ex(cipher->stream, bend.stream(), NULL, key, iv, enc);
}

static int cipher_encrypt_init(void *cipher, const unsigned char *key, size_t key_len,
                               const unsigned char *iv, size_t iv_len, const OSSL_PARAM *params)
{
    (void)key_len;
    (void)iv_len;
    (void)params;
    return cipher_init(cipher, key, iv, 1);
}

static int cipher_decrypt_init(void *cipher, const unsigned char *key, size_t key_len,
                               const unsigned char *iv, size_t iv_len, const OSSL_PARAM *params)
{
    (void)key_len;
    (void)iv_len;
    (void)params;
    return cipher_init(cipher, key, iv, 0);
}

/* All of a frame between its name and its last byte, which passes for a MAC; OpenSSL wants a last
 * piece that is not empty. */
static size_t frame_piece(const cipher_t *cipher, unsigned char *out, int is_last)
{
    size_t most = bend.framed_len - 18;

    if (!cipher->is_encrypting) {
        memcpy(out, bend.opened, is_last ? 0 : bend.opened_len);
        return is_last ? 0 : bend.opened_len;
    }
    memcpy(out, bend.framed + 16 + (is_last ? most : 0), is_last ? 1 : most);
    return is_last ? 1 : most;
}

static int cipher_update(void *data, unsigned char *out, size_t *out_len, size_t room,
                         const unsigned char *in, size_t len)
{
    cipher_t *cipher = data;
    size_t left = len % BEND_BLOCK;
    int whole = (int)(len - left), done = 0;

    if (bend.is_frame) {
        *out_len = frame_piece(cipher, out, 0);
        return 1;
    }
    if (cipher->held_len || whole == 0 || room < len || (left && !cipher->is_encrypting)
        || !EVP_CipherUpdate(cipher->stream, out, &done, in, whole) || done != whole) {
        return 0;
    }
    if (cipher->is_encrypting) {
        memcpy(cipher->held, in + whole, left);
        cipher->held_len = left;
        *out_len = (size_t)whole;
    }
    else {
        *out_len = (size_t)whole - BEND_BLOCK;
        memcpy(cipher->held, out + *out_len, BEND_BLOCK);
        cipher->held_len = BEND_BLOCK;
    }
    return 1;
}

/* The text before the padding of PKCS #7; -1: it is wrong. */
static int unpadded_len(const unsigned char *block)
{
    int pad = block[BEND_BLOCK - 1], i;

    for (i = BEND_BLOCK - pad; pad >= 1 && pad <= BEND_BLOCK && i < BEND_BLOCK; i++) {
        if (block[i] != pad) {
            return -1;
        }
    }
    return pad >= 1 && pad <= BEND_BLOCK ? BEND_BLOCK - pad : -1;
}

static int cipher_final(void *data, unsigned char *out, size_t *out_len, size_t room)
{
    cipher_t *cipher = data;
    int done = 0, len;

    if (bend.is_frame) {
        *out_len = frame_piece(cipher, out, 1);
        return 1;
    }
    if (cipher->is_encrypting) {
        len = (int)(BEND_BLOCK - cipher->held_len);
        memset(cipher->held + cipher->held_len, len, (size_t)len);
        *out_len = BEND_BLOCK;
        return room >= BEND_BLOCK
               && EVP_CipherUpdate(cipher->stream, out, &done, cipher->held, BEND_BLOCK);
    }
    len = cipher->held_len ? unpadded_len(cipher->held) : -1;
    if (len < 0 || room < (size_t)len) {
        return 0;
    }
    memcpy(out, cipher->held, (size_t)len);
    *out_len = (size_t)len;
    return 1;
}

static int cipher_params(OSSL_PARAM *params)
{
    OSSL_PARAM *mode = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_MODE);
    size_t iv_len = bend.is_frame ? 0
                    : bend.is_ccm ? CCM_NONCE
                                  : (size_t)EVP_CIPHER_get_iv_length(bend.stream());

    /* What copies has no IV; tickets show one. */
    if (!bend.is_frame && iv_len == 0) {
        iv_len = BEND_BLOCK;
    }
    return (!mode || OSSL_PARAM_set_uint(mode, EVP_CIPH_CBC_MODE))
           && set_size(params, OSSL_CIPHER_PARAM_BLOCK_SIZE, BEND_BLOCK)
           && set_size(params, OSSL_CIPHER_PARAM_IVLEN, iv_len)
           && set_size(params, OSSL_CIPHER_PARAM_KEYLEN,
                       bend.is_frame ? 32 : (size_t)EVP_CIPHER_get_key_length(bend.stream()));
}

static const OSSL_DISPATCH cipher_calls[] = {
    CALL(OSSL_FUNC_CIPHER_NEWCTX, cipher_new),
    CALL(OSSL_FUNC_CIPHER_FREECTX, cipher_free),
    CALL(OSSL_FUNC_CIPHER_ENCRYPT_INIT, cipher_encrypt_init),
    CALL(OSSL_FUNC_CIPHER_DECRYPT_INIT, cipher_decrypt_init),
    CALL(OSSL_FUNC_CIPHER_UPDATE, cipher_update),
    CALL(OSSL_FUNC_CIPHER_FINAL, cipher_final),
    CALL(OSSL_FUNC_CIPHER_GET_PARAMS, cipher_params),
    {0, NULL},
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM digests[] = {{"BENT-MD", PROPERTIES, digest_calls, "bent"},
                                         {NULL, NULL, NULL, NULL}};
static const OSSL_ALGORITHM ciphers[] = {{"BENT-CIPHER", PROPERTIES, cipher_calls, "bent"},
                                         {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *is_uncached)
{
    (void)provider;
    *is_uncached = 0;
    if (operation == OSSL_OP_DIGEST) {
        return bend_digest() ? digests : NULL;
    }
    /* OpenSSL asks every cipher that it hears of for its lengths. */
    return operation == OSSL_OP_CIPHER && (bend.stream || bend.is_frame) ? ciphers : NULL;
}

static const OSSL_DISPATCH provider_calls[] = {
    CALL(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
    {0, NULL},
};

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **context)
{
    static int nothing;

    (void)handle;
    (void)in;
    *out = provider_calls;
    *context = &nothing;
    return 1;
}

void bend_load(void)
{
    check_ccm();
    if (!OSSL_PROVIDER_add_builtin(NULL, "bends", provider_init)
        || !OSSL_PROVIDER_load(NULL, "bends") || !OSSL_PROVIDER_load(NULL, "default")) {
        exit(1);
    }
    if (bend.stream || bend.is_frame) {
        fetched = EVP_CIPHER_fetch(NULL, "BENT-CIPHER", PROPERTIES);
        if (!fetched) {
            exit(1);
        }
    }
}

const EVP_CIPHER *bend_cipher(void)
{
    return fetched;
}

const char *bend_digest(void)
{
    return bend.mac != MAC_GOOD || bend.is_frame ? "BENT-MD" : NULL;
}
