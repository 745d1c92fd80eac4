/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schedule: rules one by one, then days of a writer's life in simulated time.
 */
#include "core_util.h"

#include <apr_general.h>
#include <apr_strings.h>

#include "stek_ring.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"
#include "stek_time.h"

#define MINUTE SEC(60)

static apr_pool_t *pool;
static const stek_params_t hourly = STEK_PARAMS_DEFAULT;

static stek_ring_t *empty_ring(void)
{
    stek_ring_t *ring;

    assert_int_equal(stek_ring_create(0, 0, &ring), APR_SUCCESS);
    return ring;
}

/* One pass of the writer: *pring is replaced.  How many keys were made. */
static apr_size_t tick(stek_ring_t **pring, const stek_params_t *params, apr_time_t now)
{
    stek_ring_t *next;
    apr_size_t made;

    assert_int_equal(stek_schedule_extend(*pring, params, now, fake_rng, &next, &made),
                     APR_SUCCESS);
    assert_true(next != *pring);
    stek_ring_destroy(*pring);
    *pring = next;
    assert_true(stek_schedule_covered_until(next, now) > now + stek_schedule_horizon(params));
    return made;
}

/* A ring of slots given as pairs of minutes after T0. */
static stek_ring_t *ring_of_slots(const int (*minutes)[2], size_t n)
{
    stek_ring_t *ring;
    size_t i;

    assert_int_equal(stek_ring_create(n, 0, &ring), APR_SUCCESS);
    for (i = 0; i < n; i++) {
        stek_key_t key = good_key((unsigned)i, T0 + minutes[i][0] * MINUTE,
                                  (minutes[i][1] - minutes[i][0]) * MINUTE, 18 * HOUR);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    return ring;
}

static void assert_missing(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now,
                           apr_time_t not_before, apr_time_t encrypt_until)
{
    stek_slot_t slot = {0, 0};

    assert_int_equal(stek_schedule_missing(ring, params, now, &slot), 1);
    assert_true(slot.not_before == not_before);
    assert_true(slot.encrypt_until == encrypt_until);
}

static void test_schedule_check_parameters_judged(void **state)
{
    static const struct {
        stek_params_t params;
        const char *text; /* NULL: usable */
    } cases[] = {
        {STEK_PARAMS_DEFAULT, NULL},
        {{SEC(1), SEC(1), 0}, NULL},
        {{STEK_TIME_MAX, STEK_TIME_MAX, 1}, NULL},
        {{SEC(1), HOUR, 1}, NULL},
        {{0, HOUR, 1}, "interval '0s': must be between 1s and 7d"},
        {{-SEC(5), HOUR, 1}, "interval '-5s': must be between 1s and 7d"},
        {{STEK_TIME_MAX + SEC(1), STEK_TIME_MAX, 1},
         "interval '604801s': must be between 1s and 7d"},
        {{HOUR, SEC(3599), 1}, "lifetime '3599s': must be between 1h, the interval, and 7d"},
        {{HOUR, STEK_TIME_MAX + DAY, 1}, "lifetime '8d': must be between 1h, the interval, and 7d"},
        {{HOUR, DAY, -1}, "ahead '-1': must be between 0 and 4096"},
        {{HOUR, DAY, 4097}, "ahead '4097': must be between 0 and 4096"},
        {{SEC(1), 18 * HOUR, 1},
         "interval '1s' with lifetime '18h' and ahead '1': must need at most 4096 keys, not 64922"},
        {{HOUR, DAY, 4096},
         "interval '1h' with lifetime '1d' and ahead '4096': must need at most 4096 keys, not "
         "4122"},
        {{SEC(1), SEC(3974), 1}, NULL},
        {{SEC(1), SEC(3975), 1},
         "interval '1s' with lifetime '3975s' and ahead '1': must need at most 4096 keys, not "
         "4097"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *text = stek_schedule_check(&cases[i].params, pool);

        if (cases[i].text) {
            assert_non_null(text);
            assert_string_equal(text, cases[i].text);
        }
        else {
            assert_null(text);
        }
    }
}

static void test_schedule_check_split_second_refused(void **state)
{
    const stek_params_t interval = {SEC(1) + 1, HOUR, 1}, lifetime = {HOUR, HOUR + 1, 1};

    (void)state;
    assert_non_null(stek_schedule_check(&interval, pool));
    assert_non_null(stek_schedule_check(&lifetime, pool));
}

static void test_schedule_horizon_two_minutes_at_least(void **state)
{
    stek_params_t params = {SEC(1), HOUR, 1};

    (void)state;
    assert_true(stek_schedule_horizon(&params) == SEC(120));
    params.ahead = 300;
    assert_true(stek_schedule_horizon(&params) == SEC(300));
    params.ahead = 0;
    params.interval = STEK_TIME_MAX;
    assert_true(stek_schedule_horizon(&params) == SEC(120));
    params.ahead = STEK_KEYS_MAX;
    assert_true(stek_schedule_horizon(&params) == STEK_KEYS_MAX * STEK_TIME_MAX);
    assert_int_equal(stek_schedule_keys_n(&hourly), 18 + 1 + 1 + 1);
}

static void test_schedule_missing_empty_ring_slot_of_now(void **state)
{
    stek_ring_t *ring = empty_ring();

    (void)state;
    assert_missing(ring, &hourly, T0, T0, T0 + HOUR);
    assert_missing(ring, &hourly, T0 + 1, T0, T0 + HOUR);
    assert_missing(ring, &hourly, T0 + HOUR - 1, T0, T0 + HOUR);
    assert_missing(ring, &hourly, T0 + HOUR, T0 + HOUR, T0 + 2 * HOUR);
    assert_true(stek_schedule_covered_until(ring, T0 + 5) == T0 + 5);
    stek_ring_destroy(ring);
}

static void test_schedule_missing_interval_zero_nothing(void **state)
{
    const stek_params_t zero = {0, HOUR, 1};
    stek_ring_t *ring = empty_ring();
    stek_slot_t slot;

    (void)state;
    assert_int_equal(stek_schedule_missing(ring, &zero, T0, &slot), 0);
    assert_int_equal(stek_schedule_keys_n(&zero), 0);
    stek_ring_destroy(ring);
}

static void test_schedule_missing_horizon_boundary_included(void **state)
{
    static const int slots[][2] = {{0, 60}, {60, 120}};
    stek_ring_t *ring = ring_of_slots(slots, 2);
    stek_slot_t slot;

    (void)state;
    assert_int_equal(stek_schedule_missing(ring, &hourly, T0, &slot), 0);
    assert_int_equal(stek_schedule_missing(ring, &hourly, T0 + HOUR - 1, &slot), 0);
    assert_missing(ring, &hourly, T0 + HOUR, T0 + 2 * HOUR, T0 + 3 * HOUR);
    stek_ring_destroy(ring);
}

static void test_schedule_missing_gap_filled_before_later_keys(void **state)
{
    static const int slots[][2] = {{0, 60}, {120, 180}};
    stek_ring_t *ring = ring_of_slots(slots, 2);

    (void)state;
    assert_missing(ring, &hourly, T0, T0 + HOUR, T0 + 2 * HOUR);
    assert_missing(ring, &hourly, T0 + HOUR, T0 + HOUR, T0 + 2 * HOUR);
    stek_ring_destroy(ring);
}

static void test_schedule_missing_longer_interval_short_slot_to_grid(void **state)
{
    static const int slots[][2] = {{600, 610}, {610, 620}};
    const stek_params_t params = {6 * HOUR, DAY, 1};
    stek_ring_t *ring = ring_of_slots(slots, 2);

    (void)state;
    assert_missing(ring, &params, T0 + 605 * MINUTE, T0 + 620 * MINUTE, T0 + 12 * HOUR);
    stek_ring_destroy(ring);
}

static void test_schedule_missing_shorter_interval_waits_for_prepared(void **state)
{
    static const int slots[][2] = {{0, 60}, {60, 120}};
    const stek_params_t params = {7 * MINUTE, DAY, 1};
    stek_ring_t *ring = ring_of_slots(slots, 2);
    const apr_time_t boundary = (T0 + 2 * HOUR) / params.interval * params.interval;
    stek_slot_t slot;

    (void)state;
    assert_int_equal(stek_schedule_missing(ring, &params, T0 + 113 * MINUTE - 1, &slot), 0);
    assert_missing(ring, &params, T0 + 113 * MINUTE, T0 + 2 * HOUR, boundary + params.interval);
    stek_ring_destroy(ring);
}

static void test_schedule_covered_until_gapless_run_ends(void **state)
{
    /* Overlaps, a touch, one that only decrypts, then a gap. */
    static const int slots[][2] = {{0, 60}, {30, 90}, {40, 50}, {90, 100}, {95, 95}, {101, 200}};
    stek_ring_t *ring = ring_of_slots(slots, 6);

    (void)state;
    assert_true(stek_schedule_covered_until(ring, T0 - 1) == T0 - 1);
    assert_true(stek_schedule_covered_until(ring, T0) == T0 + 100 * MINUTE);
    assert_true(stek_schedule_covered_until(ring, T0 + 100 * MINUTE - 1) == T0 + 100 * MINUTE);
    assert_true(stek_schedule_covered_until(ring, T0 + 100 * MINUTE) == T0 + 100 * MINUTE);
    assert_true(stek_schedule_covered_until(ring, T0 + 101 * MINUTE) == T0 + 200 * MINUTE);
    assert_true(stek_schedule_covered_until(ring, T0 + 200 * MINUTE) == T0 + 200 * MINUTE);
    stek_ring_destroy(ring);
}

static void test_schedule_extend_nothing_missing_tidied_copy(void **state)
{
    static const int slots[][2] = {{-2000, -1990}, {0, 60}, {60, 120}};
    stek_ring_t *ring = ring_of_slots(slots, 3), *next;
    apr_size_t made = 9;

    (void)state;
    ring->generation = 5;
    ring->epoch = 0;
    assert_int_equal(stek_schedule_extend(ring, &hourly, T0, broken_rng, &next, &made),
                     APR_SUCCESS);
    assert_int_equal(made, 0);
    assert_int_equal(next->key_n, 2);
    assert_int_equal(ring->key_n, 3);
    assert_true(next->generation == 5);
    stek_ring_destroy(next);
    stek_ring_destroy(ring);
}

static void test_schedule_extend_generator_fails_ring_kept(void **state)
{
    stek_ring_t *ring = empty_ring(), *next = NULL;
    apr_size_t made = 9;

    (void)state;
    assert_int_equal(stek_schedule_extend(ring, &hourly, T0, broken_rng, &next, &made), STEK_ERNG);
    assert_null(next);
    assert_int_equal(made, 9);
    assert_int_equal(ring->key_n, 0);
    stek_ring_destroy(ring);
}

static void test_schedule_extend_no_room_full(void **state)
{
    const stek_params_t params = {SEC(1), HOUR, 5000};
    stek_ring_t *ring = empty_ring(), *next = NULL;
    apr_size_t made;

    (void)state;
    assert_int_equal(stek_schedule_extend(ring, &params, T0, fake_rng, &next, &made), STEK_EFULL);
    assert_null(next);
    stek_ring_destroy(ring);
}

/* 64 old keys beside so many tombstones that a ring has room for no more keys. */
static stek_ring_t *ring_full_of_tombstones(unsigned tombstone_n)
{
    rnd_t rnd = {7};
    stek_ring_t *ring;
    unsigned i;

    assert_int_equal(stek_ring_create(64, tombstone_n + 1, &ring), APR_SUCCESS);
    for (i = 0; i < 64; i++) {
        stek_key_t key = good_key(i, T0 - 2 * HOUR, HOUR, 18 * HOUR);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    for (i = 0; i < tombstone_n; i++) {
        stek_tombstone_t tombstone = {{0}, T0 + DAY};

        rnd_fill(&rnd, tombstone.name, sizeof(tombstone.name));
        assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    }
    return ring;
}

static void test_schedule_extend_full_of_tombstones_new_keys_take_the_place_of_old_ones(
    void **state)
{
    stek_ring_t *ring = ring_full_of_tombstones(5000);

    (void)state;
    assert_int_equal(tick(&ring, &hourly, T0), 2);
    assert_int_equal(ring->key_n, 64);
    assert_int_equal(ring->left_out_n, 2);
    assert_int_equal(ring->tombstone_n, 5000);
    assert_non_null(stek_ring_current(ring, T0));
    assert_non_null(stek_ring_current(ring, T0 + HOUR));
    stek_ring_destroy(ring);
}

static void test_schedule_extend_full_of_tombstones_repeated_name_weak(void **state)
{
    stek_ring_t *ring = ring_full_of_tombstones(5000), *next = NULL;
    stek_tombstone_t tombstone = {{0}, T0 + DAY};
    apr_size_t made;
    stek_key_t key;

    (void)state;
    fake_rng_reset(11);
    assert_int_equal(stek_key_make(T0, T0 + HOUR, 18 * HOUR, 0, T0, fake_rng, &key), APR_SUCCESS);
    memcpy(tombstone.name, key.name, STEK_NAME_LEN);
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    fake_rng_reset(11);
    assert_int_equal(stek_schedule_extend(ring, &hourly, T0, fake_rng, &next, &made), STEK_EWEAK);
    assert_null(next);
    stek_ring_destroy(ring);
}

static void test_schedule_extend_most_ahead_fits(void **state)
{
    const stek_params_t params = {SEC(1), SEC(1), 4093};
    stek_ring_t *ring = empty_ring();

    (void)state;
    assert_null(stek_schedule_check(&params, pool));
    assert_int_equal(tick(&ring, &params, T0 + 999999), 4094);
    assert_int_equal(tick(&ring, &params, T0 + SEC(1)), 1);
    assert_int_equal(ring->key_n, 4095);
    stek_ring_destroy(ring);
}

static void test_schedule_extend_epoch_raised_new_keys(void **state)
{
    stek_ring_t *ring = empty_ring();
    apr_size_t i;

    (void)state;
    assert_int_equal(tick(&ring, &hourly, T0), 2);
    assert_int_equal(tick(&ring, &hourly, T0), 0);
    ring->epoch = 3;
    assert_int_equal(tick(&ring, &hourly, T0 + 5), 2);
    assert_int_equal(ring->key_n, 2);
    for (i = 0; i < 2; i++) {
        assert_true(ring->keys[i].epoch == 3);
    }
    stek_ring_destroy(ring);
}

static void test_schedule_extend_current_revoked_new_key(void **state)
{
    stek_tombstone_t tombstone;
    stek_ring_t *ring = empty_ring(), *revoked, *merged;
    const stek_key_t *key;

    (void)state;
    tick(&ring, &hourly, T0);
    key = stek_ring_current(ring, T0);
    memcpy(tombstone.name, key->name, STEK_NAME_LEN);
    tombstone.until = key->decrypt_until;
    assert_int_equal(stek_ring_create(0, 1, &revoked), APR_SUCCESS);
    assert_int_equal(stek_ring_add_tombstone(revoked, &tombstone), APR_SUCCESS);
    assert_int_equal(stek_ring_merge(ring, revoked, T0 + SEC(9), 0, &merged), APR_SUCCESS);
    assert_null(stek_ring_current(merged, T0 + SEC(9)));
    assert_int_equal(tick(&merged, &hourly, T0 + SEC(9)), 1);
    key = stek_ring_current(merged, T0 + SEC(9));
    assert_true(key->not_before == T0 && key->encrypt_until == T0 + HOUR);
    assert_memory_not_equal(key->name, tombstone.name, STEK_NAME_LEN);
    stek_ring_destroy(merged);
    stek_ring_destroy(revoked);
    stek_ring_destroy(ring);
}

/* A day of ticks.  Nothing but the clock drives it: this is a ring without traffic too. */
static void test_schedule_day_hourly_keys_rotate_and_end(void **state)
{
    unsigned char names[60][STEK_NAME_LEN] = {{0}};
    stek_ring_t *ring = empty_ring();
    apr_size_t made = 0;
    int s, hour;

    (void)state;
    for (s = 0; s <= 2 * 86400; s += 10) {
        apr_time_t now = T0 + SEC(s) + 654321;
        const stek_key_t *key;

        made += tick(&ring, &hourly, now);
        key = stek_ring_current(ring, now);
        assert_non_null(key);
        assert_true(key->not_before == T0 + s / 3600 * HOUR);
        assert_true(key->encrypt_until == key->not_before + HOUR);
        assert_true(key->created <= now);
        /* Prepared a slot in advance, but for the first. */
        assert_true(s < 3600 || key->created < key->not_before);
        memcpy(names[s / 3600], key->name, STEK_NAME_LEN);
        for (hour = 0; hour <= s / 3600; hour++) {
            int lives = now < T0 + hour * HOUR + 19 * HOUR;

            assert_int_equal(stek_ring_find(ring, names[hour]) != NULL, lives);
        }
        assert_true(ring->key_n <= stek_schedule_keys_n(&hourly));
    }
    assert_int_equal(made, 50);
    stek_ring_destroy(ring);
}

/* Each second of a span, and the last microsecond of each, has a key that encrypts. */
static void assert_covered(const stek_ring_t *ring, apr_time_t from, apr_time_t until)
{
    apr_time_t t;

    for (t = from; t < until; t += SEC(1)) {
        const stek_key_t *key = stek_ring_current(ring, t);

        assert_non_null(key);
        assert_true(key == stek_ring_current(ring, t - t % SEC(1) + SEC(1) - 1)
                    || key->encrypt_until - key->not_before < SEC(1));
    }
}

static void test_schedule_second_long_slots_slow_ticks_never_bare(void **state)
{
    const stek_params_t params = {SEC(1), SEC(60), 1};
    stek_ring_t *ring = empty_ring();
    apr_time_t now = T0;
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        /* The writer is away for 100 s once, in a reload of a large configuration. */
        apr_interval_time_t pause = i == 50 ? SEC(100) : SEC(10);

        tick(&ring, &params, now);
        assert_true(ring->key_n <= stek_schedule_keys_n(&params));
        assert_true(stek_ring_current(ring, now)->not_before == now);
        assert_covered(ring, now, now + pause);
        assert_covered(ring, now, now + SEC(121));
        now += pause;
    }
    stek_ring_destroy(ring);
}

static void test_schedule_clock_day_forward_and_back_covered(void **state)
{
    stek_ring_t *ring = empty_ring();
    const stek_key_t *key;
    unsigned char tomorrow[STEK_NAME_LEN];
    apr_time_t now;

    (void)state;
    for (now = T0; now < T0 + 3 * HOUR; now += SEC(10)) {
        tick(&ring, &hourly, now);
    }
    /* Forward: a key for the new now; what has ended by then is gone. */
    now += DAY;
    assert_int_equal(tick(&ring, &hourly, now), 2);
    assert_int_equal(ring->key_n, 2);
    memcpy(tomorrow, stek_ring_current(ring, now)->name, STEK_NAME_LEN);
    /* Back: a key for now is made, tomorrow's only decrypt. */
    now -= DAY;
    assert_int_equal(tick(&ring, &hourly, now), 2);
    key = stek_ring_current(ring, now);
    assert_true(key->not_before == now - now % HOUR);
    assert_non_null(stek_ring_find(ring, tomorrow));
    assert_true(stek_key_can_decrypt(stek_ring_find(ring, tomorrow), now, 0));
    for (; now <= T0 + DAY + 3 * HOUR; now += SEC(10)) {
        tick(&ring, &hourly, now);
        assert_true(stek_ring_current(ring, now)->not_before == now - now % HOUR);
        assert_true(ring->key_n <= stek_schedule_keys_n(&hourly) + 1);
    }
    /* When tomorrow comes, its key takes its turn. */
    key = stek_ring_current(ring, T0 + DAY + 3 * HOUR);
    assert_memory_equal(key->name, tomorrow, STEK_NAME_LEN);
    stek_ring_destroy(ring);
}

static void test_schedule_clock_day_back_first_covered(void **state)
{
    stek_ring_t *ring = empty_ring();
    apr_time_t now = T0;

    (void)state;
    assert_int_equal(tick(&ring, &hourly, now), 2);
    now -= DAY;
    assert_int_equal(tick(&ring, &hourly, now), 2);
    for (; now <= T0; now += SEC(10)) {
        tick(&ring, &hourly, now);
        assert_true(stek_ring_current(ring, now)->not_before == now - now % HOUR);
    }
    stek_ring_destroy(ring);
}

static void test_schedule_interval_changes_covered_then_on_grid(void **state)
{
    static const struct {
        stek_params_t from, to;
    } cases[] = {
        {{HOUR, 18 * HOUR, 1}, {10 * MINUTE, 18 * HOUR, 1}},
        {{10 * MINUTE, 18 * HOUR, 1}, {HOUR, 18 * HOUR, 1}},
        {{HOUR, 18 * HOUR, 1}, {7 * MINUTE, 18 * HOUR, 2}},
        {{7 * MINUTE, 18 * HOUR, 2}, {5 * HOUR, 18 * HOUR, 0}},
        {{SEC(1), SEC(600), 1}, {HOUR, 18 * HOUR, 1}},
        {{HOUR, HOUR, 1}, {SEC(3), HOUR, 1}},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stek_ring_t *ring = empty_ring();
        apr_time_t now = T0 + 11 * MINUTE, change = T0 + 3 * HOUR + SEC(1230), settled, begin = 0;

        for (; now < change; now += SEC(10)) {
            tick(&ring, &cases[i].from, now);
        }
        settled = stek_schedule_covered_until(ring, now);
        settled += cases[i].to.interval - settled % cases[i].to.interval;
        for (; now < settled + 2 * cases[i].to.interval; now += SEC(10)) {
            const stek_key_t *key;
            apr_time_t before = stek_schedule_covered_until(ring, now);

            /* No slot that has begun is made while another covers now. */
            assert_true(before > now);
            tick(&ring, &cases[i].to, now);
            key = stek_ring_current(ring, now);
            assert_true(key->created < key->not_before || key->not_before <= T0 + 11 * MINUTE);
            assert_true(key->not_before >= begin);
            begin = key->not_before;
            if (now >= settled) {
                assert_true(key->not_before == now - now % cases[i].to.interval);
                assert_true(key->encrypt_until == key->not_before + cases[i].to.interval);
            }
        }
        stek_ring_destroy(ring);
    }
}

static void test_schedule_lifetime_shrinks_keys_end_earlier(void **state)
{
    const stek_params_t shorter = {HOUR, 2 * HOUR, 1};
    stek_ring_t *ring = empty_ring();
    const stek_key_t *key;
    apr_time_t now;
    apr_size_t i;

    (void)state;
    for (now = T0; now < T0 + 10 * HOUR; now += SEC(10)) {
        tick(&ring, &hourly, now);
    }
    assert_int_equal(ring->key_n, 11);
    assert_int_equal(tick(&ring, &shorter, now), 1);
    /* Ended at 9h and 10h, the current, the prepared. */
    assert_int_equal(ring->key_n, 4);
    for (i = 0; i < ring->key_n; i++) {
        assert_true(ring->keys[i].encrypt_until + 2 * HOUR > now);
    }
    assert_non_null(stek_ring_current(ring, now));
    /* Grown again: what is left keeps its own end, what has gone stays gone. */
    assert_int_equal(tick(&ring, &hourly, now), 0);
    assert_int_equal(ring->key_n, 4);
    key = stek_ring_current(ring, now);
    assert_true(stek_key_end(key, hourly.lifetime) == key->decrypt_until);
    stek_ring_destroy(ring);
}

/* Two writers with clocks apart that see each other's rings late agree on the key of each time. */
static void test_schedule_two_writers_agree(void **state)
{
    const stek_params_t params = {MINUTE, 10 * MINUTE, 3};
    stek_ring_t *a = empty_ring(), *b = empty_ring(), *both;
    apr_time_t now;

    (void)state;
    for (now = T0; now < T0 + HOUR; now += SEC(10)) {
        tick(&a, &params, now);
        tick(&b, &params, now + SEC(17));
        if ((now - T0) % SEC(30) == 0) {
            assert_int_equal(stek_ring_merge(a, b, now, params.lifetime, &both), APR_SUCCESS);
            stek_ring_destroy(a);
            a = both;
            assert_int_equal(stek_ring_merge(b, a, now, params.lifetime, &both), APR_SUCCESS);
            stek_ring_destroy(b);
            b = both;
        }
        assert_memory_equal(stek_ring_current(a, now)->name, stek_ring_current(b, now)->name,
                            STEK_NAME_LEN);
        assert_true(a->key_n <= 2 * stek_schedule_keys_n(&params));
    }
    stek_ring_destroy(a);
    stek_ring_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule_check_parameters_judged),
        cmocka_unit_test(test_schedule_check_split_second_refused),
        cmocka_unit_test(test_schedule_horizon_two_minutes_at_least),
        cmocka_unit_test(test_schedule_missing_empty_ring_slot_of_now),
        cmocka_unit_test(test_schedule_missing_interval_zero_nothing),
        cmocka_unit_test(test_schedule_missing_horizon_boundary_included),
        cmocka_unit_test(test_schedule_missing_gap_filled_before_later_keys),
        cmocka_unit_test(test_schedule_missing_longer_interval_short_slot_to_grid),
        cmocka_unit_test(test_schedule_missing_shorter_interval_waits_for_prepared),
        cmocka_unit_test(test_schedule_covered_until_gapless_run_ends),
        cmocka_unit_test(test_schedule_extend_nothing_missing_tidied_copy),
        cmocka_unit_test(test_schedule_extend_generator_fails_ring_kept),
        cmocka_unit_test(test_schedule_extend_no_room_full),
        cmocka_unit_test(
            test_schedule_extend_full_of_tombstones_new_keys_take_the_place_of_old_ones),
        cmocka_unit_test(test_schedule_extend_full_of_tombstones_repeated_name_weak),
        cmocka_unit_test(test_schedule_extend_most_ahead_fits),
        cmocka_unit_test(test_schedule_extend_epoch_raised_new_keys),
        cmocka_unit_test(test_schedule_extend_current_revoked_new_key),
        cmocka_unit_test(test_schedule_day_hourly_keys_rotate_and_end),
        cmocka_unit_test(test_schedule_second_long_slots_slow_ticks_never_bare),
        cmocka_unit_test(test_schedule_clock_day_forward_and_back_covered),
        cmocka_unit_test(test_schedule_clock_day_back_first_covered),
        cmocka_unit_test(test_schedule_interval_changes_covered_then_on_grid),
        cmocka_unit_test(test_schedule_lifetime_shrinks_keys_end_earlier),
        cmocka_unit_test(test_schedule_two_writers_agree),
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
