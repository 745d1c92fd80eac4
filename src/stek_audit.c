/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit.  Chance that a test refuses 32 random bytes, as a power of two: constant -248,
 * sequence -240, period -127, known -122, run -51, text -44, few values -48, bit count -40.4; 16
 * bytes: run -52, few values -40.5.  Text and bit count would refuse 16 good bytes too often; a
 * 16-byte key has them on both of its halves together.  The order of the tests puts the most
 * telling answer first.  Core; no state, so any thread and any phase.
 */
#include "stek_audit.h"

#include <openssl/crypto.h>
#include <string.h>

#define HALF_LEN 16
#define RUN_MIN 8
#define BITS_MIN 72 /* least and most bits set in 256 that pass */
#define BITS_MAX 184

/* Keys seen in the wild (Hebrok et al., 2023), and keys printed where people copy from: examples
 * and test vectors of standards. A key is refused if all of it, or either half, is in this list. */
static const apr_uint64_t known[][2] = {
    {0, 0},
    /* counting up and down; the keys seen in the wild were filled like this */
    {0x0001020304050607, 0x08090a0b0c0d0e0f},
    {0x0102030405060708, 0x090a0b0c0d0e0f10},
    {0x1011121314151617, 0x18191a1b1c1d1e1f},
    {0x1112131415161718, 0x191a1b1c1d1e1f20},
    {0x2021222324252627, 0x28292a2b2c2d2e2f},
    {0x3031323334353637, 0x38393a3b3c3d3e3f},
    {0xf0f1f2f3f4f5f6f7, 0xf8f9fafbfcfdfeff},
    {0x0f0e0d0c0b0a0908, 0x0706050403020100},
    {0x1f1e1d1c1b1a1918, 0x1716151413121110},
    {0xfffefdfcfbfaf9f8, 0xf7f6f5f4f3f2f1f0},
    {0x0011223344556677, 0x8899aabbccddeeff},
    /* one byte repeated; in the wild, followed by zeros */
    {0x3131313131313131, 0x3131313131313131},
    {0xffffffffffffffff, 0xffffffffffffffff},
    /* programmers' favourites */
    {0xdeadbeefdeadbeef, 0xdeadbeefdeadbeef},
    {0xdeadbeefcafebabe, 0xdeadbeefcafebabe},
    {0x0123456789abcdef, 0x0123456789abcdef},
    {0x0123456789abcdef, 0xfedcba9876543210},
    /* "0123456789abcdef", "0123456789ABCDEF", "1234567890123456", "1234567890abcdef" */
    {0x3031323334353637, 0x3839616263646566},
    {0x3031323334353637, 0x3839414243444546},
    {0x3132333435363738, 0x3930313233343536},
    {0x3132333435363738, 0x3930616263646566},
    /* FIPS 197 and SP 800-38A: AES-128, then both halves of AES-256 */
    {0x2b7e151628aed2a6, 0xabf7158809cf4f3c},
    {0x603deb1015ca71be, 0x2b73aef0857d7781},
    {0x1f352c073b6108d7, 0x2d9810a30914dff4},
    /* RFC 3602, cases 1 and 2; the GCM specification, case 3 */
    {0x06a9214036b8a15b, 0x512e03d534120006},
    {0xc286696d887c9aa0, 0x611bbb3e2025a45a},
    {0xfeffe9928665731c, 0x6d6a8f9467308308},
};

#define KNOWN_N (sizeof(known) / sizeof(known[0]))

static int is_constant(const unsigned char *bytes, apr_size_t len)
{
    return memcmp(bytes, bytes + 1, len - 1) == 0;
}

static int is_sequence(const unsigned char *bytes, apr_size_t len)
{
    unsigned char step = (unsigned char)(bytes[1] - bytes[0]);
    apr_size_t i;

    for (i = 2; i < len; i++) {
        if ((unsigned char)(bytes[i] - bytes[i - 1]) != step) {
            return 0;
        }
    }
    return 1;
}

static int is_periodic(const unsigned char *bytes, apr_size_t len)
{
    apr_size_t period;

    for (period = 1; period <= len / 2; period++) {
        if (memcmp(bytes, bytes + period, len - period) == 0) {
            return 1;
        }
    }
    return 0;
}

