/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings: lookup, the key of now, ends, and the merge against a plain model and its own laws on
 * random rings.  STEK_SEED=n repeats a run; a failure prints its seed.
 */
#include "core_util.h"

#include "stek_mem.h"
#include "stek_ring.h"
#include "stek_ring_merge.h"
#include "stek_time.h"

#define CASES_N 100000
#define NAMES_N 6
#define VARIANTS_N 4
#define KEY_BYTES_LEN 112

static stek_ring_t *ring_of(const stek_key_t *keys, size_t n)
{
    stek_ring_t *ring;
    size_t i;

    assert_int_equal(stek_ring_create(n, 8, &ring), APR_SUCCESS);
    for (i = 0; i < n; i++) {
        assert_int_equal(stek_ring_add_key(ring, &keys[i]), APR_SUCCESS);
    }
    return ring;
}

static void test_ring_create_sizes_limited(void **state)
{
    stek_ring_t *ring = NULL;

    (void)state;
    assert_int_equal(stek_ring_create(STEK_KEYS_MAX + 1, 0, &ring), STEK_EFULL);
    assert_int_equal(stek_ring_create(0, 0x10000, &ring), STEK_EFULL);
    assert_null(ring);
    assert_int_equal(stek_ring_create(STEK_KEYS_MAX, 0xffff, &ring), APR_SUCCESS);
    assert_int_equal(ring->key_n + ring->tombstone_n, 0);
    stek_ring_destroy(ring);
    assert_int_equal(stek_ring_create(0, 0, &ring), APR_SUCCESS);
    stek_ring_destroy(ring);
    stek_ring_destroy(NULL);
}

static void test_ring_add_key_faults_refused(void **state)
{
    stek_key_t keys[3] = {good_key(1, T0, HOUR, HOUR), good_key(2, T0, HOUR, HOUR),
                          good_key(3, T0, HOUR, HOUR)};
    stek_ring_t *ring = ring_of(keys, 2);
    stek_key_t other = keys[0];

    (void)state;
    other.aes_key[0] ^= 1;
    assert_int_equal(stek_ring_add_key(ring, &other), APR_EEXIST);
    assert_int_equal(stek_ring_add_key(ring, &keys[2]), STEK_EFULL);
    keys[2].encrypt_until = keys[2].decrypt_until + SEC(1);
    assert_int_equal(stek_ring_add_key(ring, &keys[2]), STEK_EMALFORMED);
    assert_int_equal(ring->key_n, 2);
    stek_ring_destroy(ring);
}

static void test_ring_add_tombstone_faults_refused(void **state)
{
    stek_tombstone_t tombstone = {.name = {5}, .until = T0};
    stek_ring_t *ring;

    (void)state;
    assert_int_equal(stek_ring_create(0, 2, &ring), APR_SUCCESS);
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_EEXIST);
    tombstone.name[0] = 3;
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    tombstone.name[0] = 4;
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), STEK_EFULL);
    assert_int_equal(ring->tombstones[0].name[0], 3);
    assert_int_equal(ring->tombstones[1].name[0], 5);
    stek_ring_destroy(ring);
}

static void test_ring_find_any_order_found(void **state)
{
    stek_key_t keys[300], other;
    stek_ring_t *ring;
    unsigned i;

    (void)state;
    for (i = 0; i < 300; i++) {
        keys[i] = good_key(i, T0 + i * HOUR, HOUR, HOUR);
    }
    ring = ring_of(keys, 300);
    for (i = 0; i < 300; i++) {
        const stek_key_t *found = stek_ring_find(ring, keys[i].name);

        assert_non_null(found);
        assert_memory_equal(found->aes_key, keys[i].aes_key, sizeof(keys[i].aes_key));
        assert_true(i == 0 || memcmp(ring->keys[i - 1].name, ring->keys[i].name, 16) < 0);
    }
    other = good_key(301, T0, HOUR, HOUR);
    assert_null(stek_ring_find(ring, other.name));
    memcpy(other.name, keys[5].name, 15);
    assert_null(stek_ring_find(ring, other.name));
    memset(other.name, 0, 16);
    assert_null(stek_ring_find(ring, other.name));
    memset(other.name, 0xff, 16);
    assert_null(stek_ring_find(ring, other.name));
    stek_ring_destroy(ring);
}

static void test_ring_current_boundaries_half_open(void **state)
{
    stek_key_t keys[3] = {good_key(1, T0, HOUR, HOUR), good_key(2, T0 + HOUR, HOUR, HOUR),
                          good_key(3, T0 + 3 * HOUR, HOUR, HOUR)};
    stek_ring_t *ring = ring_of(keys, 3);
    static const struct {
        apr_time_t now;
        int key; /* -1: none */
    } cases[] = {{0, -1},
                 {T0 - 1, -1},
                 {T0, 0},
                 {T0 + HOUR - 1, 0},
                 {T0 + HOUR, 1},
                 {T0 + 2 * HOUR - 1, 1},
                 {T0 + 2 * HOUR, -1},
                 {T0 + 3 * HOUR - 1, -1},
                 {T0 + 3 * HOUR, 2},
                 {T0 + 4 * HOUR - 1, 2},
                 {T0 + 4 * HOUR, -1},
                 {T0 + 400 * DAY, -1}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const stek_key_t *key = stek_ring_current(ring, cases[i].now);

        assert_int_equal(key != NULL, cases[i].key >= 0);
        if (key) {
            assert_memory_equal(key->name, keys[cases[i].key].name, STEK_NAME_LEN);
        }
    }
    stek_ring_destroy(ring);
}

static void test_ring_current_overlap_latest_start_then_name(void **state)
{
    stek_key_t keys[4] = {good_key(1, T0, STEK_TIME_MAX, HOUR), good_key(2, T0 + HOUR, HOUR, HOUR),
                          good_key(3, T0 + HOUR, HOUR, HOUR),
                          good_key(4, T0 + HOUR + SEC(1800), 0, HOUR)};
    const unsigned char *least = memcmp(keys[1].name, keys[2].name, 16) < 0 ? keys[1].name
                                                                            : keys[2].name;
    stek_ring_t *ring = ring_of(keys, 4);

    (void)state;
    assert_memory_equal(stek_ring_current(ring, T0 + HOUR - 1)->name, keys[0].name, 16);
    assert_memory_equal(stek_ring_current(ring, T0 + HOUR)->name, least, 16);
    assert_memory_equal(stek_ring_current(ring, T0 + HOUR + SEC(1800))->name, least, 16);
    assert_memory_equal(stek_ring_current(ring, T0 + 2 * HOUR)->name, keys[0].name, 16);
    assert_memory_equal(stek_ring_current(ring, T0 + STEK_TIME_MAX - 1)->name, keys[0].name, 16);
    assert_null(stek_ring_current(ring, T0 + STEK_TIME_MAX));
    stek_ring_destroy(ring);
}

