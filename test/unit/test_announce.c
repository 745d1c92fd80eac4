/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Announcements: the laws of their merge on random sets, their bytes there and back, whatever bytes come,
 * the digest of rings, and what a view makes of hosts in trouble.  STEK_SEED=n repeats a run.
 */
#include "core_util.h"

#include <apr_general.h>
#include <apr_strings.h>

#include "fleet/fleet_view.h"
#include "stek_ring_merge.h"

#define CASES_N 20000
#define NAMES_N 7

static apr_pool_t *pool;

static announce_t host_of(const char *name, apr_time_t clock)
{
    announce_t host = {.flags = ANNOUNCE_GENERATES,
                       .clock = clock,
                       .since = T0 - HOUR,
                       .agreed = clock,
                       .every = SEC(10),
                       .period = SEC(60)};

    apr_cpystrn(host.name, name, sizeof(host.name));
    apr_cpystrn(host.version, "0.1.0", sizeof(host.version));
    return host;
}

static void random_set(rnd_t *rnd, announce_set_t *set)
{
    static const apr_int64_t clocks_s[] = {-8 * 86400, -7 * 86400, -7 * 86400 + 1, -60, -1, 0, 5,
                                           86400,      86401,      400 * 86400};
    unsigned i;

    set->hosts = apr_palloc(pool, NAMES_N * sizeof(announce_t));
    set->n = 0;
    for (i = 0; i < NAMES_N; i++) {
        if (rnd_below(rnd, 2)) {
            announce_t *host = &set->hosts[set->n++];

            *host = host_of(apr_psprintf(pool, "web%u", i), T0 + SEC(clocks_s[rnd_below(rnd, 10)]));
            host->epoch = rnd_below(rnd, 2);
            host->digest[0] = (unsigned char)rnd_below(rnd, 2);
            host->agreed = rnd_below(rnd, 2) ? host->clock : 0;
        }
    }
}

static int same(const announce_set_t *a, const announce_set_t *b)
{
    unsigned char bytes_a[ANNOUNCE_HOST_MAX], bytes_b[ANNOUNCE_HOST_MAX];
    apr_size_t i, len;

    if (a->n != b->n) {
        return 0;
    }
    for (i = 0; i < a->n; i++) {
        len = announce_encode(&a->hosts[i], bytes_a);
        if (len != announce_encode(&b->hosts[i], bytes_b) || memcmp(bytes_a, bytes_b, len) != 0) {
            return 0;
        }
    }
    return 1;
}

static announce_set_t merged(const announce_set_t *a, const announce_set_t *b, apr_size_t max)
{
    return announce_merge(a, b, T0, max, pool);
}

static void check_laws(rnd_t *rnd)
{
    apr_size_t i, max = 1 + rnd_below(rnd, NAMES_N);
    announce_set_t a, b, c, ab, ba, bc, left, right, again, none = {NULL, 0};

    random_set(rnd, &a);
    random_set(rnd, &b);
    random_set(rnd, &c);
    ab = merged(&a, &b, max);
    ba = merged(&b, &a, max);
    assert_true(same(&ab, &ba));
    bc = merged(&b, &c, max);
    left = merged(&ab, &c, max);
    right = merged(&a, &bc, max);
    assert_true(same(&left, &right));
    again = merged(&ab, &a, max);
    assert_true(same(&again, &ab));
    again = merged(&ab, &none, max);
    assert_true(same(&again, &ab));
    assert_true(ab.n <= max);
    for (i = 0; i < ab.n; i++) {
        const announce_t *of_a = announce_find(&a, ab.hosts[i].name);
        const announce_t *of_b = announce_find(&b, ab.hosts[i].name);

        assert_true(ab.hosts[i].clock + ANNOUNCE_FORGET > T0);
        assert_true(of_a || of_b);
        assert_true(!of_a || of_a->clock + ANNOUNCE_FORGET <= T0
                    || announce_compare(&ab.hosts[i], of_a, T0) >= 0);
        assert_true(!of_b || of_b->clock + ANNOUNCE_FORGET <= T0
                    || announce_compare(&ab.hosts[i], of_b, T0) >= 0);
    }
}

static void test_announce_merge_random_sets_laws_hold(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    int i;

    (void)state;
    print_message("STEK_SEED=%llu\n", (unsigned long long)seed);
    for (i = 0; i < CASES_N; i++) {
        check_laws(&rnd);
        if (i % 100 == 0) {
            apr_pool_clear(pool);
        }
    }
}

