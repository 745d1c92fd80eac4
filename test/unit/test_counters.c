/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters: who counts where, sums that stay exact whatever becomes of those who counted, and the
 * boundaries of buckets.  The MPM's limit is two children here.
 */
#include "core_util.h"

#include <apr_general.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "httpd_stub.h"
#include "mod_stek_counters.h"

static mod_stek_counters_t *counters;

static int setup(void **state)
{
    (void)state;
    return mod_stek_counters_create(&counters);
}

static int teardown(void **state)
{
    (void)state;
    mod_stek_counters_destroy(counters);
    return 0;
}

static mod_stek_totals_t sum(void)
{
    mod_stek_totals_t totals;

    mod_stek_counters_sum(counters, &totals);
    return totals;
}

/* This process's tally as a number of which only differences count. */
static int own_tally_offset(void)
{
    return (int)((char *)mod_stek_counters_tally(counters) - (char *)counters);
}

/* A child that claims a tally, tells its number, counts n, and waits to be told to end. */
typedef struct child_t {
    pid_t pid;
    int to, from, tally;
} child_t;

static void child_main(int n, int in, int out)
{
    apr_pool_t *pool;
    char byte;
    int tally;

    apr_pool_create(&pool, NULL);
    mod_stek_counters_claim(pool);
    mod_stek_count_look(counters, APR_SUCCESS, T0 + DAY);
    tally = own_tally_offset();
    while (n-- > 0) {
        mod_stek_count(mod_stek_counters_tally(counters), MOD_STEK_ISSUED);
    }
    if (write(out, &tally, sizeof(tally)) != sizeof(tally) || read(in, &byte, 1) < 0) {
        _exit(1);
    }
    apr_pool_destroy(pool);
    _exit(0);
}

