/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of rings (stek_ring_digest.h).  Core.
 */
#include "stek_ring_digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "stek_error.h"

#define NUMBER_LEN 8
#define NUMBER_BYTES 6 /* of the digest, in stek_ring_digest48 */
#define KEY_LEN (1 + STEK_NAME_LEN + 4 * NUMBER_LEN)
#define TOMBSTONE_LEN (1 + STEK_NAME_LEN + NUMBER_LEN)

static void put_number(unsigned char **pat, apr_uint64_t number)
{
    int i;

    for (i = NUMBER_LEN - 1; i >= 0; i--) {
        *(*pat)++ = (unsigned char)(number >> (8 * i));
    }
}

static void put_name(unsigned char **pat, char kind, const unsigned char *name)
{
    *(*pat)++ = (unsigned char)kind;
    memcpy(*pat, name, STEK_NAME_LEN);
    *pat += STEK_NAME_LEN;
}

static void put_key(unsigned char **pat, const stek_key_t *key)
{
    put_name(pat, 'k', key->name);
    put_number(pat, key->epoch);
    put_number(pat, (apr_uint64_t)key->not_before);
    put_number(pat, (apr_uint64_t)key->encrypt_until);
    put_number(pat, (apr_uint64_t)key->decrypt_until);
}

apr_status_t stek_ring_digest(const stek_ring_t *ring, apr_time_t now,
                              unsigned char digest[STEK_RING_DIGEST_LEN])
{
    unsigned char *bytes = malloc(NUMBER_LEN + ring->key_n * KEY_LEN
                                  + ring->tombstone_n * TOMBSTONE_LEN);
    unsigned char *at = bytes;
    apr_size_t i;
    int ok;

    if (!bytes) {
        return APR_ENOMEM;
    }
    put_number(&at, ring->epoch);
    for (i = 0; i < ring->key_n; i++) {
        if (ring->keys[i].decrypt_until > now) {
            put_key(&at, &ring->keys[i]);
        }
    }
    for (i = 0; i < ring->tombstone_n; i++) {
        if (ring->tombstones[i].until > now) {
            put_name(&at, 't', ring->tombstones[i].name);
            put_number(&at, (apr_uint64_t)ring->tombstones[i].until);
        }
    }
    ok = EVP_Digest(bytes, (apr_size_t)(at - bytes), digest, NULL, EVP_sha256(), NULL);
    free(bytes);
    if (!ok) {
        ERR_clear_error();
    }
    return ok ? APR_SUCCESS : STEK_ECRYPTO;
}

apr_uint64_t stek_ring_digest48(const stek_ring_t *ring)
{
    unsigned char digest[STEK_RING_DIGEST_LEN];
    apr_uint64_t number = 0;
    int i;

    if (stek_ring_digest(ring, 0, digest) == APR_SUCCESS) {
        for (i = 0; i < NUMBER_BYTES; i++) {
            number = number << 8 | digest[i];
        }
    }
    return number;
}
