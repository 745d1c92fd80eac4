/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rank test of stekctl probe, on simulated response times: a server that treats all tickets
 * alike is never found in 1,000 runs, one that differs is.
 */
#include "core_util.h"

#include "probe/stats.h"

#define SAMPLE_N 100
#define RUNS_N 1000

/* A loopback or a network: a floor, a triangular spread, now and then a long delay. */
static apr_int64_t response_us(rnd_t *rnd, apr_int64_t floor_us, unsigned spread_us)
{
    apr_int64_t us = floor_us + rnd_below(rnd, spread_us) + rnd_below(rnd, spread_us);

    return rnd_below(rnd, 25) == 0 ? us + rnd_below(rnd, 20000) : us;
}

static int run(rnd_t *rnd, apr_int64_t shift_us, unsigned spread_us, int drift)
{
    apr_int64_t a[SAMPLE_N], b[SAMPLE_N];
    unsigned i;

    for (i = 0; i < SAMPLE_N; i++) {
        apr_int64_t floor_us = 800 + (drift ? 5 * (apr_int64_t)i : 0);

        a[i] = response_us(rnd, floor_us + shift_us, spread_us);
        b[i] = response_us(rnd, floor_us, spread_us);
    }
    return probe_stats_compare(a, SAMPLE_N, b, SAMPLE_N) == PROBE_STATS_DIFFERENT;
}

static void test_stats_equal_servers_never_found(void **state)
{
    static const unsigned spreads[] = {1, 50, 400, 5000};
    rnd_t rnd = {seed_from_env()};
    uint64_t seed = rnd.state;
    int i, found_n = 0;

    (void)state;
    for (i = 0; i < RUNS_N; i++) {
        found_n += run(&rnd, 0, spreads[i % 4], i % 3 == 0);
    }
    if (found_n) {
        fail_msg("%d of %d, seed %llu", found_n, RUNS_N, (unsigned long long)seed);
    }
}

static void test_stats_slower_padding_found(void **state)
{
    rnd_t rnd = {seed_from_env()};
    int i, found_n = 0;

    (void)state;
    for (i = 0; i < RUNS_N; i++) {
        found_n += run(&rnd, i & 1 ? 500 : -500, 400, i % 3 == 0);
    }
    assert_true(found_n >= RUNS_N * 99 / 100);
}

/* A shift by what is said to be detectable is found as a rule, one by a third of it hardly ever. */
static void test_stats_detectable_shift_told(void **state)
{
    rnd_t rnd = {seed_from_env()};
    apr_int64_t times[SAMPLE_N], us;
    int i, found_n = 0, third_n = 0;
    unsigned j;

    (void)state;
    for (i = 0; i < RUNS_N; i++) {
        unsigned spread = 50 + rnd_below(&rnd, 1000);

        for (j = 0; j < SAMPLE_N; j++) {
            times[j] = response_us(&rnd, 800, spread);
        }
        us = probe_stats_detectable(times, SAMPLE_N);
        assert_true(us > 0);
        found_n += run(&rnd, us + us / 2, spread, 0);
        third_n += run(&rnd, us / 3, spread, 0);
    }
    assert_true(found_n >= RUNS_N * 9 / 10);
    assert_true(third_n <= RUNS_N / 100);
    assert_int_equal(probe_stats_detectable(times, PROBE_STATS_MIN - 1), 0);
}

static void test_stats_small_shift_left_alone(void **state)
{
    rnd_t rnd = {seed_from_env()};
    int i, found_n = 0;

    (void)state;
    for (i = 0; i < RUNS_N; i++) {
        found_n += run(&rnd, 10, 400, 0);
    }
    assert_int_equal(found_n, 0);
}

static void test_stats_same_values_same(void **state)
{
    apr_int64_t a[SAMPLE_N], b[SAMPLE_N];
    int i;

    (void)state;
    for (i = 0; i < SAMPLE_N; i++) {
        a[i] = b[i] = 7;
    }
    assert_int_equal(probe_stats_compare(a, SAMPLE_N, b, SAMPLE_N), PROBE_STATS_SAME);
    for (i = 0; i < SAMPLE_N; i++) {
        b[i] = 8;
    }
    assert_int_equal(probe_stats_compare(a, SAMPLE_N, b, SAMPLE_N), PROBE_STATS_DIFFERENT);
}

static void test_stats_wrong_sizes_same(void **state)
{
    static apr_int64_t a[PROBE_STATS_MAX + 1], b[PROBE_STATS_MAX + 1];
    apr_size_t i;

    (void)state;
    for (i = 0; i < PROBE_STATS_MAX; i++) {
        b[i] = 1000;
    }
    assert_int_equal(probe_stats_compare(a, 0, b, 0), PROBE_STATS_SAME);
    assert_int_equal(probe_stats_compare(a, PROBE_STATS_MIN - 1, b, 100), PROBE_STATS_SAME);
    assert_int_equal(probe_stats_compare(a, 100, b, PROBE_STATS_MIN - 1), PROBE_STATS_SAME);
    assert_int_equal(probe_stats_compare(a, PROBE_STATS_MIN, b, PROBE_STATS_MIN),
                     PROBE_STATS_DIFFERENT);
    assert_int_equal(probe_stats_compare(a, PROBE_STATS_MAX, b, 100), PROBE_STATS_SAME);
}

static void test_stats_median_sorts(void **state)
{
    apr_int64_t odd[] = {5, 1, 9}, even[] = {8, 2, 4, 6};

    (void)state;
    assert_int_equal(probe_stats_median(odd, 3), 5);
    assert_int_equal(probe_stats_median(even, 4), 5);
    assert_int_equal(probe_stats_median(odd, 0), 0);
}

static void test_stats_outlier_found_in_noise(void **state)
{
    static apr_int64_t times[256 * 3];
    rnd_t rnd = {seed_from_env()};
    unsigned i, odd, hits_n = 0, round;

    (void)state;
    for (round = 0; round < 200; round++) {
        odd = rnd_below(&rnd, 256);
        for (i = 0; i < 256 * 3; i++) {
            times[i] = response_us(&rnd, i / 3 == odd ? 2300 : 800, 200);
        }
        hits_n += probe_stats_outlier(times, 256, 3) == odd;
    }
    assert_true(hits_n >= 180);
    assert_int_equal(probe_stats_outlier(times, 0, 3), 0);
    assert_int_equal(probe_stats_outlier(times, 257, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats_equal_servers_never_found),
        cmocka_unit_test(test_stats_slower_padding_found),
        cmocka_unit_test(test_stats_detectable_shift_told),
        cmocka_unit_test(test_stats_small_shift_left_alone),
        cmocka_unit_test(test_stats_same_values_same),
        cmocka_unit_test(test_stats_wrong_sizes_same),
        cmocka_unit_test(test_stats_median_sorts),
        cmocka_unit_test(test_stats_outlier_found_in_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
