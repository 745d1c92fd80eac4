/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and their windows.  Every boundary is half open: a key encrypts for not_before <= t <
 * encrypt_until and decrypts for t < its end.  Core; no state, so any thread and any phase.
 */
#include "stek_key.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "stek_error.h"
#include "stek_time.h"

/* Far enough from the end of apr_time_t that adding a few spans can't overflow. */
#define POINT_MAX (APR_INT64_MAX / 2)

apr_status_t stek_rng_system(unsigned char *bytes, apr_size_t len)
{
    if (len > INT_MAX) {
        return STEK_ERNG;
    }
    if (RAND_priv_bytes(bytes, (int)len) != 1) {
        ERR_clear_error();
        return STEK_ERNG;
    }
    return APR_SUCCESS;
}

static int is_point(apr_time_t t)
{
    return t >= 0 && t <= POINT_MAX && t % APR_USEC_PER_SEC == 0;
}

static int second_half_is_zero(const unsigned char *bytes)
{
    unsigned char sum = 0;
    int i;

    for (i = 16; i < 32; i++) {
        sum |= bytes[i];
    }
    return sum == 0;
}

apr_status_t stek_key_check(const stek_key_t *key)
{
    if (!is_point(key->created) || !is_point(key->not_before) || !is_point(key->encrypt_until)
        || !is_point(key->decrypt_until)) {
        return STEK_EMALFORMED;
    }
    if (key->not_before > key->encrypt_until || key->encrypt_until > key->decrypt_until
        || key->not_before == key->decrypt_until) {
        return STEK_EMALFORMED;
    }
    if (key->encrypt_until - key->not_before > STEK_TIME_MAX
        || key->decrypt_until - key->encrypt_until > STEK_TIME_MAX) {
        return STEK_EMALFORMED;
    }
    if (key->flags & ~STEK_KEY_AES128) {
        return STEK_EMALFORMED;
    }
    if ((key->flags & STEK_KEY_AES128)
        && (key->not_before != key->encrypt_until || !second_half_is_zero(key->hmac_key)
            || !second_half_is_zero(key->aes_key))) {
        return STEK_EMALFORMED;
    }
    return APR_SUCCESS;
}

apr_time_t stek_key_end(const stek_key_t *key, apr_interval_time_t lifetime)
{
    if (lifetime != 0 && lifetime < key->decrypt_until - key->encrypt_until) {
        return key->encrypt_until + lifetime;
    }
    return key->decrypt_until;
}

int stek_key_can_encrypt(const stek_key_t *key, apr_time_t now)
{
    return !(key->flags & STEK_KEY_AES128) && key->not_before <= now && now < key->encrypt_until;
}

int stek_key_can_decrypt(const stek_key_t *key, apr_time_t now, apr_interval_time_t lifetime)
{
    return now < stek_key_end(key, lifetime);
}

const char *stek_key_hex(const unsigned char name[STEK_NAME_LEN], char hex[STEK_HEX_LEN])
{
    static const char digits[] = "0123456789abcdef";

    hex[0] = digits[name[0] >> 4], hex[1] = digits[name[0] & 0xf];
    hex[2] = digits[name[1] >> 4], hex[3] = digits[name[1] & 0xf];
    hex[4] = digits[name[2] >> 4], hex[5] = digits[name[2] & 0xf];
    hex[6] = digits[name[3] >> 4], hex[7] = digits[name[3] & 0xf];
    hex[STEK_HEX_LEN - 1] = '\0';
    return hex;
}

static int compare_number(apr_uint64_t a, apr_uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_time(apr_time_t a, apr_time_t b)
{
    return a < b ? -1 : a > b;
}

int stek_key_compare(const stek_key_t *a, const stek_key_t *b)
{
    int c = compare_number(a->epoch, b->epoch);

    c = c ? c : compare_time(a->decrypt_until, b->decrypt_until);
    c = c ? c : memcmp(a->hmac_key, b->hmac_key, sizeof(a->hmac_key));
    c = c ? c : memcmp(a->aes_key, b->aes_key, sizeof(a->aes_key));
    c = c ? c : compare_number(a->flags, b->flags);
    c = c ? c : compare_time(a->created, b->created);
    c = c ? c : compare_time(a->not_before, b->not_before);
    return c ? c : compare_time(a->encrypt_until, b->encrypt_until);
}