static void test_announce_merge_replayed_announcement_changes_nothing(void **state)
{
    announce_t now = host_of("web1", T0), old = host_of("web1", T0 - SEC(60));
    announce_set_t seen = {&now, 1}, replayed = {&old, 1}, both;

    (void)state;
    old.epoch = 99;
    both = merged(&seen, &replayed, NAMES_N);
    assert_true(same(&both, &seen));
}

static void test_announce_merge_two_words_in_a_second_the_later_ring_counts(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    int i;

    (void)state;
    print_message("STEK_SEED=%llu\n", (unsigned long long)seed);
    for (i = 0; i < 200; i++) {
        announce_t before = host_of("web1", T0), after = host_of("web1", T0);
        announce_set_t old = {&before, 1}, new = {&after, 1}, both;

        before.generation = 1 + rnd_below(&rnd, 100);
        before.epoch = after.epoch = rnd_below(&rnd, 2);
        after.generation = before.generation + 1 + rnd_below(&rnd, 300);
        if (rnd_below(&rnd, 2)) {
            after.epoch++;
            after.generation = 1;
        }
        rnd_fill(&rnd, before.digest, sizeof(before.digest));
        rnd_fill(&rnd, after.digest, sizeof(after.digest));
        both = rnd_below(&rnd, 2) ? merged(&old, &new, 8) : merged(&new, &old, 8);
        assert_int_equal(both.n, 1);
        assert_memory_equal(both.hosts[0].digest, after.digest, sizeof(after.digest));
    }
}

static void test_announce_put_a_host_has_the_last_word_on_itself(void **state)
{
    announce_t fast = host_of("web1", T0 + 30 * DAY), now = host_of("web1", T0);
    announce_set_t set = {&fast, 1}, after = announce_put(&set, &now, T0, pool);

    (void)state;
    assert_int_equal(after.n, 1);
    assert_int_equal(after.hosts[0].clock, T0);
}

static void test_announce_put_crowded_part_keeps_the_host(void **state)
{
    announce_set_t set = {apr_palloc(pool, ANNOUNCE_PART_HOSTS_MAX * sizeof(announce_t)), 0}, after;
    announce_t host = host_of("zz", T0 - HOUR);

    (void)state;
    for (; set.n < ANNOUNCE_PART_HOSTS_MAX; set.n++) {
        set.hosts[set.n] = host_of(apr_psprintf(pool, "web%03d", (int)set.n), T0);
    }
    after = announce_put(&set, &host, T0, pool);
    assert_int_equal(after.n, ANNOUNCE_PART_HOSTS_MAX);
    assert_non_null(announce_find(&after, "zz"));
}

/* ---- bytes ---- */

static stek_secrets_t *secrets_of(int n)
{
    stek_secrets_t *secrets = NULL, *more;

    assert_int_equal(stek_secrets_make(0, stek_rng_system, &secrets), APR_SUCCESS);
    while ((int)secrets->n < n) {
        assert_int_equal(stek_secrets_roll(secrets, stek_rng_system, &more), APR_SUCCESS);
        stek_secrets_destroy(secrets);
        secrets = more;
    }
    return secrets;
}

/* Two hosts of one part. */
static int two_hosts(announce_set_t *set)
{
    int i, part;

    set->hosts = apr_palloc(pool, 2 * sizeof(announce_t));
    set->hosts[0] = host_of("web0", T0);
    set->n = 2;
    part = announce_part("web0");
    for (i = 1; announce_part(apr_psprintf(pool, "web%d", i)) != part; i++) {
    }
    set->hosts[1] = host_of(apr_psprintf(pool, "web%d", i), T0 - SEC(1));
    set->hosts[1].behind = SEC(170);
    set->hosts[1].httpd_generation = UINT64_MAX;
    return part;
}

static void seal_two(announce_set_t *set, int *ppart, const stek_secrets_t *secrets,
                     unsigned char **psealed, apr_size_t *plen)
{
    unsigned char random[STEK_BOX_RANDOM_LEN] = {7};

    *ppart = two_hosts(set);
    assert_int_equal(announce_seal(set, *ppart, &secrets->secrets[0], random, psealed, plen, pool),
                     APR_SUCCESS);
}

