/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening: the published vector, round trips up to the largest ring, each truncation
 * and each changed byte, other secrets, weak keys, and plaintexts that only somebody with the
 * secret could have sealed.  For those the test seals by itself (seal_raw).
 */
#include "core_util.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "stek_seal.h"
#include "vector_ring_v1.h"

#define KEY_LEN 124
#define TOMBSTONE_LEN 24
#define HEADER_LEN STEK_RING_HEADER_LEN
#define OVERHEAD_LEN (HEADER_LEN + 4 + 16)

static unsigned char zero_random[STEK_RING_SALT_RANDOM_LEN];

static void fill_secrets(stek_secrets_t *secrets, unsigned first, unsigned n)
{
    memset(secrets, 0, sizeof(*secrets));
    secrets->n = n;
    for (unsigned i = 0; i < n; i++) {
        rnd_t rnd = {0xa11ce + first + i};

        rnd_fill(&rnd, secrets->secrets[i].bytes, STEK_SECRET_LEN);
        assert_int_equal(stek_secret_set_id(&secrets->secrets[i]), APR_SUCCESS);
    }
}

static stek_ring_t *make_ring(unsigned key_n, unsigned tombstone_n)
{
    stek_ring_t *ring = NULL;

    assert_int_equal(stek_ring_create(key_n, tombstone_n, &ring), APR_SUCCESS);
    ring->epoch = 3;
    ring->generation = UINT64_C(0xfedcba9876543210);
    ring->written_at = T0;
    ring->interval = HOUR;
    ring->lifetime = 18 * HOUR;
    for (unsigned i = 0; i < key_n; i++) {
        stek_key_t key = good_key(i, T0 + (i % 7) * HOUR, HOUR, 18 * HOUR);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    for (unsigned i = 0; i < tombstone_n; i++) {
        stek_key_t key = good_key(100000 + i, T0, HOUR, HOUR);
        stek_tombstone_t tombstone = {.until = key.decrypt_until};

        memcpy(tombstone.name, key.name, STEK_NAME_LEN);
        assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    }
    return ring;
}

static unsigned char *seal_ok(const stek_ring_t *ring, const stek_secrets_t *secrets,
                              const unsigned char *random, apr_size_t *plen)
{
    unsigned char *sealed = NULL;

    assert_int_equal(stek_ring_seal(ring, &secrets->secrets[0], random, &sealed, plen),
                     APR_SUCCESS);
    return sealed;
}

/* Status of opening; what was opened is compared with expected, if given, and freed. */
static apr_status_t open_and_compare(const unsigned char *sealed, apr_size_t len,
                                     const stek_secrets_t *secrets, const stek_ring_t *expected)
{
    unsigned char *exact = malloc(len > 0 ? len : 1); /* so that ASan sees a byte too many read */
    stek_ring_t *ring = NULL;
    apr_status_t rv;

    memcpy(exact, sealed, len);
    rv = stek_ring_unseal(exact, len, secrets, 1, &ring, NULL);
    free(exact);
    assert_int_equal(ERR_peek_error(), 0);
    if (rv != APR_SUCCESS) {
        assert_null(ring);
        return rv;
    }
    if (expected != NULL) {
        assert_true(stek_ring_equal(ring, expected));
        assert_true(ring->generation == expected->generation);
        assert_true(ring->written_at == expected->written_at);
        assert_true(ring->interval == expected->interval);
        assert_true(ring->lifetime == expected->lifetime);
    }
    stek_ring_destroy(ring);
    return rv;
}

/* Hex to bytes. */
static apr_size_t unhex(const char *hex, unsigned char *bytes)
{
    apr_size_t len = strlen(hex) / 2;

    for (apr_size_t i = 0; i < len; i++) {
        unsigned value;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (unsigned char)value;
    }
    return len;
}

static void label(const char *text, unsigned char *bytes, size_t len)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)text, strlen(text), digest);
    memcpy(bytes, digest, len);
}

