/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet secret's ratchet: its numbers (computed by another implementation), its one direction,
 * what it is bound to, and how it stands in the file.
 */
#include "core_util.h"

#include <openssl/evp.h>

#include "fleet/ratchet.h"
#include "stek_seal.h"

/* From Python's cryptography: HKDF of SHA-256("secret") with the first half of SHA-256("fleet"). */
static const unsigned char next_bytes[] = {
    0x0b, 0x6d, 0xef, 0xda, 0x25, 0x00, 0x28, 0xe5, 0xb9, 0x8f, 0xb4, 0x8d, 0x1e, 0xa7, 0x5a, 0x49,
    0xbd, 0xf8, 0xbd, 0x71, 0x66, 0x40, 0xe5, 0xa9, 0xd9, 0xea, 0xa1, 0x2b, 0xed, 0x58, 0x03, 0x0e};
static const unsigned char seal_bytes[] = {
    0x9e, 0x5d, 0xf6, 0xbb, 0x4d, 0x9a, 0xe0, 0xcf, 0x7b, 0xf8, 0xfa, 0xa0, 0xe0, 0x8d, 0x91, 0x8d,
    0x1d, 0x84, 0x16, 0x0c, 0x91, 0x77, 0xbe, 0xc1, 0xb3, 0x33, 0x4f, 0xe2, 0xf4, 0x8b, 0x64, 0x7b};
static const unsigned char next_seal_bytes[] = {
    0xf0, 0x6e, 0x6d, 0xc8, 0x4a, 0x28, 0x91, 0x36, 0x17, 0x6e, 0x88, 0x93, 0xe7, 0xe0, 0x4f, 0x02,
    0x2d, 0xb2, 0xbf, 0x28, 0x84, 0x7e, 0x99, 0x5e, 0xac, 0x98, 0x53, 0x31, 0x17, 0x87, 0x40, 0xc1};

static stek_secrets_t *set_at(apr_int32_t day)
{
    stek_secrets_t *set = NULL;
    unsigned char digest[32];

    assert_int_equal(stek_secrets_make(1, stek_rng_system, &set), APR_SUCCESS);
    assert_int_equal(EVP_Digest("fleet", 5, digest, NULL, EVP_sha256(), NULL), 1);
    memcpy(set->fleet_id, digest, STEK_FLEET_ID_LEN);
    assert_int_equal(EVP_Digest("secret", 6, set->secrets[0].bytes, NULL, EVP_sha256(), NULL), 1);
    assert_int_equal(stek_secret_set_id(&set->secrets[0]), APR_SUCCESS);
    set->day = day;
    return set;
}

static stek_secrets_t *keys_of(const stek_secrets_t *set, apr_int32_t day)
{
    stek_secrets_t *keys = NULL;

    assert_int_equal(ratchet_keys(set, day, &keys), APR_SUCCESS);
    assert_false(keys->has_fleet_id);
    assert_int_equal(keys->day, 0);
    assert_int_equal(keys->n, set->n);
    return keys;
}

static void move_to(stek_secrets_t *set, apr_int32_t day, apr_int32_t expected)
{
    apr_int32_t moved = -1;

    assert_int_equal(ratchet_move(set, day, &moved), APR_SUCCESS);
    assert_int_equal(moved, expected);
}

static void test_ratchet_day_counts_utc_days(void **state)
{
    (void)state;
    assert_int_equal(ratchet_day(DAY * 20000), 20000);
    assert_int_equal(ratchet_day(DAY * 20001 - 1), 20000);
    assert_int_equal(ratchet_day(0), 1);
    assert_int_equal(ratchet_day(APR_INT64_MAX), STEK_DAY_MAX);
}

static void test_ratchet_numbers_are_those_of_another_implementation(void **state)
{
    stek_secrets_t *set = set_at(20000);
    stek_secrets_t *today = keys_of(set, 20000), *tomorrow = keys_of(set, 20001);

    (void)state;
    assert_memory_equal(today->secrets[0].bytes, seal_bytes, STEK_SECRET_LEN);
    assert_memory_equal(tomorrow->secrets[0].bytes, next_seal_bytes, STEK_SECRET_LEN);
    move_to(set, 20001, 1);
    assert_memory_equal(set->secrets[0].bytes, next_bytes, STEK_SECRET_LEN);
    assert_int_equal(set->day, 20001);
    stek_secrets_destroy(set);
    stek_secrets_destroy(today);
    stek_secrets_destroy(tomorrow);
}

