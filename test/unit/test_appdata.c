/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ticket's application data: the bytes, what is refused, and each boundary of age and life.
 */
#include "core_util.h"

#include "stek_appdata.h"

/* Seconds that an apr_time_t can hold, and those that fit. */
#define FAR_S (APR_INT64_MAX / APR_USEC_PER_SEC)
#define LAST_S APR_INT64_C(0xfffffffff)

#define OLD_LEN 41

static stek_appdata_t made_at(apr_time_t full_at)
{
    stek_appdata_t appdata;
    int i;

    appdata.full_at = full_at;
    for (i = 0; i < STEK_POLICY_LEN; i++) {
        appdata.policy[i] = (unsigned char)(0xa0 + i);
    }
    return appdata;
}

static void test_appdata_pack_bytes_as_documented(void **state)
{
    /* 1767225600 = 0x6955b900 */
    static const unsigned char head[5] = {0x20, 0x69, 0x55, 0xb9, 0};
    const stek_appdata_t appdata = made_at(T0);
    unsigned char out[STEK_APPDATA_LEN + 1];

    (void)state;
    memset(out, 0xee, sizeof(out));
    stek_appdata_pack(&appdata, out);
    assert_int_equal(STEK_APPDATA_LEN, 21);
    assert_memory_equal(out, head, sizeof(head));
    assert_memory_equal(out + 5, appdata.policy, STEK_POLICY_LEN);
    assert_int_equal(out[STEK_APPDATA_LEN], 0xee);
}

static void test_appdata_unpack_what_was_packed_returns(void **state)
{
    const apr_time_t times[] = {
        0, SEC(1), T0, SEC(0xffffffff), SEC(APR_INT64_C(0x100000000)), SEC(LAST_S)};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        const stek_appdata_t appdata = made_at(times[i]);
        unsigned char bytes[STEK_APPDATA_LEN];
        stek_appdata_t back;

        memset(&back, 0xee, sizeof(back));
        stek_appdata_pack(&appdata, bytes);
        assert_int_equal(stek_appdata_unpack(bytes, sizeof(bytes), &back), APR_SUCCESS);
        assert_true(back.full_at == times[i]);
        assert_memory_equal(back.policy, appdata.policy, STEK_POLICY_LEN);
    }
}

static void test_appdata_pack_fraction_of_second_dropped(void **state)
{
    const stek_appdata_t appdata = made_at(T0 + SEC(1) - 1);
    unsigned char bytes[STEK_APPDATA_LEN];
    stek_appdata_t back;

    (void)state;
    stek_appdata_pack(&appdata, bytes);
    assert_int_equal(stek_appdata_unpack(bytes, sizeof(bytes), &back), APR_SUCCESS);
    assert_true(back.full_at == T0);
}

static void assert_refused(const void *bytes, apr_size_t len)
{
    stek_appdata_t out, untouched;

    memset(&out, 0xee, sizeof(out));
    memset(&untouched, 0xee, sizeof(untouched));
    if (stek_appdata_unpack(bytes, len, &out) != STEK_EMALFORMED) {
        fail_msg("%d bytes were taken", (int)len);
    }
    assert_memory_equal(&out, &untouched, sizeof(out));
}

static void test_appdata_unpack_wrong_length_refused(void **state)
{
    const stek_appdata_t appdata = made_at(T0);
    unsigned char bytes[4 * STEK_APPDATA_LEN] = {0};
    apr_size_t len;

    (void)state;
    stek_appdata_pack(&appdata, bytes);
    assert_refused(NULL, 0);
    for (len = 0; len <= sizeof(bytes); len++) {
        if (len != STEK_APPDATA_LEN) {
            assert_refused(bytes, len);
        }
    }
    bytes[0] = 1;
    for (len = 0; len <= sizeof(bytes); len++) {
        if (len != OLD_LEN) {
            assert_refused(bytes, len);
        }
    }
}

static void test_appdata_unpack_other_version_refused(void **state)
{
    const stek_appdata_t appdata = made_at(T0);
    unsigned char bytes[STEK_APPDATA_LEN];
    int version;

    (void)state;
    stek_appdata_pack(&appdata, bytes);
    for (version = 0; version < 16; version++) {
        bytes[0] = (unsigned char)(version << 4 | (bytes[0] & 15));
        if (version != 2) {
            assert_refused(bytes, sizeof(bytes));
        }
    }
}

/* As 0.1 wrote it while it was made: 8 bytes of time, and the whole digest. */
static void pack_old(apr_uint64_t full_at_s, unsigned char out[OLD_LEN])
{
    int i;

    out[0] = 1;
    for (i = 0; i < 8; i++) {
        out[1 + i] = (unsigned char)(full_at_s >> (56 - 8 * i));
    }
    for (i = 0; i < 32; i++) {
        out[9 + i] = (unsigned char)(0xa0 + i);
    }
}