static void vector_key(stek_ring_t *ring, int n, apr_uint64_t epoch, int created_s, int start_s,
                       int end_s, int decrypt_s)
{
    stek_key_t key;
    char text[64];

    memset(&key, 0, sizeof(key));
    snprintf(text, sizeof(text), "stek vector key %d name", n);
    label(text, key.name, sizeof(key.name));
    snprintf(text, sizeof(text), "stek vector key %d hmac", n);
    label(text, key.hmac_key, sizeof(key.hmac_key));
    snprintf(text, sizeof(text), "stek vector key %d aes", n);
    label(text, key.aes_key, sizeof(key.aes_key));
    key.epoch = epoch;
    key.created = T0 + SEC(created_s);
    key.not_before = T0 + SEC(start_s);
    key.encrypt_until = T0 + SEC(end_s);
    key.decrypt_until = T0 + SEC(decrypt_s);
    assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
}

static stek_ring_t *vector_ring(stek_secrets_t *secrets)
{
    stek_tombstone_t tombstone = {.until = T0 + SEC(64800)};
    stek_ring_t *ring = NULL;

    memset(secrets, 0, sizeof(*secrets));
    secrets->n = 1;
    label("stek vector secret", secrets->secrets[0].bytes, STEK_SECRET_LEN);
    assert_int_equal(stek_secret_set_id(&secrets->secrets[0]), APR_SUCCESS);
    assert_int_equal(stek_ring_create(2, 1, &ring), APR_SUCCESS);
    ring->epoch = 3;
    ring->generation = 41;
    ring->written_at = T0 + SEC(5);
    ring->interval = SEC(3600);
    ring->lifetime = SEC(64800);
    vector_key(ring, 1, 3, -3595, 0, 3600, 68400);
    vector_key(ring, 2, 3, 5, 3600, 7200, 72000);
    label("stek vector tombstone", tombstone.name, STEK_NAME_LEN);
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    return ring;
}

static void test_seal_vector_ring_is_the_bytes_published(void **state)
{
    unsigned char expected[1024], random[STEK_RING_SALT_RANDOM_LEN], id[STEK_SECRET_ID_LEN];
    stek_secrets_t secrets;
    stek_ring_t *ring = vector_ring(&secrets);
    apr_size_t len = 0;
    unsigned char *sealed;

    (void)state;
    assert_int_equal(unhex(VECTOR_RANDOM, random), sizeof(random));
    assert_int_equal(unhex(VECTOR_ID, id), sizeof(id));
    assert_memory_equal(secrets.secrets[0].id, id, sizeof(id));
    sealed = seal_ok(ring, &secrets, random, &len);
    assert_int_equal(len, unhex(VECTOR_SEALED, expected));
    assert_memory_equal(sealed, expected, len);
    assert_int_equal(open_and_compare(expected, len, &secrets, ring), APR_SUCCESS);
    free(sealed);
    stek_ring_destroy(ring);
}

static void test_seal_round_trip_each_size_is_the_same(void **state)
{
    static const unsigned sizes[][2] = {{0, 0}, {1, 0},    {0, 1},      {2, 3},    {21, 0},
                                        {0, 9}, {500, 70}, {4096, 678}, {0, 21000}};
    stek_secrets_t secrets;

    (void)state;
    fill_secrets(&secrets, 0, 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        stek_ring_t *ring = make_ring(sizes[i][0], sizes[i][1]);
        apr_size_t len = 0;
        unsigned char *sealed = seal_ok(ring, &secrets, zero_random, &len);

        assert_int_equal(len, OVERHEAD_LEN + KEY_LEN * sizes[i][0] + TOMBSTONE_LEN * sizes[i][1]);
        assert_int_equal(open_and_compare(sealed, len, &secrets, ring), APR_SUCCESS);
        free(sealed);
        stek_ring_destroy(ring);
    }
}

static void test_seal_seal_too_large_is_refused(void **state)
{
    stek_ring_t *ring = make_ring(4096, 679);
    unsigned char *sealed = NULL;
    stek_secrets_t secrets;
    apr_size_t len;

    (void)state;
    fill_secrets(&secrets, 0, 1);
    assert_int_equal(stek_ring_seal(ring, &secrets.secrets[0], zero_random, &sealed, &len),
                     STEK_ETOOBIG);
    assert_null(sealed);
    stek_ring_destroy(ring);
}

