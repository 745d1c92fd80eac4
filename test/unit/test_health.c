/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health of a ring at the boundaries of each problem, and the gauges of rotation.
 */
#include "core_util.h"

#include "stek_error.h"
#include "stek_health.h"

#define LIFE (18 * HOUR)

typedef struct slot_t {
    apr_time_t from, to;
} slot_t;

/* A ring of random keys with these slots, written at T0. */
static stek_ring_t *ring_of(const slot_t *slots, int n)
{
    rnd_t rnd = {42};
    stek_ring_t *ring;
    int i;

    assert_int_equal(stek_ring_create((apr_size_t)n + 1, 0, &ring), APR_SUCCESS);
    ring->interval = HOUR;
    ring->lifetime = LIFE;
    ring->written_at = T0;
    for (i = 0; i < n; i++) {
        stek_key_t key = {.not_before = slots[i].from,
                          .encrypt_until = slots[i].to,
                          .decrypt_until = slots[i].to + LIFE};

        rnd_fill(&rnd, key.name, sizeof(key.name));
        rnd_fill(&rnd, key.hmac_key, sizeof(key.hmac_key));
        rnd_fill(&rnd, key.aes_key, sizeof(key.aes_key));
        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    return ring;
}

static stek_health_t judge(const slot_t *slots, int n, const stek_source_t *source, apr_time_t now)
{
    stek_ring_t *ring = ring_of(slots, n);
    stek_health_t health;

    stek_health_judge(ring, 0, source, now, &health);
    stek_ring_destroy(ring);
    return health;
}

static const slot_t two[] = {{T0, T0 + HOUR}, {T0 + HOUR, T0 + 2 * HOUR}};

static void test_health_current_and_next_healthy(void **state)
{
    stek_health_t health = judge(two, 2, NULL, T0 + SEC(60));

    (void)state;
    assert_int_equal(health.problems, 0);
    assert_true(health.rotation_valid && health.next_ready);
    assert_int_equal(health.rotates_at, T0 + HOUR);
    assert_int_equal(health.covered_until, T0 + 2 * HOUR);
}

static void test_health_empty_ring_no_key(void **state)
{
    stek_health_t health = judge(NULL, 0, NULL, T0);

    (void)state;
    assert_int_equal(health.problems, STEK_HEALTH_NO_KEY);
    assert_false(health.rotation_valid || health.next_ready);
    assert_int_equal(health.rotates_at, 0);
    assert_null(health.next);
}

static void test_health_before_first_slot_no_key_but_rotates(void **state)
{
    stek_health_t health = judge(two, 2, NULL, T0 - SEC(1));

    (void)state;
    assert_int_equal(health.problems, STEK_HEALTH_NO_KEY);
    assert_int_equal(health.rotates_at, T0);
}

static void test_health_slots_over_no_key(void **state)
{
    (void)state;
    assert_int_equal(judge(two, 2, NULL, T0 + 2 * HOUR).problems, STEK_HEALTH_NO_KEY);
    assert_int_equal(judge(two, 2, NULL, T0 + 2 * HOUR - 1).problems, STEK_HEALTH_LATE);
}

static void test_health_last_minute_of_last_slot_late(void **state)
{
    apr_time_t at = T0 + 2 * HOUR - STEK_HEALTH_LATE_SPAN;
    stek_health_t health = judge(two, 2, NULL, at);

    (void)state;
    assert_int_equal(health.problems, 0);
    assert_false(health.next_ready);
    assert_int_equal(judge(two, 2, NULL, at + 1).problems, STEK_HEALTH_LATE);
}

static void test_health_slot_longer_than_interval_not_valid(void **state)
{
    static const slot_t longer[] = {{T0, T0 + HOUR + SEC(1)}, {T0 + HOUR + SEC(1), T0 + 3 * HOUR}};
    stek_ring_t *ring = ring_of(two, 2);
    stek_health_t health = judge(longer, 2, NULL, T0);

    (void)state;
    assert_int_equal(health.problems, 0);
    assert_false(health.rotation_valid);
    stek_health_judge(ring, SEC(600), NULL, T0, &health);
    assert_false(health.rotation_valid);
    stek_health_judge(ring, HOUR, NULL, T0, &health);
    assert_true(health.rotation_valid);
    stek_ring_destroy(ring);
}

static void test_health_written_ahead_clock(void **state)
{
    (void)state;
    assert_int_equal(judge(two, 2, NULL, T0 - STEK_HEALTH_CLOCK_SLACK).problems,
                     STEK_HEALTH_NO_KEY);
    assert_int_equal(judge(two, 2, NULL, T0 - STEK_HEALTH_CLOCK_SLACK - 1).problems,
                     STEK_HEALTH_NO_KEY | STEK_HEALTH_CLOCK);
}

static void test_health_source_bad_stale_or_failed_selftest(void **state)
{
    stek_source_t source = {APR_SUCCESS, SEC(45), SEC(45), 1};

    (void)state;
    assert_int_equal(judge(two, 2, &source, T0).problems, 0);
    source.age++;
    assert_int_equal(judge(two, 2, &source, T0).problems, STEK_HEALTH_STALE);
    source.status = STEK_EMAGIC;
    assert_int_equal(judge(two, 2, &source, T0).problems, STEK_HEALTH_SOURCE);
    source.issues = 0;
    assert_int_equal(judge(two, 2, &source, T0).problems,
                     STEK_HEALTH_SOURCE | STEK_HEALTH_NO_ISSUE);
}

static void test_health_codes_are_distinct(void **state)
{
    unsigned a, b;

    (void)state;
    for (a = 1; a <= STEK_HEALTH_NO_ISSUE; a <<= 1) {
        for (b = 1; b < a; b <<= 1) {
            assert_string_not_equal(stek_health_code(a), stek_health_code(b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health_current_and_next_healthy),
        cmocka_unit_test(test_health_empty_ring_no_key),
        cmocka_unit_test(test_health_before_first_slot_no_key_but_rotates),
        cmocka_unit_test(test_health_slots_over_no_key),
        cmocka_unit_test(test_health_last_minute_of_last_slot_late),
        cmocka_unit_test(test_health_slot_longer_than_interval_not_valid),
        cmocka_unit_test(test_health_written_ahead_clock),
        cmocka_unit_test(test_health_source_bad_stale_or_failed_selftest),
        cmocka_unit_test(test_health_codes_are_distinct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
