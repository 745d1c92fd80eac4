/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit: each pattern is refused wherever keys come from, and what only just passes does pass.
 */
#include "core_util.h"

#include "stek_audit.h"
#include "stek_key_make.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"

#define FIXTURES_MAX 64

typedef struct fixture_t {
    const char *name;
    size_t len; /* 16 or 32 */
    stek_weakness_e expected;
    unsigned char bytes[32];
} fixture_t;

static fixture_t fixtures[FIXTURES_MAX];
static size_t fixtures_n;

static unsigned char *add(const char *name, size_t len, stek_weakness_e expected)
{
    fixture_t *fixture = &fixtures[fixtures_n++];
    rnd_t rnd = {1000 + fixtures_n};

    if (fixtures_n > FIXTURES_MAX) {
        abort();
    }
    fixture->name = name;
    fixture->len = len;
    fixture->expected = expected;
    rnd_fill(&rnd, fixture->bytes, sizeof(fixture->bytes));
    return fixture->bytes;
}

static void fill_steps(unsigned char *bytes, size_t len, int start, int step)
{
    size_t i;

    for (i = 0; i < len; i++) {
        bytes[i] = (unsigned char)(start + (int)i * step);
    }
}

static void fill_period(unsigned char *bytes, size_t len, size_t period)
{
    size_t i;

    for (i = period; i < len; i++) {
        bytes[i] = bytes[i - period];
    }
}

static int bits_set(const unsigned char *bytes)
{
    int n = 0, i;

    for (i = 0; i < 256; i++) {
        n += bytes[i / 8] >> (i % 8) & 1;
    }
    return n;
}

static void fill_bits(unsigned char *bytes, int bits_n)
{
    rnd_t rnd = {99};

    while (bits_set(bytes) != bits_n) {
        unsigned bit = rnd_below(&rnd, 256);
        unsigned char mask = (unsigned char)(1u << (bit % 8));

        if (bits_set(bytes) > bits_n) {
            bytes[bit / 8] &= (unsigned char)~mask;
        }
        else {
            bytes[bit / 8] |= mask;
        }
    }
}

/* len bytes of n values, no two neighbours alike and without a period. */
static void fill_values(unsigned char *bytes, size_t len, size_t n)
{
    size_t i;

    for (i = 0; i < len; i++) {
        size_t value = i < n ? i : (i * i + 3) % n;

        bytes[i] = (unsigned char)(value * 73 + 29);
    }
}

static void fill_text(unsigned char *bytes, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        bytes[i] = (unsigned char)(' ' + bytes[i] % 95);
    }
}