static void test_seal_seal_what_could_not_be_opened_is_refused(void **state)
{
    stek_secrets_t secrets;

    (void)state;
    fill_secrets(&secrets, 0, 1);
    for (int i = 0; i < 12; i++) {
        stek_ring_t *ring = make_ring(2, 1);
        unsigned char *sealed = NULL;
        apr_size_t len;

        switch (i) {
        case 0:
            ring->interval = 0;
            break;
        case 1:
            ring->lifetime = 0;
            break;
        case 2:
            ring->interval = SEC(604801);
            break;
        case 3:
            ring->lifetime = SEC(604800) + 1;
            break;
        case 4:
            ring->interval = -SEC(1);
            break;
        case 5:
            ring->written_at = -1;
            break;
        case 6:
            ring->written_at = T0 + 1;
            break;
        case 7:
            ring->written_at = SEC(STEK_SEAL_TIME_MAX_S + 1);
            break;
        case 8:
            ring->keys[1].created = SEC(STEK_SEAL_TIME_MAX_S + 1);
            break;
        case 9:
            ring->keys[0].flags = 0x80;
            break;
        case 10:
            ring->tombstones[0].until = -SEC(1);
            break;
        default:
            ring->keys[1].encrypt_until = ring->keys[1].not_before - SEC(1);
            break;
        }
        assert_int_equal(stek_ring_seal(ring, &secrets.secrets[0], zero_random, &sealed, &len),
                         STEK_EMALFORMED);
        assert_null(sealed);
        stek_ring_destroy(ring);
    }
}

static void test_seal_open_each_truncation_is_refused(void **state)
{
    stek_secrets_t secrets;
    stek_ring_t *ring = vector_ring(&secrets);
    apr_size_t len = 0;
    unsigned char *sealed = seal_ok(ring, &secrets, zero_random, &len);
    stek_header_t header;

    (void)state;
    for (apr_size_t cut = 0; cut < len; cut++) {
        assert_int_equal(open_and_compare(sealed, cut, &secrets, NULL), STEK_ELENGTH);
        assert_int_equal(stek_header_read(sealed, cut, &header), STEK_ELENGTH);
    }
    free(sealed);
    stek_ring_destroy(ring);
}

/* Cut, and its header says so: all that is left is the tag. */
static void test_seal_open_each_truncation_with_matching_length_is_refused(void **state)
{
    stek_secrets_t secrets;
    stek_ring_t *ring = vector_ring(&secrets);
    apr_size_t len = 0;
    unsigned char *sealed = seal_ok(ring, &secrets, zero_random, &len);

    (void)state;
    for (apr_size_t cut = HEADER_LEN; cut < len; cut++) {
        apr_size_t body_len = cut - HEADER_LEN;

        sealed[86] = (unsigned char)(body_len >> 8);
        sealed[87] = (unsigned char)body_len;
        assert_int_equal(open_and_compare(sealed, cut, &secrets, NULL),
                         body_len < 20 ? STEK_ELENGTH : STEK_ESEAL);
    }
    free(sealed);
    stek_ring_destroy(ring);
}

static void test_seal_open_trailing_bytes_are_refused(void **state)
{
    stek_secrets_t secrets;
    stek_ring_t *ring = vector_ring(&secrets);
    apr_size_t len = 0;
    unsigned char *sealed = seal_ok(ring, &secrets, zero_random, &len);
    unsigned char *longer = calloc(1, STEK_RING_BYTES_MAX + 1);

    (void)state;
    memcpy(longer, sealed, len);
    for (apr_size_t more = 1; more < 200; more++) {
        assert_int_equal(open_and_compare(longer, len + more, &secrets, NULL), STEK_ELENGTH);
    }
    assert_int_equal(open_and_compare(longer, STEK_RING_BYTES_MAX, &secrets, NULL), STEK_ELENGTH);
    assert_int_equal(open_and_compare(longer, STEK_RING_BYTES_MAX + 1, &secrets, NULL),
                     STEK_ETOOBIG);
    free(longer);
    free(sealed);
    stek_ring_destroy(ring);
}

static apr_status_t code_for_change_at(apr_size_t at)
{
    if (at < 8) {
        return STEK_EMAGIC;
    }
    if (at < 10) {
        return STEK_EVERSION;
    }
    if (at >= 44 && at < 52) {
        return STEK_ESECRET;
    }
    return at >= 84 && at < 88 ? STEK_ELENGTH : STEK_ESEAL;
}