static void test_appdata_unpack_version_1_read(void **state)
{
    const apr_int64_t times_s[] = {
        0,          1,      1767225600, 0xffffffff, APR_INT64_C(0x100000000),
        LAST_S - 1, LAST_S, LAST_S + 1, FAR_S};
    unsigned char bytes[OLD_LEN];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(times_s) / sizeof(times_s[0]); i++) {
        const stek_appdata_t same = made_at(0);
        stek_appdata_t back;

        pack_old((apr_uint64_t)times_s[i], bytes);
        assert_int_equal(stek_appdata_unpack(bytes, sizeof(bytes), &back), APR_SUCCESS);
        assert_true(back.full_at == SEC(times_s[i]));
        assert_memory_equal(back.policy, same.policy, STEK_POLICY_LEN);
    }
}

static void test_appdata_unpack_version_1_other_version_refused(void **state)
{
    unsigned char bytes[OLD_LEN];
    int first;

    (void)state;
    pack_old(1767225600, bytes);
    for (first = 0; first < 256; first++) {
        bytes[0] = (unsigned char)first;
        if (first != 1) {
            assert_refused(bytes, sizeof(bytes));
        }
    }
}

/* A chain of tickets goes on in the new form; what cannot be told stays as far away as it can. */
static void test_appdata_pack_of_version_1_keeps_time_within_range(void **state)
{
    const apr_int64_t times_s[][2] = {{0, 0},           {1767225600, 1767225600},
                                      {LAST_S, LAST_S}, {LAST_S + 1, LAST_S},
                                      {FAR_S, LAST_S},  {-1, 0}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(times_s) / sizeof(times_s[0]); i++) {
        const stek_appdata_t appdata = made_at(SEC(times_s[i][0]));
        unsigned char bytes[STEK_APPDATA_LEN];
        stek_appdata_t back;

        stek_appdata_pack(&appdata, bytes);
        assert_int_equal(stek_appdata_unpack(bytes, sizeof(bytes), &back), APR_SUCCESS);
        assert_true(back.full_at == SEC(times_s[i][1]));
    }
}

static void test_appdata_unpack_version_1_time_beyond_range_refused(void **state)
{
    const apr_uint64_t beyond[] = {(apr_uint64_t)FAR_S + 1, (apr_uint64_t)APR_INT64_MAX,
                                   (apr_uint64_t)APR_INT64_MAX + 1, APR_UINT64_MAX};
    unsigned char bytes[OLD_LEN];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        pack_old(beyond[i], bytes);
        assert_refused(bytes, sizeof(bytes));
    }
}

static void test_appdata_over_age_boundary_exact(void **state)
{
    const stek_appdata_t appdata = made_at(T0);

    (void)state;
    assert_false(stek_appdata_over_age(&appdata, HOUR, T0));
    assert_false(stek_appdata_over_age(&appdata, HOUR, T0 + HOUR - 1));
    assert_true(stek_appdata_over_age(&appdata, HOUR, T0 + HOUR));
    assert_true(stek_appdata_over_age(&appdata, HOUR, T0 + 100 * DAY));
    assert_false(stek_appdata_over_age(&appdata, SEC(1), T0 + SEC(1) - 1));
    assert_true(stek_appdata_over_age(&appdata, SEC(1), T0 + SEC(1)));
}

/* Hosts whose clocks differ a little share tickets; a clock that was set back ends chains. */
static void test_appdata_over_age_from_the_future_boundary_exact(void **state)
{
    const stek_appdata_t appdata = made_at(T0);

    (void)state;
    assert_false(stek_appdata_over_age(&appdata, HOUR, T0 - 1));
    assert_false(stek_appdata_over_age(&appdata, HOUR, T0 - HOUR + 1));
    assert_true(stek_appdata_over_age(&appdata, HOUR, T0 - HOUR));
    assert_true(stek_appdata_over_age(&appdata, HOUR, 0));
}

static void test_appdata_over_age_times_at_limits(void **state)
{
    const stek_appdata_t first = made_at(0), last = made_at(SEC(FAR_S));

    (void)state;
    assert_true(stek_appdata_over_age(&last, 365 * DAY, T0));
    assert_true(stek_appdata_over_age(&last, 365 * DAY, 0));
    assert_false(stek_appdata_over_age(&last, 365 * DAY, SEC(FAR_S)));
    assert_true(stek_appdata_over_age(&first, 365 * DAY, T0));
    assert_true(stek_appdata_over_age(&first, 365 * DAY, APR_INT64_MAX));
}