static child_t child_start(int n)
{
    int to[2], from[2];
    child_t child;

    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        close(to[1]);
        child_main(n, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    child.to = to[1];
    child.from = from[0];
    return child;
}

static void child_wait_tally(child_t *child)
{
    assert_int_equal(read(child->from, &child->tally, sizeof(child->tally)), sizeof(child->tally));
}

static void child_end(child_t *child, int killed)
{
    int status;

    if (killed) {
        kill(child->pid, SIGKILL);
    }
    else {
        /* Not by closing: children that were forked later hold this end too. */
        assert_int_equal(write(child->to, "", 1), 1);
    }
    close(child->to);
    close(child->from);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(killed ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_counters_children_have_tallies_of_their_own(void **state)
{
    child_t a = child_start(3), b = child_start(5);

    (void)state;
    child_wait_tally(&a);
    child_wait_tally(&b);
    assert_true(a.tally != b.tally && a.tally != own_tally_offset()
                && b.tally != own_tally_offset());
    assert_true(abs(a.tally - b.tally) % 64 == 0);
    mod_stek_count(mod_stek_counters_tally(counters), MOD_STEK_ISSUED);
    assert_int_equal(sum().all[MOD_STEK_ISSUED], 9);
    assert_int_equal(sum().parent[MOD_STEK_ISSUED], 1);
    child_end(&a, 0);
    child_end(&b, 0);
    assert_int_equal(sum().all[MOD_STEK_ISSUED], 9);
}

static void test_counters_tally_of_ended_or_killed_child_goes_on(void **state)
{
    int killed;

    (void)state;
    for (killed = 0; killed < 2; killed++) {
        child_t a = child_start(1), b;

        child_wait_tally(&a);
        child_end(&a, killed);
        b = child_start(1);
        child_wait_tally(&b);
        assert_int_equal(a.tally, b.tally);
        child_end(&b, 0);
    }
    assert_int_equal(sum().all[MOD_STEK_ISSUED], 4);
}

static void test_counters_more_children_than_tallies_stay_exact(void **state)
{
    child_t children[6];
    int i;

    (void)state;
    for (i = 0; i < 6; i++) {
        children[i] = child_start(20000);
    }
    for (i = 0; i < 6; i++) {
        child_wait_tally(&children[i]);
        assert_true(children[i].tally != own_tally_offset());
    }
    for (i = 0; i < 6; i++) {
        child_end(&children[i], i % 2);
    }
    assert_int_equal(sum().all[MOD_STEK_ISSUED], 120000);
    assert_int_equal(sum().parent[MOD_STEK_ISSUED], 0);
}

static void test_counters_age_bounds_are_inclusive(void **state)
{
    mod_stek_tally_t *tally = mod_stek_counters_tally(counters);
    apr_uint64_t ages_s = 0;
    int i;

    (void)state;
    mod_stek_count_age(tally, 0);
    for (i = 0; i < MOD_STEK_AGE_BOUND_N; i++) {
        mod_stek_count_age(tally, (apr_uint32_t)mod_stek_age_bounds[i]);
        mod_stek_count_age(tally, (apr_uint32_t)mod_stek_age_bounds[i] + 1);
        ages_s += 2 * (apr_uint64_t)mod_stek_age_bounds[i] + 1;
    }
    assert_int_equal(sum().all[MOD_STEK_AGE], 2);
    for (i = 1; i < MOD_STEK_AGE_BOUND_N; i++) {
        assert_int_equal(sum().all[MOD_STEK_AGE + i], 2);
    }
    assert_int_equal(sum().all[MOD_STEK_AGE + MOD_STEK_AGE_BOUND_N], 1);
    assert_int_equal(sum().all[MOD_STEK_AGE_SUM_S], ages_s);
}

static void test_counters_loads_by_cause(void **state)
{
    static const struct {
        apr_status_t rv;
        int counter;
    } cases[] = {
        {APR_SUCCESS, MOD_STEK_LOADS},
        {STEK_EMAGIC, MOD_STEK_LOAD_FAILED_FORMAT},
        {STEK_ELENGTH, MOD_STEK_LOAD_FAILED_FORMAT},
        {STEK_EVERSION, MOD_STEK_LOAD_FAILED_VERSION},
        {STEK_ESEAL, MOD_STEK_LOAD_FAILED_SEAL},
        {STEK_ESECRET, MOD_STEK_LOAD_FAILED_SECRET},
        {STEK_EWEAK, MOD_STEK_LOAD_FAILED_WEAK},
        {STEK_EPERM, MOD_STEK_LOAD_FAILED_PERMISSIONS},
        {EACCES, MOD_STEK_LOAD_FAILED_PERMISSIONS},
        {EIO, MOD_STEK_LOAD_FAILED_OTHER},
    };
    apr_uint64_t before;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        before = sum().all[cases[i].counter];
        mod_stek_count_load(counters, cases[i].rv, T0);
        assert_int_equal(sum().all[cases[i].counter], before + 1);
    }
    assert_int_equal(sum().loaded_at, T0);
    assert_string_equal(
        mod_stek_cause_texts[MOD_STEK_LOAD_FAILED_SEAL - MOD_STEK_LOAD_FAILED_MISSING], "seal");
}

static void test_counters_missing_file_counts_once_it_was_there(void **state)
{
    (void)state;
    mod_stek_count_load(counters, ENOENT, T0);
    mod_stek_count_look(counters, ENOENT, T0);
    assert_int_equal(sum().all[MOD_STEK_LOAD_FAILED_MISSING], 0);
    assert_int_equal(sum().parent_status, ENOENT);
    mod_stek_count_look(counters, APR_SUCCESS, T0 + 1);
    mod_stek_count_load(counters, ENOENT, T0 + 2);
    mod_stek_count_look(counters, ENOENT, T0 + 2);
    assert_int_equal(sum().all[MOD_STEK_LOAD_FAILED_MISSING], 1);
    assert_int_equal(sum().parent_looked_at, T0 + 1);
}

static void test_counters_remember_once_a_minute(void **state)
{
    mod_stek_tally_t *tally = mod_stek_counters_tally(counters);

    (void)state;
    assert_int_equal(sum().before_at, 0);
    mod_stek_counters_remember(counters, T0);
    mod_stek_count(tally, MOD_STEK_ISSUED);
    mod_stek_counters_remember(counters, T0 + SEC(60) - 1);
    assert_int_equal(sum().before_at, T0);
    assert_int_equal(sum().before[MOD_STEK_ISSUED], 0);
    mod_stek_counters_remember(counters, T0 + SEC(60));
    mod_stek_count(tally, MOD_STEK_ISSUED);
    mod_stek_counters_remember(counters, T0 + SEC(120));
    assert_int_equal(sum().before_at, T0 + SEC(60));
    assert_int_equal(sum().before[MOD_STEK_ISSUED], 1);
    /* The clock was set back. */
    mod_stek_counters_remember(counters, T0 - HOUR);
    mod_stek_counters_remember(counters, T0 - HOUR + SEC(60));
    assert_int_equal(sum().before_at, T0 - HOUR);
}

/* What a run of looks should have left: when each was remembered, and what had been counted. */
typedef struct look_t {
    apr_time_t at;
    apr_uint64_t resumed, all;
} look_t;

#define LOOKS 400

static void check_hour(const look_t *looks, int n, const look_t *is, apr_time_t now)
{
    mod_stek_totals_t totals = sum();
    mod_stek_rate_t rate;
    int i = 0;

    while (i < n && looks[i].at < now - HOUR - SEC(60)) {
        i++;
    }
    mod_stek_counters_rate_hour(counters, &totals, now, &rate);
    if (i == n || now - looks[i].at < SEC(10)) {
        assert_int_equal(rate.span, 0);
        assert_int_equal(rate.all, 0);
        return;
    }
    assert_int_equal(rate.span, now - looks[i].at);
    assert_int_equal(rate.resumed, is->resumed - looks[i].resumed);
    assert_int_equal(rate.all, is->all - looks[i].all);
    mod_stek_counters_rate_now(&totals, now, &rate);
    i = n > 1 ? n - 2 : 0;
    assert_int_equal(rate.span, now - looks[i].at);
    assert_int_equal(rate.all, is->all - looks[i].all);
}

static void test_counters_rates_are_those_of_a_model(void **state)
{
    static const int kinds[] = {MOD_STEK_RESUMED_OLD, MOD_STEK_REFUSED_DAMAGED,
                                MOD_STEK_NOT_OFFERED, MOD_STEK_KEYLESS};
    mod_stek_tally_t *tally = mod_stek_counters_tally(counters);
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    look_t looks[LOOKS], is = {0, 0, 0};
    apr_time_t now = T0;
    int n = 0, i;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (i = 0; i < LOOKS; i++) {
        int kind = (int)rnd_below(&rnd, 4);
        apr_uint64_t more = rnd_below(&rnd, 100);

        mod_stek_count_n(tally, kinds[kind], more);
        is.resumed += kind == 0 ? more : 0;
        is.all += kind < 3 ? more : 0;
        check_hour(looks, n, &is, now);
        mod_stek_counters_remember(counters, now);
        if (n == 0 || now - looks[n - 1].at >= SEC(60)) {
            looks[n] = is;
            looks[n++].at = now;
        }
        /* Mostly a poll; now and then httpd is idle, or the machine sleeps. */
        now += SEC(rnd_below(&rnd, 20) ? 1 + rnd_below(&rnd, 70) : rnd_below(&rnd, 5000));
    }
}

static void test_counters_own_look_is_not_the_parents(void **state)
{
    child_t child;
    apr_time_t at;

    (void)state;
    mod_stek_count_look(counters, APR_SUCCESS, T0);
    mod_stek_count_look(counters, ENOENT, T0 + 1);
    child = child_start(0);
    child_wait_tally(&child); /* its look ended well */
    assert_int_equal(mod_stek_counters_looked(counters, &at), ENOENT);
    assert_int_equal(at, T0);
    assert_int_equal(sum().parent_status, ENOENT);
    assert_int_equal(sum().parent_looked_at, T0);
    child_end(&child, 0);
}

/* ---- what a child can write ---- */

#define SCRIBBLES 3000
#define SCRIBBLES_WITH_CHILD 20 /* of so many one with a child, which takes longer */
#define SHARED_MAX 8

typedef struct span_t {
    unsigned char *from;
    size_t len;
} span_t;

/* All that this process shares with its children, whoever made it. */
static int find_shared(span_t spans[SHARED_MAX])
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    char line[512], flags[8];
    int n = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, flags) == 3 && strcmp(flags, "rw-s") == 0) {
            assert_true(n < SHARED_MAX);
            spans[n].from = (unsigned char *)from;
            spans[n++].len = to - from;
        }
    }
    fclose(maps);
    return n;
}