static void test_announce_open_gives_what_was_sealed(void **state)
{
    stek_secrets_t *secrets = secrets_of(2);
    unsigned char *sealed;
    announce_set_t set, opened;
    apr_size_t len;
    int part;

    (void)state;
    seal_two(&set, &part, secrets, &sealed, &len);
    assert_int_equal(announce_open(sealed, len, part, secrets, &opened, pool), APR_SUCCESS);
    assert_true(same(&set, &opened));
    stek_secrets_destroy(secrets);
}

static void test_announce_open_anything_else_refused(void **state)
{
    stek_secrets_t *secrets = secrets_of(1), *other = secrets_of(1);
    announce_set_t set, opened = {NULL, 0};
    unsigned char *sealed;
    apr_size_t len, i;
    int part;

    (void)state;
    seal_two(&set, &part, secrets, &sealed, &len);
    assert_int_equal(announce_open(sealed, len, part, other, &opened, pool), STEK_ESECRET);
    assert_int_equal(
        announce_open(sealed, len, (part + 1) % ANNOUNCE_PARTS, secrets, &opened, pool),
        STEK_EMALFORMED);
    assert_int_equal(announce_open(sealed, len - 1, part, secrets, &opened, pool), STEK_ELENGTH);
    assert_int_equal(announce_open(sealed, 3, part, secrets, &opened, pool), STEK_ELENGTH);
    assert_int_equal(announce_open(sealed, STEK_RING_BYTES_MAX + 1, part, secrets, &opened, pool),
                     STEK_ETOOBIG);
    for (i = 0; i < len; i++) {
        sealed[i] ^= 1;
        assert_int_not_equal(announce_open(sealed, len, part, secrets, &opened, pool), APR_SUCCESS);
        sealed[i] ^= 1;
    }
    assert_int_equal(opened.n, 0);
    stek_secrets_destroy(secrets);
    stek_secrets_destroy(other);
}

static void test_announce_seal_what_could_not_be_opened_refused(void **state)
{
    stek_secrets_t *secrets = secrets_of(1);
    unsigned char random[STEK_BOX_RANDOM_LEN] = {7}, *sealed = NULL;
    announce_t bad[2] = {host_of("web1", T0), host_of("web1", T0)};
    announce_set_t set = {bad, 1};
    apr_size_t len = 0;

    (void)state;
    assert_int_equal(announce_seal(&set, (announce_part("web1") + 1) % ANNOUNCE_PARTS,
                                   &secrets->secrets[0], random, &sealed, &len, pool),
                     STEK_EMALFORMED);
    set.n = 2; /* a name twice */
    assert_int_equal(announce_seal(&set, announce_part("web1"), &secrets->secrets[0], random,
                                   &sealed, &len, pool),
                     STEK_EMALFORMED);
    assert_null(sealed);
    stek_secrets_destroy(secrets);
}

static void test_announce_names_of_printable_letters_only(void **state)
{
    char longest[ANNOUNCE_NAME_MAX + 2];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    longest[ANNOUNCE_NAME_MAX + 1] = '\0';
    assert_false(announce_is_name(longest));
    longest[ANNOUNCE_NAME_MAX] = '\0';
    assert_true(announce_is_name(longest));
    assert_true(announce_is_name("web-1.example.NET_"));
    assert_false(announce_is_name(""));
    assert_false(announce_is_name("web 1"));
    assert_false(announce_is_name("web1\033[2J"));
    assert_false(announce_is_name("w\xc3\xa9"));
}

static void test_announce_parts_spread_hosts(void **state)
{
    int counts[ANNOUNCE_PARTS] = {0}, i, most = 0;

    (void)state;
    for (i = 0; i < 1000; i++) {
        int part = announce_part(apr_psprintf(pool, "web%d.example.net", i));

        assert_true(part >= 0 && part < ANNOUNCE_PARTS);
        most = ++counts[part] > most ? counts[part] : most;
    }
    assert_true(most >= 16 && most <= 40);
}

/* ---- rings ---- */

static stek_ring_t *ring_of(const stek_key_t *keys, size_t n)
{
    stek_ring_t *ring;
    size_t i;

    assert_int_equal(stek_ring_create(n, 4, &ring), APR_SUCCESS);
    for (i = 0; i < n; i++) {
        assert_int_equal(stek_ring_add_key(ring, &keys[i]), APR_SUCCESS);
    }
    return ring;
}

