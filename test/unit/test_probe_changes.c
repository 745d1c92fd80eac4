/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of keys as stekctl probe --watch counts them, against simulated backends behind a balancer
 * that picks at random: what it says is right, and where it cannot know, it says so.
 */
#include "core_util.h"

#include "probe/changes.h"

#define RUNS_N 2000
#define BACKENDS_MAX 4

typedef struct world_t {
    int backends_n, rotations_n; /* the latter: that were seen */
    int key[BACKENDS_MAX];       /* which key a backend has */
    int at[BACKENDS_MAX];        /* the look at which that changes; 0: not */
} world_t;

static int see(probe_changes_t *changes, const world_t *world, int backend)
{
    unsigned char name[PROBE_CHANGES_LEN] = {(unsigned char)backend,
                                             (unsigned char)world->key[backend]};

    return probe_changes_see(changes, name);
}

/* Backends that change their keys at most once in looks_n looks, met by so many connections before. */
static int watch(rnd_t *rnd, world_t *world, probe_changes_t *changes, int looks_n, int met_n)
{
    int i, b;

    memset(changes, 0, sizeof(*changes));
    changes->name_len = PROBE_CHANGES_LEN;
    world->rotations_n = 0;
    for (b = 0; b < world->backends_n; b++) {
        world->key[b] = 0;
        world->at[b] = rnd_below(rnd, 2) ? (int)(1 + rnd_below(rnd, (unsigned)looks_n)) : 0;
    }
    for (i = 0; i < met_n; i++) {
        (void)see(changes, world, (int)rnd_below(rnd, (unsigned)world->backends_n));
    }
    for (i = 1; i <= looks_n; i++) {
        for (b = 0; b < world->backends_n; b++) {
            world->key[b] += world->at[b] == i;
        }
        changes->looks_n = i;
        b = (int)rnd_below(rnd, (unsigned)world->backends_n);
        world->rotations_n += see(changes, world, b) && world->key[b] > 0;
    }
    return probe_changes_count(changes);
}

static void test_changes_of_random_backends_right_or_unknown(void **state)
{
    rnd_t rnd = {seed_from_env()};
    uint64_t seed = rnd.state;
    int i, wrong_n = 0, known_n = 0, changed_n = 0;

    (void)state;
    for (i = 0; i < RUNS_N; i++) {
        world_t world = {.backends_n = 1 + (int)rnd_below(&rnd, BACKENDS_MAX)};
        probe_changes_t changes;
        int told = watch(&rnd, &world, &changes, 120, 8 * world.backends_n);

        known_n += told >= 0;
        changed_n += told > 0;
        wrong_n += told >= 0 && told != world.rotations_n;
    }
    if (wrong_n > RUNS_N / 100 || known_n < RUNS_N / 2 || changed_n < RUNS_N / 4) {
        fail_msg("%d wrong, %d told, %d of them changes, of %d, seed %llu", wrong_n, known_n,
                 changed_n, RUNS_N, (unsigned long long)seed);
    }
}

static void test_changes_without_rotation_none(void **state)
{
    rnd_t rnd = {seed_from_env()};
    int i;

    (void)state;
    for (i = 0; i < RUNS_N; i++) {
        probe_changes_t changes = {.name_len = PROBE_CHANGES_LEN};
        world_t world = {.backends_n = 1 + (int)rnd_below(&rnd, BACKENDS_MAX)};
        int look, told;

        /* Also where the beginning has not met all of them. */
        (void)see(&changes, &world, 0);
        for (look = 1; look <= 60; look++) {
            changes.looks_n = look;
            (void)see(&changes, &world, (int)rnd_below(&rnd, (unsigned)world.backends_n));
        }
        (void)see(&changes, &world, 0);
        told = probe_changes_count(&changes);
        assert_true(told == (changes.names_n == 1 ? 0 : -1));
    }
}

static void test_changes_of_one_server_counted(void **state)
{
    probe_changes_t changes = {.name_len = PROBE_CHANGES_LEN};
    world_t world = {.backends_n = 1};
    int look;

    (void)state;
    assert_int_equal(probe_changes_count(&changes), -1);
    for (look = 0; look < 30; look++) {
        world.key[0] = look / 3;
        changes.looks_n = look;
        assert_int_equal(see(&changes, &world, 0), look % 3 == 0);
        assert_int_equal(probe_changes_count(&changes), look / 3);
    }
    /* An old one again: two servers, or a key that has come back. */
    world.key[0] = 0;
    assert_int_equal(see(&changes, &world, 0), 0);
    assert_int_equal(probe_changes_count(&changes), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_of_random_backends_right_or_unknown),
        cmocka_unit_test(test_changes_without_rotation_none),
        cmocka_unit_test(test_changes_of_one_server_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
