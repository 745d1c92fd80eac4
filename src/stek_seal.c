/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals rings and opens them: the codec of ring version 1; the cryptography is stek_box.h's.  Core
 * layer; no state, any thread, any phase.  Plaintext and derived keys exist only in one work block of stek_mem memory, wiped on the
 * way out.  Nothing of the plaintext is looked at before its tag has been checked.
 */
#include "stek_seal.h"

#include <stdlib.h>
#include <string.h>

#include "stek_audit.h"
#include "stek_box.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "stek_time.h"

#define SALT_LEN STEK_SECRET_SALT_LEN
#define TAG_LEN STEK_BOX_TAG_LEN

#define VERSION_AT 8
#define FLAGS_AT 10
#define INTERVAL_AT 12
#define LIFETIME_AT 16
#define EPOCH_AT 20
#define GENERATION_AT 28
#define WRITTEN_AT 36
#define SECRET_ID_AT 44
#define SALT_AT STEK_RING_SALT_AT
#define BODY_LEN_AT 84

#define COUNTS_LEN 4
#define KEY_LEN STEK_SEALED_KEY_LEN
#define TOMBSTONE_LEN STEK_SEALED_TOMBSTONE_LEN

_Static_assert(STEK_SEALED_REST_LEN == STEK_RING_HEADER_LEN + COUNTS_LEN + TAG_LEN,
               "the merge counts on it");

/* What exists while a ring is sealed or opened; plain is as long as the plaintext. */
typedef struct work_t {
    stek_box_work_t box;
    stek_key_t key;
    unsigned char plain[];
} work_t;

static const stek_box_t ring_box = {"stek ring v1 salt", "stek ring v1 seal", SALT_AT};

static void put_number(unsigned char **pat, apr_uint64_t value, int len)
{
    int i;

    for (i = len - 1; i >= 0; i--) {
        *(*pat)++ = (unsigned char)(value >> (8 * i));
    }
}

static apr_uint64_t get_number(const unsigned char **pat, int len)
{
    int i;
    apr_uint64_t value = 0;

    for (i = 0; i < len; i++) {
        value = value << 8 | *(*pat)++;
    }
    return value;
}

static void put_bytes(unsigned char **pat, const unsigned char *bytes, apr_size_t len)
{
    memcpy(*pat, bytes, len);
    *pat += len;
}

static void get_bytes(const unsigned char **pat, unsigned char *bytes, apr_size_t len)
{
    memcpy(bytes, *pat, len);
    *pat += len;
}

static apr_uint64_t number_at(const unsigned char *bytes, apr_size_t offset, int len)
{
    const unsigned char *at = bytes + offset;

    return get_number(&at, len);
}

/* A time that the format can hold: whole seconds up to STEK_SEAL_TIME_MAX_S. */
static int is_time(apr_time_t t)
{
    return t >= 0 && t % APR_USEC_PER_SEC == 0 && apr_time_sec(t) <= STEK_SEAL_TIME_MAX_S;
}

static int is_span(apr_interval_time_t span)
{
    return span >= apr_time_from_sec(1) && span <= STEK_TIME_MAX && span % APR_USEC_PER_SEC == 0;
}

static void put_time(unsigned char **pat, apr_time_t t)
{
    put_number(pat, (apr_uint64_t)apr_time_sec(t), 8);
}

/* Beyond the format's times the answer is one that is_time refuses. */
static apr_time_t get_time(const unsigned char **pat)
{
    apr_uint64_t s = get_number(pat, 8);

    return s <= STEK_SEAL_TIME_MAX_S ? apr_time_from_sec((apr_time_t)s) : -1;
}

/* Whether what is sealed could be opened again. */
static int is_sealable(const stek_ring_t *ring)
{
    apr_size_t i;

    if (ring->key_n > STEK_KEYS_MAX || ring->tombstone_n > 0xffff || !is_span(ring->interval)
        || !is_span(ring->lifetime) || !is_time(ring->written_at)) {
        return 0;
    }
    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        if (stek_key_check(key) != APR_SUCCESS || !is_time(key->created)
            || !is_time(key->not_before) || !is_time(key->encrypt_until)
            || !is_time(key->decrypt_until)) {
            return 0;
        }
    }
    for (i = 0; i < ring->tombstone_n; i++) {
        if (!is_time(ring->tombstones[i].until)) {
            return 0;
        }
    }
    return 1;
}