static void test_announce_digest_equal_rings_only(void **state)
{
    stek_key_t keys[2] = {good_key(1, T0, HOUR, HOUR), good_key(2, T0 - 3 * HOUR, HOUR, HOUR)};
    stek_ring_t *both = ring_of(keys, 2), *one = ring_of(keys, 1);
    unsigned char a[ANNOUNCE_DIGEST_LEN], b[ANNOUNCE_DIGEST_LEN];
    stek_tombstone_t tombstone = {{9}, T0 + HOUR};

    (void)state;
    assert_int_equal(announce_digest(both, T0 - 2 * HOUR, a), APR_SUCCESS);
    assert_int_equal(announce_digest(one, T0 - 2 * HOUR, b), APR_SUCCESS);
    assert_memory_not_equal(a, b, sizeof(a));
    /* The second has ended, whether or not it is still there. */
    assert_int_equal(announce_digest(both, T0, a), APR_SUCCESS);
    assert_int_equal(announce_digest(one, T0, b), APR_SUCCESS);
    assert_memory_equal(a, b, sizeof(a));
    assert_int_equal(stek_ring_add_tombstone(one, &tombstone), APR_SUCCESS);
    assert_int_equal(announce_digest(one, T0, b), APR_SUCCESS);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(announce_digest(one, T0 + HOUR, b), APR_SUCCESS);
    assert_int_equal(announce_digest(both, T0 + HOUR, a), APR_SUCCESS);
    assert_memory_equal(a, b, sizeof(a));
    one->epoch = 1;
    assert_int_equal(announce_digest(one, T0 + HOUR, b), APR_SUCCESS);
    assert_memory_not_equal(a, b, sizeof(a));
    stek_ring_destroy(both);
    stek_ring_destroy(one);
}

/* ---- views ---- */

#define HOSTS_N 6

static void make_hosts(announce_t *hosts)
{
    int i;

    for (i = 0; i < HOSTS_N; i++) {
        hosts[i] = host_of(apr_psprintf(pool, "web%d", i), T0 - SEC(10 * i));
    }
}

static unsigned troubles_of(const announce_t *hosts, const char *name)
{
    announce_set_t set = {(announce_t *)(uintptr_t)hosts, HOSTS_N};
    fleet_view_t view = fleet_view_make(&set, T0, pool);
    apr_size_t i;

    for (i = 0; i < view.n; i++) {
        if (!strcmp(view.hosts[i].host->name, name)) {
            return view.hosts[i].troubles;
        }
    }
    fail_msg("%s is not in the view", name);
    return 0;
}

static void test_announce_view_good_fleet_no_trouble(void **state)
{
    announce_t hosts[HOSTS_N];
    int i;

    (void)state;
    make_hosts(hosts);
    for (i = 0; i < HOSTS_N; i++) {
        assert_int_equal(troubles_of(hosts, hosts[i].name), 0);
    }
}

static void test_announce_view_each_trouble_seen(void **state)
{
    announce_t hosts[HOSTS_N];
    int i;

    (void)state;
    make_hosts(hosts);
    for (i = 0; i < HOSTS_N; i++) {
        hosts[i].epoch = 5;
    }
    hosts[1].digest[0] = 1; /* for an hour, and it has spoken 10 s ago */
    hosts[2].digest[0] = 2;
    hosts[2].epoch = 4; /* the same, since a moment ago only: */
    hosts[3].behind = SEC(170);
    apr_cpystrn(hosts[4].version, "0.0.9", sizeof(hosts[4].version));
    hosts[5].clock = T0 - SEC(60 * 3 + 25 + 1);
    hosts[5].digest[0] = 3;
    assert_int_equal(troubles_of(hosts, "web0"), 0);
    assert_int_equal(troubles_of(hosts, "web1"), 1u << FLEET_DISAGREES);
    assert_int_equal(troubles_of(hosts, "web2"), 1u << FLEET_DISAGREES);
    assert_int_equal(troubles_of(hosts, "web3"), 1u << FLEET_CLOCK);
    assert_int_equal(troubles_of(hosts, "web4"), 1u << FLEET_VERSION);
    assert_int_equal(troubles_of(hosts, "web5"), 1u << FLEET_GONE);
    hosts[5].clock += SEC(1);
    assert_int_equal(troubles_of(hosts, "web5"), 1u << FLEET_DISAGREES);
    hosts[0].clock = T0 + SEC(6);
    assert_int_equal(troubles_of(hosts, "web0"), 1u << FLEET_CLOCK);
}