static void test_seal_open_each_byte_changed_is_refused(void **state)
{
    stek_secrets_t secrets;
    stek_ring_t *ring = vector_ring(&secrets);
    apr_size_t len = 0;
    unsigned char *sealed = seal_ok(ring, &secrets, zero_random, &len);

    (void)state;
    for (apr_size_t at = 0; at < len; at++) {
        for (int bit = 0; bit < 9; bit++) {
            unsigned char change = bit < 8 ? (unsigned char)(1u << bit) : 0xff;

            sealed[at] ^= change;
            assert_int_equal(open_and_compare(sealed, len, &secrets, NULL), code_for_change_at(at));
            sealed[at] ^= change;
        }
    }
    assert_int_equal(open_and_compare(sealed, len, &secrets, ring), APR_SUCCESS);
    free(sealed);
    stek_ring_destroy(ring);
}

static void test_seal_open_not_a_ring_has_no_magic(void **state)
{
    static const char text[] = "-----BEGIN CERTIFICATE-----";
    static const unsigned char zeros[STEK_RING_BYTES_MAX];
    stek_secrets_t secrets;

    (void)state;
    fill_secrets(&secrets, 0, 1);
    assert_int_equal(open_and_compare((const unsigned char *)text, sizeof(text), &secrets, NULL),
                     STEK_EMAGIC);
    assert_int_equal(open_and_compare(zeros, 1, &secrets, NULL), STEK_EMAGIC);
    assert_int_equal(open_and_compare(zeros, sizeof(zeros), &secrets, NULL), STEK_EMAGIC);
}

static void test_seal_seal_same_random_is_equal_for_equal_rings_only(void **state)
{
    stek_secrets_t secrets;
    stek_ring_t *ring;
    apr_size_t a_len = 0, b_len = 0;
    unsigned char *a, *b;

    (void)state;
    ring = vector_ring(&secrets);
    a = seal_ok(ring, &secrets, zero_random, &a_len);
    b = seal_ok(ring, &secrets, zero_random, &b_len);
    assert_int_equal(a_len, b_len);
    assert_memory_equal(a, b, a_len);
    for (int i = 0; i < 5; i++) {
        free(b);
        switch (i) {
        case 0:
            ring->generation++;
            break;
        case 1:
            ring->keys[0].aes_key[31] ^= 1;
            break;
        case 2:
            ring->tombstones[0].until += SEC(1);
            break;
        case 3:
            ring->written_at += SEC(1);
            break;
        default:
            ring->lifetime += SEC(1);
            break;
        }
        b = seal_ok(ring, &secrets, zero_random, &b_len);
        assert_int_equal(a_len, b_len);
        /* neither salt nor, with it, key stream or tag */
        assert_memory_not_equal(a + 52, b + 52, 32);
        assert_memory_not_equal(a + HEADER_LEN, b + HEADER_LEN, 16);
        assert_memory_not_equal(a + a_len - 16, b + a_len - 16, 16);
    }
    free(a);
    free(b);
    stek_ring_destroy(ring);
}

static void test_seal_seal_other_random_is_all_other(void **state)
{
    unsigned char random[STEK_RING_SALT_RANDOM_LEN] = {1};
    stek_secrets_t secrets;
    stek_ring_t *ring = vector_ring(&secrets);
    apr_size_t len = 0;
    unsigned char *a = seal_ok(ring, &secrets, zero_random, &len);
    unsigned char *b = seal_ok(ring, &secrets, random, &len);

    (void)state;
    assert_memory_equal(a, b, 52);
    assert_memory_not_equal(a + 52, b + 52, 32);
    assert_memory_not_equal(a + HEADER_LEN, b + HEADER_LEN, 16);
    free(a);
    free(b);
    stek_ring_destroy(ring);
}

static void test_seal_open_secrets_of_others_say_which(void **state)
{
    stek_secrets_t mine, others, rolled;
    stek_ring_t *ring = make_ring(3, 1);
    apr_size_t len = 0;
    unsigned char *sealed;

    (void)state;
    fill_secrets(&mine, 0, 1);
    fill_secrets(&others, 1, STEK_SECRETS_MAX);
    sealed = seal_ok(ring, &mine, zero_random, &len);
    assert_int_equal(open_and_compare(sealed, len, &others, NULL), STEK_ESECRET);

    rolled = others;
    rolled.secrets[STEK_SECRETS_MAX - 1] = mine.secrets[0];
    assert_int_equal(open_and_compare(sealed, len, &rolled, ring), APR_SUCCESS);
    rolled.n--;
    assert_int_equal(open_and_compare(sealed, len, &rolled, NULL), STEK_ESECRET);

    /* our id on another's secret: first alone, then with the right one behind it */
    others.n = 2;
    memcpy(others.secrets[0].id, mine.secrets[0].id, STEK_SECRET_ID_LEN);
    assert_int_equal(open_and_compare(sealed, len, &others, NULL), STEK_ESEAL);
    others.secrets[1] = mine.secrets[0];
    assert_int_equal(open_and_compare(sealed, len, &others, ring), APR_SUCCESS);
    free(sealed);
    stek_ring_destroy(ring);
}