/* What stek_ring_current promises, by looking at every key. */
static const stek_key_t *plain_current(const stek_ring_t *ring, apr_time_t now)
{
    const stek_key_t *best = NULL;
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        if (!(key->flags & STEK_KEY_AES128) && key->not_before <= now && now < key->encrypt_until
            && (!best || key->not_before > best->not_before)) {
            best = key;
        }
    }
    return best;
}

/* A rotation in the middle of a slot, two writers with one slot, a key that only decrypts. */
static void test_ring_key_state_each_boundary(void **state)
{
    stek_key_t keys[5] = {good_key(1, T0, HOUR, 2 * HOUR),
                          good_key(2, T0 + SEC(600), SEC(3000), HOUR),
                          good_key(3, T0 + HOUR, HOUR, HOUR), good_key(4, T0 + HOUR, HOUR, HOUR),
                          good_key(5, T0, 0, HOUR)};
    int least = memcmp(keys[2].name, keys[3].name, 16) < 0 ? 2 : 3, other = 5 - least;
    const struct {
        apr_interval_time_t at;
        int key;
        stek_state_e state;
    } cases[] = {{-1, 0, STEK_STATE_FUTURE},
                 {0, 0, STEK_STATE_CURRENT},
                 {SEC(600) - 1, 0, STEK_STATE_CURRENT},
                 {SEC(600) - 1, 1, STEK_STATE_FUTURE},
                 {SEC(600), 0, STEK_STATE_OLD},
                 {SEC(600), 1, STEK_STATE_CURRENT},
                 {HOUR - 1, 0, STEK_STATE_OLD},
                 {HOUR - 1, least, STEK_STATE_FUTURE},
                 {HOUR - 1, other, STEK_STATE_FUTURE},
                 {HOUR, 1, STEK_STATE_OLD},
                 {HOUR, least, STEK_STATE_CURRENT},
                 {HOUR, other, STEK_STATE_OLD},
                 {2 * HOUR, least, STEK_STATE_OLD},
                 {3 * HOUR - 1, 0, STEK_STATE_OLD},
                 {3 * HOUR, 0, STEK_STATE_ENDED},
                 {-1, 4, STEK_STATE_FUTURE},
                 {0, 4, STEK_STATE_OLD},
                 {HOUR, 4, STEK_STATE_ENDED}};
    stek_ring_t *ring = ring_of(keys, 5);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const stek_key_t *key = stek_ring_find(ring, keys[cases[i].key].name);

        assert_int_equal(stek_ring_key_state(ring, key, T0 + cases[i].at, 0), cases[i].state);
    }
    /* A lifetime that shrinks ends keys sooner. */
    assert_int_equal(
        stek_ring_key_state(ring, stek_ring_find(ring, keys[0].name), T0 + 2 * HOUR, HOUR),
        STEK_STATE_ENDED);
    assert_int_equal(stek_ring_key_state(ring, NULL, T0, 0), STEK_STATE_UNKNOWN);
    assert_string_equal(stek_state_text(STEK_STATE_CURRENT), "current");
    assert_string_equal(stek_state_text(STEK_STATE_FUTURE), "future");
    assert_string_equal(stek_state_text(STEK_STATE_OLD), "old");
    assert_string_equal(stek_state_text(STEK_STATE_ENDED), "ended");
    assert_string_equal(stek_state_text(STEK_STATE_UNKNOWN), "unknown");
    stek_ring_destroy(ring);
}

static void test_ring_next_end_boundaries_after_now(void **state)
{
    stek_key_t keys[2] = {good_key(1, T0, HOUR, 2 * HOUR), good_key(2, T0 + HOUR, HOUR, 2 * HOUR)};
    stek_ring_t *ring = ring_of(keys, 2);

    (void)state;
    assert_true(stek_ring_next_end(ring, T0, 0) == T0 + 3 * HOUR);
    assert_true(stek_ring_next_end(ring, T0 + 3 * HOUR - 1, 0) == T0 + 3 * HOUR);
    assert_true(stek_ring_next_end(ring, T0 + 3 * HOUR, 0) == T0 + 4 * HOUR);
    assert_true(stek_ring_next_end(ring, T0 + 4 * HOUR, 0) == 0);
    assert_true(stek_ring_next_end(ring, T0, SEC(5)) == T0 + HOUR + SEC(5));
    stek_ring_destroy(ring);
}