static void test_appdata_over_age_no_limit_never(void **state)
{
    const stek_appdata_t first = made_at(0), last = made_at(SEC(FAR_S));

    (void)state;
    assert_false(stek_appdata_over_age(&first, 0, APR_INT64_MAX));
    assert_false(stek_appdata_over_age(&first, 0, 0));
    assert_false(stek_appdata_over_age(&last, 0, 0));
}

static void test_appdata_ticket_life_lifetime_unless_age_ends_it(void **state)
{
    const stek_appdata_t appdata = made_at(T0);

    (void)state;
    assert_true(stek_appdata_ticket_life(&appdata, 18 * HOUR, DAY, T0) == 18 * HOUR);
    assert_true(stek_appdata_ticket_life(&appdata, 18 * HOUR, DAY, T0 + 6 * HOUR) == 18 * HOUR);
    assert_true(stek_appdata_ticket_life(&appdata, 18 * HOUR, DAY, T0 + 6 * HOUR + SEC(1))
                == 18 * HOUR - SEC(1));
    assert_true(stek_appdata_ticket_life(&appdata, 18 * HOUR, DAY, T0 + 20 * HOUR) == 4 * HOUR);
    assert_true(stek_appdata_ticket_life(&appdata, DAY, SEC(300), T0) == SEC(300));
}

static void test_appdata_ticket_life_ends_with_the_age(void **state)
{
    const stek_appdata_t appdata = made_at(T0);
    apr_time_t now;

    (void)state;
    /* A ticket counts from the second in which it is issued, so life and age end together. */
    for (now = T0; now < T0 + SEC(10); now += 123457) {
        apr_interval_time_t life = stek_appdata_ticket_life(&appdata, HOUR, SEC(10), now);

        assert_true(life % SEC(1) == 0);
        assert_true(apr_time_from_sec(apr_time_sec(now)) + life == T0 + SEC(10));
    }
}

static void test_appdata_ticket_life_at_least_a_second(void **state)
{
    const stek_appdata_t appdata = made_at(T0);

    (void)state;
    assert_true(stek_appdata_ticket_life(&appdata, HOUR, SEC(10), T0 + SEC(10) - 1) == SEC(1));
    assert_true(stek_appdata_ticket_life(&appdata, HOUR, SEC(10), T0 + SEC(10)) == SEC(1));
    assert_true(stek_appdata_ticket_life(&appdata, HOUR, SEC(10), T0 + DAY) == SEC(1));
    assert_true(stek_appdata_ticket_life(&appdata, 0, SEC(10), T0) == SEC(1));
}

static void test_appdata_ticket_life_never_more_than_lifetime(void **state)
{
    const stek_appdata_t appdata = made_at(T0), first = made_at(0), last = made_at(SEC(FAR_S));

    (void)state;
    /* The other host's clock is fast. */
    assert_true(stek_appdata_ticket_life(&appdata, HOUR, DAY, T0 - SEC(30)) == HOUR);
    /* No limit of age. */
    assert_true(stek_appdata_ticket_life(&first, 18 * HOUR, 0, APR_INT64_MAX) == 18 * HOUR);
    assert_true(stek_appdata_ticket_life(&last, 18 * HOUR, 0, 0) == 18 * HOUR);
    assert_true(stek_appdata_ticket_life(&last, 18 * HOUR, DAY, 0) == 18 * HOUR);
    assert_true(stek_appdata_ticket_life(&last, 18 * HOUR, DAY, T0) == 18 * HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appdata_pack_bytes_as_documented),
        cmocka_unit_test(test_appdata_unpack_what_was_packed_returns),
        cmocka_unit_test(test_appdata_pack_fraction_of_second_dropped),
        cmocka_unit_test(test_appdata_unpack_wrong_length_refused),
        cmocka_unit_test(test_appdata_unpack_other_version_refused),
        cmocka_unit_test(test_appdata_unpack_version_1_read),
        cmocka_unit_test(test_appdata_unpack_version_1_other_version_refused),
        cmocka_unit_test(test_appdata_unpack_version_1_time_beyond_range_refused),
        cmocka_unit_test(test_appdata_pack_of_version_1_keeps_time_within_range),
        cmocka_unit_test(test_appdata_over_age_boundary_exact),
        cmocka_unit_test(test_appdata_over_age_from_the_future_boundary_exact),
        cmocka_unit_test(test_appdata_over_age_times_at_limits),
        cmocka_unit_test(test_appdata_over_age_no_limit_never),
        cmocka_unit_test(test_appdata_ticket_life_lifetime_unless_age_ends_it),
        cmocka_unit_test(test_appdata_ticket_life_ends_with_the_age),
        cmocka_unit_test(test_appdata_ticket_life_at_least_a_second),
        cmocka_unit_test(test_appdata_ticket_life_never_more_than_lifetime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