static void test_seal_seal_several_secrets_uses_the_first(void **state)
{
    stek_secrets_t secrets, first;
    stek_ring_t *ring = make_ring(1, 0);
    stek_header_t header;
    apr_size_t len = 0;
    unsigned char *sealed;

    (void)state;
    fill_secrets(&secrets, 0, 3);
    first = secrets;
    first.n = 1;
    sealed = seal_ok(ring, &secrets, zero_random, &len);
    assert_int_equal(stek_header_read(sealed, len, &header), APR_SUCCESS);
    assert_memory_equal(header.secret_id, first.secrets[0].id, STEK_SECRET_ID_LEN);
    assert_int_equal(open_and_compare(sealed, len, &first, ring), APR_SUCCESS);
    free(sealed);
    stek_ring_destroy(ring);
}

static void test_seal_open_weak_key_inside_is_refused(void **state)
{
    stek_secrets_t secrets;

    (void)state;
    fill_secrets(&secrets, 0, 1);
    for (int i = 0; i < 4; i++) {
        stek_ring_t *ring = make_ring(3, 0), *opened = NULL;
        apr_size_t len = 0;
        unsigned char *sealed;

        switch (i) {
        case 0:
            memset(ring->keys[2].aes_key, 0, STEK_AES_KEY_LEN);
            break;
        case 1:
            memset(ring->keys[0].hmac_key, 'x', STEK_HMAC_KEY_LEN);
            break;
        case 2:
            memcpy(ring->keys[1].aes_key, ring->keys[1].hmac_key, 32);
            break;
        default:
            memcpy(ring->keys[1].aes_key, ring->keys[2].aes_key, 32);
            break;
        }
        sealed = seal_ok(ring, &secrets, zero_random, &len);
        assert_int_equal(open_and_compare(sealed, len, &secrets, NULL), STEK_EWEAK);
        /* the audit left to the caller */
        assert_int_equal(stek_ring_unseal(sealed, len, &secrets, 0, &opened, NULL), APR_SUCCESS);
        assert_true(stek_ring_equal(ring, opened));
        stek_ring_destroy(opened);
        free(sealed);
        stek_ring_destroy(ring);
    }
}

static void test_seal_header_read_vector_shows_its_fields(void **state)
{
    unsigned char sealed[1024];
    apr_size_t len = unhex(VECTOR_SEALED, sealed);
    unsigned char id[STEK_SECRET_ID_LEN];
    stek_header_t header;

    (void)state;
    unhex(VECTOR_ID, id);
    assert_int_equal(stek_header_read(sealed, len, &header), APR_SUCCESS);
    assert_int_equal(header.version, 1);
    assert_true(header.interval == SEC(3600));
    assert_true(header.lifetime == SEC(64800));
    assert_true(header.epoch == 3);
    assert_true(header.generation == 41);
    assert_true(header.written_at == T0 + SEC(5));
    assert_memory_equal(header.secret_id, id, sizeof(id));

    /* a header that nobody vouches for */
    memset(sealed + 12, 0xff, 32);
    assert_int_equal(stek_header_read(sealed, len, &header), APR_SUCCESS);
    assert_true(header.written_at == SEC(STEK_SEAL_TIME_MAX_S));
    assert_true(header.interval > 0 && header.lifetime > 0);
}

/* What the format says, done again: derives and encrypts whatever header and plaintext are given.
 * The header's id and length are filled in; its salt may be anything. */