static void add_simple_fixtures(void)
{
    memset(add("all zero", 32, STEK_WEAK_CONSTANT), 0, 32);
    memset(add("all ff", 32, STEK_WEAK_CONSTANT), 0xff, 32);
    memset(add("one byte repeated", 32, STEK_WEAK_CONSTANT), 0x6b, 32);
    memset(add("all zero, 16", 16, STEK_WEAK_CONSTANT), 0, 16);
    memset(add("one byte repeated, 16", 16, STEK_WEAK_CONSTANT), 0x31, 16);
    fill_steps(add("00..1f", 32, STEK_WEAK_SEQUENCE), 32, 0, 1);
    fill_steps(add("10..2f", 32, STEK_WEAK_SEQUENCE), 32, 0x10, 1);
    fill_steps(add("down over zero", 32, STEK_WEAK_SEQUENCE), 32, 9, -1);
    fill_steps(add("steps of 37", 32, STEK_WEAK_SEQUENCE), 32, 200, 37);
    fill_steps(add("10..1f, 16", 16, STEK_WEAK_SEQUENCE), 16, 0x10, 1);
    fill_period(add("period 2", 32, STEK_WEAK_PERIOD), 32, 2);
    fill_period(add("period 5", 32, STEK_WEAK_PERIOD), 32, 5);
    fill_period(add("period 15", 32, STEK_WEAK_PERIOD), 32, 15);
    fill_period(add("equal halves", 32, STEK_WEAK_PERIOD), 32, 16);
    fill_period(add("period 3, 16", 16, STEK_WEAK_PERIOD), 16, 3);
    fill_period(add("equal halves, 16", 16, STEK_WEAK_PERIOD), 16, 8);
    memset(add("run of 8 first", 32, STEK_WEAK_RUN), 0, 8);
    memset(add("run of 8 last", 32, STEK_WEAK_RUN) + 24, 0x41, 8);
    memset(add("run of 8 amid", 32, STEK_WEAK_RUN) + 12, 0xff, 8);
    memset(add("run of 9, 16", 16, STEK_WEAK_RUN) + 3, 7, 9);
    fill_text(add("text", 32, STEK_WEAK_TEXT), 32);
    fill_text(add("text and line end", 32, STEK_WEAK_TEXT), 31);
    fixtures[fixtures_n - 1].bytes[31] = '\n';
    fill_values(add("16 values", 32, STEK_WEAK_FEW_VALUES), 32, 16);
    fill_values(add("7 values, 16", 16, STEK_WEAK_FEW_VALUES), 16, 7);
    fill_bits(add("71 bits", 32, STEK_WEAK_BIT_COUNT), 71);
    fill_bits(add("185 bits", 32, STEK_WEAK_BIT_COUNT), 185);
}

static void add_known_fixtures(void)
{
    static const unsigned char sp800_38a[32] = {0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe,
                                                0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
                                                0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7,
                                                0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};
    static const unsigned char fips_197[16] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
                                               0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
    unsigned char *bytes = add("20..2f and zeros", 32, STEK_WEAK_KNOWN);

    memset(bytes, 0, 32);
    fill_steps(bytes, 16, 0x20, 1);
    bytes = add("16 x 31 and zeros", 32, STEK_WEAK_KNOWN);
    memset(bytes, 0, 32);
    memset(bytes, 0x31, 16);
    memset(add("zeros first", 32, STEK_WEAK_KNOWN), 0, 16);
    memset(add("zeros last", 32, STEK_WEAK_KNOWN) + 16, 0, 16);
    fill_steps(add("10..1f first", 32, STEK_WEAK_KNOWN), 16, 0x10, 1);
    fill_steps(add("10..1f last", 32, STEK_WEAK_KNOWN) + 16, 16, 0x10, 1);
    fill_steps(add("20..2f last", 32, STEK_WEAK_KNOWN) + 16, 16, 0x20, 1);
    fill_steps(add("00..0f first", 32, STEK_WEAK_KNOWN), 16, 0, 1);
    memcpy(add("SP 800-38A, AES-256", 32, STEK_WEAK_KNOWN), sp800_38a, 32);
    memcpy(add("FIPS 197 last", 32, STEK_WEAK_KNOWN) + 16, fips_197, 16);
    memcpy(add("FIPS 197, 16", 16, STEK_WEAK_KNOWN), fips_197, 16);
    memcpy(add("text in either half", 32, STEK_WEAK_KNOWN) + 16, "0123456789abcdef", 16);
}

static void test_audit_bytes_each_pattern_refused(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < fixtures_n; i++) {
        stek_weakness_e weakness = stek_audit_bytes(fixtures[i].bytes, fixtures[i].len);

        if (weakness != fixtures[i].expected) {
            fail_msg("%s: found that it %s", fixtures[i].name, stek_weakness_text(weakness));
        }
    }
}

