/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: what is made, which windows are allowed, and each boundary of a window.
 */
#include "core_util.h"

#include "stek_audit.h"
#include "stek_key_make.h"
#include "stek_schedule.h"
#include "stek_time.h"

static int is_zero(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    size_t i;

    for (i = 0; i < len && p[i] == 0; i++) {
    }
    return i == len;
}

static void test_key_make_window_fields_set(void **state)
{
    stek_key_t key, other;

    (void)state;
    assert_int_equal(
        stek_key_make(T0, T0 + HOUR, 18 * HOUR, 7, T0 - SEC(90) + 123456, stek_rng_system, &key),
        APR_SUCCESS);
    assert_true(key.not_before == T0);
    assert_true(key.encrypt_until == T0 + HOUR);
    assert_true(key.decrypt_until == T0 + 19 * HOUR);
    assert_true(key.created == T0 - SEC(90));
    assert_true(key.epoch == 7);
    assert_true(key.flags == 0);
    assert_int_equal(stek_key_check(&key), APR_SUCCESS);
    assert_int_equal(stek_audit_key(&key), STEK_WEAK_NONE);
    assert_int_equal(stek_key_make(T0, T0 + HOUR, 18 * HOUR, 7, T0, stek_rng_system, &other),
                     APR_SUCCESS);
    assert_memory_not_equal(key.name, other.name, sizeof(key.name));
    assert_memory_not_equal(key.hmac_key, other.hmac_key, sizeof(key.hmac_key));
    assert_memory_not_equal(key.aes_key, other.aes_key, sizeof(key.aes_key));
}

static void test_key_make_generator_fails_wiped(void **state)
{
    stek_key_t key;

    (void)state;
    memset(&key, 0xee, sizeof(key));
    assert_int_equal(stek_key_make(T0, T0 + HOUR, HOUR, 0, T0, broken_rng, &key), STEK_ERNG);
    assert_true(is_zero(&key, sizeof(key)));
}

static void test_key_make_generator_weak_wiped(void **state)
{
    const unsigned char weak[32] = {0};
    stek_key_t key;

    (void)state;
    fake_rng_reset(1);
    fake_rng_patch(STEK_NAME_LEN + STEK_HMAC_KEY_LEN, weak, sizeof(weak));
    assert_int_equal(stek_key_make(T0, T0 + HOUR, HOUR, 0, T0, fake_rng, &key), STEK_EWEAK);
    assert_true(is_zero(&key, sizeof(key)));
}

static void test_key_make_bad_window_refused(void **state)
{
    static const struct {
        apr_time_t not_before, encrypt_until;
        apr_interval_time_t lifetime;
        apr_time_t now;
    } cases[] = {
        {T0, T0 - SEC(1), HOUR, T0},
        {T0, T0 + STEK_TIME_MAX + SEC(1), HOUR, T0},
        {T0, T0 + HOUR, STEK_TIME_MAX + SEC(1), T0},
        {T0, T0 + HOUR, -SEC(1), T0},
        {T0, T0, 0, T0},
        {T0 + 1, T0 + HOUR, HOUR, T0},
        {T0, T0 + HOUR + 1, HOUR, T0},
        {T0, T0 + HOUR, HOUR + 1, T0},
        {-SEC(1), SEC(1), HOUR, T0},
        {T0, T0 + HOUR, HOUR, -SEC(1)},
        {APR_INT64_MAX - HOUR, APR_INT64_MAX, STEK_TIME_MAX, T0},
        {T0, T0 + HOUR, APR_INT64_MAX, T0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stek_key_t key;

        if (stek_key_make(cases[i].not_before, cases[i].encrypt_until, cases[i].lifetime, 0,
                          cases[i].now, stek_rng_system, &key)
            != STEK_EMALFORMED) {
            fail_msg("case %d was taken", (int)i);
        }
        assert_true(is_zero(&key, sizeof(key)));
    }
}

static void test_key_check_greatest_spans_allowed(void **state)
{
    stek_key_t key = good_key(1, T0, STEK_TIME_MAX, STEK_TIME_MAX);

    (void)state;
    assert_int_equal(stek_key_check(&key), APR_SUCCESS);
    key = good_key(1, 0, SEC(1), 0);
    assert_int_equal(stek_key_check(&key), APR_SUCCESS);
    key = good_key(1, T0, 0, SEC(1));
    assert_int_equal(stek_key_check(&key), APR_SUCCESS);
}

static void test_key_check_unknown_flag_refused(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, HOUR);

    (void)state;
    key.flags = 0x2;
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
    key.flags = 0x80000000u;
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
}

