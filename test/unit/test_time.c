/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans from and to text.
 */
#include "core_util.h"

#include <apr_general.h>

#include "stek_time.h"

static apr_pool_t *pool;

static void test_time_parse_units_spans(void **state)
{
    static const struct {
        const char *text;
        apr_int64_t s;
    } cases[] = {{"0s", 0},
                 {"1s", 1},
                 {"5s", 5},
                 {"30min", 1800},
                 {"18h", 64800},
                 {"7d", 604800},
                 {"007s", 7},
                 {"604800s", 604800},
                 {"999999999s", 999999999},
                 {"1000000000s", 1000000000},
                 {"0000000001s", 1},
                 {"999999999h", APR_INT64_C(3599999996400)}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_interval_time_t span = -1;

        assert_int_equal(stek_time_parse(cases[i].text, &span), APR_SUCCESS);
        assert_true(span == SEC(cases[i].s));
    }
}

static void test_time_parse_too_large_saturates(void **state)
{
    static const char *const cases[] = {"999999999d", "10000000000000s", "1234567890123456s",
                                        "99999999999999d", "99999999999999999999999999999999min"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_interval_time_t span = -1;

        assert_int_equal(stek_time_parse(cases[i], &span), APR_SUCCESS);
        assert_true(span > APR_INT64_MAX - SEC(1));
        assert_true(span % SEC(1) == 0);
    }
}

static void test_time_parse_malformed_refused(void **state)
{
    static const char *const cases[] = {
        "",         "s",    "5",    "0",    "5 s",  " 5s",     "5s ",
        "5S",       "5m",   "5ms",  "5mi",  "5mn",  "5w",      "-5s",
        "+5s",      "5.5h", "5,5h", "0x5s", "5hh",  "1h30min", "5s\n",
        "h5",       "5\t",  "five", "1e3s", "5sec", "min",     "99999999999999999999",
        "\xd9\xa5s"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_interval_time_t span = 42;

        if (stek_time_parse(cases[i], &span) != STEK_ESYNTAX || span != 42) {
            fail_msg("'%s' was taken", cases[i]);
        }
    }
}

static void test_time_text_spans_in_greatest_whole_unit(void **state)
{
    static const struct {
        apr_int64_t s;
        const char *text;
    } cases[] = {{0, "0s"},      {1, "1s"},          {59, "59s"},    {60, "1min"},  {90, "90s"},
                 {120, "2min"},  {300, "5min"},      {600, "10min"}, {301, "301s"}, {1800, "30min"},
                 {3600, "1h"},   {5400, "90min"},    {64800, "18h"}, {86400, "1d"}, {90000, "25h"},
                 {604800, "7d"}, {604799, "604799s"}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(stek_time_text(SEC(cases[i].s), pool), cases[i].text);
    }
}

static void test_time_text_any_span_parses_back(void **state)
{
    apr_pool_t *subpool;
    apr_int64_t s;

    (void)state;
    assert_int_equal(apr_pool_create(&subpool, pool), APR_SUCCESS);
    for (s = 0; s <= 700000; s += s < 10000 ? 1 : 37) {
        apr_interval_time_t span;

        assert_int_equal(stek_time_parse(stek_time_text(SEC(s), subpool), &span), APR_SUCCESS);
        assert_true(span == SEC(s));
        apr_pool_clear(subpool);
    }
    apr_pool_destroy(subpool);
}

static void test_time_strerror_each_code_own_text(void **state)
{
    char texts[STEK_STATUS_END - STEK_STATUS_START][120];
    char apr_text[120];
    apr_status_t rv, other;

    (void)state;
    for (rv = STEK_STATUS_START; rv < STEK_STATUS_END; rv++) {
        char *text = texts[rv - STEK_STATUS_START];

        assert_ptr_equal(stek_strerror(rv, text, sizeof(texts[0])), text);
        assert_true(strlen(text) > 5 && strlen(text) < sizeof(texts[0]) - 1);
        for (other = STEK_STATUS_START; other < rv; other++) {
            assert_string_not_equal(text, texts[other - STEK_STATUS_START]);
        }
    }
    assert_string_equal(stek_strerror(APR_ENOENT, texts[0], sizeof(texts[0])),
                        apr_strerror(APR_ENOENT, apr_text, sizeof(apr_text)));
    stek_strerror(STEK_EMAGIC, texts[0], 4);
    assert_int_equal(strlen(texts[0]), 3);
    texts[0][0] = 'x';
    stek_strerror(STEK_EMAGIC, texts[0], 0);
    assert_int_equal(texts[0][0], 'x');
}

static void test_time_rough_two_greatest_units(void **state)
{
    static const struct {
        apr_interval_time_t span;
        const char *text;
    } cases[] = {{-SEC(5), "0s"},
                 {SEC(1) - 1, "0s"},
                 {SEC(59), "59s"},
                 {SEC(60), "1min"},
                 {SEC(723), "12min 3s"},
                 {HOUR + SEC(59), "1h"},
                 {DAY - SEC(1), "23h 59min"},
                 {DAY + SEC(3599), "1d"},
                 {9 * DAY + 5 * HOUR + SEC(60), "9d 5h"}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(stek_time_rough(cases[i].span, "", pool), cases[i].text);
    }
    assert_string_equal(stek_time_rough(SEC(723), " ", pool), "12 min 3 s");
    assert_string_equal(stek_time_rough(0, " ", pool), "0 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_parse_units_spans),
        cmocka_unit_test(test_time_parse_too_large_saturates),
        cmocka_unit_test(test_time_parse_malformed_refused),
        cmocka_unit_test(test_time_text_spans_in_greatest_whole_unit),
        cmocka_unit_test(test_time_text_any_span_parses_back),
        cmocka_unit_test(test_time_rough_two_greatest_units),
        cmocka_unit_test(test_time_strerror_each_code_own_text),
    };
    int failed_n;

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 1;
    }
    failed_n = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed_n;
}
