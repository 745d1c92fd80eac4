/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cryptography of everything that is sealed under a secret: rings (stek_seal.h), and what else a
 * fleet keeps in its stores.  AES-256-GCM with the header as AAD, under a key and a nonce that a salt
 * in that header gives:
 *
 *     Ksalt       = HKDF-SHA256(secret, salt "", info salt_info, 32)                    (RFC 5869)
 *     salt        = HMAC-SHA256(Ksalt, 32 random bytes | header with salt 0 | plaintext)
 *     key | nonce = HKDF-SHA256(secret, salt, info seal_info, 32 + 12)
 *
 * The salt depends on everything that is sealed, so a random generator that repeats itself reveals at
 * most that two plaintexts are equal.  Core; no state, any thread, any phase.
 */
#ifndef STEK_BOX_H
#define STEK_BOX_H

#include "stek_secret.h"

#pragma GCC visibility push(hidden)

#define STEK_BOX_RANDOM_LEN 32
#define STEK_BOX_TAG_LEN 16

/* A format: the words of its derivations, which no other has, and where the salt is in its header. */
typedef struct stek_box_t {
    const char *salt_info, *seal_info;
    apr_size_t salt_at;
} stek_box_t;

/* What is derived while something is sealed or opened: in the caller's locked memory. */
typedef struct stek_box_work_t {
    unsigned char seal_key[32 + 12];
    unsigned char salt_key[STEK_SECRET_SALT_LEN];
} stek_box_work_t;

/* Fills the salt in header[header_len], which is complete but for it, and encrypts plain[plain_len]
 * into body[plain_len + STEK_BOX_TAG_LEN].  random: fresh random bytes.  STEK_ECRYPTO. */
apr_status_t stek_box_seal(const stek_box_t *box, const stek_secret_t *secret,
                           const unsigned char random[STEK_BOX_RANDOM_LEN], unsigned char *header,
                           apr_size_t header_len, const unsigned char *plain, apr_size_t plain_len,
                           stek_box_work_t *work, unsigned char *body);

/* Decrypts body[plain_len + STEK_BOX_TAG_LEN] into plain[plain_len], which is to be wiped on failure.
 * STEK_ESEAL: it was not sealed like this; STEK_ECRYPTO. */
apr_status_t stek_box_open(const stek_box_t *box, const stek_secret_t *secret,
                           const unsigned char *header, apr_size_t header_len,
                           const unsigned char *body, apr_size_t plain_len, stek_box_work_t *work,
                           unsigned char *plain);

#pragma GCC visibility pop
#endif
