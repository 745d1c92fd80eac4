/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guessable files (key_files.h).
 *
 *     48 bytes   name 16 | AES-128 key | HMAC key 16   nginx, HAProxy, Node
 *                name 16 | HMAC key 16 | AES-128 key   Traffic Server
 *     80 bytes   name 16 | HMAC key 32 | AES-256 key   nginx
 *                name 16 | AES-256 key | HMAC key 32   HAProxy, dnsdist
 *
 *     ticket     name 16 | IV 16 | AES-CBC of the text | HMAC-SHA256 of all that
 */
#include "key_files.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#define NAME PROBE_SPARE_NAME
#define IV 16
#define TAG 32
#define SMALL (NAME + 2 * 16)
#define LARGE (NAME + 2 * 32)
#define ORDERS 4 /* of two keys, in small and in large files; the last two are less common */

/* A file repeats it; where its length divides 16, the keys' order does not matter. */
static const struct {
    const char *text;
    apr_size_t len;
} fills[] = {
    {"\0", 1},
    {"\xff", 1},
    {"0", 1},
    {"1", 1},
    {"a", 1},
    {"ticketkey1234567", 16},
    {"0123456789abcdef", 16},
};

#define FILLS (int)(sizeof(fills) / sizeof(fills[0]))

static void cut(const unsigned char *file, int order, probe_spare_t *spare)
{
    apr_size_t len = order % 2 ? LARGE : SMALL, key_len = (len - NAME) / 2;
    int is_cipher_first = order == 0 || order == 3;

    memset(spare, 0, sizeof(*spare));
    memcpy(spare->name, file, NAME);
    memcpy(spare->cipher_key, file + NAME + (is_cipher_first ? 0 : key_len), key_len);
    memcpy(spare->mac_key, file + NAME + (is_cipher_first ? key_len : 0), key_len);
    spare->key_len = key_len;
}

/* The user's: each that is as long as a file, in both orders. */
static int get_own(const probe_own_keys_t *own, int n, probe_spare_t *spare)
{
    apr_size_t i;

    for (i = 0; own && i < own->n; i++) {
        apr_size_t len = own->keys[i].len;

        if (len != SMALL && len != LARGE) {
            continue;
        }
        if (n < 2) {
            cut(own->keys[i].bytes, (len == SMALL ? 0 : 1) + 2 * n, spare);
            return 1;
        }
        n -= 2;
    }
    return 0;
}

int probe_key_files_get(const probe_own_keys_t *own, int n, probe_spare_t *spare)
{
    unsigned char file[LARGE];
    apr_size_t i;

    if (n >= PROBE_KEY_FILES_MAX) {
        return 0;
    }
    if (n >= 2 * FILLS + ORDERS) {
        return get_own(own, n - 2 * FILLS - ORDERS, spare);
    }
    for (i = 0; i < sizeof(file); i++) {
        file[i] = n < 2 * FILLS ? (unsigned char)fills[n / 2].text[i % fills[n / 2].len]
                                : (unsigned char)i;
    }
    cut(file, n < 2 * FILLS ? n % 2 : n - 2 * FILLS, spare);
    return 1;
}

static int encrypt(const probe_spare_t *spare, const unsigned char *text, apr_size_t len,
                   const unsigned char *iv, unsigned char *out, apr_size_t *pout_len)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *cipher = spare->key_len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
    int n = 0, last = 0, is_done;

    is_done = ctx && EVP_EncryptInit_ex(ctx, cipher, NULL, spare->cipher_key, iv) == 1
              && EVP_EncryptUpdate(ctx, out, &n, text, (int)len) == 1
              && EVP_EncryptFinal_ex(ctx, out + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    *pout_len = (apr_size_t)n + (apr_size_t)last;
    return is_done;
}

unsigned char *probe_key_files_seal(const probe_spare_t *spare, const unsigned char *text,
                                    apr_size_t len, apr_size_t *plen, apr_pool_t *pool)
{
    unsigned char *ticket = apr_palloc(pool, NAME + IV + len + IV + TAG);
    apr_size_t text_len, end;

    memcpy(ticket, spare->name, NAME);
    if (RAND_bytes(ticket + NAME, IV) != 1
        || !encrypt(spare, text, len, ticket + NAME, ticket + NAME + IV, &text_len)) {
        ERR_clear_error();
        return NULL;
    }
    end = NAME + IV + text_len;
    if (!HMAC(EVP_sha256(), spare->mac_key, (int)spare->key_len, ticket, end, ticket + end, NULL)) {
        ERR_clear_error();
        return NULL;
    }
    *plen = end + TAG;
    return ticket;
}