static void test_ratchet_move_many_days_is_many_steps(void **state)
{
    stek_secrets_t *one = set_at(20000), *many = set_at(20000);
    apr_int32_t day;

    (void)state;
    for (day = 20001; day <= 20007; day++) {
        move_to(one, day, 1);
    }
    move_to(many, 20007, 7);
    assert_true(stek_secrets_equal(one, many));
    assert_memory_equal(one->secrets[0].id, many->secrets[0].id, STEK_SECRET_ID_LEN);
    move_to(many, 20007, 0);
    move_to(many, 20003, 0);
    assert_true(stek_secrets_equal(one, many));
    stek_secrets_destroy(one);
    stek_secrets_destroy(many);
}

static void test_ratchet_keys_of_days_gone_are_not_to_be_had(void **state)
{
    stek_secrets_t *set = set_at(20000), *early = keys_of(set, 20000), *keys = NULL, *late;

    (void)state;
    move_to(set, 20002, 2);
    assert_int_equal(ratchet_keys(set, 20000, &keys), STEK_ESECRET);
    assert_int_equal(ratchet_keys(set, 20001, &keys), STEK_ESECRET);
    assert_null(keys);
    late = keys_of(set, 20002);
    assert_memory_not_equal(early->secrets[0].bytes, late->secrets[0].bytes, STEK_SECRET_LEN);
    stek_secrets_destroy(set);
    stek_secrets_destroy(early);
    stek_secrets_destroy(late);
}

static void test_ratchet_move_clock_far_ahead_is_refused_and_changes_nothing(void **state)
{
    stek_secrets_t *set = set_at(20000), *same = set_at(20000), *keys = NULL;
    apr_int32_t moved = -1;

    (void)state;
    assert_int_equal(ratchet_move(set, 20000 + RATCHET_DAYS_MAX + 1, &moved), APR_EINVAL);
    assert_int_equal(moved, -1);
    assert_true(stek_secrets_equal(set, same));
    assert_int_equal(ratchet_keys(set, 20000 + RATCHET_DAYS_MAX + 1, &keys), APR_EINVAL);
    assert_null(keys);
    move_to(set, 20000 + RATCHET_DAYS_MAX, RATCHET_DAYS_MAX);
    stek_secrets_destroy(set);
    stek_secrets_destroy(same);
}

static void test_ratchet_none_same_keys_on_all_days(void **state)
{
    stek_secrets_t *set = set_at(0), *a = keys_of(set, 20000), *b = keys_of(set, 29999);

    (void)state;
    move_to(set, 20000, 0);
    assert_true(stek_secrets_equal(a, b));
    assert_memory_not_equal(a->secrets[0].bytes, set->secrets[0].bytes, STEK_SECRET_LEN);
    stek_secrets_destroy(set);
    stek_secrets_destroy(a);
    stek_secrets_destroy(b);
}

static void test_ratchet_keys_of_another_fleet_open_nothing(void **state)
{
    stek_secrets_t *set = set_at(20000), *keys = keys_of(set, 20000), *other_keys;
    unsigned char random[STEK_RING_SALT_RANDOM_LEN] = {1}, *sealed = NULL;
    stek_ring_t *ring = NULL, *opened = NULL;
    apr_size_t len = 0;

    (void)state;
    assert_int_equal(stek_ring_create(0, 0, &ring), APR_SUCCESS);
    ring->interval = HOUR;
    ring->lifetime = HOUR;
    assert_int_equal(stek_ring_seal(ring, &keys->secrets[0], random, &sealed, &len), APR_SUCCESS);
    assert_int_equal(stek_ring_unseal(sealed, len, keys, 1, &opened, NULL), APR_SUCCESS);
    stek_ring_destroy(opened);
    opened = NULL;
    set->fleet_id[0] ^= 1;
    other_keys = keys_of(set, 20000);
    assert_int_equal(stek_ring_unseal(sealed, len, other_keys, 1, &opened, NULL), STEK_ESECRET);
    /* Nor does the fleet secret itself, as if it were a local one. */
    assert_int_equal(stek_ring_unseal(sealed, len, set, 1, &opened, NULL), STEK_ESECRET);
    free(sealed);
    stek_ring_destroy(ring);
    stek_secrets_destroy(set);
    stek_secrets_destroy(keys);
    stek_secrets_destroy(other_keys);
}

