/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cycle of stekctl sync in small fleets: how many keys a slot gets, connected and cut apart, with
 * cycles of other hosts between one host's reading and writing; and single rules.  What stores,
 * clocks, disks and people do to a fleet is in test/simulation.  STEK_SEED repeats a run.
 */
#include "core_util.h"

#include "stek_mem.h"
#include "fleet/sync.h"
#include "stek_ring_merge.h"

#define HOSTS_MAX 5
#define STORES_MAX 2
#define INTERVAL SEC(60)
#define LIFETIME SEC(600)
#define STEP SEC(15)
#define MISSED_MAX 2 /* cycles in a row */
#define HISTORY_N 10000
#define ISSUED_MAX 512
#define CROWDED_N 200

_Static_assert((MISSED_MAX + 1) * STEP < SYNC_ALONE_BELOW, "hosts of the model sleep for too long");

/* Histories need no locked memory, and millions of mappings take their time. */
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

typedef struct store_sim_t {
    stek_ring_t *ring; /* NULL: empty */
    unsigned version;
} store_sim_t;

struct world_t;

typedef struct host_sim_t {
    struct world_t *world;
    stek_ring_t *file;
    apr_interval_time_t offset; /* of its clock */
    int reaches[STORES_MAX];
    unsigned seen[STORES_MAX];
    int generate;
    int depth; /* in its cycle */
    int missed_n;
} host_sim_t;

/* A ticket that a host gave out. */
typedef struct issued_t {
    unsigned char name[STEK_NAME_LEN];
    apr_uint64_t epoch;
    apr_time_t until;
} issued_t;

typedef struct world_t {
    rnd_t rnd;
    host_sim_t hosts[HOSTS_MAX];
    store_sim_t stores[STORES_MAX];
    int host_n, store_n, depth, race, write_n;
    apr_time_t now;
    issued_t issued[ISSUED_MAX];
    int issued_n;
} world_t;

static stek_ring_t *copy_of(const stek_ring_t *ring)
{
    stek_ring_t *copy = NULL;

    assert_int_equal(stek_ring_merge(ring, NULL, 0, 0, &copy), APR_SUCCESS);
    return copy;
}

static apr_status_t sim_rng(unsigned char *bytes, apr_size_t len)
{
    rnd_fill(&fake_rnd, bytes, len);
    return APR_SUCCESS;
}

static void run_host(world_t *world, host_sim_t *host, sync_result_t *result);

static void sim_read(void *baton, apr_time_t now, sync_view_t *views)
{
    host_sim_t *host = baton;
    world_t *world = host->world;
    int i;

    (void)now;
    for (i = 0; i < world->store_n; i++) {
        store_sim_t *store = &world->stores[i];

        if (!host->reaches[i]) {
            continue;
        }
        host->seen[i] = store->version;
        views[i].answer = store->ring ? SYNC_GOOD : SYNC_ABSENT;
        views[i].ring = views[i].answer == SYNC_GOOD ? copy_of(store->ring) : NULL;
    }
    /* Another host's whole cycle before this one writes. */
    if (world->race && world->depth < 3 && rnd_below(&world->rnd, 3) == 0) {
        sync_result_t other;
        host_sim_t *racer = &world->hosts[rnd_below(&world->rnd, (unsigned)world->host_n)];

        if (racer->depth == 0) {
            run_host(world, racer, &other);
        }
    }
}

