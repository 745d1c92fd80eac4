/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a key is made: random bytes, audited before anybody uses them.  Core; no state, so any thread
 * and any phase.
 */
#include "stek_key_make.h"

#include <openssl/crypto.h>
#include <stddef.h>
#include <string.h>

#include "stek_audit.h"
#include "stek_error.h"
#include "stek_time.h"

/* Name and both halves are adjacent, so that one call to the generator fills them. */
#define RANDOM_LEN (STEK_NAME_LEN + STEK_HMAC_KEY_LEN + STEK_AES_KEY_LEN)

_Static_assert(offsetof(stek_key_t, name) == 0 && offsetof(stek_key_t, hmac_key) == STEK_NAME_LEN
                   && offsetof(stek_key_t, aes_key) == STEK_NAME_LEN + STEK_HMAC_KEY_LEN,
               "a gap in front of the random bytes");

apr_status_t stek_key_make(apr_time_t not_before, apr_time_t encrypt_until,
                           apr_interval_time_t lifetime, apr_uint64_t epoch, apr_time_t now,
                           stek_rng_t *rng, stek_key_t *key)
{
    apr_status_t rv;

    memset(key, 0, sizeof(*key));
    if (lifetime < 0 || lifetime > STEK_TIME_MAX || encrypt_until < 0
        || encrypt_until > APR_INT64_MAX - lifetime) {
        return STEK_EMALFORMED;
    }
    key->epoch = epoch;
    key->created = now - now % APR_USEC_PER_SEC;
    key->not_before = not_before;
    key->encrypt_until = encrypt_until;
    key->decrypt_until = encrypt_until + lifetime;
    rv = stek_key_check(key);
    if (rv != APR_SUCCESS) {
        goto cleanup;
    }
    if (rng((unsigned char *)key, RANDOM_LEN) != APR_SUCCESS) {
        rv = STEK_ERNG;
        goto cleanup;
    }
    if (stek_audit_key(key) != STEK_WEAK_NONE) {
        rv = STEK_EWEAK;
    }

cleanup:
    if (rv != APR_SUCCESS) {
        OPENSSL_cleanse(key, sizeof(*key));
    }
    return rv;
}