static void test_ratchet_all_secrets_of_the_set_move_together(void **state)
{
    stek_secrets_t *set = set_at(20000), *rolled = NULL, *keys, *old = keys_of(set, 20003);

    (void)state;
    assert_int_equal(stek_secrets_roll(set, stek_rng_system, &rolled), APR_SUCCESS);
    assert_int_equal(rolled->day, 20000);
    move_to(rolled, 20003, 3);
    keys = keys_of(rolled, 20003);
    assert_int_equal(keys->n, 2);
    assert_memory_equal(keys->secrets[1].bytes, old->secrets[0].bytes, STEK_SECRET_LEN);
    stek_secrets_destroy(set);
    stek_secrets_destroy(rolled);
    stek_secrets_destroy(keys);
    stek_secrets_destroy(old);
}

static void test_ratchet_file_keeps_the_day(void **state)
{
    stek_secrets_t *set = set_at(20000), *read = NULL;
    char text[STEK_SECRET_FILE_MAX];
    apr_size_t len = 0;

    (void)state;
    assert_int_equal(stek_secrets_text(set, text, sizeof(text), &len), APR_SUCCESS);
    assert_int_equal(len, strlen(text));
    assert_non_null(strstr(text, "stek-day-v1 20000\n"));
    assert_int_equal(stek_secrets_parse(text, len, &read, NULL), APR_SUCCESS);
    assert_int_equal(read->day, 20000);
    assert_true(stek_secrets_equal(set, read));
    read->day++;
    assert_false(stek_secrets_equal(set, read));
    stek_secrets_destroy(read);
    set->day = STEK_DAY_MAX;
    assert_int_equal(stek_secrets_text(set, text, sizeof(text), &len), APR_SUCCESS);
    assert_int_equal(stek_secrets_parse(text, len, &read, NULL), APR_SUCCESS);
    assert_int_equal(read->day, STEK_DAY_MAX);
    stek_secrets_destroy(read);
    stek_secrets_destroy(set);
}

static void test_ratchet_file_bad_day_is_refused(void **state)
{
    static const char *const lines[] = {"stek-day-v1\n",          "stek-day-v1 0\n",
                                        "stek-day-v1 -1\n",       "stek-day-v1 20000x\n",
                                        "stek-day-v1 12345678\n", "stek-day-v1 1\nstek-day-v1 1\n"};
    stek_secrets_t *set = set_at(0), *read = NULL;
    char text[STEK_SECRET_FILE_MAX];
    apr_size_t len = 0, i;

    (void)state;
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(stek_secrets_text(set, text, sizeof(text), &len), APR_SUCCESS);
        strcpy(text + len, lines[i]);
        assert_int_equal(stek_secrets_parse(text, strlen(text), &read, NULL), STEK_ESYNTAX);
        assert_null(read);
    }
    stek_secrets_destroy(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ratchet_day_counts_utc_days),
        cmocka_unit_test(test_ratchet_numbers_are_those_of_another_implementation),
        cmocka_unit_test(test_ratchet_move_many_days_is_many_steps),
        cmocka_unit_test(test_ratchet_keys_of_days_gone_are_not_to_be_had),
        cmocka_unit_test(test_ratchet_move_clock_far_ahead_is_refused_and_changes_nothing),
        cmocka_unit_test(test_ratchet_none_same_keys_on_all_days),
        cmocka_unit_test(test_ratchet_keys_of_another_fleet_open_nothing),
        cmocka_unit_test(test_ratchet_all_secrets_of_the_set_move_together),
        cmocka_unit_test(test_ratchet_file_keeps_the_day),
        cmocka_unit_test(test_ratchet_file_bad_day_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
