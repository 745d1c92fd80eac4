/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests of the live keyring: look-ups at the boundaries of windows, what refresh takes from
 * the file ring and what it refuses, and handshake threads beside the one that swaps (run under
 * TSan by `make tsan`).  httpd's part is httpd_stub.h's.
 */
#include "core_util.h"

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <pthread.h>
#include <stdatomic.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "httpd_stub.h"
#include "mod_stek_live_follow.h"
#include "mod_stek_live_private.h"
#include "mod_stek_retained.h"
#include "stek_mem.h"
#include "stek_ring_merge.h"

#define READERS_N 4
#define SWAPS_N 2000

static mod_stek_ring_config_t ring_a, ring_b;
static mod_stek_ring_config_t *configured[] = {&ring_a, &ring_b};
static int configured_n = 2;

mod_stek_ring_config_t *const *mod_stek_rings(int *n)
{
    *n = configured_n;
    return configured;
}

static apr_pool_t *pool;

static apr_status_t get(const char *name, mod_stek_live_t **plive)
{
    const mod_stek_ring_config_t ring = {.name = name, .params.lifetime = 18 * HOUR};

    return mod_stek_live_get(&ring, plive);
}

static int pass(void *data)
{
    (void)data;
    return 1;
}

/* A live keyring of `n` hourly keys from T0 on, in memory, with a secret. */
static mod_stek_live_t *make_live(const char *name, unsigned n)
{
    mod_stek_live_t *live;
    stek_ring_t *ring;
    unsigned i;

    assert_int_equal(get(name, &live), APR_SUCCESS);
    assert_true(mod_stek_live_selftest(live, T0, pass, NULL));
    assert_int_equal(mod_stek_live_open_memory(live), APR_SUCCESS);
    assert_int_equal(stek_ring_create(n, 0, &ring), APR_SUCCESS);
    for (i = 0; i < n; i++) {
        stek_key_t key = good_key(i, T0 + i * HOUR, HOUR, 18 * HOUR);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
    assert_int_equal(mod_stek_live_swap(live, ring), APR_SUCCESS);
    return live;
}

static void drop_lives(void)
{
    ring_a.live = ring_b.live = NULL;
    mod_stek_live_sweep();
}

static void test_live_lookup_at_the_edges_of_a_window(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    stek_key_t first = good_key(0, T0, HOUR, 18 * HOUR), found;
    int renewable;

    (void)state;
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0 - 1, &found, &renewable),
                     STEK_STATE_FUTURE);
    assert_false(renewable);
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0, &found, &renewable),
                     STEK_STATE_CURRENT);
    assert_true(renewable);
    assert_memory_equal(&found, &first, sizeof(first));
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0 + HOUR - 1, &found, &renewable),
                     STEK_STATE_CURRENT);
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0 + HOUR, &found, &renewable),
                     STEK_STATE_OLD);
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0 + 19 * HOUR - 1, &found, &renewable),
                     STEK_STATE_OLD);
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0 + 19 * HOUR, &found, &renewable),
                     STEK_STATE_ENDED);
    first.name[0] ^= 1;
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0, &found, &renewable),
                     STEK_STATE_UNKNOWN);
    drop_lives();
}

static void test_live_current_only_in_its_slot_and_when_issuing(void **state)
{
    mod_stek_live_t *live = make_live("a", 1);
    stek_key_t key;

    (void)state;
    assert_false(mod_stek_live_current(live, T0 - 1, &key));
    assert_true(mod_stek_live_current(live, T0, &key));
    assert_true(mod_stek_live_current(live, T0 + HOUR - 1, &key));
    assert_false(mod_stek_live_current(live, T0 + HOUR, &key));
    assert_false(mod_stek_live_can_issue(live, T0 + HOUR));
    live->issue = 0;
    assert_false(mod_stek_live_current(live, T0, &key));
    assert_false(mod_stek_live_can_issue(live, T0));
    drop_lives();
}

/* What a self-test saw. */
typedef struct trial_t {
    mod_stek_live_t *live;
    int passes_from, run_n;
    stek_key_t key;
} trial_t;

static int run_trial(void *data)
{
    trial_t *trial = data;

    assert_true(mod_stek_live_current(trial->live, T0, &trial->key));
    return ++trial->run_n >= trial->passes_from;
}