static void test_audit_key_each_pattern_in_each_part_refused(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < fixtures_n; i++) {
        stek_key_t hmac = good_key(1, T0, 0, HOUR), aes = good_key(2, T0, 0, HOUR);

        if (fixtures[i].len == 16) {
            hmac.flags = aes.flags = STEK_KEY_AES128;
            memset(hmac.hmac_key, 0, 32);
            memset(aes.aes_key, 0, 32);
            memset(hmac.aes_key + 16, 0, 16);
            memset(aes.hmac_key + 16, 0, 16);
        }
        memcpy(hmac.hmac_key, fixtures[i].bytes, fixtures[i].len);
        memcpy(aes.aes_key, fixtures[i].bytes, fixtures[i].len);
        if (stek_audit_key(&hmac) != fixtures[i].expected
            || stek_audit_key(&aes) != fixtures[i].expected) {
            fail_msg("%s", fixtures[i].name);
        }
    }
}

static void test_audit_key_made_from_pattern_refused(void **state)
{
    size_t i, part;

    (void)state;
    for (i = 0; i < fixtures_n; i++) {
        for (part = 0; part < 2 && fixtures[i].len == 32; part++) {
            stek_key_t key;

            fake_rng_reset(i + 1);
            fake_rng_patch(STEK_NAME_LEN + part * 32, fixtures[i].bytes, 32);
            if (stek_key_make(T0, T0 + HOUR, HOUR, 0, T0, fake_rng, &key) != STEK_EWEAK) {
                fail_msg("%s in part %d", fixtures[i].name, (int)part);
            }
        }
    }
}

static void test_audit_schedule_extended_by_pattern_refused(void **state)
{
    const stek_params_t params = STEK_PARAMS_DEFAULT;
    stek_ring_t *ring, *longer = NULL;
    apr_size_t made = 99, i, part;

    (void)state;
    assert_int_equal(stek_ring_create(0, 0, &ring), APR_SUCCESS);
    for (i = 0; i < fixtures_n; i++) {
        for (part = 0; part < 2 && fixtures[i].len == 32; part++) {
            fake_rng_reset(i + 1);
            fake_rng_patch(STEK_NAME_LEN + part * 32, fixtures[i].bytes, 32);
            if (stek_schedule_extend(ring, &params, T0, fake_rng, &longer, &made) != STEK_EWEAK) {
                fail_msg("%s in part %d", fixtures[i].name, (int)part);
            }
            assert_null(longer);
            assert_int_equal(made, 99);
        }
    }
    fake_rng_reset(1);
    assert_int_equal(stek_schedule_extend(ring, &params, T0, fake_rng, &longer, &made),
                     APR_SUCCESS);
    assert_int_equal(made, 2);
    stek_ring_destroy(longer);
    stek_ring_destroy(ring);
}

/* A generator that repeats itself: the same name, the same HMAC key, the same AES key. */
static void test_audit_schedule_generator_repeats_refused(void **state)
{
    static const struct {
        size_t at, len;
    } parts[] = {{0, 80}, {0, 16}, {16, 32}, {48, 32}};
    const stek_params_t params = STEK_PARAMS_DEFAULT;
    stek_ring_t *ring, *longer = NULL;
    apr_size_t made, i;
    stek_key_t key = good_key(7, T0, HOUR, HOUR);

    (void)state;
    assert_int_equal(stek_ring_create(0, 0, &ring), APR_SUCCESS);
    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        fake_rng_reset(5);
        fake_rng_patch(parts[i].at, (unsigned char *)&key + parts[i].at, parts[i].len);
        assert_int_equal(stek_schedule_extend(ring, &params, T0, fake_rng, &longer, &made),
                         STEK_EWEAK);
        assert_null(longer);
    }
    stek_ring_destroy(ring);
}

