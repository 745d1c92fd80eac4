/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is taken in: epochs and keys of wrong clocks and thieves, and a thousand hosts that were alone.
 */
#include "core_util.h"

#include "stek_admit.h"
#include "stek_mem.h"
#include "stek_ring_merge.h"

#define HOSTS_N 700

/* No locked memory for thousands of rings. */
void *__wrap_stek_mem_alloc(apr_size_t len);
void __wrap_stek_mem_free(void *block);

void *__wrap_stek_mem_alloc(apr_size_t len)
{
    return calloc(1, len);
}

void __wrap_stek_mem_free(void *block)
{
    free(block);
}

static void test_admit_epoch_boundaries(void **state)
{
    const apr_uint64_t now_s = (apr_uint64_t)apr_time_sec(T0);

    (void)state;
    assert_int_equal(stek_admit_epoch(0, 0, T0), APR_SUCCESS);
    assert_int_equal(stek_admit_epoch(now_s + 86400, 0, T0), APR_SUCCESS);
    assert_int_equal(stek_admit_epoch(now_s + 86401, 0, T0), STEK_EEPOCH);
    assert_int_equal(stek_admit_epoch(APR_UINT64_MAX, 0, T0), STEK_EEPOCH);
    /* What this host has itself does not become wrong because its clock was set back. */
    assert_int_equal(stek_admit_epoch(now_s + 90000, now_s + 90000, T0), APR_SUCCESS);
    assert_int_equal(stek_admit_epoch(now_s + 90001, now_s + 90000, T0), STEK_EEPOCH);
    assert_int_equal(stek_admit_epoch(5, 0, 0), APR_SUCCESS);
}

static void test_admit_next_epoch_is_later_than_all_before(void **state)
{
    const apr_uint64_t now_s = (apr_uint64_t)apr_time_sec(T0);
    apr_uint64_t next = 7;

    (void)state;
    assert_int_equal(stek_admit_next_epoch(0, T0, &next), APR_SUCCESS);
    assert_true(next == now_s);
    assert_int_equal(stek_admit_next_epoch(1, T0, &next), APR_SUCCESS);
    assert_true(next == now_s);
    /* A second one in the same second, or one of a host whose clock is ahead. */
    assert_int_equal(stek_admit_next_epoch(now_s, T0, &next), APR_SUCCESS);
    assert_true(next == now_s + 1);
    assert_int_equal(stek_admit_next_epoch(now_s + 86399, T0, &next), APR_SUCCESS);
    assert_true(next == now_s + 86400);
    assert_int_equal(stek_admit_epoch(next, 0, T0), APR_SUCCESS);
    next = 7;
    assert_int_equal(stek_admit_next_epoch(now_s + 86400, T0, &next), STEK_EEPOCH);
    assert_int_equal(stek_admit_next_epoch(APR_UINT64_MAX, T0, &next), STEK_EEPOCH);
    assert_true(next == 7);
}

/* A revokes all; its new key is stolen; B, who has heard of nothing, revokes all later. */
static void test_admit_next_epoch_of_the_later_revocation_wins(void **state)
{
    apr_uint64_t a, b;
    int epoch, gap_s;

    (void)state;
    for (epoch = 0; epoch < 3; epoch++) {
        for (gap_s = 1; gap_s < 100000; gap_s *= 7) {
            assert_int_equal(stek_admit_next_epoch((apr_uint64_t)epoch, T0, &a), APR_SUCCESS);
            assert_int_equal(stek_admit_next_epoch((apr_uint64_t)epoch, T0 + SEC(gap_s), &b),
                             APR_SUCCESS);
            assert_true(b > a);
        }
    }
}