static void test_key_check_aes128_only_decrypts(void **state)
{
    stek_key_t key = good_key(1, T0, 0, HOUR);

    (void)state;
    key.flags = STEK_KEY_AES128;
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
    memset(key.hmac_key + 16, 0, 16);
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
    memset(key.aes_key + 16, 0, 16);
    assert_int_equal(stek_key_check(&key), APR_SUCCESS);
    key.encrypt_until += SEC(1);
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
    assert_false(stek_key_can_encrypt(&key, T0));
    assert_true(stek_key_can_decrypt(&key, T0, 0));
}

static void test_key_check_times_refused(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, HOUR);

    (void)state;
    key.created = -SEC(1);
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
    key = good_key(1, T0, HOUR, HOUR);
    key.created += 1;
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
    key = good_key(1, T0, HOUR, HOUR);
    key.decrypt_until = key.encrypt_until - SEC(1);
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
    key = good_key(1, T0, HOUR, HOUR);
    key.decrypt_until = APR_INT64_MAX - APR_INT64_MAX % SEC(1);
    assert_int_equal(stek_key_check(&key), STEK_EMALFORMED);
}

static void test_key_can_encrypt_boundaries_half_open(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, 18 * HOUR);

    (void)state;
    assert_false(stek_key_can_encrypt(&key, T0 - 1));
    assert_true(stek_key_can_encrypt(&key, T0));
    assert_true(stek_key_can_encrypt(&key, T0 + HOUR - 1));
    assert_false(stek_key_can_encrypt(&key, T0 + HOUR));
    key.encrypt_until = key.not_before;
    assert_false(stek_key_can_encrypt(&key, T0 - 1));
    assert_false(stek_key_can_encrypt(&key, T0));
    assert_false(stek_key_can_encrypt(&key, T0 + 1));
}

static void test_key_can_decrypt_boundaries_half_open(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, 18 * HOUR);

    (void)state;
    assert_true(stek_key_can_decrypt(&key, T0 - DAY, 0));
    assert_true(stek_key_can_decrypt(&key, T0, 0));
    assert_true(stek_key_can_decrypt(&key, T0 + 19 * HOUR - 1, 0));
    assert_false(stek_key_can_decrypt(&key, T0 + 19 * HOUR, 0));
    assert_true(stek_key_can_decrypt(&key, T0 + 3 * HOUR - 1, 2 * HOUR));
    assert_false(stek_key_can_decrypt(&key, T0 + 3 * HOUR, 2 * HOUR));
}

static void test_key_end_lifetime_only_shortens(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, 18 * HOUR);

    (void)state;
    assert_true(stek_key_end(&key, 0) == T0 + 19 * HOUR);
    assert_true(stek_key_end(&key, STEK_TIME_MAX) == T0 + 19 * HOUR);
    assert_true(stek_key_end(&key, 18 * HOUR) == T0 + 19 * HOUR);
    assert_true(stek_key_end(&key, 18 * HOUR - SEC(1)) == T0 + 19 * HOUR - SEC(1));
    assert_true(stek_key_end(&key, SEC(1)) == T0 + HOUR + SEC(1));
}

static void test_key_hex_name_first_four_bytes(void **state)
{
    const unsigned char name[STEK_NAME_LEN] = {0x0a, 0x1b, 0xf2, 0xc3, 0x99};
    char hex[STEK_HEX_LEN];

    (void)state;
    assert_ptr_equal(stek_key_hex(name, hex), hex);
    assert_string_equal(hex, "0a1bf2c3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_make_window_fields_set),
        cmocka_unit_test(test_key_make_generator_fails_wiped),
        cmocka_unit_test(test_key_make_generator_weak_wiped),
        cmocka_unit_test(test_key_make_bad_window_refused),
        cmocka_unit_test(test_key_check_greatest_spans_allowed),
        cmocka_unit_test(test_key_check_unknown_flag_refused),
        cmocka_unit_test(test_key_check_aes128_only_decrypts),
        cmocka_unit_test(test_key_check_times_refused),
        cmocka_unit_test(test_key_can_encrypt_boundaries_half_open),
        cmocka_unit_test(test_key_can_decrypt_boundaries_half_open),
        cmocka_unit_test(test_key_end_lifetime_only_shortens),
        cmocka_unit_test(test_key_hex_name_first_four_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
