/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session ticket encryption key (STEK) and its window.  A key never changes once it is made, so
 * its name identifies it, and hosts only have to agree on sets of keys.  Points in time are whole
 * seconds held as apr_time_t.  No state; any thread, any phase.
 */
#ifndef STEK_KEY_H
#define STEK_KEY_H

#include <apr.h>
#include <apr_errno.h>
#include <apr_time.h>
#include <string.h>

#pragma GCC visibility push(hidden)

#define STEK_NAME_LEN 16 /* OpenSSL's ticket key callback, and RFC 5077, section 4 */
#define STEK_HMAC_KEY_LEN 32
#define STEK_AES_KEY_LEN 32
#define STEK_HEX_LEN 9 /* "0a1b2c3d" and its NUL: the most that is ever shown of a key */

/* Imported from a 48-byte key file: an AES-128 key and a 16-byte HMAC key, each in the first half
 * of its field; the other half is zero. Such a key only decrypts. */
#define STEK_KEY_AES128 0x1u

typedef struct stek_key_t {
    unsigned char name[STEK_NAME_LEN];
    unsigned char hmac_key[STEK_HMAC_KEY_LEN];
    unsigned char aes_key[STEK_AES_KEY_LEN];
    apr_uint32_t flags; /* STEK_KEY_* */
    apr_uint64_t epoch; /* any ring of a greater epoch has ended it */
    apr_time_t created;
    apr_time_t not_before;    /* the slot: encrypts while not_before <= t < encrypt_until */
    apr_time_t encrypt_until; /* equal to not_before: never encrypts */
    apr_time_t decrypt_until; /* decrypts while t < decrypt_until, before not_before too */
} stek_key_t;

/* A name's first eight bytes, big-endian, which sort as the names do. */
static inline apr_uint64_t stek_name_head(const unsigned char name[STEK_NAME_LEN])
{
    /* Written out, so that compilers make one load of it. */
    return (apr_uint64_t)name[0] << 56 | (apr_uint64_t)name[1] << 48 | (apr_uint64_t)name[2] << 40
           | (apr_uint64_t)name[3] << 32 | (apr_uint64_t)name[4] << 24 | (apr_uint64_t)name[5] << 16
           | (apr_uint64_t)name[6] << 8 | (apr_uint64_t)name[7];
}

/* As memcmp of two names; a merge of full rings asks a million times. */
static inline int stek_name_compare(const unsigned char a[STEK_NAME_LEN],
                                    const unsigned char b[STEK_NAME_LEN])
{
    apr_uint64_t a_head = stek_name_head(a), b_head = stek_name_head(b);

    return a_head != b_head ? (a_head > b_head) - (a_head < b_head) : memcmp(a, b, STEK_NAME_LEN);
}

/* Fills bytes[len] with random bytes: APR_SUCCESS or STEK_ERNG. stek_rng_system is OpenSSL's
 * private generator; tests pass others. */
typedef apr_status_t stek_rng_t(unsigned char *bytes, apr_size_t len);
stek_rng_t stek_rng_system;

/* APR_SUCCESS if the window is one that a ring may hold: not_before <= encrypt_until <=
 * decrypt_until, not_before < decrypt_until, both spans <= STEK_TIME_MAX, whole seconds >= 0, and
 * no unknown flag; an AES-128 key has encrypt_until == not_before and zeros in the second halves of
 * its fields; else STEK_EMALFORMED. */
apr_status_t stek_key_check(const stek_key_t *key);

/* When the key stops decrypting on a host with this lifetime. A shorter lifetime ends keys at
 * encrypt_until + lifetime. lifetime 0: as stored. */
apr_time_t stek_key_end(const stek_key_t *key, apr_interval_time_t lifetime);

int stek_key_can_encrypt(const stek_key_t *key, apr_time_t now);
int stek_key_can_decrypt(const stek_key_t *key, apr_time_t now, apr_interval_time_t lifetime);

/* As comparison functions return it: negative, 0 or positive. */
#define STEK_COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* Total order of two keys of one name, by epoch, then decrypt_until: 0 only if they are equal. */
int stek_key_compare(const stek_key_t *a, const stek_key_t *b);

/* The first four bytes of a name in hex; returns hex. */
const char *stek_key_hex(const unsigned char name[STEK_NAME_LEN], char hex[STEK_HEX_LEN]);

#pragma GCC visibility pop
#endif