static void encode_header(const stek_ring_t *ring, const stek_secret_t *secret,
                          apr_size_t plain_len, unsigned char header[STEK_RING_HEADER_LEN])
{
    unsigned char *at = header;

    put_bytes(&at, (const unsigned char *)STEK_RING_MAGIC, STEK_RING_MAGIC_LEN);
    put_number(&at, STEK_RING_VERSION, 2);
    put_number(&at, 0, 2);
    put_number(&at, (apr_uint64_t)apr_time_sec(ring->interval), 4);
    put_number(&at, (apr_uint64_t)apr_time_sec(ring->lifetime), 4);
    put_number(&at, ring->epoch, 8);
    put_number(&at, ring->generation, 8);
    put_time(&at, ring->written_at);
    put_bytes(&at, secret->id, STEK_SECRET_ID_LEN);
    memset(at, 0, SALT_LEN);
    at += SALT_LEN;
    put_number(&at, plain_len + TAG_LEN, 4);
}

static void encode_plain(const stek_ring_t *ring, unsigned char *plain)
{
    apr_size_t i;
    unsigned char *at = plain;

    put_number(&at, ring->key_n, 2);
    put_number(&at, ring->tombstone_n, 2);
    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        put_bytes(&at, key->name, STEK_NAME_LEN);
        put_bytes(&at, key->hmac_key, STEK_HMAC_KEY_LEN);
        put_bytes(&at, key->aes_key, STEK_AES_KEY_LEN);
        put_number(&at, key->flags, 4);
        put_number(&at, key->epoch, 8);
        put_time(&at, key->created);
        put_time(&at, key->not_before);
        put_time(&at, key->encrypt_until);
        put_time(&at, key->decrypt_until);
    }
    for (i = 0; i < ring->tombstone_n; i++) {
        put_bytes(&at, ring->tombstones[i].name, STEK_NAME_LEN);
        put_time(&at, ring->tombstones[i].until);
    }
}

apr_status_t stek_ring_seal(const stek_ring_t *ring, const stek_secret_t *secret,
                            const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                            unsigned char **psealed, apr_size_t *plen)
{
    apr_size_t plain_len = COUNTS_LEN + ring->key_n * KEY_LEN + ring->tombstone_n * TOMBSTONE_LEN;
    apr_size_t len = STEK_RING_HEADER_LEN + plain_len + TAG_LEN;
    unsigned char *sealed = NULL;
    work_t *work = NULL;
    apr_status_t rv;

    if (!is_sealable(ring)) {
        return STEK_EMALFORMED;
    }
    if (len > STEK_RING_BYTES_MAX) {
        return STEK_ETOOBIG;
    }
    work = stek_mem_alloc(sizeof(*work) + plain_len);
    sealed = malloc(len);
    if (!work || !sealed) {
        rv = APR_ENOMEM;
        goto cleanup;
    }
    encode_header(ring, secret, plain_len, sealed);
    encode_plain(ring, work->plain);
    rv = stek_box_seal(&ring_box, secret, random, sealed, STEK_RING_HEADER_LEN, work->plain,
                       plain_len, &work->box, sealed + STEK_RING_HEADER_LEN);
    if (rv == APR_SUCCESS) {
        *psealed = sealed;
        *plen = len;
        sealed = NULL;
    }

cleanup:
    free(sealed);
    stek_mem_free(work);
    return rv;
}