static void test_announce_view_those_that_follow_a_revocation_lag_first(void **state)
{
    announce_t hosts[HOSTS_N];
    int i;

    (void)state;
    make_hosts(hosts);
    hosts[0].epoch = 9; /* alone, and just now */
    hosts[0].digest[0] = 9;
    hosts[0].since = T0 - SEC(3);
    for (i = 1; i < HOSTS_N; i++) {
        assert_int_equal(troubles_of(hosts, hosts[i].name), 1u << FLEET_LAGS);
    }
    /* Later those are apart that have spoken since. */
    hosts[0].since = T0 - SEC(40);
    assert_int_equal(troubles_of(hosts, "web1"), 1u << FLEET_DISAGREES);
    assert_int_equal(troubles_of(hosts, "web5"), 1u << FLEET_LAGS);
}

static void test_announce_view_split_in_halves_both_shown(void **state)
{
    announce_t hosts[HOSTS_N];
    announce_set_t set = {hosts, HOSTS_N};
    fleet_view_t view;
    int i;

    (void)state;
    make_hosts(hosts);
    for (i = 0; i < HOSTS_N / 2; i++) {
        hosts[i].digest[0] = 1;
    }
    view = fleet_view_make(&set, T0, pool);
    assert_int_equal(view.ring_n, 2);
    assert_int_equal(view.rings[0].host_n, HOSTS_N / 2);
    assert_int_equal(view.trouble_n[FLEET_DISAGREES], HOSTS_N / 2);
    assert_int_equal(fleet_trouble_worst(view.hosts[0].troubles), FLEET_DISAGREES);
    assert_int_equal(view.hosts[HOSTS_N - 1].troubles, 0);
}

static void test_announce_view_not_in_step_with_its_stores_lags(void **state)
{
    announce_t hosts[HOSTS_N];

    (void)state;
    make_hosts(hosts);
    hosts[2].agreed = hosts[2].clock - SEC(51);
    assert_int_equal(troubles_of(hosts, "web2"), 1u << FLEET_LAGS);
    hosts[2].agreed = hosts[2].clock - SEC(50);
    assert_int_equal(troubles_of(hosts, "web2"), 0);
    hosts[2].agreed = 0;
    assert_int_equal(troubles_of(hosts, "web2"), 1u << FLEET_LAGS);
}

static void test_announce_view_httpd_with_an_older_ring_lags(void **state)
{
    announce_t hosts[HOSTS_N];

    (void)state;
    make_hosts(hosts);
    hosts[2].flags |= ANNOUNCE_HTTPD;
    hosts[2].generation = hosts[2].httpd_generation = 7;
    assert_int_equal(troubles_of(hosts, "web2"), 0);
    hosts[2].httpd_generation = 6;
    assert_int_equal(troubles_of(hosts, "web2"), 1u << FLEET_LAGS);
    hosts[2].since = T0 - SEC(35); /* it may still be polling */
    assert_int_equal(troubles_of(hosts, "web2"), 0);
    hosts[2].since = T0 - SEC(36);
    assert_int_equal(troubles_of(hosts, "web2"), 1u << FLEET_LAGS);
    hosts[2].httpd_generation = 7;
    hosts[2].httpd_epoch = 1; /* another's ring */
    assert_int_equal(troubles_of(hosts, "web2"), 1u << FLEET_LAGS);
}

static void test_announce_view_mute_httpd_lags_and_twin_seen(void **state)
{
    announce_t hosts[HOSTS_N];

    (void)state;
    make_hosts(hosts);
    hosts[2].flags |= ANNOUNCE_MUTE;
    hosts[3].flags |= ANNOUNCE_TWIN;
    assert_int_equal(troubles_of(hosts, "web2"), 1u << FLEET_LAGS);
    assert_int_equal(troubles_of(hosts, "web3"), 1u << FLEET_TWIN);
    hosts[3].clock = T0 - SEC(600);
    assert_int_equal(troubles_of(hosts, "web3"), 1u << FLEET_GONE);
}