/* Random words, extreme ones, all the same one, or a mixture. */
static void scribble(rnd_t *rnd, const span_t *span)
{
    static const uint64_t extremes[] = {0,
                                        1,
                                        UINT64_MAX,
                                        UINT64_C(0x7fffffff7fffffff),
                                        UINT64_C(0x8000000080000000),
                                        UINT64_C(0x7fffffffffffffff),
                                        UINT64_C(0x8000000000000000),
                                        UINT64_C(0x00000400ffffffff)};
    const unsigned extreme_n = sizeof(extremes) / sizeof(extremes[0]);
    uint64_t one = extremes[rnd_below(rnd, extreme_n)];
    unsigned way = rnd_below(rnd, 4);
    size_t i;

    for (i = 0; i + sizeof(one) <= span->len; i += sizeof(one)) {
        uint64_t word = way == 0 || (way == 3 && rnd_below(rnd, 2)) ? rnd_next(rnd)
                        : way == 1                                  ? one
                                   : extremes[rnd_below(rnd, extreme_n)];

        memcpy(span->from + i, &word, sizeof(word));
    }
}

static size_t shared_len(void)
{
    span_t spans[SHARED_MAX];
    int n = find_shared(spans);
    size_t len = 0;

    while (n-- > 0) {
        len += spans[n].len;
    }
    return len;
}