static void test_admit_keys_boundaries(void **state)
{
    static const stek_params_t params = {SEC(600), SEC(3600), 2};
    const apr_time_t latest = T0 + SEC(2 * 600 + 600 + 86400), widest = T0 + 15 * DAY;
    const apr_time_t starts[] = {T0,     latest,          latest + SEC(1),
                                 widest, widest + SEC(1), T0 + 3650 * DAY};
    stek_ring_t *ring, *copy;
    unsigned i;

    (void)state;
    assert_int_equal(stek_ring_create(6, 0, &ring), APR_SUCCESS);
    for (i = 0; i < 6; i++) {
        stek_key_t key = good_key(i, starts[i], SEC(600), SEC(3600));

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    assert_int_equal(stek_ring_merge(ring, NULL, T0, 0, &copy), APR_SUCCESS);
    assert_int_equal(stek_admit_late_n(copy, NULL, T0), 2);
    assert_int_equal(stek_admit_keys(copy, NULL, T0), 2);
    assert_int_equal(copy->key_n, 4);
    assert_int_equal(stek_admit_keys(copy, &params, T0), 2);
    assert_int_equal(copy->key_n, 2);
    for (i = 0; i < copy->key_n; i++) {
        assert_true(copy->keys[i].not_before <= latest);
    }
    assert_non_null(stek_ring_current(copy, T0));
    assert_int_equal(stek_admit_keys(copy, &params, T0), 0);
    stek_ring_destroy(copy);
    stek_ring_destroy(ring);
}

/* A host that prepares a month of daily keys; and beyond a gap, what a wrong clock has made. */
static void test_admit_keys_without_parameters_any_run_without_a_gap(void **state)
{
    static const stek_params_t daily = {DAY, 7 * DAY, 30};
    stek_ring_t *ring, *none;
    apr_size_t made, i;

    (void)state;
    assert_int_equal(stek_ring_create(0, 0, &none), APR_SUCCESS);
    none->interval = none->lifetime = DAY;
    assert_int_equal(stek_schedule_extend(none, &daily, T0, stek_rng_system, &ring, &made),
                     APR_SUCCESS);
    assert_true(made > 30);
    assert_int_equal(stek_admit_late_n(ring, NULL, T0), 0);
    assert_int_equal(stek_admit_keys(ring, NULL, T0), 0);
    assert_int_equal(stek_admit_late_n(ring, &daily, T0), 0);
    /* The same keys, seen by a host whose clock is far behind: none of them covers its time. */
    assert_int_equal(stek_admit_late_n(ring, NULL, T0 - 40 * DAY), made);
    for (i = 0; i < ring->key_n; i++) {
        ring->keys[i].encrypt_until -= ring->keys[i].not_before == T0 ? 0 : SEC(1);
    }
    assert_int_equal(stek_admit_late_n(ring, NULL, T0), made - 16);
    assert_int_equal(stek_admit_keys(ring, NULL, T0), made - 16);
    stek_ring_destroy(ring);
    stek_ring_destroy(none);
}

static rnd_t host_rnd;

static apr_status_t host_rng(unsigned char *bytes, apr_size_t len)
{
    rnd_fill(&host_rnd, bytes, len);
    return APR_SUCCESS;
}

/* Merges the hosts' rings, beginning with the one at first. */
static stek_ring_t *merge_all(stek_ring_t *const *rings, int first, apr_time_t now)
{
    stek_ring_t *all = NULL, *merged;
    int i;

    for (i = 0; i < HOSTS_N; i++) {
        const stek_ring_t *next = rings[(first + i * 13) % HOSTS_N];

        assert_int_equal(stek_ring_merge(next, all, now, 0, &merged), APR_SUCCESS);
        stek_ring_destroy(all);
        all = merged;
    }
    return all;
}

/* Hosts make keys of their own while no store answers; afterwards they all merge. */
static void heal_after_outage(const stek_params_t *params, apr_interval_time_t outage)
{
    stek_ring_t *rings[HOSTS_N], *one, *other, *next;
    const apr_time_t end = T0 + outage;
    apr_size_t made;
    apr_time_t now;
    int i;

    host_rnd.state = seed_from_env();
    for (i = 0; i < HOSTS_N; i++) {
        assert_int_equal(stek_ring_create(0, 0, &rings[i]), APR_SUCCESS);
        rings[i]->interval = params->interval;
        rings[i]->lifetime = params->lifetime;
        for (now = T0; now <= end; now += params->interval) {
            assert_int_equal(stek_schedule_extend(rings[i], params, now, host_rng, &next, &made),
                             APR_SUCCESS);
            stek_ring_destroy(rings[i]);
            rings[i] = next;
        }
    }
    one = merge_all(rings, 0, end);
    other = merge_all(rings, 5, end);
    assert_true(stek_ring_equal(one, other));
    assert_true(one->left_out_n > 0 || one->key_n < STEK_KEYS_MAX);
    /* The current key is the one of all hosts with the smallest name, and the next slot has its too. */
    for (now = end; now <= end + params->interval; now += params->interval) {
        const stek_key_t *picked = stek_ring_current(one, now);

        assert_non_null(picked);
        for (i = 0; i < HOSTS_N; i++) {
            const stek_key_t *own = stek_ring_current(rings[i], now);

            assert_true(own->not_before == picked->not_before);
            assert_true(memcmp(picked->name, own->name, STEK_NAME_LEN) <= 0);
        }
    }
    /* And rotation goes on. */
    assert_int_equal(
        stek_schedule_extend(one, params, end + params->interval, host_rng, &next, &made),
        APR_SUCCESS);
    assert_int_equal(made, 1);
    assert_true(stek_schedule_covered_until(next, end + params->interval)
                > end + 2 * params->interval);
    stek_ring_destroy(next);
    stek_ring_destroy(one);
    stek_ring_destroy(other);
    for (i = 0; i < HOSTS_N; i++) {
        stek_ring_destroy(rings[i]);
    }
}

static void test_admit_hosts_alone_for_hours_agree_again(void **state)
{
    static const stek_params_t hourly = STEK_PARAMS_DEFAULT;
    static const stek_params_t short_slots = {SEC(300), SEC(7 * 86400), 1};

    (void)state;
    heal_after_outage(&hourly, 6 * HOUR);
    heal_after_outage(&short_slots, HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admit_epoch_boundaries),
        cmocka_unit_test(test_admit_next_epoch_is_later_than_all_before),
        cmocka_unit_test(test_admit_next_epoch_of_the_later_revocation_wins),
        cmocka_unit_test(test_admit_keys_boundaries),
        cmocka_unit_test(test_admit_keys_without_parameters_any_run_without_a_gap),
        cmocka_unit_test(test_admit_hosts_alone_for_hours_agree_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