static void test_announce_behind_by_days_needs_most_others(void **state)
{
    announce_t hosts[HOSTS_N];
    announce_set_t set = {hosts, HOSTS_N};
    int i;

    (void)state;
    make_hosts(hosts);
    for (i = 1; i < HOSTS_N; i++) {
        assert_int_equal(announce_behind(&set, "web0", T0), i > 3 ? 12 * DAY - SEC(30) : 0);
        hosts[i].clock += 12 * DAY;
    }
    /* As far as most of them are, not as far as one. */
    hosts[4].clock += 400 * DAY;
    assert_true(announce_behind(&set, "web0", T0) <= 12 * DAY);
    /* With that, it is not taken for one that has gone, and what it says next counts. */
    make_hosts(hosts);
    hosts[0].clock -= 12 * DAY;
    hosts[0].behind = 12 * DAY;
    assert_int_equal(troubles_of(hosts, "web0"), 1u << FLEET_CLOCK);
    assert_int_equal(announce_merge(&set, &set, T0, 10, pool).n, HOSTS_N);
    hosts[1] = hosts[0];
    hosts[1].clock += SEC(1);
    assert_true(announce_compare(&hosts[1], &hosts[0], T0) > 0);
}

static void test_announce_forget_leaves_a_mark_until_the_host_speaks(void **state)
{
    announce_t hosts[HOSTS_N];
    announce_set_t set = {hosts, HOSTS_N}, marked, again;

    (void)state;
    make_hosts(hosts);
    hosts[2].clock = T0 + SEC(30); /* a fast clock */
    marked = announce_forget(&set, "web2", T0, pool);
    assert_int_equal(marked.n, HOSTS_N);
    assert_int_equal(announce_present(&marked, pool).n, HOSTS_N - 1);
    assert_null(announce_find(&(announce_set_t){announce_present(&marked, pool).hosts, HOSTS_N - 1},
                              "web2"));
    /* What another store has of it does not bring it back; what it says itself does. */
    again = announce_merge(&set, &marked, T0, 10, pool);
    assert_int_equal(announce_present(&again, pool).n, HOSTS_N - 1);
    again = announce_put(&again, &hosts[2], T0, pool);
    assert_int_equal(announce_present(&again, pool).n, HOSTS_N);
}

static void test_announce_behind_needs_two_others_that_agree(void **state)
{
    announce_t hosts[HOSTS_N];
    announce_set_t set = {hosts, HOSTS_N};

    (void)state;
    make_hosts(hosts);
    assert_int_equal(announce_behind(&set, "web0", T0), 0);
    hosts[1].clock = T0 + SEC(180); /* its own clock may be the wrong one */
    assert_int_equal(announce_behind(&set, "web0", T0), 0);
    hosts[2].clock = T0 + SEC(170);
    assert_int_equal(announce_behind(&set, "web0", T0), SEC(170));
    hosts[2].clock = T0 + 2 * DAY;
    assert_int_equal(announce_behind(&set, "web0", T0), 0);
    set.n = 2;
    assert_int_equal(announce_behind(&set, "web0", T0), SEC(180));
    assert_int_equal(announce_behind(&set, "web1", T0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_announce_merge_random_sets_laws_hold),
        cmocka_unit_test(test_announce_merge_replayed_announcement_changes_nothing),
        cmocka_unit_test(test_announce_merge_two_words_in_a_second_the_later_ring_counts),
        cmocka_unit_test(test_announce_put_a_host_has_the_last_word_on_itself),
        cmocka_unit_test(test_announce_put_crowded_part_keeps_the_host),
        cmocka_unit_test(test_announce_open_gives_what_was_sealed),
        cmocka_unit_test(test_announce_open_anything_else_refused),
        cmocka_unit_test(test_announce_seal_what_could_not_be_opened_refused),
        cmocka_unit_test(test_announce_names_of_printable_letters_only),
        cmocka_unit_test(test_announce_parts_spread_hosts),
        cmocka_unit_test(test_announce_digest_equal_rings_only),
        cmocka_unit_test(test_announce_view_good_fleet_no_trouble),
        cmocka_unit_test(test_announce_view_each_trouble_seen),
        cmocka_unit_test(test_announce_view_those_that_follow_a_revocation_lag_first),
        cmocka_unit_test(test_announce_view_split_in_halves_both_shown),
        cmocka_unit_test(test_announce_view_not_in_step_with_its_stores_lags),
        cmocka_unit_test(test_announce_view_httpd_with_an_older_ring_lags),
        cmocka_unit_test(test_announce_view_mute_httpd_lags_and_twin_seen),
        cmocka_unit_test(test_announce_behind_by_days_needs_most_others),
        cmocka_unit_test(test_announce_forget_leaves_a_mark_until_the_host_speaks),
        cmocka_unit_test(test_announce_behind_needs_two_others_that_agree),
    };
    int failed;

    (void)apr_initialize();
    (void)apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