static void check_totals(apr_time_t now)
{
    mod_stek_totals_t totals = sum();
    mod_stek_rate_t rate;
    char text[200];
    int i;

    assert_true(totals.before_at >= 0 && totals.loaded_at >= 0 && totals.parent_looked_at >= 0);
    for (i = 0; i < MOD_STEK_COUNTER_N; i++) {
        assert_true(totals.all[i] >= totals.parent[i]);
    }
    assert_non_null(stek_strerror(totals.parent_status, text, sizeof(text)));
    mod_stek_counters_rate_now(&totals, now, &rate);
    assert_true(rate.resumed <= rate.all && rate.span >= 0);
    mod_stek_counters_rate_hour(counters, &totals, now, &rate);
    assert_true(rate.resumed <= rate.all && rate.span >= 0 && rate.span <= HOUR + SEC(60));
}

/* All that the parent does, and what it knows of itself does not change by it. */
static void parent_goes_on(rnd_t *rnd, apr_time_t now)
{
    apr_status_t wanted = rnd_below(rnd, 2) ? APR_SUCCESS : ENOENT;
    mod_stek_counters_t *other = NULL;
    size_t len = shared_len();
    apr_time_t at;

    mod_stek_count_load(counters, wanted, now);
    mod_stek_count_look(counters, wanted, now);
    assert_int_equal(mod_stek_counters_looked(counters, &at), wanted);
    assert_true(wanted != APR_SUCCESS || at == now);
    mod_stek_count(mod_stek_counters_tally(counters), MOD_STEK_ISSUED);
    assert_int_equal(mod_stek_counters_create(&other), APR_SUCCESS);
    assert_true(shared_len() - len < 65536);
    mod_stek_counters_destroy(other);
    assert_int_equal(shared_len(), len);
}

static void test_counters_scribbled_by_a_child_harm_nobody(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    span_t spans[SHARED_MAX];
    int n = find_shared(spans), i, round;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    assert_true(n >= 2);
    for (round = 0; round < SCRIBBLES; round++) {
        for (i = 0; i < n; i++) {
            scribble(&rnd, &spans[i]);
        }
        parent_goes_on(&rnd, T0 + SEC(round));
        mod_stek_counters_remember(counters, T0 + SEC(round));
        check_totals(T0 + SEC(round));
        if (rnd_below(&rnd, SCRIBBLES_WITH_CHILD) == 0) {
            child_t child = child_start(3);

            child_wait_tally(&child);
            assert_true(child.tally != own_tally_offset());
            child_end(&child, rnd_below(&rnd, 2) != 0);
        }
    }
    /* The claims serve on, too. */
    for (i = 0; i < n; i++) {
        memset(spans[i].from, 0, spans[i].len);
    }
    test_counters_children_have_tallies_of_their_own(state);
}

static void test_counters_without_memory_count_nothing(void **state)
{
    mod_stek_totals_t totals;
    mod_stek_rate_t rate;

    (void)state;
    assert_null(mod_stek_counters_tally(NULL));
    mod_stek_count(NULL, MOD_STEK_ISSUED);
    mod_stek_count_age(NULL, 7);
    mod_stek_count_load(NULL, APR_SUCCESS, T0);
    mod_stek_count_look(NULL, APR_SUCCESS, T0);
    mod_stek_counters_remember(NULL, T0);
    mod_stek_counters_destroy(NULL);
    mod_stek_counters_sum(NULL, &totals);
    assert_int_equal(totals.all[MOD_STEK_ISSUED], 0);
    mod_stek_counters_rate_hour(NULL, &totals, T0, &rate);
    assert_int_equal(rate.span, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counters_children_have_tallies_of_their_own, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_counters_tally_of_ended_or_killed_child_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_counters_more_children_than_tallies_stay_exact, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_counters_age_bounds_are_inclusive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_loads_by_cause, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_missing_file_counts_once_it_was_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_counters_remember_once_a_minute, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_rates_are_those_of_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_own_look_is_not_the_parents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_scribbled_by_a_child_harm_nobody, setup,
                                        teardown),
        cmocka_unit_test(test_counters_without_memory_count_nothing),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