static unsigned char *seal_raw(const stek_secret_t *secret, const unsigned char *header,
                               const unsigned char *plain, size_t plain_len, apr_size_t *plen)
{
    unsigned char material[44], *sealed = malloc(HEADER_LEN + plain_len + 16);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *kdf_ctx = EVP_KDF_CTX_new(kdf);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    size_t body_len = plain_len + 16;
    int len;

    memcpy(sealed, header, HEADER_LEN);
    memcpy(sealed + 44, secret->id, STEK_SECRET_ID_LEN);
    for (int i = 0; i < 4; i++) {
        sealed[84 + i] = (unsigned char)(body_len >> (24 - 8 * i));
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA2-256", 0),
        OSSL_PARAM_construct_octet_string("key", (void *)secret->bytes, STEK_SECRET_LEN),
        OSSL_PARAM_construct_octet_string("salt", sealed + 52, 32),
        OSSL_PARAM_construct_octet_string("info", (char *)"stek ring v1 seal", 17),
        OSSL_PARAM_construct_end(),
    };
    assert_int_equal(EVP_KDF_derive(kdf_ctx, material, sizeof(material), params), 1);
    assert_int_equal(EVP_EncryptInit(ctx, EVP_aes_256_gcm(), material, material + 32), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &len, sealed, HEADER_LEN), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, sealed + HEADER_LEN, &len, plain, (int)plain_len), 1);
    assert_int_equal(EVP_EncryptFinal(ctx, sealed + HEADER_LEN + len, &len), 1);
    assert_int_equal(
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, sealed + HEADER_LEN + plain_len), 1);
    EVP_CIPHER_CTX_free(ctx);
    EVP_KDF_CTX_free(kdf_ctx);
    EVP_KDF_free(kdf);
    *plen = HEADER_LEN + plain_len + 16;
    return sealed;
}

/* The vector's header and plaintext, to be spoilt. */
typedef struct raw_t {
    stek_secrets_t secrets;
    unsigned char header[HEADER_LEN];
    unsigned char plain[1024];
    size_t plain_len;
} raw_t;

static void raw_init(raw_t *raw)
{
    unsigned char sealed[1024];

    stek_ring_destroy(vector_ring(&raw->secrets));
    unhex(VECTOR_SEALED, sealed);
    memcpy(raw->header, sealed, HEADER_LEN);
    raw->plain_len = unhex(VECTOR_PLAIN, raw->plain);
}

static apr_status_t raw_open(const raw_t *raw)
{
    apr_size_t len = 0;
    unsigned char *sealed = seal_raw(&raw->secrets.secrets[0], raw->header, raw->plain,
                                     raw->plain_len, &len);
    apr_status_t rv = open_and_compare(sealed, len, &raw->secrets, NULL);

    free(sealed);
    return rv;
}

static void put_be(unsigned char *at, uint64_t value, int len)
{
    for (int i = 0; i < len; i++) {
        at[i] = (unsigned char)(value >> (8 * (len - 1 - i)));
    }
}

static void test_seal_open_sealed_by_hand_is_the_vector(void **state)
{
    unsigned char expected[1024];
    apr_size_t len = 0;
    unsigned char *sealed;
    raw_t raw;

    (void)state;
    raw_init(&raw);
    assert_int_equal(raw_open(&raw), APR_SUCCESS);
    sealed = seal_raw(&raw.secrets.secrets[0], raw.header, raw.plain, raw.plain_len, &len);
    assert_int_equal(len, unhex(VECTOR_SEALED, expected));
    assert_memory_equal(sealed, expected, len);
    free(sealed);
}

static void test_seal_open_hostile_header_is_malformed(void **state)
{
    static const struct {
        int at;
        int len;
        uint64_t value;
    } cases[] = {
        {10, 2, 1},
        {10, 2, 0x8000},
        {12, 4, 0},
        {12, 4, 604801},
        {12, 4, 0xffffffff},
        {16, 4, 0},
        {16, 4, 604801},
        {16, 4, 0x80000000},
        {36, 8, (uint64_t)STEK_SEAL_TIME_MAX_S + 1},
        {36, 8, UINT64_MAX},
        {36, 8, UINT64_C(1) << 63},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        raw_t raw;

        raw_init(&raw);
        put_be(raw.header + cases[i].at, cases[i].value, cases[i].len);
        assert_int_equal(raw_open(&raw), STEK_EMALFORMED);
    }
}