static void test_ring_merge_ended_exactly_at_end_dropped(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, HOUR);
    stek_ring_t *ring = ring_of(&key, 1), *merged;

    (void)state;
    assert_int_equal(stek_ring_merge(ring, NULL, T0 + 2 * HOUR - 1, 0, &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, 1);
    assert_int_equal(merged->key_max, 1);
    assert_int_equal(merged->tombstone_max, 0);
    stek_ring_destroy(merged);
    assert_int_equal(stek_ring_merge(ring, NULL, T0 + 2 * HOUR, 0, &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, 0);
    stek_ring_destroy(merged);
    assert_int_equal(stek_ring_merge(ring, NULL, T0 + HOUR + SEC(9), SEC(9), &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, 0);
    stek_ring_destroy(merged);
    stek_ring_destroy(ring);
}

static void test_ring_merge_tombstone_key_gone_until_it_ends(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, HOUR);
    stek_tombstone_t tombstone = {.until = T0 + 2 * HOUR};
    stek_ring_t *with, *without = ring_of(&key, 1), *merged, *again;

    (void)state;
    memcpy(tombstone.name, key.name, sizeof(key.name));
    assert_int_equal(stek_ring_create(0, 1, &with), APR_SUCCESS);
    assert_int_equal(stek_ring_add_tombstone(with, &tombstone), APR_SUCCESS);
    assert_int_equal(stek_ring_merge(without, with, T0, 0, &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, 0);
    assert_int_equal(merged->tombstone_n, 1);
    assert_int_equal(
        stek_ring_merge(merged, without, T0 + 2 * HOUR + STEK_TOMBSTONE_MARGIN - 1, 0, &again),
        APR_SUCCESS);
    assert_int_equal(again->key_n, 0);
    assert_int_equal(again->tombstone_n, 1);
    stek_ring_destroy(again);
    /* A clock that was fast for a while, when it is right again. */
    assert_int_equal(stek_ring_merge(merged, NULL, T0 + 21 * HOUR, 0, &again), APR_SUCCESS);
    stek_ring_destroy(merged);
    assert_int_equal(stek_ring_merge(again, without, T0 + HOUR, 0, &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, 0);
    stek_ring_destroy(again);
    assert_int_equal(
        stek_ring_merge(merged, without, T0 + 2 * HOUR + STEK_TOMBSTONE_MARGIN, 0, &again),
        APR_SUCCESS);
    assert_int_equal(again->key_n, 0);
    assert_int_equal(again->tombstone_n, 0);
    stek_ring_destroy(again);
    stek_ring_destroy(merged);
    stek_ring_destroy(with);
    stek_ring_destroy(without);
}

static void test_ring_merge_epoch_raised_lower_keys_dead(void **state)
{
    stek_key_t keys[2] = {good_key(1, T0, HOUR, HOUR), good_key(2, T0, HOUR, HOUR)};
    stek_ring_t *a, *b, *merged;

    (void)state;
    keys[1].epoch = 4;
    a = ring_of(keys, 2);
    b = ring_of(NULL, 0);
    b->epoch = 4;
    assert_int_equal(stek_ring_merge(a, b, T0, 0, &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, 1);
    assert_true(merged->epoch == 4);
    assert_memory_equal(merged->keys[0].name, keys[1].name, STEK_NAME_LEN);
    stek_ring_destroy(merged);
    stek_ring_destroy(b);
    stek_ring_destroy(a);
}

static void test_ring_merge_old_copy_changes_nothing(void **state)
{
    stek_key_t keys[3] = {good_key(1, T0, HOUR, 9 * HOUR), good_key(2, T0 + HOUR, HOUR, 9 * HOUR),
                          good_key(3, T0 + 2 * HOUR, HOUR, 9 * HOUR)};
    stek_ring_t *live = ring_of(keys, 3), *old = ring_of(keys, 2), *merged;

    (void)state;
    live->generation = 9;
    live->interval = HOUR;
    live->written_at = T0 + HOUR;
    old->generation = 8;
    old->interval = 2 * HOUR;
    old->written_at = T0;
    assert_int_equal(stek_ring_merge(live, old, T0 + HOUR, 0, &merged), APR_SUCCESS);
    assert_true(stek_ring_equal(live, merged));
    assert_true(merged->generation == 9 && merged->interval == HOUR);
    assert_true(merged->written_at == T0 + HOUR);
    stek_ring_destroy(merged);
    stek_ring_destroy(old);
    stek_ring_destroy(live);
}

static void test_ring_merge_generation_of_before_a_revocation_of_all_ends_with_it(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, 9 * HOUR);
    stek_ring_t *poisoned = ring_of(&key, 1), *revoked = ring_of(NULL, 0), *merged;
    int i;

    (void)state;
    poisoned->generation = APR_UINT64_MAX;
    poisoned->interval = 2 * HOUR;
    revoked->epoch = poisoned->epoch + 1;
    revoked->interval = HOUR;
    revoked->generation = stek_ring_generation_after(poisoned, revoked->epoch);
    assert_int_equal(revoked->generation, 1);
    for (i = 0; i < 2; i++) {
        assert_int_equal(
            stek_ring_merge(i ? revoked : poisoned, i ? poisoned : revoked, T0, 0, &merged),
            APR_SUCCESS);
        assert_true(merged->generation == 1 && merged->interval == HOUR);
        stek_ring_destroy(merged);
    }
    /* What a count can have come to goes on; and nothing does without a revocation. */
    assert_true(stek_ring_generation_after(poisoned, poisoned->epoch) == APR_UINT64_MAX);
    poisoned->generation = 41;
    assert_int_equal(stek_ring_generation_after(poisoned, revoked->epoch), 42);
    assert_int_equal(stek_ring_generation_after(poisoned, poisoned->epoch), 42);
    stek_ring_destroy(revoked);
    stek_ring_destroy(poisoned);
}

static void test_ring_merge_too_many_keys_never_fails(void **state)
{
    stek_ring_t *a, *b, *merged = NULL;
    stek_key_t first;
    unsigned i;

    (void)state;
    assert_int_equal(stek_ring_create(STEK_KEYS_MAX, 0xffff, &a), APR_SUCCESS);
    assert_int_equal(stek_ring_create(1, 1, &b), APR_SUCCESS);
    for (i = 0; i <= STEK_KEYS_MAX; i++) {
        stek_key_t key = good_key(i, T0, HOUR, i == 7 ? 0 : HOUR);

        first = i == 0 ? key : first;
        assert_int_equal(stek_ring_add_key(i < STEK_KEYS_MAX ? a : b, &key), APR_SUCCESS);
    }
    assert_int_equal(stek_ring_merge(a, b, T0, 0, &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, STEK_KEYS_MAX);
    assert_int_equal(merged->left_out_n, 1);
    assert_non_null(stek_ring_find(merged, first.name));
    stek_ring_destroy(merged);
    /* One of them has ended: there is room. */
    assert_int_equal(stek_ring_merge(a, b, T0 + HOUR, 0, &merged), APR_SUCCESS);
    assert_int_equal(merged->key_n, STEK_KEYS_MAX);
    assert_int_equal(merged->left_out_n, 0);
    stek_ring_destroy(merged);
    stek_ring_destroy(a);
    stek_ring_destroy(b);
}

/* Tombstones take their room first; only if there is none left for them does the merge fail. */
static void test_ring_merge_too_many_tombstones_take_the_keys_room(void **state)
{
    static const unsigned counts[] = {0, 1, 4031, 4032, 4033, 20000, 21510, 21511};
    stek_ring_t *keys, *tombstones, *merged = NULL;
    apr_size_t n;
    unsigned i;

    (void)state;
    assert_int_equal(stek_ring_create(STEK_KEYS_MAX, 0, &keys), APR_SUCCESS);
    keys->interval = keys->lifetime = HOUR;
    for (i = 0; i < STEK_KEYS_MAX; i++) {
        stek_key_t key = good_key(i, T0, HOUR, HOUR);

        assert_int_equal(stek_ring_add_key(keys, &key), APR_SUCCESS);
    }
    for (n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        assert_int_equal(stek_ring_create(0, counts[n], &tombstones), APR_SUCCESS);
        for (i = 0; i < counts[n]; i++) {
            stek_tombstone_t tombstone = {
                .name = {1, (unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i},
                .until = T0 + 2 * HOUR + SEC(1)};

            assert_int_equal(stek_ring_add_tombstone(tombstones, &tombstone), APR_SUCCESS);
        }
        if (counts[n] == 21511) {
            assert_int_equal(stek_ring_merge(keys, tombstones, T0, 0, &merged), STEK_EFULL);
        }
        else {
            assert_int_equal(stek_ring_merge(keys, tombstones, T0, 0, &merged), APR_SUCCESS);
            assert_int_equal(merged->tombstone_n, counts[n]);
            assert_int_equal(merged->key_n + merged->left_out_n, STEK_KEYS_MAX);
            assert_int_equal(merged->key_n, counts[n] < 4032 ? STEK_KEYS_MAX - counts[n] : 64);
            assert_true(STEK_SEALED_REST_LEN + merged->key_n * STEK_SEALED_KEY_LEN
                            + merged->tombstone_n * STEK_SEALED_TOMBSTONE_LEN
                        <= STEK_RING_BYTES_MAX);
            stek_ring_destroy(merged);
        }
        stek_ring_destroy(tombstones);
    }
    stek_ring_destroy(keys);
}

/* Somebody who has the secret fills rings with tombstones that never end: a greater epoch empties them. */
static void test_ring_merge_greater_epoch_ends_tombstones(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, HOUR), dead = good_key(2, T0, HOUR, HOUR);
    stek_ring_t *full, *fresh, *merged[2];
    unsigned i;

    (void)state;
    assert_int_equal(stek_ring_create(1, 21510, &full), APR_SUCCESS);
    full->epoch = 6;
    for (i = 0; i < 21510; i++) {
        stek_tombstone_t tombstone = {.name = {(unsigned char)(i >> 8), (unsigned char)i},
                                      .until = T0 + 9999 * DAY};

        assert_int_equal(stek_ring_add_tombstone(full, &tombstone), APR_SUCCESS);
    }
    dead.epoch = 6;
    assert_int_equal(stek_ring_add_key(full, &dead), APR_SUCCESS);
    key.epoch = 7;
    assert_int_equal(stek_ring_create(1, 1, &fresh), APR_SUCCESS);
    fresh->epoch = 7;
    assert_int_equal(stek_ring_add_key(fresh, &key), APR_SUCCESS);
    {
        stek_tombstone_t own = {.name = {9}, .until = T0 + HOUR};

        assert_int_equal(stek_ring_add_tombstone(fresh, &own), APR_SUCCESS);
    }
    assert_int_equal(stek_ring_merge(full, fresh, T0, 0, &merged[0]), APR_SUCCESS);
    assert_int_equal(stek_ring_merge(fresh, full, T0, 0, &merged[1]), APR_SUCCESS);
    for (i = 0; i < 2; i++) {
        assert_int_equal(merged[i]->tombstone_n, 1);
        assert_int_equal(merged[i]->key_n, 1);
        assert_true(merged[i]->epoch == 7);
        stek_ring_destroy(merged[i]);
    }
    stek_ring_destroy(full);
    stek_ring_destroy(fresh);
}

static void test_ring_equal_any_difference_seen(void **state)
{
    stek_key_t key = good_key(1, T0, HOUR, HOUR), other;
    stek_tombstone_t tombstone = {.name = {1}, .until = T0};
    stek_ring_t *a = ring_of(&key, 1), *b;
    int i;

    (void)state;
    for (i = 0; i < 12; i++) {
        other = key;
        other.name[15] ^= i == 0;
        other.hmac_key[31] ^= i == 1;
        other.aes_key[0] ^= i == 2;
        other.epoch += i == 3;
        other.created += i == 4 ? SEC(1) : 0;
        other.not_before += i == 5 ? SEC(1) : 0;
        other.encrypt_until += i == 6 ? SEC(1) : 0;
        other.decrypt_until += i == 7 ? SEC(1) : 0;
        b = ring_of(&other, i == 8 ? 0 : 1);
        b->epoch += i == 9;
        if (i == 10) {
            assert_int_equal(stek_ring_add_tombstone(b, &tombstone), APR_SUCCESS);
        }
        b->generation = 77;
        assert_int_equal(stek_ring_equal(a, b), i == 11);
        assert_int_equal(stek_ring_equal(b, a), i == 11);
        stek_ring_destroy(b);
    }
    b = ring_of(&key, 1);
    assert_int_equal(stek_ring_add_tombstone(a, &tombstone), APR_SUCCESS);
    tombstone.until += SEC(1);
    assert_int_equal(stek_ring_add_tombstone(b, &tombstone), APR_SUCCESS);
    assert_false(stek_ring_equal(a, b));
    stek_ring_destroy(b);
    stek_ring_destroy(a);
}

static stek_state_e plain_state(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now)
{
    apr_time_t end = key->decrypt_until < key->encrypt_until + ring->lifetime
                         ? key->decrypt_until
                         : key->encrypt_until + ring->lifetime;

    if (now >= end) {
        return STEK_STATE_ENDED;
    }
    if (key == plain_current(ring, now)) {
        return STEK_STATE_CURRENT;
    }
    return now < key->not_before ? STEK_STATE_FUTURE : STEK_STATE_OLD;
}

static int states_follow_model(const stek_ring_t *ring, apr_time_t now)
{
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        if (stek_ring_key_state(ring, key, now, ring->lifetime) != plain_state(ring, key, now)) {
            return 0;
        }
    }
    return 1;
}

/* Random rings: few names, few variants of each, times in a small range around T0, so that every
 * collision and boundary comes up again and again. */
static void random_key(rnd_t *rnd, unsigned name, stek_key_t *key)
{
    unsigned variant = rnd_below(rnd, VARIANTS_N);
    rnd_t fixed = {rnd_below(rnd, 3) ? name * VARIANTS_N + variant : rnd_next(rnd)};

    memset(key, 0, sizeof(*key));
    key->name[0] = (unsigned char)(name >> 1);
    key->name[15] = (unsigned char)(name & 1);
    key->hmac_key[0] = (unsigned char)rnd_below(&fixed, 2);
    key->aes_key[0] = (unsigned char)rnd_below(&fixed, 2);
    key->epoch = rnd_below(&fixed, 4);
    key->created = T0 - SEC(rnd_below(&fixed, 2));
    key->not_before = T0 + SEC((int)rnd_below(&fixed, 9) - 4);
    key->encrypt_until = key->not_before + SEC(rnd_below(&fixed, 5));
    key->decrypt_until = key->encrypt_until + SEC(1 + rnd_below(&fixed, 5));
    if (key->not_before == key->encrypt_until && rnd_below(&fixed, 2)) {
        key->flags = STEK_KEY_AES128;
    }
}

static void random_ring(rnd_t *rnd, stek_ring_t *ring)
{
    unsigned name;

    ring->key_n = 0;
    ring->tombstone_n = 0;
    ring->epoch = rnd_below(rnd, 4);
    ring->generation = rnd_below(rnd, 3);
    ring->interval = SEC(1 + rnd_below(rnd, 2));
    ring->lifetime = SEC(1 + rnd_below(rnd, 2));
    ring->written_at = T0 + SEC(rnd_below(rnd, 3));
    for (name = 0; name < NAMES_N; name++) {
        stek_key_t key;
        stek_tombstone_t tombstone;

        random_key(rnd, name, &key);
        /* As stek_ring_unseal demands. */
        key.epoch = key.epoch < ring->epoch ? key.epoch : ring->epoch;
        if (rnd_below(rnd, 2)) {
            assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
        }
        memcpy(tombstone.name, key.name, sizeof(key.name));
        tombstone.until = T0 + SEC((int)rnd_below(rnd, 7) - 3)
                          - (rnd_below(rnd, 2) ? STEK_TOMBSTONE_MARGIN : 0);
        if (rnd_below(rnd, 4) == 0) {
            assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
        }
    }
}

/* The bytes of a key in the order that decides between two of one name. */
static void plain_bytes(const stek_key_t *key, unsigned char bytes[KEY_BYTES_LEN])
{
    const apr_uint64_t numbers[6] = {key->epoch,
                                     (apr_uint64_t)key->decrypt_until,
                                     key->flags,
                                     (apr_uint64_t)key->created,
                                     (apr_uint64_t)key->not_before,
                                     (apr_uint64_t)key->encrypt_until};
    int i, j;

    for (i = 0; i < 6; i++) {
        for (j = 0; j < 8; j++) {
            bytes[(i < 2 ? 0 : 64) + i * 8 + j] = (unsigned char)(numbers[i] >> (56 - 8 * j));
        }
    }
    memcpy(bytes + 16, key->hmac_key, 32);
    memcpy(bytes + 48, key->aes_key, 32);
}

static int plain_key_lives(const stek_ring_t *a, const stek_ring_t *b, const stek_key_t *key,
                           apr_time_t now, apr_interval_time_t lifetime)
{
    const stek_ring_t *rings[2] = {a, b};
    apr_size_t r, i;

    for (r = 0; r < 2; r++) {
        if (key->epoch < rings[r]->epoch) {
            return 0;
        }
        for (i = 0; i < rings[r]->tombstone_n; i++) {
            const stek_tombstone_t *tombstone = &rings[r]->tombstones[i];

            if (memcmp(tombstone->name, key->name, 16) == 0
                && tombstone->until + STEK_TOMBSTONE_MARGIN > now
                && rings[r]->epoch >= rings[1 - r]->epoch) {
                return 0;
            }
        }
        for (i = 0; i < rings[r]->key_n; i++) {
            unsigned char mine[KEY_BYTES_LEN], other[KEY_BYTES_LEN];

            plain_bytes(key, mine);
            plain_bytes(&rings[r]->keys[i], other);
            if (memcmp(rings[r]->keys[i].name, key->name, 16) == 0
                && memcmp(other, mine, KEY_BYTES_LEN) > 0
                && stek_key_end(&rings[r]->keys[i], lifetime) > now) {
                return 0;
            }
        }
    }
    return stek_key_end(key, lifetime) > now;
}

/* How many different names the tombstones have that a merge keeps. */
static apr_size_t plain_tombstone_n(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now)
{
    const stek_ring_t *rings[2] = {a, b};
    apr_size_t r, i, j, n = 0;

    for (r = 0; r < 2; r++) {
        for (i = 0; rings[r]->epoch >= rings[1 - r]->epoch && i < rings[r]->tombstone_n; i++) {
            int again = 0;

            for (j = 0; r == 1 && a->epoch == b->epoch && j < a->tombstone_n; j++) {
                again = again
                        || (a->tombstones[j].until + STEK_TOMBSTONE_MARGIN > now
                            && memcmp(a->tombstones[j].name, b->tombstones[i].name, 16) == 0);
            }
            n += rings[r]->tombstones[i].until + STEK_TOMBSTONE_MARGIN > now && !again;
        }
    }
    return n;
}

/* Nonzero if merged is what the header promises of a and b. */
static int follows_model(const stek_ring_t *a, const stek_ring_t *b, const stek_ring_t *merged,
                         apr_time_t now, apr_interval_time_t lifetime)
{
    const stek_ring_t *rings[2] = {a, b};
    apr_size_t r, i, expected_n = 0;

    if (merged->epoch != (a->epoch > b->epoch ? a->epoch : b->epoch)
        || merged->tombstone_n != plain_tombstone_n(a, b, now)) {
        return 0;
    }
    for (r = 0; r < 2; r++) {
        for (i = 0; i < rings[r]->key_n; i++) {
            const stek_key_t *key = &rings[r]->keys[i];
            const stek_key_t *found = stek_ring_find(merged, key->name);
            unsigned char expected[KEY_BYTES_LEN], actual[KEY_BYTES_LEN];

            if (!plain_key_lives(a, b, key, now, lifetime)) {
                continue;
            }
            if (!found) {
                return 0;
            }
            plain_bytes(key, expected);
            plain_bytes(found, actual);
            if (memcmp(expected, actual, KEY_BYTES_LEN) != 0) {
                return 0;
            }
            expected_n += r == 0 || !stek_ring_find(a, key->name)
                          || !plain_key_lives(a, b, stek_ring_find(a, key->name), now, lifetime);
        }
    }
    return expected_n == merged->key_n && merged->key_n == merged->key_max;
}

/* Order of names and of by_start, and the key of now at several times. */
static int is_sane(const stek_ring_t *ring)
{
    apr_size_t i;
    int s;

    for (i = 1; i < ring->key_n; i++) {
        const stek_key_t *before = &ring->keys[ring->by_start[i - 1]];
        const stek_key_t *key = &ring->keys[ring->by_start[i]];

        if (memcmp(ring->keys[i - 1].name, ring->keys[i].name, 16) >= 0
            || before->not_before < key->not_before
            || (before->not_before == key->not_before
                && memcmp(before->name, key->name, 16) >= 0)) {
            return 0;
        }
    }
    for (s = -5; s <= 9; s++) {
        if (!states_follow_model(ring, T0 + SEC(s))
            || !states_follow_model(ring, T0 + SEC(s) - 1)) {
            return 0;
        }
        if (stek_ring_current(ring, T0 + SEC(s)) != plain_current(ring, T0 + SEC(s))
            || stek_ring_current(ring, T0 + SEC(s) - 1) != plain_current(ring, T0 + SEC(s) - 1)) {
            return 0;
        }
    }
    return 1;
}

static int is_same(const stek_ring_t *a, const stek_ring_t *b)
{
    return stek_ring_equal(a, b) && a->generation == b->generation && a->interval == b->interval
           && a->lifetime == b->lifetime && a->written_at == b->written_at;
}

/* The first law that the three rings break, or NULL. */
static const char *broken_law(stek_ring_t *const rings[3], apr_time_t now,
                              apr_interval_time_t lifetime)
{
    enum { AB, BA, BC, AB_C, A_BC, AB_AB, AB_NULL, AB_B, N };
    stek_ring_t *m[N] = {NULL};
    const char *law = NULL;
    int i;

    if (stek_ring_merge(rings[0], rings[1], now, lifetime, &m[AB]) != APR_SUCCESS
        || stek_ring_merge(rings[1], rings[0], now, lifetime, &m[BA]) != APR_SUCCESS
        || stek_ring_merge(rings[1], rings[2], now, lifetime, &m[BC]) != APR_SUCCESS
        || stek_ring_merge(m[AB], rings[2], now, lifetime, &m[AB_C]) != APR_SUCCESS
        || stek_ring_merge(rings[0], m[BC], now, lifetime, &m[A_BC]) != APR_SUCCESS
        || stek_ring_merge(m[AB], m[AB], now, lifetime, &m[AB_AB]) != APR_SUCCESS
        || stek_ring_merge(m[AB], NULL, now, lifetime, &m[AB_NULL]) != APR_SUCCESS
        || stek_ring_merge(m[AB], rings[1], now, lifetime, &m[AB_B]) != APR_SUCCESS) {
        law = "success";
    }
    else if (!follows_model(rings[0], rings[1], m[AB], now, lifetime)) {
        law = "model";
    }
    else if (!is_sane(m[AB]) || !is_sane(rings[0])) {
        law = "order";
    }
    else if (!is_same(m[AB], m[BA])) {
        law = "commutative";
    }
    else if (!is_same(m[AB_C], m[A_BC])) {
        law = "associative";
    }
    else if (!is_same(m[AB], m[AB_AB]) || !is_same(m[AB], m[AB_NULL]) || !is_same(m[AB], m[AB_B])) {
        law = "idempotent";
    }
    for (i = 0; i < N; i++) {
        stek_ring_destroy(m[i]);
    }
    return law;
}

static void test_ring_merge_random_rings_laws_hold(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    stek_ring_t *rings[3];
    int i, n;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(stek_ring_create(NAMES_N, NAMES_N, &rings[i]), APR_SUCCESS);
    }
    for (n = 0; n < CASES_N; n++) {
        apr_interval_time_t lifetime = SEC(rnd_below(&rnd, 6));
        apr_time_t now = T0 + SEC((int)rnd_below(&rnd, 7) - 3);
        const char *law;

        for (i = 0; i < 3; i++) {
            random_ring(&rnd, rings[i]);
        }
        law = broken_law(rings, now, lifetime);
        if (law) {
            fail_msg("%s: broken in case %d of STEK_SEED=%llu", law, n, (unsigned long long)seed);
        }
    }
    for (i = 0; i < 3; i++) {
        stek_ring_destroy(rings[i]);
    }
}

/* Rings as honest hosts write them, too large together: one record of each name; tombstones end
 * with their keys; no key of a greater epoch than its ring's. */
#define CROWD_N 400

static void crowded_key(unsigned name, uint64_t seed, stek_key_t *key)
{
    rnd_t fixed = {seed ^ name * 977u};

    memset(key, 0, sizeof(*key));
    rnd_fill(&fixed, key->name, sizeof(key->name));
    key->hmac_key[0] = (unsigned char)name;
    key->epoch = rnd_below(&fixed, 6) == 0;
    key->created = T0;
    key->not_before = T0 + SEC((int)rnd_below(&fixed, 5) - (rnd_below(&fixed, 3) ? 2 : 12));
    key->encrypt_until = key->not_before + SEC(rnd_below(&fixed, 3));
    key->decrypt_until = key->encrypt_until + SEC(1 + rnd_below(&fixed, 3) * 7);
}

static void crowded_ring(rnd_t *rnd, uint64_t seed, stek_ring_t *ring)
{
    unsigned name;

    ring->key_n = 0;
    ring->tombstone_n = 0;
    ring->epoch = rnd_below(rnd, 4) == 0;
    ring->generation = rnd_below(rnd, 3);
    for (name = 0; name < CROWD_N; name++) {
        stek_tombstone_t tombstone;
        stek_key_t key;

        crowded_key(name, seed, &key);
        if (rnd_below(rnd, 3) > 0 && key.epoch <= ring->epoch) {
            assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
        }
        memcpy(tombstone.name, key.name, sizeof(key.name));
        tombstone.until = key.decrypt_until;
        if (rnd_below(rnd, 25) == 0) {
            assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
        }
    }
}

/* All entries of a merge that lacks none, as stek_ring_merge.c ranks them. */
typedef struct crowd_t {
    apr_size_t n, ranks[2 * CROWD_N];
    const unsigned char *names[2 * CROWD_N];
    apr_time_t untils[2 * CROWD_N];
    int classes[2 * CROWD_N]; /* -1: a tombstone */
} crowd_t;

static int plain_class(const stek_key_t *key, apr_time_t at, apr_interval_time_t lifetime)
{
    return stek_key_end(key, lifetime) <= at       ? 4
           : key->not_before >= key->encrypt_until ? 3
           : key->encrypt_until + SEC(10) <= at    ? 3
           : key->encrypt_until <= at              ? 1
           : key->not_before > at                  ? 2
                                                   : 0;
}

/* Whether entry j of the crowd is before entry i, and of its group. */
static int is_ahead(const crowd_t *crowd, apr_size_t j, apr_size_t i)
{
    return crowd->untils[j] == crowd->untils[i] && memcmp(crowd->names[j], crowd->names[i], 16) < 0;
}

/* Of those that have just encrypted only the first of each group comes before those that will. */
static void demote(crowd_t *crowd, apr_size_t key_n)
{
    int demoted[CROWD_N] = {0};
    apr_size_t i, j;

    for (i = 0; i < key_n; i++) {
        for (j = 0; j < crowd->n && crowd->classes[i] == 1; j++) {
            demoted[i] |= is_ahead(crowd, j, i)
                          && (crowd->classes[j] == 1 || crowd->classes[j] == -1);
        }
    }
    for (i = 0; i < key_n; i++) {
        crowd->classes[i] = demoted[i] ? 3 : crowd->classes[i];
    }
}

static void list_crowd(const stek_ring_t *all, apr_time_t at, apr_interval_time_t lifetime,
                       crowd_t *crowd)
{
    apr_size_t i, j;

    crowd->n = all->key_n + all->tombstone_n;
    for (i = 0; i < crowd->n; i++) {
        const stek_key_t *key = i < all->key_n ? &all->keys[i] : NULL;
        const stek_tombstone_t *tombstone = key ? NULL : &all->tombstones[i - all->key_n];

        crowd->names[i] = key ? key->name : tombstone->name;
        crowd->untils[i] = key ? key->decrypt_until : tombstone->until;
        crowd->classes[i] = key ? plain_class(key, at, lifetime) : -1;
    }
    demote(crowd, all->key_n);
    for (i = 0; i < crowd->n; i++) {
        crowd->ranks[i] = 0;
        for (j = 0; j < crowd->n; j++) {
            int counts = crowd->classes[j] <= crowd->classes[i]
                         && !(crowd->classes[j] == 1 && crowd->classes[i] == 2);

            crowd->ranks[i] += counts && is_ahead(crowd, j, i);
        }
    }
}

/* How many of the keys come before entry `mine`. */
static apr_size_t plain_place(const crowd_t *crowd, apr_size_t key_n, apr_size_t mine)
{
    const apr_time_t *untils = crowd->untils;
    apr_size_t i, before_n = 0;

    for (i = 0; i < key_n; i++) {
        int class = crowd->classes[i];
        int first = class != crowd->classes[mine]           ? class < crowd->classes[mine]
                    : crowd->ranks[i] != crowd->ranks[mine] ? crowd->ranks[i] < crowd->ranks[mine]
                    : untils[i] == untils[mine]
                        ? memcmp(crowd->names[i], crowd->names[mine], 16) < 0
                    : class >= 3 ? untils[i] > untils[mine]
                                 : untils[i] < untils[mine];

        before_n += (apr_size_t)first;
    }
    return before_n;
}

static int keeps_the_first(const stek_ring_t *a, const stek_ring_t *b, const stek_ring_t *merged,
                           apr_time_t now, apr_interval_time_t lifetime, apr_size_t room)
{
    static crowd_t crowd;
    stek_ring_t *all;
    apr_size_t i, places;
    apr_time_t at;
    int right = 1;

    assert_int_equal(stek_ring_merge(a, b, now, lifetime, &all), APR_SUCCESS);
    at = all->written_at > now && all->written_at <= now + SEC(10) ? all->written_at : now;
    list_crowd(all, at, lifetime, &crowd);
    places = room > all->tombstone_n + 64 ? room - all->tombstone_n : 64;
    for (i = 0; i < all->key_n; i++) {
        int fits = plain_place(&crowd, all->key_n, i) < places;

        right = right && fits == (stek_ring_find(merged, all->keys[i].name) != NULL);
    }
    right = right && merged->tombstone_n == all->tombstone_n
            && merged->left_out_n == all->key_n - merged->key_n;
    stek_ring_destroy(all);
    return right;
}

static const char *broken_crowded_law(stek_ring_t *const rings[3], apr_time_t now,
                                      apr_interval_time_t lifetime, apr_size_t room)
{
    enum { AB, BA, BC, AB_C, A_BC, AB_AB, AB_B, N };
    stek_ring_t *m[N] = {NULL};
    const char *law = NULL;
    int i;

    if (stek_ring_merge_within(rings[0], rings[1], now, lifetime, room, &m[AB]) != APR_SUCCESS
        || stek_ring_merge_within(rings[1], rings[0], now, lifetime, room, &m[BA]) != APR_SUCCESS
        || stek_ring_merge_within(rings[1], rings[2], now, lifetime, room, &m[BC]) != APR_SUCCESS
        || stek_ring_merge_within(m[AB], rings[2], now, lifetime, room, &m[AB_C]) != APR_SUCCESS
        || stek_ring_merge_within(rings[0], m[BC], now, lifetime, room, &m[A_BC]) != APR_SUCCESS
        || stek_ring_merge_within(m[AB], m[AB], now, lifetime, room, &m[AB_AB]) != APR_SUCCESS
        || stek_ring_merge_within(m[AB], rings[1], now, lifetime, room, &m[AB_B]) != APR_SUCCESS) {
        law = "success";
    }
    else if (!keeps_the_first(rings[0], rings[1], m[AB], now, lifetime, room)) {
        law = "model";
    }
    else if (!stek_ring_equal(m[AB], m[BA])) {
        law = "commutative";
    }
    else if (!stek_ring_equal(m[AB_C], m[A_BC])) {
        law = "associative";
    }
    else if (!stek_ring_equal(m[AB], m[AB_AB]) || !stek_ring_equal(m[AB], m[AB_B])) {
        law = "idempotent";
    }
    for (i = 0; i < N; i++) {
        stek_ring_destroy(m[i]);
    }
    return law;
}

static void test_ring_merge_without_room_laws_hold(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    stek_ring_t *rings[3];
    int i, n;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(stek_ring_create(CROWD_N, CROWD_N, &rings[i]), APR_SUCCESS);
        rings[i]->interval = rings[i]->lifetime = SEC(1);
    }
    for (n = 0; n < CASES_N / 200; n++) {
        apr_interval_time_t lifetime = rnd_below(&rnd, 2) ? 0 : SEC(2);
        apr_time_t now = T0 + SEC((int)rnd_below(&rnd, 5) - 2);
        apr_time_t written_at = now + SEC((int)rnd_below(&rnd, 15) - 2);
        apr_size_t room = 64 + CROWD_N / 4 + rnd_below(&rnd, CROWD_N);
        const char *law;

        for (i = 0; i < 3; i++) {
            crowded_ring(&rnd, seed, rings[i]);
            rings[i]->written_at = written_at;
        }
        law = broken_crowded_law(rings, now, lifetime, room);
        if (law) {
            fail_msg("%s: broken in case %d of STEK_SEED=%llu", law, n, (unsigned long long)seed);
        }
    }
    for (i = 0; i < 3; i++) {
        stek_ring_destroy(rings[i]);
    }
}

/* Somebody who has the secret fills the ring: with keys that never encrypt, in the group of the current key
 * and with smaller names; with keys of other windows, all of which come first in their groups; or with
 * keys that will encrypt. */
static void test_ring_merge_filled_by_a_thief_a_key_encrypts(void **state)
{
    stek_key_t good = good_key(0xff, T0 - SEC(60), HOUR, HOUR);
    stek_ring_t *flood, *own, *merged;
    int kind;
    unsigned i;

    (void)state;
    good.name[0] = 0xff;
    own = ring_of(&good, 1);
    for (kind = 0; kind < 3; kind++) {
        assert_int_equal(stek_ring_create(STEK_KEYS_MAX, 0, &flood), APR_SUCCESS);
        for (i = 0; i < STEK_KEYS_MAX; i++) {
            stek_key_t key = good;

            key.name[0] = 0;
            key.name[1] = (unsigned char)(i >> 8);
            key.name[2] = (unsigned char)i;
            key.encrypt_until = kind == 0 ? key.not_before : key.encrypt_until;
            if (kind == 1) {
                key.encrypt_until = T0 - SEC(1);
                key.decrypt_until -= SEC(i % 3000);
            }
            if (kind == 2) {
                key.not_before = T0 + SEC(1 + i);
                key.encrypt_until = T0 + SEC(2 + i);
                key.decrypt_until = good.decrypt_until + SEC(i);
            }
            assert_int_equal(stek_ring_add_key(flood, &key), APR_SUCCESS);
        }
        assert_int_equal(stek_ring_merge(flood, own, T0, 0, &merged), APR_SUCCESS);
        assert_int_equal(merged->key_n, STEK_KEYS_MAX);
        assert_ptr_equal(stek_ring_current(merged, T0), stek_ring_find(merged, good.name));
        stek_ring_destroy(merged);
        stek_ring_destroy(flood);
    }
    stek_ring_destroy(own);
}

/* In place it comes to what the merge comes to, and no byte of a dropped key stays. */
static void test_ring_drop_ended_random_rings_as_the_merge(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    stek_ring_t *from, *ring, *merged;
    apr_size_t i;
    int n;

    (void)state;
    assert_int_equal(stek_ring_create(NAMES_N, NAMES_N, &from), APR_SUCCESS);
    for (n = 0; n < 3000; n++) {
        apr_interval_time_t lifetime = SEC(rnd_below(&rnd, 6));
        apr_time_t now = T0 + SEC((int)rnd_below(&rnd, 12) - 4);

        random_ring(&rnd, from);
        assert_int_equal(stek_ring_merge(from, NULL, T0 - SEC(4), lifetime, &ring), APR_SUCCESS);
        assert_int_equal(stek_ring_merge(ring, NULL, now, lifetime, &merged), APR_SUCCESS);
        stek_ring_drop_ended(ring, now, lifetime);
        if (!stek_ring_equal(ring, merged)
            || memcmp(ring->by_start, merged->by_start, ring->key_n * sizeof(*ring->by_start)) != 0
            || memcmp(ring->heads, merged->heads, ring->key_n * sizeof(*ring->heads)) != 0) {
            fail_msg("case %d of STEK_SEED=%llu", n, (unsigned long long)seed);
        }
        for (i = 0; i < (ring->key_max - ring->key_n) * sizeof(*ring->keys); i++) {
            assert_int_equal(((unsigned char *)(ring->keys + ring->key_n))[i], 0);
        }
        stek_ring_destroy(ring);
        stek_ring_destroy(merged);
    }
    stek_ring_destroy(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_create_sizes_limited),
        cmocka_unit_test(test_ring_add_key_faults_refused),
        cmocka_unit_test(test_ring_add_tombstone_faults_refused),
        cmocka_unit_test(test_ring_find_any_order_found),
        cmocka_unit_test(test_ring_current_boundaries_half_open),
        cmocka_unit_test(test_ring_current_overlap_latest_start_then_name),
        cmocka_unit_test(test_ring_key_state_each_boundary),
        cmocka_unit_test(test_ring_next_end_boundaries_after_now),
        cmocka_unit_test(test_ring_merge_ended_exactly_at_end_dropped),
        cmocka_unit_test(test_ring_merge_tombstone_key_gone_until_it_ends),
        cmocka_unit_test(test_ring_merge_epoch_raised_lower_keys_dead),
        cmocka_unit_test(test_ring_merge_old_copy_changes_nothing),
        cmocka_unit_test(test_ring_merge_generation_of_before_a_revocation_of_all_ends_with_it),
        cmocka_unit_test(test_ring_merge_too_many_keys_never_fails),
        cmocka_unit_test(test_ring_merge_too_many_tombstones_take_the_keys_room),
        cmocka_unit_test(test_ring_merge_without_room_laws_hold),
        cmocka_unit_test(test_ring_merge_greater_epoch_ends_tombstones),
        cmocka_unit_test(test_ring_equal_any_difference_seen),
        cmocka_unit_test(test_ring_merge_random_rings_laws_hold),
        cmocka_unit_test(test_ring_merge_filled_by_a_thief_a_key_encrypts),
        cmocka_unit_test(test_ring_drop_ended_random_rings_as_the_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