static sync_written_e sim_write(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
{
    host_sim_t *host = baton;
    store_sim_t *store = &host->world->stores[i];

    (void)now;
    if (!host->reaches[i]) {
        return SYNC_FAILED;
    }
    if (store->version != host->seen[i]) {
        return SYNC_CHANGED;
    }
    stek_ring_destroy(store->ring);
    store->ring = copy_of(ring);
    store->version++;
    host->world->write_n++;
    return SYNC_WRITTEN;
}

static apr_status_t sim_load(void *baton, stek_ring_t **pring)
{
    host_sim_t *host = baton;

    *pring = host->file ? copy_of(host->file) : NULL;
    return APR_SUCCESS;
}

static apr_status_t sim_save(void *baton, const stek_ring_t *ring, apr_time_t now,
                             apr_interval_time_t lifetime, apr_time_t *pcovered_until)
{
    host_sim_t *host = baton;
    stek_ring_t *merged = NULL;

    assert_int_equal(stek_ring_merge(ring, host->file, now, lifetime, &merged), APR_SUCCESS);
    merged->written_at = stek_ring_room_time(merged, now);
    stek_ring_destroy(host->file);
    host->file = merged;
    *pcovered_until = stek_schedule_covered_until(merged, now);
    return APR_SUCCESS;
}

static void sim_pause(void *baton, int try_n)
{
    (void)baton;
    assert_true(try_n >= 1 && try_n <= SYNC_TRIES - 1);
}

static apr_time_t clock_of(const host_sim_t *host)
{
    return host->world->now + host->offset;
}

static apr_time_t sim_now(void *baton)
{
    return clock_of(baton);
}

/* A cycle of the host, whose stores are read and written in that way. */
static void run_with(host_sim_t *host, void (*reads)(void *, apr_time_t, sync_view_t *),
                     sync_written_e (*writes)(void *, int, const stek_ring_t *, apr_time_t),
                     sync_result_t *result)
{
    const sync_port_t port = {
        host, host->world->store_n, sim_now, reads, writes, sim_load, sim_save, sim_pause};
    const sync_rules_t rules = {{INTERVAL, LIFETIME, 1}, host->generate};
    sync_view_t views[STORES_MAX];

    assert_int_equal(sync_cycle(&port, &rules, sim_rng, views, result), APR_SUCCESS);
}

static void run_host(world_t *world, host_sim_t *host, sync_result_t *result)
{
    world->depth++;
    host->depth++;
    run_with(host, sim_read, sim_write, result);
    host->depth--;
    world->depth--;
}

static void cycle(host_sim_t *host)
{
    sync_result_t result;

    run_host(host->world, host, &result);
}

/* The host seals tickets with the key of now. */
static const stek_key_t *issue(host_sim_t *host)
{
    world_t *world = host->world;
    const stek_key_t *key = host->file ? stek_ring_current(host->file, clock_of(host)) : NULL;
    issued_t *issued = &world->issued[world->issued_n];

    if (key && world->issued_n < ISSUED_MAX) {
        memcpy(issued->name, key->name, STEK_NAME_LEN);
        issued->epoch = key->epoch;
        issued->until = key->decrypt_until;
        world->issued_n++;
    }
    return key;
}

/* One step: each host, in some order, goes through a cycle and issues.  Some miss it, but none for as
 * long as SYNC_ALONE_BELOW: who sleeps longer than that may have run out of keys. */
static void step(world_t *world, int must_issue)
{
    unsigned first = rnd_below(&world->rnd, (unsigned)world->host_n);
    int i;

    world->now += STEP;
    for (i = 0; i < world->host_n; i++) {
        host_sim_t *host = &world->hosts[(first + (unsigned)i) % (unsigned)world->host_n];

        if (rnd_below(&world->rnd, 10) > 0 || host->missed_n == MISSED_MAX) {
            host->missed_n = 0;
            cycle(host);
        }
        else {
            host->missed_n++;
        }
        if (!issue(host) && must_issue) {
            fail_msg("a host has no key for its now");
        }
    }
}

static void settle(world_t *world)
{
    int i, n;

    for (n = 0; n < 2; n++) {
        for (i = 0; i < world->host_n; i++) {
            cycle(&world->hosts[i]);
        }
    }
}

static void world_init(world_t *world, uint64_t seed)
{
    int i, k;

    memset(world, 0, sizeof(*world));
    world->rnd.state = seed;
    fake_rng_reset(seed ^ 0x5bd1e995);
    world->host_n = 2 + (int)rnd_below(&world->rnd, HOSTS_MAX - 1);
    world->store_n = 1 + (int)rnd_below(&world->rnd, STORES_MAX);
    world->race = 1;
    world->now = T0 + SEC(rnd_below(&world->rnd, 100000));
    for (i = 0; i < world->host_n; i++) {
        world->hosts[i].world = world;
        world->hosts[i].generate = 1;
        /* Up to one interval each way. */
        world->hosts[i].offset = SEC((int)rnd_below(&world->rnd, 121) - 60);
        for (k = 0; k < world->store_n; k++) {
            world->hosts[i].reaches[k] = 1;
        }
    }
}

static void world_free(world_t *world)
{
    int i;

    for (i = 0; i < HOSTS_MAX; i++) {
        stek_ring_destroy(world->hosts[i].file);
    }
    for (i = 0; i < STORES_MAX; i++) {
        stek_ring_destroy(world->stores[i].ring);
    }
}

/* Most keys that any slot has, over all files. */
static int keys_per_slot(const world_t *world)
{
    stek_ring_t *all = copy_of(world->hosts[0].file);
    int i, most = 0;
    apr_size_t a, b;

    for (i = 1; i < world->host_n; i++) {
        stek_ring_t *more = NULL;

        assert_int_equal(stek_ring_merge(all, world->hosts[i].file, 0, 0, &more), APR_SUCCESS);
        stek_ring_destroy(all);
        all = more;
    }
    for (a = 0; a < all->key_n; a++) {
        int n = 0;

        assert_int_equal(all->keys[a].not_before % INTERVAL, 0);
        for (b = 0; b < all->key_n; b++) {
            n += all->keys[b].not_before == all->keys[a].not_before;
        }
        most = n > most ? n : most;
    }
    stek_ring_destroy(all);
    return most;
}

static apr_time_t latest_clock(const world_t *world)
{
    apr_time_t latest = 0;
    int i;

    for (i = 0; i < world->host_n; i++) {
        latest = clock_of(&world->hosts[i]) > latest ? clock_of(&world->hosts[i]) : latest;
    }
    return latest;
}

/* Every ticket that lives opens everywhere; none of an epoch that was ended does. */
static void check_tickets(const world_t *world)
{
    apr_uint64_t epoch = world->hosts[0].file->epoch;
    apr_time_t latest = latest_clock(world);
    int i, k;

    for (i = 0; i < world->host_n; i++) {
        const stek_ring_t *file = world->hosts[i].file;

        assert_int_equal(file->epoch, epoch);
        for (k = 0; k < world->issued_n; k++) {
            const issued_t *issued = &world->issued[k];
            const stek_key_t *key = stek_ring_find(file, issued->name);

            if (issued->epoch < epoch) {
                assert_null(key);
            }
            else if (issued->until > latest) {
                assert_non_null(key);
            }
        }
    }
}

/* Who has settled has nothing more to write, whatever the clocks say. */
static void check_quiet(world_t *world)
{
    int i;

    world->race = 0;
    world->write_n = 0;
    for (i = 0; i < world->host_n; i++) {
        cycle(&world->hosts[i]);
    }
    assert_int_equal(world->write_n, 0);
}

/* ---- histories ---- */

static void connected_history(uint64_t seed)
{
    world_t world;
    int i;

    world_init(&world, seed);
    for (i = 0; i < world.host_n; i++) {
        cycle(&world.hosts[i]);
    }
    for (i = 0; i < 8; i++) {
        step(&world, 1);
    }
    assert_int_equal(keys_per_slot(&world), 1);
    settle(&world);
    assert_int_equal(keys_per_slot(&world), 1);
    for (i = 0; i < world.host_n; i++) {
        /* Made before the slot begins. */
        assert_true(stek_schedule_covered_until(world.hosts[i].file, clock_of(&world.hosts[i]))
                    > clock_of(&world.hosts[i]) + INTERVAL);
    }
    check_tickets(&world);
    check_quiet(&world);
    world_free(&world);
}

static void join(world_t *world)
{
    int i, k;

    for (i = 0; i < world->host_n; i++) {
        for (k = 0; k < world->store_n; k++) {
            world->hosts[i].reaches[k] = 1;
        }
    }
}

/* Cut apart and joined again: at most one key per slot and part. */
static void cut_history(uint64_t seed)
{
    int i, k, key_n, part_n = 0, part_of[HOSTS_MAX];
    world_t world;

    world_init(&world, seed);
    for (i = 0; i < 3; i++) {
        settle(&world);
        step(&world, 1);
    }
    /* Part k has store k; a part beyond the stores is a host by itself. */
    for (i = 0; i < world.host_n; i++) {
        unsigned part = rnd_below(&world.rnd, (unsigned)world.store_n + 1);

        for (k = 0; k < world.store_n; k++) {
            world.hosts[i].reaches[k] = k == (int)part;
        }
        part_of[i] = (int)part;
    }
    for (k = 0; k < world.store_n; k++) {
        int members = 0;

        for (i = 0; i < world.host_n; i++) {
            members += part_of[i] == k;
        }
        part_n += members > 0;
    }
    for (i = 0; i < world.host_n; i++) {
        part_n += part_of[i] == world.store_n;
    }
    for (i = 0; i < 14; i++) {
        step(&world, 1);
    }
    join(&world);
    settle(&world);
    key_n = keys_per_slot(&world);
    assert_true(key_n >= 1 && key_n <= part_n);
    check_tickets(&world);
    settle(&world);
    check_quiet(&world);
    world_free(&world);
}

static void run_histories(void (*history)(uint64_t), int n)
{
    uint64_t seed = seed_from_env();
    int i;

    print_message("STEK_SEED=%llu\n", (unsigned long long)seed);
    for (i = 0; i < n; i++) {
        history(seed + (uint64_t)i * 7919u);
    }
}

static void test_sync_connected_one_key_per_slot(void **state)
{
    (void)state;
    run_histories(connected_history, HISTORY_N / 4);
}

static void test_sync_cut_and_joined_one_key_per_part_and_all_tickets_live(void **state)
{
    (void)state;
    run_histories(cut_history, HISTORY_N / 2);
}

/* ---- rings that are too full ---- */

#define POOL_N 240
#define FLOOD_N (STEK_KEYS_MAX - 60) /* tombstones: little room is left for keys */

/* One of the keys that hosts and a thief have made: for slots around now, or never encrypting, and ending
 * in one of the next seconds or with other keys. */
static void pool_key(rnd_t *rnd, int number, apr_time_t now, stek_key_t *key)
{
    apr_time_t slot = now - now % INTERVAL + INTERVAL * ((int)rnd_below(rnd, 6) - 3);

    switch (rnd_below(rnd, 3)) {
    case 0:
        *key = good_key((unsigned)number, slot, INTERVAL, LIFETIME);
        break;
    case 1:
        *key = good_key((unsigned)number, slot, 0, LIFETIME);
        break;
    default:
        *key = good_key((unsigned)number, now + SEC((int)rnd_below(rnd, 40) - 20) - LIFETIME, 0,
                        LIFETIME);
    }
    rnd_fill(rnd, key->name, sizeof(key->name));
}

/* Every host has some of the keys, and all the tombstones. */
static void fill_files(world_t *world)
{
    stek_tombstone_t tombstone = {.until = world->now + SEC(86400)};
    stek_key_t key;
    int i, k;

    for (i = 0; i < world->host_n; i++) {
        assert_int_equal(stek_ring_create(POOL_N, FLOOD_N, &world->hosts[i].file), APR_SUCCESS);
        world->hosts[i].file->written_at = clock_of(&world->hosts[i]);
        for (k = 0; k < FLOOD_N; k++) {
            tombstone.name[0] = (unsigned char)(k >> 8);
            tombstone.name[1] = (unsigned char)k;
            assert_int_equal(stek_ring_add_tombstone(world->hosts[i].file, &tombstone),
                             APR_SUCCESS);
        }
    }
    for (k = 0; k < POOL_N; k++) {
        pool_key(&world->rnd, k + 1, world->now, &key);
        for (i = 0; i < world->host_n; i++) {
            if (rnd_below(&world->rnd, 2)) {
                assert_int_equal(stek_ring_add_key(world->hosts[i].file, &key), APR_SUCCESS);
            }
        }
    }
}

/* Keys that have not ended for anybody. */
static void check_same_files(const world_t *world)
{
    apr_time_t latest = latest_clock(world);
    stek_ring_t *first, *other;
    int i;

    assert_int_equal(stek_ring_merge(world->hosts[0].file, NULL, latest, 0, &first), APR_SUCCESS);
    for (i = 1; i < world->host_n; i++) {
        assert_int_equal(stek_ring_merge(world->hosts[i].file, NULL, latest, 0, &other),
                         APR_SUCCESS);
        assert_true(stek_ring_equal(first, other));
        stek_ring_destroy(other);
    }
    stek_ring_destroy(first);
}

/* Clocks differ by some seconds, and slots and keys end in between: time stands still for as long as hosts
 * go on writing. */
static void crowded_history(uint64_t seed)
{
    world_t world;
    int i;

    world_init(&world, seed);
    world.now += INTERVAL - world.now % INTERVAL + SEC((int)rnd_below(&world.rnd, 13) - 6);
    for (i = 0; i < world.host_n; i++) {
        world.hosts[i].offset = SEC((int)rnd_below(&world.rnd, 11) - 5);
    }
    fill_files(&world);
    settle(&world);
    check_quiet(&world);
    check_same_files(&world);
    for (i = 0; i < world.host_n; i++) {
        assert_non_null(issue(&world.hosts[i]));
    }
    world_free(&world);
}

static void test_sync_full_rings_and_clocks_apart_hosts_settle(void **state)
{
    (void)state;
    run_histories(crowded_history, CROWDED_N);
}

/* ---- single rules ---- */

static void test_sync_store_silent_makes_no_key_before_it_is_needed(void **state)
{
    sync_result_t result;
    apr_time_t covered;
    host_sim_t *host;
    world_t world;

    (void)state;
    world_init(&world, 1);
    world.host_n = 1;
    world.race = 0;
    host = &world.hosts[0];
    run_host(&world, host, &result);
    assert_true(result.made > 0);
    covered = result.covered_until;
    memset(host->reaches, 0, sizeof(host->reaches));
    world.now = covered - host->offset - SYNC_ALONE_BELOW;
    run_host(&world, host, &result);
    assert_int_equal(result.made, 0);
    assert_int_equal(result.answered_n, 0);
    world.now += SEC(1);
    run_host(&world, host, &result);
    assert_true(result.made > 0);
    world_free(&world);
}

static void test_sync_no_generate_only_passes_keys_on(void **state)
{
    sync_result_t result;
    world_t world;

    (void)state;
    world_init(&world, 2);
    world.host_n = 2;
    world.race = 0;
    world.hosts[1].generate = 0;
    run_host(&world, &world.hosts[1], &result);
    assert_int_equal(result.made, 0);
    assert_null(world.hosts[1].file);
    assert_null(world.stores[0].ring);
    cycle(&world.hosts[0]);
    run_host(&world, &world.hosts[1], &result);
    assert_true(stek_ring_equal(world.hosts[0].file, world.hosts[1].file));
    /* The store loses it: this host brings it back. */
    stek_ring_destroy(world.stores[0].ring);
    world.stores[0].ring = NULL;
    world.stores[0].version++;
    run_host(&world, &world.hosts[1], &result);
    assert_int_equal(result.written_n, 1);
    assert_true(stek_ring_equal(world.stores[0].ring, world.hosts[1].file));
    world.now += SEC(3600);
    run_host(&world, &world.hosts[1], &result);
    assert_int_equal(result.made, 0);
    assert_true(result.covered_until <= clock_of(&world.hosts[1]));
    world_free(&world);
}

static sync_written_e write_overtaken(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
{
    (void)baton;
    (void)i;
    (void)ring;
    (void)now;
    return SYNC_CHANGED;
}

/* As long as others' keys last, a host that is always overtaken makes none; then it does. */
static void test_sync_always_overtaken_makes_keys_only_when_they_run_out(void **state)
{
    sync_result_t result;
    world_t world;
    int i;

    (void)state;
    world_init(&world, 3);
    world.race = 0;
    world.hosts[0].offset = world.hosts[1].offset = 0;
    run_host(&world, &world.hosts[0], &result);
    world.now = result.covered_until - SYNC_ALONE_BELOW;
    run_with(&world.hosts[1], sim_read, write_overtaken, &result);
    assert_int_equal(result.tries, SYNC_TRIES);
    assert_int_equal(result.made, 0);
    assert_int_equal(world.hosts[1].file->key_n, world.hosts[0].file->key_n);
    for (i = 0; i < world.store_n; i++) {
        assert_true(result.overtaken[i]);
    }
    world.now += SEC(1);
    run_with(&world.hosts[1], sim_read, write_overtaken, &result);
    assert_true(result.made > 0);
    assert_true(world.hosts[1].file->key_n > world.hosts[0].file->key_n);
    world_free(&world);
}

static int liar;

static void read_liar(void *baton, apr_time_t now, sync_view_t *views)
{
    sim_read(baton, now, views);
    stek_ring_destroy(views[liar].ring);
    memset(&views[liar], 0, sizeof(views[liar]));
    views[liar].answer = SYNC_ABSENT;
}

static sync_written_e write_liar(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
{
    return i == liar ? SYNC_CHANGED : sim_write(baton, i, ring, now);
}

/* One of two stores says: no object, and whenever it is written to, that somebody else was first. */
static void test_sync_store_that_lies_keeps_nothing_from_the_others(void **state)
{
    sync_result_t result;
    world_t world;

    (void)state;
    for (liar = 0; liar < 2; liar++) {
        stek_ring_t *patch, *revoked = NULL;
        int i, n;

        world_init(&world, 5);
        world.race = 0;
        world.store_n = 2;
        for (n = 0; n < 3; n++) {
            for (i = 0; i < world.host_n; i++) {
                host_sim_t *host = &world.hosts[i];

                host->reaches[1] = 1;
                host->offset = 0;
                run_with(host, read_liar, write_liar, &result);
                assert_true(result.overtaken[liar]);
                assert_false(result.overtaken[!liar]);
                assert_true(stek_ring_equal(host->file, world.stores[!liar].ring));
                assert_non_null(stek_ring_current(host->file, world.now));
            }
            if (n == 0) {
                assert_int_equal(keys_per_slot(&world), 1);
                assert_int_equal(stek_ring_create(0, 0, &patch), APR_SUCCESS);
                patch->epoch = 7;
                assert_int_equal(
                    stek_ring_merge(world.hosts[1].file, patch, world.now, LIFETIME, &revoked),
                    APR_SUCCESS);
                stek_ring_destroy(patch);
                stek_ring_destroy(world.hosts[1].file);
                world.hosts[1].file = revoked;
            }
        }
        for (i = 0; i < world.host_n; i++) {
            assert_int_equal(world.hosts[i].file->epoch, 7);
        }
        world_free(&world);
    }
}

/* Each answer takes so long, and each write is refused. */
static void read_slowly(void *baton, apr_time_t now, sync_view_t *views)
{
    host_sim_t *host = baton;

    sim_read(baton, now, views);
    host->world->now += SEC(5);
}

static sync_written_e write_slowly(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
{
    host_sim_t *host = baton;

    (void)i;
    (void)ring;
    (void)now;
    host->world->now += SEC(5);
    return SYNC_CHANGED;
}

/* One host with a store. */
static void world_of_one(world_t *world)
{
    world_init(world, 1);
    world->race = 0;
    world->store_n = 1;
    world->hosts[0].offset = 0;
    world->hosts[0].reaches[0] = 1;
}

/* The only store answers just in time, and lies: a host that needs keys has them soon, and is judged by the
 * time at which it has them. */
static void test_sync_slow_liar_alone_keys_are_made_soon(void **state)
{
    sync_result_t result;
    world_t world;
    apr_time_t begun;

    (void)state;
    world_of_one(&world);
    begun = world.now;
    run_with(&world.hosts[0], read_slowly, write_slowly, &result);
    assert_int_equal(result.tries, 2);
    assert_true(result.took == world.now - begun);
    assert_true(result.took <= 2 * SYNC_TRIES_TIME);
    assert_non_null(world.hosts[0].file);
    assert_non_null(stek_ring_current(world.hosts[0].file, world.now));
    assert_true(result.covered_until
                == stek_schedule_covered_until(world.hosts[0].file, begun + SEC(10)));
    world_free(&world);
}

/* A thief fills the store's ring with tombstones.  It does not fit with those of the host: the host goes on
 * without that store's ring, and writes its own to it. */
static void test_sync_store_full_of_tombstones_is_refused(void **state)
{
    sync_result_t result;
    world_t world;
    stek_ring_t *flood, *own;
    unsigned i;

    (void)state;
    world_of_one(&world);
    assert_int_equal(stek_ring_create(0, 21000, &flood), APR_SUCCESS);
    assert_int_equal(stek_ring_create(0, 1000, &own), APR_SUCCESS);
    for (i = 0; i < 21000; i++) {
        stek_tombstone_t tombstone = {.until = world.now + SEC(1000)};

        tombstone.name[0] = (unsigned char)(i < 1000);
        tombstone.name[1] = (unsigned char)(i >> 8);
        tombstone.name[2] = (unsigned char)i;
        assert_int_equal(stek_ring_add_tombstone(flood, &tombstone), APR_SUCCESS);
        tombstone.name[0] = 2;
        if (i < 1000) {
            assert_int_equal(stek_ring_add_tombstone(own, &tombstone), APR_SUCCESS);
        }
    }
    world.hosts[0].file = own;
    world.stores[0].ring = flood;
    run_host(&world, &world.hosts[0], &result);
    assert_int_equal(world.hosts[0].file->tombstone_n, 1000);
    assert_non_null(stek_ring_current(world.hosts[0].file, world.now));
    assert_true(stek_ring_equal(world.hosts[0].file, world.stores[0].ring));
    world_free(&world);
}

static void test_sync_keys_of_a_wrong_clock_are_left_out(void **state)
{
    sync_result_t result;
    world_t world;

    (void)state;
    world_init(&world, 6);
    world.host_n = 2;
    world.race = 0;
    world.hosts[1].offset = 0;
    world.hosts[0].offset = 3650 * DAY;
    cycle(&world.hosts[0]);
    run_host(&world, &world.hosts[1], &result);
    assert_true(result.left_out_n > 0);
    assert_non_null(stek_ring_current(world.hosts[1].file, world.now));
    assert_true(world.hosts[1].file->by_start[0] < world.hosts[1].file->key_n);
    assert_true(world.hosts[1].file->keys[world.hosts[1].file->by_start[0]].not_before
                < world.now + DAY);
    assert_true(stek_ring_equal(world.hosts[1].file, world.stores[0].ring));
    run_host(&world, &world.hosts[1], &result);
    assert_int_equal(result.left_out_n, 0);
    world_free(&world);
}

/* ---- far keys ---- */

#define OLD_N STEK_KEYS_MAX
#define FAR_N 8

static void add(stek_ring_t *ring, const stek_key_t *key)
{
    assert_int_equal(stek_ring_add_key(ring, key), APR_SUCCESS);
}

/* As many keys that only decrypt, from the one at first on, and far_n for slots in ten years. */
static stek_ring_t *old_and_far(apr_time_t now, unsigned first, unsigned far_n)
{
    stek_ring_t *ring;
    stek_key_t key;
    unsigned i;

    assert_int_equal(stek_ring_create(OLD_N - first + far_n, 0, &ring), APR_SUCCESS);
    for (i = first; i < OLD_N; i++) {
        key = good_key(i, now + SEC((int)i), 0, LIFETIME);
        add(ring, &key);
    }
    for (i = 0; i < far_n; i++) {
        key = good_key(OLD_N + i, now + 3650 * DAY + INTERVAL * (int)i, INTERVAL, LIFETIME);
        add(ring, &key);
    }
    return ring;
}

/* The file ring is full, and the store has far keys in the places of some of its keys: the host's rings become
 * what they become without them. */
static void test_sync_far_keys_take_no_room_in_a_full_ring(void **state)
{
    sync_result_t results[2];
    world_t worlds[2];
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        world_of_one(&worlds[i]);
        worlds[i].hosts[0].file = old_and_far(worlds[i].now, 0, 0);
        worlds[i].stores[0].ring = old_and_far(worlds[i].now, FAR_N, i * FAR_N);
        run_host(&worlds[i], &worlds[i].hosts[0], &results[i]);
        assert_true(results[i].made > 0);
        assert_int_equal(worlds[i].hosts[0].file->key_n, STEK_KEYS_MAX);
    }
    assert_true(stek_ring_equal(worlds[0].hosts[0].file, worlds[1].hosts[0].file));
    assert_true(stek_ring_equal(worlds[0].stores[0].ring, worlds[1].stores[0].ring));
    assert_int_equal(results[1].left_out_n, results[0].left_out_n + FAR_N);
    run_host(&worlds[1], &worlds[1].hosts[0], &results[1]);
    assert_int_equal(results[1].written_n, 0);
    assert_int_equal(results[1].left_out_n, 0);
    world_free(&worlds[0]);
    world_free(&worlds[1]);
}

/* A run of slots, of which the file ring and each store have every third, and after a gap one more. */
static void test_sync_far_keys_of_a_run_that_rings_have_in_parts_stay(void **state)
{
    sync_result_t result;
    stek_ring_t *rings[3];
    stek_key_t key;
    world_t world;
    int i;

    (void)state;
    world_of_one(&world);
    world.store_n = 2;
    world.hosts[0].generate = 0;
    world.hosts[0].reaches[1] = 1;
    for (i = 0; i < 3; i++) {
        assert_int_equal(stek_ring_create(30, 0, &rings[i]), APR_SUCCESS);
    }
    for (i = 0; i < 60; i++) {
        key = good_key((unsigned)i, world.now + DAY * i, DAY, LIFETIME);
        add(rings[i % 3], &key);
    }
    key = good_key(61, world.now + DAY * 61, DAY, LIFETIME);
    add(rings[1], &key);
    world.hosts[0].file = rings[0];
    world.stores[0].ring = rings[1];
    world.stores[1].ring = rings[2];
    run_host(&world, &world.hosts[0], &result);
    assert_int_equal(result.left_out_n, 1);
    assert_int_equal(world.hosts[0].file->key_n, 60);
    assert_true(stek_ring_equal(world.hosts[0].file, world.stores[0].ring));
    assert_true(stek_ring_equal(world.hosts[0].file, world.stores[1].ring));
    world_free(&world);
}

static void test_sync_clock_of_another_host_ahead_is_seen(void **state)
{
    sync_result_t result;
    world_t world;

    (void)state;
    world_init(&world, 4);
    world.host_n = 2;
    world.race = 0;
    world.hosts[0].offset = SEC(40);
    world.hosts[1].offset = 0;
    cycle(&world.hosts[0]);
    run_host(&world, &world.hosts[1], &result);
    assert_int_equal(result.skew, SEC(40));
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sync_connected_one_key_per_slot),
        cmocka_unit_test(test_sync_cut_and_joined_one_key_per_part_and_all_tickets_live),
        cmocka_unit_test(test_sync_full_rings_and_clocks_apart_hosts_settle),
        cmocka_unit_test(test_sync_store_silent_makes_no_key_before_it_is_needed),
        cmocka_unit_test(test_sync_no_generate_only_passes_keys_on),
        cmocka_unit_test(test_sync_always_overtaken_makes_keys_only_when_they_run_out),
        cmocka_unit_test(test_sync_store_that_lies_keeps_nothing_from_the_others),
        cmocka_unit_test(test_sync_slow_liar_alone_keys_are_made_soon),
        cmocka_unit_test(test_sync_store_full_of_tombstones_is_refused),
        cmocka_unit_test(test_sync_keys_of_a_wrong_clock_are_left_out),
        cmocka_unit_test(test_sync_far_keys_take_no_room_in_a_full_ring),
        cmocka_unit_test(test_sync_far_keys_of_a_run_that_rings_have_in_parts_stay),
        cmocka_unit_test(test_sync_clock_of_another_host_ahead_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