static void test_seal_open_versions_only_ours(void **state)
{
    (void)state;
    for (unsigned version = 0; version < 70000; version = version < 4 ? version + 1 : version * 3) {
        raw_t raw;

        raw_init(&raw);
        put_be(raw.header + 8, version, 2);
        assert_int_equal(raw_open(&raw), (version & 0xffff) == 1 ? APR_SUCCESS : STEK_EVERSION);
    }
}

static void test_seal_open_hostile_counts_are_malformed(void **state)
{
    (void)state;
    for (unsigned key_n = 0; key_n < 70; key_n++) {
        for (unsigned tombstone_n = 0; tombstone_n < 70; tombstone_n++) {
            raw_t raw;

            raw_init(&raw);
            put_be(raw.plain, key_n == 69 ? 0xffff : key_n == 68 ? 4097 : key_n, 2);
            put_be(raw.plain + 2, tombstone_n == 69 ? 0xffff : tombstone_n, 2);
            if (key_n == 2 && tombstone_n == 1) {
                continue;
            }
            assert_int_equal(raw_open(&raw), STEK_EMALFORMED);
        }
    }
}

static void test_seal_open_more_keys_than_a_ring_holds_is_malformed(void **state)
{
    size_t plain_len = 4 + (STEK_KEYS_MAX + 1) * (size_t)KEY_LEN;
    unsigned char *plain = calloc(1, plain_len), *sealed;
    apr_size_t len = 0;
    raw_t raw;

    (void)state;
    raw_init(&raw);
    put_be(plain, STEK_KEYS_MAX + 1, 2);
    sealed = seal_raw(&raw.secrets.secrets[0], raw.header, plain, plain_len, &len);
    assert_int_equal(open_and_compare(sealed, len, &raw.secrets, NULL), STEK_EMALFORMED);
    free(sealed);
    free(plain);
}

static void test_seal_open_plaintext_of_each_length_is_malformed(void **state)
{
    raw_t raw;
    size_t full_len;

    (void)state;
    raw_init(&raw);
    full_len = raw.plain_len;
    for (raw.plain_len = 0; raw.plain_len < full_len + 130; raw.plain_len++) {
        if (raw.plain_len != full_len) {
            assert_int_equal(raw_open(&raw), raw.plain_len < 4 ? STEK_ELENGTH : STEK_EMALFORMED);
        }
    }
}

static void test_seal_open_unsorted_or_double_names_are_malformed(void **state)
{
    unsigned char key[KEY_LEN];
    raw_t raw;

    (void)state;
    raw_init(&raw);
    memcpy(key, raw.plain + 4, KEY_LEN);
    memcpy(raw.plain + 4, raw.plain + 4 + KEY_LEN, KEY_LEN);
    memcpy(raw.plain + 4 + KEY_LEN, key, KEY_LEN);
    assert_int_equal(raw_open(&raw), STEK_EMALFORMED);

    raw_init(&raw);
    memcpy(raw.plain + 4 + KEY_LEN, raw.plain + 4, STEK_NAME_LEN);
    assert_int_equal(raw_open(&raw), STEK_EMALFORMED);

    for (int order = 0; order < 3; order++) {
        unsigned char *tombstone;

        raw_init(&raw);
        tombstone = raw.plain + 4 + 2 * KEY_LEN;
        put_be(raw.plain + 2, 2, 2);
        memcpy(tombstone + TOMBSTONE_LEN, tombstone, TOMBSTONE_LEN);
        tombstone[TOMBSTONE_LEN + 15] = (unsigned char)(tombstone[15] + order - 1);
        raw.plain_len += TOMBSTONE_LEN;
        assert_int_equal(raw_open(&raw), order == 2 ? APR_SUCCESS : STEK_EMALFORMED);
    }
}

/* Offsets in a key: flags 80, epoch 84, created 92, not_before 100, encrypt_until 108,
 * decrypt_until 116. */