static void test_audit_schedule_generator_repeats_revoked_refused(void **state)
{
    const stek_params_t params = STEK_PARAMS_DEFAULT;
    stek_key_t key = good_key(7, T0, HOUR, HOUR);
    stek_tombstone_t tombstone = {.until = T0 + DAY};
    stek_ring_t *ring, *longer = NULL;
    apr_size_t made;

    (void)state;
    memcpy(tombstone.name, key.name, sizeof(key.name));
    assert_int_equal(stek_ring_create(1, 1, &ring), APR_SUCCESS);
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    key = good_key(8, T0, HOUR, HOUR);
    assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    fake_rng_reset(5);
    fake_rng_patch(0, tombstone.name, sizeof(tombstone.name));
    assert_int_equal(stek_schedule_extend(ring, &params, T0, fake_rng, &longer, &made), STEK_EWEAK);
    assert_null(longer);
    stek_ring_destroy(ring);
}

static void test_audit_key_generator_stuck_refused(void **state)
{
    rnd_t rnd = {3};
    unsigned char bytes[80];
    stek_key_t key;
    size_t period;

    (void)state;
    for (period = 1; period <= 32; period++) {
        rnd_fill(&rnd, bytes, period);
        fill_period(bytes, sizeof(bytes), period);
        fake_rng_reset(1);
        fake_rng_patch(0, bytes, sizeof(bytes));
        /* A longer period than half a part shows only where it makes both parts the same. */
        if (period <= 16 || period == 32) {
            assert_int_equal(stek_key_make(T0, T0 + HOUR, HOUR, 0, T0, fake_rng, &key), STEK_EWEAK);
        }
    }
}

static void test_audit_bytes_just_good_enough_pass(void **state)
{
    unsigned char bytes[32];
    rnd_t rnd = {4};

    (void)state;
    rnd_fill(&rnd, bytes, 32);
    assert_int_equal(stek_audit_bytes(bytes, 32), STEK_WEAK_NONE);
    assert_int_equal(stek_audit_bytes(bytes, 16), STEK_WEAK_NONE);
    memset(bytes + 20, 0x55, 7);
    assert_int_equal(stek_audit_bytes(bytes, 32), STEK_WEAK_NONE);
    rnd_fill(&rnd, bytes, 32);
    fill_bits(bytes, 72);
    assert_int_equal(stek_audit_bytes(bytes, 32), STEK_WEAK_NONE);
    rnd_fill(&rnd, bytes, 32);
    fill_bits(bytes, 184);
    assert_int_equal(stek_audit_bytes(bytes, 32), STEK_WEAK_NONE);
    fill_values(bytes, 32, 17);
    assert_int_equal(stek_audit_bytes(bytes, 32), STEK_WEAK_NONE);
    fill_values(bytes, 16, 8);
    assert_int_equal(stek_audit_bytes(bytes, 16), STEK_WEAK_NONE);
    rnd_fill(&rnd, bytes, 32);
    fill_text(bytes, 32);
    assert_int_equal(stek_audit_bytes(bytes, 16), STEK_WEAK_NONE);
    bytes[17] = 0x80;
    assert_int_equal(stek_audit_bytes(bytes, 32), STEK_WEAK_NONE);
    rnd_fill(&rnd, bytes, 32);
    /* 17 values at least, and no test for a period above half. */
    fill_period(bytes, 32, 24);
    assert_int_equal(stek_audit_bytes(bytes, 32), STEK_WEAK_NONE);
}

static stek_key_t aes128_key(unsigned n)
{
    stek_key_t key = good_key(n, T0, 0, HOUR);

    key.flags = STEK_KEY_AES128;
    memset(key.hmac_key + 16, 0, 16);
    memset(key.aes_key + 16, 0, 16);
    return key;
}

static void test_audit_key_aes128_judged_by_its_bytes(void **state)
{
    stek_key_t key = aes128_key(1);

    (void)state;
    assert_int_equal(stek_audit_key(&key), STEK_WEAK_NONE);
    memcpy(key.aes_key, key.hmac_key, 16);
    assert_int_equal(stek_audit_key(&key), STEK_WEAK_SAME_PARTS);
    memcpy(key.hmac_key, "correct horse ba", 16);
    memcpy(key.aes_key, "ttery STAPLE 42\n", 16);
    assert_int_equal(stek_audit_key(&key), STEK_WEAK_TEXT);
    key.aes_key[15] = 0x81;
    assert_int_equal(stek_audit_key(&key), STEK_WEAK_NONE);
}

