/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals and opens (stek_box.h): HKDF and HMAC with SHA-256 and AES-256-GCM, all of which a FIPS
 * provider has.  Core layer; no state, any thread, any phase.
 */
#include "stek_box.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "stek_error.h"

#define SALT_LEN STEK_SECRET_SALT_LEN
#define TAG_LEN STEK_BOX_TAG_LEN
#define SEAL_KEY_LEN 32

static apr_status_t crypto_failed(void)
{
    ERR_clear_error();
    return STEK_ECRYPTO;
}

/* HMAC-SHA256(key, random | header | plain). */
static apr_status_t make_salt(const unsigned char key[SALT_LEN],
                              const unsigned char random[STEK_BOX_RANDOM_LEN],
                              const unsigned char *header, apr_size_t header_len,
                              const unsigned char *plain, apr_size_t plain_len,
                              unsigned char salt[SALT_LEN])
{
    OSSL_PARAM params[2];
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    size_t salt_len = 0;
    int ok;

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();
    ok = ctx && EVP_MAC_init(ctx, key, SALT_LEN, params) > 0
         && EVP_MAC_update(ctx, random, STEK_BOX_RANDOM_LEN) > 0
         && EVP_MAC_update(ctx, header, header_len) > 0 && EVP_MAC_update(ctx, plain, plain_len) > 0
         && EVP_MAC_final(ctx, salt, &salt_len, SALT_LEN) > 0 && salt_len == SALT_LEN;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return ok ? APR_SUCCESS : crypto_failed();
}

/* AES-256-GCM of plain under work->seal_key with the header as AAD; body is ciphertext and tag. */
static apr_status_t encrypt_body(const stek_box_work_t *work, const unsigned char *header,
                                 apr_size_t header_len, const unsigned char *plain,
                                 apr_size_t plain_len, unsigned char *body)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const unsigned char *nonce = work->seal_key + SEAL_KEY_LEN;
    int out_len = 0, final_len = 0, ok;

    ok = cipher && ctx && EVP_EncryptInit_ex2(ctx, cipher, work->seal_key, nonce, NULL) > 0
         && EVP_EncryptUpdate(ctx, NULL, &out_len, header, (int)header_len) > 0
         && EVP_EncryptUpdate(ctx, body, &out_len, plain, (int)plain_len) > 0
         && EVP_EncryptFinal_ex(ctx, body + out_len, &final_len) > 0
         && (apr_size_t)out_len + (apr_size_t)final_len == plain_len
         && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + plain_len) > 0;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    return ok ? APR_SUCCESS : crypto_failed();
}

static apr_status_t decrypt_body(const stek_box_work_t *work, const unsigned char *header,
                                 apr_size_t header_len, const unsigned char *body,
                                 apr_size_t plain_len, unsigned char *plain)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const unsigned char *nonce = work->seal_key + SEAL_KEY_LEN;
    int out_len = 0, final_len = 0, ok, good = 0;

    ok = cipher && ctx && EVP_DecryptInit_ex2(ctx, cipher, work->seal_key, nonce, NULL) > 0
         && EVP_DecryptUpdate(ctx, NULL, &out_len, header, (int)header_len) > 0
         && EVP_DecryptUpdate(ctx, plain, &out_len, body, (int)plain_len) > 0
         && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, (void *)(body + plain_len))
                > 0;
    if (ok) {
        good = EVP_DecryptFinal_ex(ctx, plain + out_len, &final_len) > 0
               && (apr_size_t)out_len + (apr_size_t)final_len == plain_len;
    }
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    if (!ok) {
        return crypto_failed();
    }
    ERR_clear_error();
    return good ? APR_SUCCESS : STEK_ESEAL;
}

apr_status_t stek_box_seal(const stek_box_t *box, const stek_secret_t *secret,
                           const unsigned char random[STEK_BOX_RANDOM_LEN], unsigned char *header,
                           apr_size_t header_len, const unsigned char *plain, apr_size_t plain_len,
                           stek_box_work_t *work, unsigned char *body)
{
    unsigned char salt[SALT_LEN];
    apr_status_t rv;

    memset(header + box->salt_at, 0, SALT_LEN);
    rv = stek_secret_hkdf(secret->bytes, NULL, box->salt_info, work->salt_key, SALT_LEN);
    if (rv == APR_SUCCESS) {
        rv = make_salt(work->salt_key, random, header, header_len, plain, plain_len, salt);
    }
    if (rv == APR_SUCCESS) {
        memcpy(header + box->salt_at, salt, SALT_LEN);
        rv = stek_secret_hkdf(secret->bytes, salt, box->seal_info, work->seal_key,
                              sizeof(work->seal_key));
    }
    if (rv == APR_SUCCESS) {
        rv = encrypt_body(work, header, header_len, plain, plain_len, body);
    }
    return rv;
}

apr_status_t stek_box_open(const stek_box_t *box, const stek_secret_t *secret,
                           const unsigned char *header, apr_size_t header_len,
                           const unsigned char *body, apr_size_t plain_len, stek_box_work_t *work,
                           unsigned char *plain)
{
    apr_status_t rv = stek_secret_hkdf(secret->bytes, header + box->salt_at, box->seal_info,
                                       work->seal_key, sizeof(work->seal_key));

    return rv == APR_SUCCESS ? decrypt_body(work, header, header_len, body, plain_len, plain) : rv;
}