apr_status_t stek_header_read(const unsigned char *sealed, apr_size_t len, stek_header_t *header)
{
    const unsigned char *at = sealed + INTERVAL_AT;
    apr_uint64_t written_s;

    if (memcmp(sealed, STEK_RING_MAGIC, len < STEK_RING_MAGIC_LEN ? len : STEK_RING_MAGIC_LEN)
        != 0) {
        return STEK_EMAGIC;
    }
    if (len < FLAGS_AT) {
        return STEK_ELENGTH;
    }
    if (number_at(sealed, VERSION_AT, 2) != STEK_RING_VERSION) {
        return STEK_EVERSION;
    }
    if (len < STEK_RING_HEADER_LEN + COUNTS_LEN + TAG_LEN
        || number_at(sealed, BODY_LEN_AT, 4) != len - STEK_RING_HEADER_LEN) {
        return STEK_ELENGTH;
    }
    header->version = STEK_RING_VERSION;
    header->interval = apr_time_from_sec((apr_interval_time_t)get_number(&at, 4));
    header->lifetime = apr_time_from_sec((apr_interval_time_t)get_number(&at, 4));
    header->epoch = get_number(&at, 8);
    header->generation = get_number(&at, 8);
    written_s = get_number(&at, 8);
    /* Nobody vouches for it here: show it as the latest time there is. */
    header->written_at = apr_time_from_sec(
        written_s <= STEK_SEAL_TIME_MAX_S ? (apr_time_t)written_s : STEK_SEAL_TIME_MAX_S);
    get_bytes(&at, header->secret_id, STEK_SECRET_ID_LEN);
    return APR_SUCCESS;
}

static void decode_key(const unsigned char **pat, stek_key_t *key)
{
    get_bytes(pat, key->name, STEK_NAME_LEN);
    get_bytes(pat, key->hmac_key, STEK_HMAC_KEY_LEN);
    get_bytes(pat, key->aes_key, STEK_AES_KEY_LEN);
    key->flags = (apr_uint32_t)get_number(pat, 4);
    key->epoch = get_number(pat, 8);
    key->created = get_time(pat);
    key->not_before = get_time(pat);
    key->encrypt_until = get_time(pat);
    key->decrypt_until = get_time(pat);
}

static apr_status_t decode_keys(const unsigned char **pat, apr_size_t key_n, stek_key_t *key,
                                stek_ring_t *ring)
{
    apr_size_t i;
    const unsigned char *last_name = NULL;

    for (i = 0; i < key_n; i++) {
        const unsigned char *name = *pat;
        apr_status_t rv;

        decode_key(pat, key);
        if ((last_name && memcmp(last_name, name, STEK_NAME_LEN) >= 0) || !is_time(key->created)
            || !is_time(key->not_before) || !is_time(key->encrypt_until)
            || !is_time(key->decrypt_until) || key->epoch > ring->epoch
            || stek_key_check(key) != APR_SUCCESS) {
            return STEK_EMALFORMED;
        }
        rv = stek_ring_add_key(ring, key);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        last_name = name;
    }
    return APR_SUCCESS;
}

static apr_status_t decode_tombstones(const unsigned char **pat, apr_size_t tombstone_n,
                                      stek_ring_t *ring)
{
    apr_size_t i;
    const unsigned char *last_name = NULL;

    for (i = 0; i < tombstone_n; i++) {
        const unsigned char *name = *pat;
        stek_tombstone_t tombstone;
        apr_status_t rv;

        get_bytes(pat, tombstone.name, STEK_NAME_LEN);
        tombstone.until = get_time(pat);
        if ((last_name && memcmp(last_name, name, STEK_NAME_LEN) >= 0)
            || !is_time(tombstone.until)) {
            return STEK_EMALFORMED;
        }
        rv = stek_ring_add_tombstone(ring, &tombstone);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        last_name = name;
    }
    return APR_SUCCESS;
}

/* Fields of the header that only the seal vouches for. */
static apr_status_t decode_header(const unsigned char *sealed, stek_ring_t *ring)
{
    const unsigned char *at = sealed + INTERVAL_AT;

    ring->interval = apr_time_from_sec((apr_interval_time_t)get_number(&at, 4));
    ring->lifetime = apr_time_from_sec((apr_interval_time_t)get_number(&at, 4));
    ring->epoch = get_number(&at, 8);
    ring->generation = get_number(&at, 8);
    ring->written_at = get_time(&at);
    if (number_at(sealed, FLAGS_AT, 2) != 0 || !is_span(ring->interval) || !is_span(ring->lifetime)
        || !is_time(ring->written_at)) {
        return STEK_EMALFORMED;
    }
    return APR_SUCCESS;
}