static void test_live_selftest_lends_a_key_and_decides_about_issuing(void **state)
{
    mod_stek_live_t *live = make_live("a", 1);
    stek_key_t first = good_key(0, T0, HOUR, 18 * HOUR), found;
    trial_t trial = {.live = live, .passes_from = 2};
    stek_ring_t *empty;
    int renewable;

    (void)state;
    assert_true(mod_stek_live_selftest(live, T0, run_trial, &trial));
    assert_int_equal(trial.run_n, 2);
    assert_memory_equal(&trial.key, &first, sizeof(first));
    trial = (trial_t){.live = live, .passes_from = 3};
    assert_false(mod_stek_live_selftest(live, T0, run_trial, &trial));
    assert_int_equal(trial.run_n, 2);
    assert_false(mod_stek_live_can_issue(live, T0));
    /* Without a current key it gets one, which nobody else sees. */
    assert_int_equal(stek_ring_create(0, 0, &empty), APR_SUCCESS);
    assert_int_equal(mod_stek_live_swap(live, empty), APR_SUCCESS);
    trial = (trial_t){.live = live, .passes_from = 1};
    assert_true(mod_stek_live_selftest(live, T0, run_trial, &trial));
    assert_ptr_equal(mod_stek_live_ring(live), empty);
    assert_false(mod_stek_live_can_issue(live, T0));
    assert_int_equal(mod_stek_live_lookup(live, trial.key.name, T0, &found, &renewable),
                     STEK_STATE_UNKNOWN);
    drop_lives();
}

static void save(mod_stek_live_t *live, stek_ring_t *ring)
{
    ring->interval = HOUR;
    ring->lifetime = 18 * HOUR;
    assert_int_equal(
        stek_ring_file_save(&live->file, ring, live->secrets, 0, stek_rng_system, NULL, pool),
        APR_SUCCESS);
}

static void test_live_refresh_merges_what_the_file_adds(void **state)
{
    mod_stek_live_t *live = make_live("a", 1);
    stek_key_t added = good_key(7, T0 + HOUR, HOUR, 18 * HOUR);
    const char *culprit;
    stek_ring_t *ring;

    (void)state;
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_ENOENT);
    assert_int_equal(stek_ring_create(1, 0, &ring), APR_SUCCESS);
    assert_int_equal(stek_ring_add_key(ring, &added), APR_SUCCESS);
    save(live, ring);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(live->ring->key_n, 2);
    assert_non_null(stek_ring_find(live->ring, added.name));
    assert_true(live->dirty); /* the file lacks the first */
    stek_ring_destroy(ring);
    drop_lives();
}

static void test_live_refresh_older_copy_changes_nothing(void **state)
{
    mod_stek_live_t *live = make_live("a", 3);
    stek_key_t revoked = good_key(1, T0 + HOUR, HOUR, 18 * HOUR);
    stek_tombstone_t tombstone = {{0}, revoked.decrypt_until};
    const char *culprit;
    stek_ring_t *older, *ring;

    (void)state;
    assert_int_equal(stek_ring_merge(live->ring, NULL, T0, 0, &older), APR_SUCCESS);
    assert_int_equal(stek_ring_create(0, 1, &ring), APR_SUCCESS);
    memcpy(tombstone.name, revoked.name, sizeof(tombstone.name));
    assert_int_equal(stek_ring_add_tombstone(ring, &tombstone), APR_SUCCESS);
    save(live, ring);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_null(stek_ring_find(live->ring, revoked.name));
    save(live, older);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_null(stek_ring_find(live->ring, revoked.name));
    assert_int_equal(live->ring->key_n, 2);
    stek_ring_destroy(ring);
    stek_ring_destroy(older);
    drop_lives();
}

static void test_live_refresh_bad_file_keeps_the_keys_and_a_good_one_is_taken_later(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    stek_key_t added = good_key(7, T0 + HOUR, HOUR, 18 * HOUR);
    const char *culprit;
    stek_ring_t *ring;

    (void)state;
    assert_int_equal(pwrite(live->file.writer_fd, "STEKRUNG", 8, 0), 8);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), STEK_EMAGIC);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), STEK_EMAGIC);
    assert_int_equal(live->ring->key_n, 2);
    assert_int_equal(stek_ring_create(1, 0, &ring), APR_SUCCESS);
    assert_int_equal(stek_ring_add_key(ring, &added), APR_SUCCESS);
    save(live, ring);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(live->ring->key_n, 3);
    stek_ring_destroy(ring);
    drop_lives();
}