static apr_uint64_t read_u64(const unsigned char *bytes)
{
    apr_uint64_t value = 0;
    int i;

    for (i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static int is_known(const unsigned char *bytes, apr_size_t len)
{
    apr_size_t half, i;

    for (half = 0; half < len; half += HALF_LEN) {
        apr_uint64_t first = read_u64(bytes + half);
        apr_uint64_t second = read_u64(bytes + half + 8);

        for (i = 0; i < KNOWN_N; i++) {
            if (first == known[i][0] && second == known[i][1]) {
                return 1;
            }
        }
    }
    return 0;
}

static int has_run(const unsigned char *bytes, apr_size_t len)
{
    apr_size_t i, run = 1;

    for (i = 1; i < len; i++) {
        run = bytes[i] == bytes[i - 1] ? run + 1 : 1;
        if (run >= RUN_MIN) {
            return 1;
        }
    }
    return 0;
}

/* Tabs and line ends count as text, because a password file ends in one. */
static int is_text(const unsigned char *bytes, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        int printable = bytes[i] >= 0x20 && bytes[i] <= 0x7e;

        if (!printable && bytes[i] != '\t' && bytes[i] != '\n' && bytes[i] != '\r') {
            return 0;
        }
    }
    return 1;
}

static int has_few_values(const unsigned char *bytes, apr_size_t len)
{
    apr_uint64_t seen[4] = {0, 0, 0, 0};
    int values_n = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        apr_uint64_t bit = (apr_uint64_t)1 << (bytes[i] & 63);

        values_n += !(seen[bytes[i] >> 6] & bit);
        seen[bytes[i] >> 6] |= bit;
    }
    OPENSSL_cleanse(seen, sizeof(seen));
    return values_n <= (len > HALF_LEN ? 16 : 7);
}

static int has_odd_bit_count(const unsigned char *bytes, apr_size_t len)
{
    int bits_n = 0;
    apr_size_t i;

    for (i = 0; i < len; i += 8) {
        bits_n += __builtin_popcountll(read_u64(bytes + i));
    }
    return bits_n < BITS_MIN || bits_n > BITS_MAX;
}

stek_weakness_e stek_audit_bytes(const unsigned char *bytes, apr_size_t len)
{
    if (is_constant(bytes, len)) {
        return STEK_WEAK_CONSTANT;
    }
    if (is_sequence(bytes, len)) {
        return STEK_WEAK_SEQUENCE;
    }
    if (is_periodic(bytes, len)) {
        return STEK_WEAK_PERIOD;
    }
    if (is_known(bytes, len)) {
        return STEK_WEAK_KNOWN;
    }
    if (has_run(bytes, len)) {
        return STEK_WEAK_RUN;
    }
    if (len > HALF_LEN && is_text(bytes, len)) {
        return STEK_WEAK_TEXT;
    }
    if (has_few_values(bytes, len)) {
        return STEK_WEAK_FEW_VALUES;
    }
    if (len > HALF_LEN && has_odd_bit_count(bytes, len)) {
        return STEK_WEAK_BIT_COUNT;
    }
    return STEK_WEAK_NONE;
}

int stek_audit_known(apr_size_t i, unsigned char *half)
{
    int n;

    if (i >= KNOWN_N) {
        return 0;
    }
    for (n = 0; n < HALF_LEN; n++) {
        half[n] = (unsigned char)(known[i][n / 8] >> (8 * (7 - n % 8)));
    }
    return 1;
}

static stek_weakness_e audit_together(const stek_key_t *key)
{
    unsigned char both[2 * HALF_LEN];
    stek_weakness_e weakness;

    memcpy(both, key->hmac_key, HALF_LEN);
    memcpy(both + HALF_LEN, key->aes_key, HALF_LEN);
    weakness = stek_audit_bytes(both, sizeof(both));
    OPENSSL_cleanse(both, sizeof(both));
    return weakness;
}

stek_weakness_e stek_audit_key(const stek_key_t *key)
{
    apr_size_t len = key->flags & STEK_KEY_AES128 ? HALF_LEN : STEK_AES_KEY_LEN;
    stek_weakness_e weakness = stek_audit_bytes(key->hmac_key, len);

    if (weakness == STEK_WEAK_NONE) {
        weakness = stek_audit_bytes(key->aes_key, len);
    }
    if (weakness == STEK_WEAK_NONE && CRYPTO_memcmp(key->hmac_key, key->aes_key, len) == 0) {
        weakness = STEK_WEAK_SAME_PARTS;
    }
    if (weakness == STEK_WEAK_NONE && len == HALF_LEN) {
        weakness = audit_together(key);
    }
    return weakness;
}

/* Part n of a ring: the halves of its keys, two for each key. */
static const unsigned char *ring_part(const stek_ring_t *ring, apr_size_t n)
{
    return n & 1 ? ring->keys[n / 2].aes_key : ring->keys[n / 2].hmac_key;
}