/* sealed's tag is good; its maker may still be hostile. */
static apr_status_t decode(const unsigned char *sealed, work_t *work, apr_size_t plain_len,
                           stek_ring_t **pring)
{
    const unsigned char *at = work->plain;
    apr_size_t key_n = (apr_size_t)get_number(&at, 2);
    apr_size_t tombstone_n = (apr_size_t)get_number(&at, 2);
    stek_ring_t *ring = NULL;
    apr_status_t rv;

    if (key_n > STEK_KEYS_MAX
        || COUNTS_LEN + key_n * KEY_LEN + tombstone_n * TOMBSTONE_LEN != plain_len) {
        return STEK_EMALFORMED;
    }
    rv = stek_ring_create(key_n, tombstone_n, &ring);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = decode_header(sealed, ring);
    if (rv == APR_SUCCESS) {
        rv = decode_keys(&at, key_n, &work->key, ring);
    }
    if (rv == APR_SUCCESS) {
        rv = decode_tombstones(&at, tombstone_n, ring);
    }
    /* In memory, nothing has the mark of a floor: it would get into a ring. */
    if (rv == APR_SUCCESS && ring->generation == STEK_RING_FLOOR) {
        ring->generation = 0;
        rv = key_n == 0 ? APR_SUCCESS : STEK_EMALFORMED;
    }
    if (rv != APR_SUCCESS) {
        stek_ring_destroy(ring);
        return rv;
    }
    *pring = ring;
    return APR_SUCCESS;
}

/* Decrypts into work with the secret that has the id. */
static apr_status_t unseal(const unsigned char *sealed, const stek_header_t *header,
                           const stek_secrets_t *secrets, work_t *work, apr_size_t plain_len,
                           apr_size_t *psecret_i)
{
    apr_size_t i;
    apr_status_t rv = STEK_ESECRET;

    for (i = 0; i < secrets->n; i++) {
        const stek_secret_t *secret = &secrets->secrets[i];

        if (memcmp(secret->id, header->secret_id, STEK_SECRET_ID_LEN) != 0) {
            continue;
        }
        rv = stek_box_open(&ring_box, secret, sealed, STEK_RING_HEADER_LEN,
                           sealed + STEK_RING_HEADER_LEN, plain_len, &work->box, work->plain);
        if (rv != STEK_ESEAL) {
            *psecret_i = i;
            break;
        }
    }
    return rv;
}

apr_status_t stek_ring_unseal(const unsigned char *sealed, apr_size_t len,
                              const stek_secrets_t *secrets, int audit, stek_ring_t **pring,
                              apr_size_t *psecret_i)
{
    stek_header_t header;
    apr_size_t plain_len, secret_i = 0;
    stek_ring_t *ring = NULL;
    work_t *work;
    apr_status_t rv;

    if (len > STEK_RING_BYTES_MAX) {
        return STEK_ETOOBIG;
    }
    rv = stek_header_read(sealed, len, &header);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    plain_len = len - STEK_RING_HEADER_LEN - TAG_LEN;
    work = stek_mem_alloc(sizeof(*work) + plain_len);
    if (!work) {
        return APR_ENOMEM;
    }
    rv = unseal(sealed, &header, secrets, work, plain_len, &secret_i);
    if (rv == APR_SUCCESS) {
        rv = decode(sealed, work, plain_len, &ring);
    }
    if (rv == APR_SUCCESS && audit && stek_audit_ring(ring, NULL) != STEK_WEAK_NONE) {
        stek_ring_destroy(ring);
        rv = STEK_EWEAK;
    }
    /* Last: it wipes the registers, too. */
    stek_mem_free(work);
    if (rv == APR_SUCCESS) {
        *pring = ring;
        if (psecret_i) {
            *psecret_i = secret_i;
        }
    }
    return rv;
}