static void test_live_refresh_drops_a_key_at_its_end_without_a_file(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    const char *culprit;

    (void)state;
    mod_stek_live_refresh(live, T0 + 19 * HOUR - 1, 0, &culprit, pool);
    assert_int_equal(live->ring->key_n, 2);
    mod_stek_live_refresh(live, T0 + 19 * HOUR, 0, &culprit, pool);
    assert_int_equal(live->ring->key_n, 1);
    assert_true(live->dirty);
    drop_lives();
}

static apr_uint64_t loads_of(const mod_stek_live_t *live)
{
    mod_stek_totals_t totals;

    mod_stek_counters_sum(live->counters, &totals);
    return totals.all[MOD_STEK_LOADS];
}

/* A copy of its ring in its file, written at. */
static void save_own(mod_stek_live_t *live, apr_uint64_t generation, apr_time_t written_at)
{
    stek_ring_t *ring;

    assert_int_equal(stek_ring_merge(live->ring, NULL, T0, 0, &ring), APR_SUCCESS);
    ring->generation = generation;
    ring->written_at = written_at;
    save(live, ring);
    stek_ring_destroy(ring);
}

static void test_live_refresh_clock_that_comes_back_reads_the_same_file_again(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    const apr_time_t ahead[] = {20 * HOUR, 40 * HOUR, 30 * HOUR, 19 * HOUR};
    const stek_key_t first = good_key(0, T0, HOUR, 18 * HOUR);
    const char *culprit;
    apr_uint64_t loads;
    stek_key_t key;
    unsigned i;
    int renewable;

    (void)state;
    save_own(live, 1, T0);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    for (i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
        assert_int_equal(mod_stek_live_refresh(live, T0 + ahead[i], 0, &culprit, pool),
                         APR_SUCCESS);
        assert_false(mod_stek_live_current(live, T0, &key));
    }
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0, &key, &renewable),
                     STEK_STATE_ENDED);
    assert_int_equal(mod_stek_live_refresh(live, T0 + 5, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(live->ring->key_n, 2);
    assert_int_equal(mod_stek_live_lookup(live, first.name, T0 + 5, &key, &renewable),
                     STEK_STATE_CURRENT);
    assert_true(mod_stek_live_can_issue(live, T0 + 5));
    /* Once: a clock that goes on as it should is no reason. */
    loads = loads_of(live);
    for (i = 0; i < 10; i++) {
        assert_int_equal(mod_stek_live_refresh(live, T0 + 5 + i / 2, 0, &culprit, pool),
                         APR_SUCCESS);
    }
    assert_int_equal(loads_of(live), loads);
    drop_lives();
}

/* What the parent, or the child that forked it, has seen of a clock, a new process knows, too. */
static void test_live_refresh_clock_that_comes_back_over_a_fork(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    const char *culprit;
    int status;
    pid_t pid;

    (void)state;
    save_own(live, 1, T0);
    mod_stek_live_inherit(1);
    assert_int_equal(mod_stek_live_refresh(live, T0 + 40 * HOUR, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(live->ring->key_n, 0);
    pid = fork();
    if (pid == 0) {
        _exit(mod_stek_live_refresh(live, T0, 0, &culprit, pool) != APR_SUCCESS
              || !mod_stek_live_can_issue(live, T0));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    drop_lives();
}

static void test_live_refresh_clock_that_comes_back_to_a_bad_file_reads_the_next_good_one(
    void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    const char *culprit;
    unsigned char magic[8];

    (void)state;
    save_own(live, 1, T0);
    assert_int_equal(mod_stek_live_refresh(live, T0 + 40 * HOUR, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(pread(live->file.writer_fd, magic, 8, 0), 8);
    assert_int_equal(pwrite(live->file.writer_fd, "STEKRUNG", 8, 0), 8);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), STEK_EMAGIC);
    assert_int_equal(pwrite(live->file.writer_fd, magic, 8, 0), 8);
    assert_int_equal(mod_stek_live_refresh(live, T0 + 1, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(live->ring->key_n, 2);
    drop_lives();
}

static void test_live_refresh_clock_that_comes_back_drops_what_it_made_for_then(void **state)
{
    const apr_time_t year = 365 * 24 * HOUR;
    mod_stek_live_t *live = make_live("a", 2);
    stek_key_t then = good_key(7, T0 + 10 * year, HOUR, 18 * HOUR);
    const char *culprit;
    stek_ring_t *next;

    (void)state;
    assert_int_equal(stek_ring_create(1, 0, &next), APR_SUCCESS);
    assert_int_equal(stek_ring_add_key(next, &then), APR_SUCCESS);
    next->interval = HOUR;
    next->lifetime = 18 * HOUR;
    assert_int_equal(mod_stek_live_refresh(live, T0 + 10 * year, 0, &culprit, pool), APR_ENOENT);
    assert_int_equal(mod_stek_live_save(live, next, 0, pool), APR_SUCCESS);
    assert_int_equal(live->ring->key_n, 1);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(live->ring->key_n, 0);
    assert_true(live->dirty);
    assert_int_equal(mod_stek_live_left_out(live), 1);
    drop_lives();
}

static void test_live_refresh_tells_when_the_last_writer_wrote(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    const char *culprit;

    (void)state;
    save_own(live, 4, T0 + 20 * HOUR);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_true(live->ring->written_at == T0 + 20 * HOUR);
    save_own(live, 5, T0 + 1 * HOUR);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_true(live->ring->written_at == T0 + 1 * HOUR);
    /* sync may write without a new number. */
    save_own(live, 5, T0 + 2 * HOUR);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_true(live->ring->written_at == T0 + 2 * HOUR);
    /* An older copy was put there. */
    save_own(live, 4, T0 + 1 * HOUR);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_true(live->ring->written_at == T0 + 2 * HOUR);
    drop_lives();
}

/* The file gets keys and tombstones from other hosts; the clock goes anywhere.  After every look the
 * keyring has all that the file has for the time, and nothing that begins too late. */
static void test_live_refresh_under_a_wandering_clock_has_what_the_file_has(void **state)
{
    const apr_time_t jumps[] = {0, HOUR / 2, 3 * HOUR, 20 * HOUR, 23 * HOUR, 400 * HOUR};
    rnd_t rnd = {seed_from_env()};
    const unsigned long long seed = rnd.state;
    mod_stek_live_t *live = make_live("a", 3);
    const char *culprit;
    stek_ring_t *file;
    unsigned i;
    apr_size_t k;

    (void)state;
    assert_int_equal(stek_ring_merge(live->ring, NULL, T0, 0, &file), APR_SUCCESS);
    for (i = 0; i < 2000; i++) {
        apr_time_t now = T0 + (apr_time_t)i * apr_time_from_sec(60)
                         + jumps[rnd_below(&rnd, sizeof(jumps) / sizeof(jumps[0]))];

        if (i == 0 || rnd_below(&rnd, 10) == 0) {
            stek_key_t key = good_key(100 + i, T0 + (apr_time_t)i * apr_time_from_sec(60), HOUR,
                                      18 * HOUR);
            stek_ring_t *more;

            assert_int_equal(stek_ring_create(1, 0, &more), APR_SUCCESS);
            assert_int_equal(stek_ring_add_key(more, &key), APR_SUCCESS);
            assert_int_equal(stek_ring_merge_into(&file, more, T0, 0), APR_SUCCESS);
            stek_ring_destroy(more);
            save(live, file);
        }
        assert_int_equal(mod_stek_live_refresh(live, now, 0, &culprit, pool), APR_SUCCESS);
        for (k = 0; k < file->key_n; k++) {
            if (stek_key_can_decrypt(&file->keys[k], now, live->lifetime)
                && !stek_ring_find(live->ring, file->keys[k].name)) {
                fail_msg("STEK_SEED=%llu, step %u: a key of the file is missing", seed, i);
            }
        }
        for (k = 0; k < live->ring->key_n; k++) {
            assert_true(stek_key_can_decrypt(&live->ring->keys[k], now, live->lifetime));
        }
    }
    stek_ring_destroy(file);
    drop_lives();
}

/* Without descriptors, as a limit can have it that others set: in a process of its own. */
static int goes_blind(mod_stek_live_t *live, const char *path, const stek_ring_t *next)
{
    const struct rlimit none = {0, 64}, some = {64, 64};
    stek_key_t key;
    const char *culprit;
    int i, renewable;

    if (stek_ring_file_save(&live->file, next, live->secrets, 0, stek_rng_system, NULL, pool)
            != APR_SUCCESS
        || setrlimit(RLIMIT_NOFILE, &none) != 0) {
        return 1;
    }
    for (i = 0; i < 3; i++) {
        if (mod_stek_live_is_blind(live)
            || mod_stek_live_refresh(live, T0, 0, &culprit, pool) != EMFILE) {
            return 2;
        }
    }
    if (!mod_stek_live_is_blind(live) || mod_stek_live_drop_keys(live) != APR_SUCCESS
        || mod_stek_live_current(live, T0, &key)
        || mod_stek_live_lookup(live, next->keys[0].name, T0, &key, &renewable)
               != STEK_STATE_UNKNOWN) {
        return 3;
    }
    if (setrlimit(RLIMIT_NOFILE, &some) != 0
        || mod_stek_live_refresh(live, T0, 0, &culprit, pool) != APR_SUCCESS
        || mod_stek_live_is_blind(live) || !stek_ring_equal(live->ring, next)) {
        return 4;
    }
    /* A file that is bad or missing is not this process's trouble. */
    unlink(path);
    for (i = 0; i < 5; i++) {
        mod_stek_live_refresh(live, T0, 0, &culprit, pool);
    }
    return mod_stek_live_is_blind(live) || live->ring->key_n != next->key_n ? 5 : 0;
}

static void test_live_that_cannot_read_a_change_for_want_of_descriptors_goes_blind(void **state)
{
    char dir[] = "/tmp/stek-live-XXXXXX";
    mod_stek_ring_config_t config = {.name = "a", .params.lifetime = 18 * HOUR, .secret_path = "s"};
    mod_stek_live_t *live;
    stek_ring_t *ring;
    const char *culprit;
    int status;
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(dir));
    config.path = apr_pstrcat(pool, dir, "/a.ring", NULL);
    assert_int_equal(mod_stek_live_get(&config, &live), APR_SUCCESS);
    assert_true(mod_stek_live_selftest(live, T0, pass, NULL));
    mod_stek_live_open_path(live, geteuid(), (gid_t)-1);
    assert_int_equal(mod_stek_live_make_secrets(live), APR_SUCCESS);
    assert_int_equal(stek_ring_create(2, 0, &ring), APR_SUCCESS);
    ring->interval = HOUR;
    ring->lifetime = 18 * HOUR;
    for (unsigned i = 0; i < 2; i++) {
        stek_key_t key = good_key(i, T0, HOUR, 18 * HOUR);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
        assert_int_equal(
            stek_ring_file_save(&live->file, ring, live->secrets, 0, stek_rng_system, NULL, pool),
            APR_SUCCESS);
        if (i == 0) {
            assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
        }
    }
    pid = fork();
    if (pid == 0) {
        _exit(goes_blind(live, config.path, ring));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    stek_ring_destroy(ring);
    unlink(config.path);
    rmdir(dir);
    drop_lives();
}

/* The other writer has the lock, and hung between the parent's last look at the file and its write. */
static void test_live_save_unlocked_takes_in_what_it_overwrites(void **state)
{
    char dir[] = "/tmp/stek-live-XXXXXX";
    mod_stek_ring_config_t config = {.name = "a", .params.lifetime = 18 * HOUR, .secret_path = "s"};
    const stek_key_t revoked = good_key(0, T0, HOUR, 18 * HOUR),
                     made = good_key(9, T0 + HOUR, HOUR, 18 * HOUR);
    stek_tombstone_t tombstone = {{0}, revoked.decrypt_until};
    stek_ring_t *ring, *other, *next, *stored;
    mod_stek_live_t *live;
    const char *culprit;
    int round;

    (void)state;
    assert_non_null(mkdtemp(dir));
    config.path = apr_pstrcat(pool, dir, "/a.ring", NULL);
    assert_int_equal(mod_stek_live_get(&config, &live), APR_SUCCESS);
    mod_stek_live_open_path(live, geteuid(), (gid_t)-1);
    assert_int_equal(mod_stek_live_make_secrets(live), APR_SUCCESS);
    memcpy(tombstone.name, revoked.name, STEK_NAME_LEN);
    assert_int_equal(stek_ring_create(2, 0, &ring), APR_SUCCESS);
    assert_int_equal(stek_ring_add_key(ring, &revoked), APR_SUCCESS);
    save(live, ring);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_int_equal(stek_ring_create(0, 1, &other), APR_SUCCESS);
    assert_int_equal(stek_ring_add_tombstone(other, &tombstone), APR_SUCCESS);
    save(live, other);
    for (round = 0; round < 3; round++) {
        assert_int_equal(stek_ring_merge(live->ring, NULL, T0, 0, &ring), APR_SUCCESS);
        assert_int_equal(stek_ring_create(2, 1, &next), APR_SUCCESS);
        assert_int_equal(stek_ring_add_key(next, &made), APR_SUCCESS);
        assert_int_equal(stek_ring_merge_into(&next, ring, T0, 0), APR_SUCCESS);
        next->interval = HOUR;
        next->lifetime = 18 * HOUR;
        stek_ring_destroy(ring);
        assert_int_equal(mod_stek_live_save_unlocked(live, next, 0, T0, pool), APR_SUCCESS);
        assert_null(stek_ring_find(live->ring, revoked.name));
        assert_non_null(stek_ring_find(live->ring, made.name));
        assert_int_equal(mod_stek_live_is_dirty(live), round == 0);
    }
    assert_int_equal(stek_ring_file_load(&live->file, live->secrets, &stored, NULL, NULL, pool),
                     APR_SUCCESS);
    assert_true(stek_ring_equal(stored, live->ring));
    assert_non_null(stek_ring_find_tombstone(stored, tombstone.name));
    /* Whoever writes after that loses nothing, either: it is read at the next look. */
    stek_ring_destroy(stored);
    save(live, other);
    assert_int_equal(mod_stek_live_refresh(live, T0, 0, &culprit, pool), APR_SUCCESS);
    assert_non_null(stek_ring_find(live->ring, made.name));
    assert_true(mod_stek_live_is_dirty(live));
    stek_ring_destroy(other);
    unlink(config.path);
    assert_int_equal(rmdir(dir), 0);
    drop_lives();
}

static void test_live_memory_is_written_by_nobody_between_configurations(void **state)
{
    mod_stek_live_t *live = make_live("a", 1);
    int memory_fd = live->file.memory_fd;
    struct stat st, again;

    (void)state;
    assert_true(live->file.writer_fd >= 0);
    assert_int_equal(fstat(memory_fd, &st), 0);
    mod_stek_live_inherit(0);
    assert_int_equal(live->file.writer_fd, -1);
    assert_int_equal(mod_stek_live_open_memory(live), APR_SUCCESS);
    mod_stek_live_inherit(1);
    /* The same memory: children that drain still follow it. */
    assert_true(live->file.writer_fd >= 0);
    assert_int_equal(fstat(live->file.memory_fd, &again), 0);
    assert_true(st.st_ino == again.st_ino);
    /* What cannot be written any more is replaced. */
    mod_stek_live_inherit(0);
    close(live->file.memory_fd);
    live->file.memory_fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(fcntl(live->file.memory_fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(fstat(live->file.memory_fd, &st), 0);
    assert_int_equal(mod_stek_live_open_memory(live), APR_SUCCESS);
    assert_int_equal(fstat(live->file.memory_fd, &again), 0);
    assert_true(st.st_ino != again.st_ino);
    assert_int_equal(fcntl(live->file.writer_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    mod_stek_live_inherit(1);
    drop_lives();
}

static void test_live_get_survives_by_name_and_sweep_ends_the_others(void **state)
{
    mod_stek_live_t *a = make_live("a", 1), *b = make_live("b", 1), *again;

    (void)state;
    ring_a.live = a;
    mod_stek_live_sweep();
    assert_int_equal(get("a", &again), APR_SUCCESS);
    assert_ptr_equal(again, a);
    assert_int_equal(again->ring->key_n, 1);
    assert_int_equal(get("b", &again), APR_SUCCESS);
    assert_int_equal(again->ring->key_n, 0);
    (void)b;
    drop_lives();
}

static void test_live_get_goes_by_file_and_secret_not_by_name(void **state)
{
    mod_stek_ring_config_t ring = {.name = "a", .path = "/r/a", .secret_path = "/r/s"};
    mod_stek_live_t *a, *again;

    (void)state;
    assert_int_equal(mod_stek_live_get(&ring, &a), APR_SUCCESS);
    ring.name = "b";
    assert_int_equal(mod_stek_live_get(&ring, &again), APR_SUCCESS);
    assert_ptr_equal(again, a);
    ring.secret_path = "/r/t";
    assert_int_equal(mod_stek_live_get(&ring, &again), APR_SUCCESS);
    assert_ptr_not_equal(again, a);
    ring.secret_path = "/r/s";
    ring.path = "/r/b";
    assert_int_equal(mod_stek_live_get(&ring, &again), APR_SUCCESS);
    assert_ptr_not_equal(again, a);
    /* A ring in memory may have any name, that of a secret too. */
    ring.path = NULL;
    ring.name = "/r/s";
    assert_int_equal(mod_stek_live_get(&ring, &again), APR_SUCCESS);
    assert_ptr_not_equal(again, a);
    drop_lives();
}

static void test_live_retained_is_found_by_layout_and_reach(void **state)
{
    void *first = mod_stek_retained("x", 1, 16, 100), *root = first;
    void *page = stek_mem_alloc(1);
    int fds[2];

    (void)state;
    assert_ptr_equal(mod_stek_retained("x", 1, 16, 100), first);
    assert_ptr_not_equal(mod_stek_retained("x", 2, 16, 100), first);
    assert_ptr_not_equal(mod_stek_retained("x", 1, 16, 101), first);
    mod_stek_retained_list_begin(1, 100, &root);
    mod_stek_retained_list(stek_mem_mapping(page), stek_mem_size(page));
    /* The same build comes back: it goes on with its own. */
    mod_stek_retained_end_former(1, 100);
    assert_ptr_equal(root, first);
    mod_stek_retained_list_begin(1, 100, &root);
    mod_stek_retained_list(stek_mem_mapping(page), stek_mem_size(page));
    assert_int_equal(pipe(fds), 0);
    mod_stek_retained_list_fd(fds[0]);
    mod_stek_retained_list_fd(-1);
    mod_stek_retained_end_former(2, 100);
    assert_null(root);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_not_equal(fcntl(fds[1], F_GETFD), -1);
    close(fds[1]);
    assert_int_not_equal(msync(stek_mem_mapping(page), 1, MS_ASYNC), 0); /* not mapped */
}

static void test_live_copy_follows_what_is_published(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    stek_ring_file_t child;
    stek_ring_t *seen;

    (void)state;
    /* As a ring with a path that no directory could be had for. */
    live->file.path = "/nowhere/a.ring";
    live->ring->interval = HOUR;
    live->ring->lifetime = 18 * HOUR;
    assert_true(stek_ring_file_has_copy(&live->file));
    assert_int_equal(mod_stek_live_publish(live), APR_SUCCESS);
    child = live->file;
    stek_ring_file_enter_jail(&child);
    assert_int_equal(stek_ring_file_load(&child, live->secrets, &seen, NULL, NULL, pool),
                     APR_SUCCESS);
    assert_true(stek_ring_equal(seen, live->ring));
    stek_ring_destroy(seen);
    /* The parent goes by the path. */
    assert_int_equal(stek_ring_file_load(&live->file, live->secrets, &seen, NULL, NULL, pool),
                     ENOENT);
    drop_lives();
}

typedef struct readers_t {
    mod_stek_live_t *live;
    atomic_int stop;
    atomic_long found_n, torn_n;
} readers_t;

static void *reader_run(void *data)
{
    readers_t *readers = data;
    stek_key_t expected = good_key(0, T0, HOUR, 18 * HOUR), key;
    int renewable;

    while (!atomic_load(&readers->stop)) {
        if (mod_stek_live_lookup(readers->live, expected.name, T0, &key, &renewable)
            == STEK_STATE_CURRENT) {
            atomic_fetch_add(&readers->found_n, 1);
            if (memcmp(&key, &expected, sizeof(key)) != 0) {
                atomic_fetch_add(&readers->torn_n, 1);
            }
        }
        if (mod_stek_live_current(readers->live, T0, &key)
            && memcmp(&key, &expected, sizeof(key)) != 0) {
            atomic_fetch_add(&readers->torn_n, 1);
        }
    }
    return NULL;
}

static void test_live_swap_beside_handshakes_never_shows_half_a_key(void **state)
{
    readers_t readers = {.live = make_live("a", 2)};
    pthread_t threads[READERS_N];
    int i;

    (void)state;
    for (i = 0; i < READERS_N; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &readers), 0);
    }
    for (i = 0; i < SWAPS_N; i++) {
        stek_ring_t *next;

        assert_int_equal(stek_ring_merge(readers.live->ring, NULL, T0, 0, &next), APR_SUCCESS);
        assert_int_equal(mod_stek_live_swap(readers.live, next), APR_SUCCESS);
    }
    atomic_store(&readers.stop, 1);
    for (i = 0; i < READERS_N; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&readers.found_n) > 0);
    assert_int_equal(atomic_load(&readers.torn_n), 0);
    drop_lives();
}

static void *swap_run(void *data)
{
    mod_stek_live_t *live = data;
    stek_ring_t *next;

    assert_int_equal(stek_ring_merge(live->ring, NULL, T0, 0, &next), APR_SUCCESS);
    return mod_stek_live_swap(live, next) == APR_TIMEUP ? live : NULL;
}

/* A prefork child that is told to end in the middle of a look-up runs its exit on top of it. */
static void test_live_swap_and_wipe_do_not_wait_for_an_interrupted_handshake(void **state)
{
    mod_stek_live_t *live = make_live("a", 2);
    stek_ring_t *before = live->ring;
    pthread_t thread;
    void *timed_out;

    (void)state;
    assert_int_equal(pthread_rwlock_rdlock(&live->lock), 0);
    assert_int_equal(pthread_create(&thread, NULL, swap_run, live), 0);
    assert_int_equal(pthread_join(thread, &timed_out), 0);
    assert_non_null(timed_out);
    assert_ptr_equal(live->ring, before);
    mod_stek_live_wipe();
    assert_int_equal(live->ring->key_n, 2);
    pthread_rwlock_unlock(&live->lock);
    mod_stek_live_wipe();
    assert_int_equal(live->ring->key_n, 0);
    assert_memory_equal(live->ring->keys[0].aes_key, (unsigned char[STEK_AES_KEY_LEN]){0},
                        STEK_AES_KEY_LEN);
    drop_lives();
}

static void test_live_swap_so_many_ended_names_are_remembered(void **state)
{
    const unsigned n = MOD_STEK_ENDED_MAX + 36;
    mod_stek_live_t *live = make_live("a", n);
    unsigned i, remembered_n = 0;
    stek_ring_t *none;

    (void)state;
    assert_int_equal(stek_ring_create(0, 0, &none), APR_SUCCESS);
    assert_int_equal(mod_stek_live_swap(live, none), APR_SUCCESS);
    for (i = 0; i < n; i++) {
        stek_key_t key = good_key(i, T0, HOUR, HOUR), found;
        int renewable;
        stek_state_e found_state = mod_stek_live_lookup(live, key.name, T0, &found, &renewable);

        assert_true(found_state == STEK_STATE_ENDED || found_state == STEK_STATE_UNKNOWN);
        remembered_n += found_state == STEK_STATE_ENDED;
    }
    assert_int_equal(remembered_n, MOD_STEK_ENDED_MAX);
    drop_lives();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_lookup_at_the_edges_of_a_window),
        cmocka_unit_test(test_live_current_only_in_its_slot_and_when_issuing),
        cmocka_unit_test(test_live_selftest_lends_a_key_and_decides_about_issuing),
        cmocka_unit_test(test_live_refresh_merges_what_the_file_adds),
        cmocka_unit_test(test_live_refresh_older_copy_changes_nothing),
        cmocka_unit_test(test_live_refresh_bad_file_keeps_the_keys_and_a_good_one_is_taken_later),
        cmocka_unit_test(test_live_refresh_drops_a_key_at_its_end_without_a_file),
        cmocka_unit_test(test_live_refresh_clock_that_comes_back_reads_the_same_file_again),
        cmocka_unit_test(test_live_refresh_clock_that_comes_back_over_a_fork),
        cmocka_unit_test(
            test_live_refresh_clock_that_comes_back_to_a_bad_file_reads_the_next_good_one),
        cmocka_unit_test(test_live_refresh_clock_that_comes_back_drops_what_it_made_for_then),
        cmocka_unit_test(test_live_refresh_tells_when_the_last_writer_wrote),
        cmocka_unit_test(test_live_refresh_under_a_wandering_clock_has_what_the_file_has),
        cmocka_unit_test(test_live_get_goes_by_file_and_secret_not_by_name),
        cmocka_unit_test(test_live_retained_is_found_by_layout_and_reach),
        cmocka_unit_test(test_live_copy_follows_what_is_published),
        cmocka_unit_test(test_live_that_cannot_read_a_change_for_want_of_descriptors_goes_blind),
        cmocka_unit_test(test_live_save_unlocked_takes_in_what_it_overwrites),
        cmocka_unit_test(test_live_memory_is_written_by_nobody_between_configurations),
        cmocka_unit_test(test_live_get_survives_by_name_and_sweep_ends_the_others),
        cmocka_unit_test(test_live_swap_so_many_ended_names_are_remembered),
        cmocka_unit_test(test_live_swap_beside_handshakes_never_shows_half_a_key),
        cmocka_unit_test(test_live_swap_and_wipe_do_not_wait_for_an_interrupted_handshake),
    };
    int rc;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    rc = cmocka_run_group_tests_name("live", tests, NULL, NULL);
    apr_terminate();
    return rc;
}