static void test_seal_open_hostile_times_are_malformed(void **state)
{
    static const uint64_t times[] = {
        (uint64_t)STEK_SEAL_TIME_MAX_S + 1,
        UINT64_C(9223372036854),
        UINT64_C(9223372036855),
        UINT64_C(18446744073709),
        UINT64_C(18446744075477),
        UINT64_C(1) << 63,
        UINT64_MAX - 1,
        UINT64_MAX,
    };
    raw_t raw;

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        for (int at = 92; at < KEY_LEN; at += 8) {
            raw_init(&raw);
            put_be(raw.plain + 4 + at, times[i], 8);
            assert_int_equal(raw_open(&raw), STEK_EMALFORMED);
        }
        /* all of one key, so that the window alone is consistent */
        raw_init(&raw);
        for (int at = 92; at < KEY_LEN; at += 8) {
            put_be(raw.plain + 4 + KEY_LEN + at, times[i], 8);
        }
        assert_int_equal(raw_open(&raw), STEK_EMALFORMED);

        raw_init(&raw);
        put_be(raw.plain + 4 + 2 * KEY_LEN + STEK_NAME_LEN, times[i], 8);
        assert_int_equal(raw_open(&raw), STEK_EMALFORMED);
    }
    raw_init(&raw);
    put_be(raw.plain + 4 + 80, 0x80000000u, 4);
    assert_int_equal(raw_open(&raw), STEK_EMALFORMED);

    raw_init(&raw);
    put_be(raw.plain + 4 + 100, 1, 8); /* a slot of 56 years */
    assert_int_equal(raw_open(&raw), STEK_EMALFORMED);
}

/* Whatever somebody with the secret puts in, it is answered, and what opens can be sealed again. */
static void test_seal_open_randomly_spoilt_never_breaks(void **state)
{
    rnd_t rnd = {seed_from_env()};
    int opened_n = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        stek_ring_t *ring = NULL;
        unsigned char *sealed, *again = NULL;
        apr_size_t len = 0, again_len = 0;
        raw_t raw;

        raw_init(&raw);
        for (unsigned n = 1 + rnd_below(&rnd, 3); n > 0; n--) {
            raw.plain[rnd_below(&rnd, (unsigned)raw.plain_len)] = (unsigned char)rnd_next(&rnd);
        }
        sealed = seal_raw(&raw.secrets.secrets[0], raw.header, raw.plain, raw.plain_len, &len);
        if (stek_ring_unseal(sealed, len, &raw.secrets, 1, &ring, NULL) == APR_SUCCESS) {
            opened_n++;
            again = seal_ok(ring, &raw.secrets, zero_random, &again_len);
            assert_int_equal(open_and_compare(again, again_len, &raw.secrets, ring), APR_SUCCESS);
            free(again);
            stek_ring_destroy(ring);
        }
        free(sealed);
    }
    assert_true(opened_n >= 1 && opened_n <= 2999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal_vector_ring_is_the_bytes_published),
        cmocka_unit_test(test_seal_round_trip_each_size_is_the_same),
        cmocka_unit_test(test_seal_seal_too_large_is_refused),
        cmocka_unit_test(test_seal_seal_what_could_not_be_opened_is_refused),
        cmocka_unit_test(test_seal_open_each_truncation_is_refused),
        cmocka_unit_test(test_seal_open_each_truncation_with_matching_length_is_refused),
        cmocka_unit_test(test_seal_open_trailing_bytes_are_refused),
        cmocka_unit_test(test_seal_open_each_byte_changed_is_refused),
        cmocka_unit_test(test_seal_open_not_a_ring_has_no_magic),
        cmocka_unit_test(test_seal_seal_same_random_is_equal_for_equal_rings_only),
        cmocka_unit_test(test_seal_seal_other_random_is_all_other),
        cmocka_unit_test(test_seal_open_secrets_of_others_say_which),
        cmocka_unit_test(test_seal_seal_several_secrets_uses_the_first),
        cmocka_unit_test(test_seal_open_weak_key_inside_is_refused),
        cmocka_unit_test(test_seal_header_read_vector_shows_its_fields),
        cmocka_unit_test(test_seal_open_sealed_by_hand_is_the_vector),
        cmocka_unit_test(test_seal_open_hostile_header_is_malformed),
        cmocka_unit_test(test_seal_open_versions_only_ours),
        cmocka_unit_test(test_seal_open_hostile_counts_are_malformed),
        cmocka_unit_test(test_seal_open_more_keys_than_a_ring_holds_is_malformed),
        cmocka_unit_test(test_seal_open_plaintext_of_each_length_is_malformed),
        cmocka_unit_test(test_seal_open_unsorted_or_double_names_are_malformed),
        cmocka_unit_test(test_seal_open_hostile_times_are_malformed),
        cmocka_unit_test(test_seal_open_randomly_spoilt_never_breaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