static void test_audit_key_equal_parts_refused(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, HOUR);

    (void)state;
    memcpy(key.aes_key, key.hmac_key, sizeof(key.aes_key));
    assert_int_equal(stek_audit_key(&key), STEK_WEAK_SAME_PARTS);
}

/* A ring of good keys, one of them changed; what the audit says and which key it names. */
static stek_weakness_e audit_ring_with(void (*change)(stek_ring_t *ring), const stek_key_t **pkey,
                                       stek_ring_t **pring)
{
    stek_ring_t *ring;
    unsigned i;

    assert_int_equal(stek_ring_create(20, 0, &ring), APR_SUCCESS);
    for (i = 0; i < 20; i++) {
        stek_key_t key = i % 5 == 4 ? aes128_key(i) : good_key(i, T0 + i * HOUR, HOUR, HOUR);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    change(ring);
    *pring = ring;
    return stek_audit_ring(ring, pkey);
}

static void change_nothing(stek_ring_t *ring)
{
    (void)ring;
}

static void change_weak(stek_ring_t *ring)
{
    memset(ring->keys[11].aes_key, 0, 32);
}

/* Gives keys[at] new good bytes, whatever it was. */
static stek_key_t *renew(stek_ring_t *ring, size_t at)
{
    stek_key_t key = good_key(100 + (unsigned)at, T0, HOUR, HOUR);

    memcpy(key.name, ring->keys[at].name, sizeof(key.name));
    ring->keys[at] = key;
    return &ring->keys[at];
}

static void change_aes(stek_ring_t *ring)
{
    memcpy(renew(ring, 19)->aes_key, renew(ring, 0)->aes_key, 32);
}

static void change_hmac(stek_ring_t *ring)
{
    memcpy(renew(ring, 3)->hmac_key, renew(ring, 2)->hmac_key, 32);
}

static void change_crosswise(stek_ring_t *ring)
{
    memcpy(renew(ring, 14)->aes_key, renew(ring, 3)->hmac_key, 32);
}

static void change_name(stek_ring_t *ring)
{
    memcpy(ring->keys[8].name, ring->keys[7].name, STEK_NAME_LEN);
}

static void test_audit_ring_findings_named(void **state)
{
    static const struct {
        void (*change)(stek_ring_t *ring);
        stek_weakness_e expected;
        int at; /* the key that is named; -1: any */
    } cases[] = {{change_nothing, STEK_WEAK_NONE, -1}, {change_weak, STEK_WEAK_CONSTANT, 11},
                 {change_name, STEK_WEAK_SHARED, 8},   {change_crosswise, STEK_WEAK_SHARED, 14},
                 {change_aes, STEK_WEAK_SHARED, 19},   {change_hmac, STEK_WEAK_SHARED, 3}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const stek_key_t *key = NULL;
        stek_ring_t *ring;

        assert_int_equal(audit_ring_with(cases[i].change, &key, &ring), cases[i].expected);
        assert_true((key != NULL) == (cases[i].expected != STEK_WEAK_NONE));
        assert_true(cases[i].at < 0 || key == &ring->keys[cases[i].at]);
        assert_int_equal(stek_audit_ring(ring, NULL), cases[i].expected);
        stek_ring_destroy(ring);
    }
}

static void test_audit_ring_full_pass(void **state)
{
    stek_ring_t *ring;
    unsigned i;

    (void)state;
    assert_int_equal(stek_ring_create(STEK_KEYS_MAX, 0, &ring), APR_SUCCESS);
    for (i = 0; i < STEK_KEYS_MAX; i++) {
        stek_key_t key = good_key(i, T0, HOUR, HOUR);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    assert_int_equal(stek_audit_ring(ring, NULL), STEK_WEAK_NONE);
    stek_ring_destroy(ring);
}

static void test_audit_text_each_weakness_own_clause(void **state)
{
    unsigned i, j;

    (void)state;
    for (i = 0; i < STEK_WEAK_N; i++) {
        const char *text = stek_weakness_text((stek_weakness_e)i);

        assert_non_null(text);
        for (j = 0; j < i; j++) {
            assert_string_not_equal(text, stek_weakness_text((stek_weakness_e)j));
        }
    }
    assert_string_equal(stek_weakness_text(STEK_WEAK_CONSTANT), "is one byte repeated");
}

/* Rings whose keys share bytes, beside a naive rule. */
static void test_audit_drop_shared_as_naive(void **state)
{
    stek_ring_t *ring, *whole;
    unsigned round, i, k;

    (void)state;
    for (round = 0; round < 300; round++) {
        int dropped[24] = {0};
        apr_size_t dropped_n = 0, kept_n = 0;

        assert_int_equal(stek_ring_create(24, 0, &ring), APR_SUCCESS);
        for (i = 0; i < 24; i++) {
            stek_key_t key = good_key(1000 * round + i, T0 + i % 7 * HOUR, HOUR, HOUR);

            assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
        }
        for (i = 0; i < round % 12; i++) {
            stek_key_t *from = &ring->keys[(round * 7 + i * 5) % 24],
                       *to = &ring->keys[(round + i * 11) % 24];

            memcpy(i % 2 ? to->aes_key : to->hmac_key, i % 3 ? from->hmac_key : from->aes_key, 32);
        }
        for (i = 0; i < 24; i++) {
            for (k = 0; k < i; k++) {
                const stek_key_t *a = &ring->keys[i], *b = &ring->keys[k];

                dropped[i] |= !dropped[k]
                              && (!memcmp(a->hmac_key, b->hmac_key, 32)
                                  || !memcmp(a->aes_key, b->aes_key, 32)
                                  || !memcmp(a->hmac_key, b->aes_key, 32)
                                  || !memcmp(a->aes_key, b->hmac_key, 32));
            }
            dropped_n += dropped[i] != 0;
        }
        assert_int_equal(stek_ring_merge(ring, NULL, T0, 0, &whole), APR_SUCCESS);
        assert_int_equal(stek_audit_drop_shared(whole), dropped_n);
        for (i = 0; i < 24; i++) {
            assert_true((stek_ring_find(whole, ring->keys[i].name) != NULL) == !dropped[i]);
            kept_n += !dropped[i];
        }
        assert_int_equal(whole->key_n, kept_n);
        assert_int_equal(stek_audit_drop_shared(whole), 0);
        assert_true(stek_ring_current(whole, T0) != NULL || kept_n < 24);
        stek_ring_destroy(whole);
        stek_ring_destroy(ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit_bytes_each_pattern_refused),
        cmocka_unit_test(test_audit_key_each_pattern_in_each_part_refused),
        cmocka_unit_test(test_audit_key_made_from_pattern_refused),
        cmocka_unit_test(test_audit_schedule_extended_by_pattern_refused),
        cmocka_unit_test(test_audit_schedule_generator_repeats_refused),
        cmocka_unit_test(test_audit_schedule_generator_repeats_revoked_refused),
        cmocka_unit_test(test_audit_key_generator_stuck_refused),
        cmocka_unit_test(test_audit_bytes_just_good_enough_pass),
        cmocka_unit_test(test_audit_key_aes128_judged_by_its_bytes),
        cmocka_unit_test(test_audit_key_equal_parts_refused),
        cmocka_unit_test(test_audit_ring_findings_named),
        cmocka_unit_test(test_audit_ring_full_pass),
        cmocka_unit_test(test_audit_drop_shared_as_naive),
        cmocka_unit_test(test_audit_text_each_weakness_own_clause),
    };

    add_simple_fixtures();
    add_known_fixtures();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