#define SLOTS_N (4 * STEK_KEYS_MAX) /* twice the greatest number of parts, a power of two */

_Static_assert(2 * STEK_KEYS_MAX < 0xffff && (SLOTS_N & (SLOTS_N - 1)) == 0, "table of parts");

/* Parts of a ring, hashed by their first bytes. That works because the parts have passed as random. */
typedef struct parts_t {
    apr_uint16_t table[SLOTS_N]; /* part + 1; 0: free */
} parts_t;

/* The slot of that part, or the free one where it belongs. */
static apr_uint16_t *find_part(parts_t *parts, const stek_ring_t *ring, apr_size_t part)
{
    const unsigned char *bytes = ring_part(ring, part);
    apr_size_t slot = ((apr_size_t)bytes[0] | (apr_size_t)bytes[1] << 8) & (SLOTS_N - 1);

    while (parts->table[slot] != 0
           && memcmp(bytes, ring_part(ring, parts->table[slot] - 1u), STEK_AES_KEY_LEN) != 0) {
        slot = (slot + 1) & (SLOTS_N - 1);
    }
    return &parts->table[slot];
}

/* Nonzero if another key has a part of key i; else takes in both. */
static int is_shared(parts_t *parts, const stek_ring_t *ring, apr_size_t i)
{
    if (*find_part(parts, ring, 2 * i) != 0 || *find_part(parts, ring, 2 * i + 1) != 0) {
        return 1;
    }
    *find_part(parts, ring, 2 * i) = (apr_uint16_t)(2 * i + 1);
    *find_part(parts, ring, 2 * i + 1) = (apr_uint16_t)(2 * i + 2);
    return 0;
}

static const stek_key_t *find_shared(const stek_ring_t *ring)
{
    parts_t parts = {{0}};
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        if (is_shared(&parts, ring, i)) {
            return &ring->keys[i];
        }
    }
    return NULL;
}

apr_size_t stek_audit_drop_shared(stek_ring_t *ring)
{
    parts_t parts = {{0}};
    apr_size_t i, shared_n = 0;

    for (i = 0; i < ring->key_n; i++) {
        if (is_shared(&parts, ring, i)) {
            ring->keys[i].not_before = APR_INT64_MAX;
            shared_n++;
        }
    }
    return shared_n > 0 ? stek_ring_drop_later(ring, APR_INT64_MAX - 1) : 0;
}

stek_weakness_e stek_audit_ring(const stek_ring_t *ring, const stek_key_t **pkey)
{
    stek_weakness_e weakness = STEK_WEAK_NONE;
    const stek_key_t *key = NULL;
    apr_size_t i;

    for (i = 0; i < ring->key_n && weakness == STEK_WEAK_NONE; i++) {
        key = &ring->keys[i];
        weakness = stek_audit_key(key);
        /* They are sorted, so equal names would be neighbours. */
        if (weakness == STEK_WEAK_NONE && i > 0
            && memcmp(key->name, ring->keys[i - 1].name, STEK_NAME_LEN) == 0) {
            weakness = STEK_WEAK_SHARED;
        }
    }
    if (weakness == STEK_WEAK_NONE) {
        key = find_shared(ring);
        weakness = key ? STEK_WEAK_SHARED : STEK_WEAK_NONE;
    }
    if (weakness != STEK_WEAK_NONE && pkey) {
        *pkey = key;
    }
    return weakness;
}

const char *stek_weakness_text(stek_weakness_e weakness)
{
    static const char *const texts[STEK_WEAK_N] = {
        [STEK_WEAK_NONE] = "passes the audit",
        [STEK_WEAK_CONSTANT] = "is one byte repeated",
        [STEK_WEAK_SEQUENCE] = "is an arithmetic sequence",
        [STEK_WEAK_PERIOD] = "repeats itself",
        [STEK_WEAK_RUN] = "has 8 or more equal bytes in a row",
        [STEK_WEAK_TEXT] = "is printable text",
        [STEK_WEAK_FEW_VALUES] = "has too few different bytes",
        [STEK_WEAK_BIT_COUNT] = "has too few or too many bits set",
        [STEK_WEAK_KNOWN] = "is a publicly known key, or half of one",
        [STEK_WEAK_SAME_PARTS] = "has the same HMAC and AES key",
        [STEK_WEAK_SHARED] = "shares its bytes or its name with another key",
    };

    /* Whether the enumeration is unsigned or not, a value from outside may be anything. */
    return (unsigned)weakness < STEK_WEAK_N ? texts[weakness] : "is weak";
}
