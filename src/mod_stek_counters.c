/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters in shared memory (mod_stek_counters.h).  Glue; counting is for any thread of any
 * process, making and ending for the parent's, claiming, remembering and summing for children's.
 */
#include "mod_stek_counters.h"

#include "ap_mpm.h"
#include "httpd.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mod_stek_retained.h"
#include "stek_error.h"

#define TALLIES_MAX 1025 /* beyond that children share */
#define REMEMBER_EVERY apr_time_from_sec(60)
#define RAISE_TRIES 1000
#define HOUR apr_time_from_sec(3600)
#define MARK_N 62 /* one a minute, and so two that are an hour apart */
#define SPAN_MIN apr_time_from_sec(10)

/* ---- shared: any child may have written anything ---- */

/* Which process has which tally; the parent never looks. */
typedef struct claims_t {
    _Atomic int used_n; /* tallies from here on were never claimed, and their pages never touched */
    _Atomic int pids[]; /* 0: free */
} claims_t;

typedef struct past_t {
    _Atomic apr_int64_t at;
    _Atomic apr_uint64_t counts[MOD_STEK_COUNTER_N];
} past_t;

typedef struct mark_t {
    _Atomic apr_int64_t at;
    _Atomic apr_uint64_t resumed, all; /* handshakes */
} mark_t;

typedef struct shared_t {
    past_t past[2];       /* the later first; written by children */
    mark_t marks[MARK_N]; /* each minute has its place; by children too */
    /* How the parent follows the ring's file, for children to show. */
    _Atomic apr_int64_t parent_looked_at;
    _Atomic int parent_status;
    _Alignas(64) mod_stek_tally_t tallies[];
} shared_t;

/* ---- of every process alone ---- */

typedef struct retained_t {
    claims_t *claims; /* NULL: no memory for them */
    int tally_n;      /* of the claims, and of all counters */
} retained_t;

struct mod_stek_counters_t {
    shared_t *shared;
    claims_t *claims;
    int tally_n;
    apr_size_t size;
    _Atomic apr_int64_t looked_at; /* apr_time_t of the last look that ended well; 0: none */
    _Atomic int status;            /* apr_status_t of the last look */
};

const char *const mod_stek_cause_texts[] = {
#define MOD_STEK_CAUSE(name, text) text,
    MOD_STEK_CAUSES(MOD_STEK_CAUSE)
#undef MOD_STEK_CAUSE
};

const int mod_stek_age_bounds[MOD_STEK_AGE_BOUND_N] = MOD_STEK_AGE_BOUNDS;

static int own_tally; /* the parent's, until a child claims one */

static void *map_shared(apr_size_t size)
{
    /* cppcheck-suppress invalidFunctionArg; -1 goes with MAP_ANONYMOUS */
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    return memory;
}

/* The MPM never runs more children at a time than its limit, which no reload changes. */
static int tallies_wanted(void)
{
    int children_n = 0;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children_n) != APR_SUCCESS || children_n < 1
        || children_n > TALLIES_MAX - 1) {
        children_n = TALLIES_MAX - 1;
    }
    return 1 + children_n;
}

static retained_t *retained_get(void)
{
    return mod_stek_retained("claims", MOD_STEK_COUNTERS_LAYOUT, sizeof(retained_t),
                             sizeof(claims_t));
}

static retained_t *retained_with_claims(void)
{
    retained_t *retained = retained_get();
    int tally_n;

    if (!retained->claims) {
        tally_n = tallies_wanted();
        retained->claims = map_shared(sizeof(claims_t) + (apr_size_t)tally_n * sizeof(_Atomic int));
        if (retained->claims) {
            retained->tally_n = tally_n;
            retained->claims->used_n = 1;
        }
    }
    return retained;
}

apr_status_t mod_stek_counters_create(mod_stek_counters_t **pcounters)
{
    mod_stek_counters_t *counters = calloc(1, sizeof(*counters));
    const retained_t *retained;
    apr_status_t rv = APR_ENOMEM;

    if (!counters) {
        return rv;
    }
    retained = retained_with_claims();
    if (retained->claims) {
        counters->claims = retained->claims;
        counters->tally_n = retained->tally_n;
        counters->size = sizeof(shared_t)
                         + (apr_size_t)retained->tally_n * sizeof(mod_stek_tally_t);
        counters->shared = map_shared(counters->size);
        rv = counters->shared ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    }
    if (rv != APR_SUCCESS) {
        free(counters);
        return rv;
    }
    *pcounters = counters;
    return APR_SUCCESS;
}

void mod_stek_counters_destroy(mod_stek_counters_t *counters)
{
    if (counters) {
        munmap(counters->shared, counters->size);
        free(counters);
    }
}

void mod_stek_counters_hand_over(const mod_stek_counters_t *counters)
{
    if (counters) {
        mod_stek_retained_list(counters->shared, counters->size);
    }
}

static int take(claims_t *claims, int tally, int owner)
{
    return atomic_compare_exchange_strong(&claims->pids[tally], &owner, (int)getpid());
}

/* A child that was killed could not give its tally back. */
static int has_ended(int pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static int find_tally(claims_t *claims, int tally_n)
{
    int i, pid;

    for (i = 1; i < tally_n; i++) {
        if (take(claims, i, 0)) {
            return i;
        }
        pid = atomic_load(&claims->pids[i]);
        if (pid != 0 && has_ended(pid) && take(claims, i, pid)) {
            return i;
        }
    }
    return 0;
}

/* A child that keeps writing there cannot keep us for long. */
static void raise_used(claims_t *claims, int n)
{
    int used_n = atomic_load(&claims->used_n), tries = RAISE_TRIES;

    while (used_n < n && tries-- > 0
           && !atomic_compare_exchange_weak(&claims->used_n, &used_n, n)) {
    }
}

static apr_status_t give_back(void *data)
{
    claims_t *claims = data;
    int mine = (int)getpid();

    atomic_compare_exchange_strong(&claims->pids[own_tally], &mine, 0);
    return APR_SUCCESS;
}

void mod_stek_counters_claim(apr_pool_t *pchild)
{
    const retained_t *retained = retained_get();
    claims_t *claims = retained->claims;
    int tally_n = retained->tally_n;

    if (!claims) {
        return;
    }
    own_tally = find_tally(claims, tally_n);
    if (own_tally == 0) {
        /* None is free: share, but not with the parent, which tells of itself in its tally. */
        own_tally = 1 + (int)(getpid() % (tally_n - 1));
    }
    else {
        apr_pool_cleanup_register(pchild, claims, give_back, apr_pool_cleanup_null);
    }
    raise_used(claims, own_tally + 1);
}

mod_stek_tally_t *mod_stek_counters_tally(mod_stek_counters_t *counters)
{
    return counters ? &counters->shared->tallies[own_tally] : NULL;
}

void mod_stek_count_age(mod_stek_tally_t *tally, apr_uint32_t age_s)
{
    int i = 0;

    if (!tally) {
        return;
    }
    while (i < MOD_STEK_AGE_BOUND_N && age_s > (apr_uint32_t)mod_stek_age_bounds[i]) {
        i++;
    }
    mod_stek_count(tally, MOD_STEK_AGE + i);
    mod_stek_count_n(tally, MOD_STEK_AGE_SUM_S, age_s);
}

static int cause_of(apr_status_t rv)
{
    switch (rv) {
    case STEK_EMAGIC:
    case STEK_ELENGTH:
    case STEK_EMALFORMED:
    case STEK_ETOOBIG:
        return MOD_STEK_LOAD_FAILED_FORMAT;
    case STEK_EVERSION:
        return MOD_STEK_LOAD_FAILED_VERSION;
    case STEK_ESEAL:
        return MOD_STEK_LOAD_FAILED_SEAL;
    case STEK_ESECRET:
        return MOD_STEK_LOAD_FAILED_SECRET;
    case STEK_EWEAK:
        return MOD_STEK_LOAD_FAILED_WEAK;
    case STEK_EPERM:
        return MOD_STEK_LOAD_FAILED_PERMISSIONS;
    default:
        return APR_STATUS_IS_ENOENT(rv)   ? MOD_STEK_LOAD_FAILED_MISSING
               : APR_STATUS_IS_EACCES(rv) ? MOD_STEK_LOAD_FAILED_PERMISSIONS
                                          : MOD_STEK_LOAD_FAILED_OTHER;
    }
}

void mod_stek_count_load(mod_stek_counters_t *counters, apr_status_t rv, apr_time_t now)
{
    mod_stek_tally_t *tally = mod_stek_counters_tally(counters);

    if (!counters) {
        return;
    }
    /* The parent makes what has never been there. */
    if (own_tally == 0 && APR_STATUS_IS_ENOENT(rv) && atomic_load(&counters->looked_at) == 0) {
        return;
    }
    mod_stek_count(tally, rv == APR_SUCCESS ? MOD_STEK_LOADS : cause_of(rv));
    if (rv == APR_SUCCESS) {
        atomic_store_explicit(&tally->loaded_at, now, memory_order_relaxed);
    }
}

void mod_stek_count_look(mod_stek_counters_t *counters, apr_status_t rv, apr_time_t now)
{
    if (!counters) {
        return;
    }
    atomic_store(&counters->status, rv);
    if (rv == APR_SUCCESS) {
        atomic_store(&counters->looked_at, now);
    }
    if (own_tally == 0) {
        atomic_store(&counters->shared->parent_status, rv);
        atomic_store(&counters->shared->parent_looked_at, atomic_load(&counters->looked_at));
    }
}

apr_status_t mod_stek_counters_looked(const mod_stek_counters_t *counters, apr_time_t *pat)
{
    *pat = atomic_load(&counters->looked_at);
    return atomic_load(&counters->status);
}

static apr_uint64_t get(const _Atomic apr_uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* So that a span from it to now is one. */
static apr_time_t get_time(const _Atomic apr_int64_t *at)
{
    apr_time_t t = atomic_load_explicit(at, memory_order_relaxed);

    return t < 0 ? 0 : t;
}

static int used_tallies(const mod_stek_counters_t *counters)
{
    int used_n = atomic_load(&counters->claims->used_n);

    return used_n < 1 ? 1 : used_n > counters->tally_n ? counters->tally_n : used_n;
}

static void sum_tallies(const mod_stek_counters_t *counters, mod_stek_totals_t *totals)
{
    int i, tally, used_n = used_tallies(counters);

    for (tally = 0; tally < used_n; tally++) {
        const mod_stek_tally_t *from = &counters->shared->tallies[tally];
        apr_time_t loaded_at = get_time(&from->loaded_at);

        for (i = 0; i < MOD_STEK_COUNTER_N; i++) {
            apr_uint64_t count = get(&from->counts[i]);

            totals->all[i] = mod_stek_counts_add(totals->all[i], count);
            if (tally == 0) {
                totals->parent[i] = count;
            }
        }
        totals->loaded_at = loaded_at > totals->loaded_at ? loaded_at : totals->loaded_at;
    }
}

void mod_stek_counters_sum(const mod_stek_counters_t *counters, mod_stek_totals_t *totals)
{
    const shared_t *shared;
    const past_t *past;
    int i;

    memset(totals, 0, sizeof(*totals));
    if (!counters) {
        return;
    }
    shared = counters->shared;
    sum_tallies(counters, totals);
    totals->parent_looked_at = get_time(&shared->parent_looked_at);
    totals->parent_status = atomic_load(&shared->parent_status);
    past = &shared->past[get_time(&shared->past[1].at) ? 1 : 0];
    totals->before_at = get_time(&past->at);
    for (i = 0; i < MOD_STEK_COUNTER_N; i++) {
        totals->before[i] = get(&past->counts[i]);
    }
}

apr_uint64_t mod_stek_counts_sum(const apr_uint64_t *counts, int first, int n)
{
    apr_uint64_t sum = 0;

    while (n-- > 0) {
        sum = mod_stek_counts_add(sum, counts[first + n]);
    }
    return sum;
}

void mod_stek_counts_handshakes(const apr_uint64_t *counts, mod_stek_rate_t *rate)
{
    rate->span = 0;
    rate->resumed = mod_stek_counts_sum(counts, MOD_STEK_RESUMED_CURRENT, 3);
    rate->all = mod_stek_counts_sum(counts, MOD_STEK_RESUMED_CURRENT,
                                    MOD_STEK_NOT_OFFERED - MOD_STEK_RESUMED_CURRENT + 1);
}

/* A child may have written anything into what was remembered. */
static void set_gain(apr_time_t at, apr_uint64_t resumed, apr_uint64_t all, apr_time_t now,
                     mod_stek_rate_t *rate)
{
    rate->resumed -= resumed < rate->resumed ? resumed : rate->resumed;
    rate->all -= all < rate->all ? all : rate->all;
    rate->resumed = rate->resumed < rate->all ? rate->resumed : rate->all;
    rate->span = now - at;
}

void mod_stek_counters_rate_now(const mod_stek_totals_t *totals, apr_time_t now,
                                mod_stek_rate_t *rate)
{
    mod_stek_rate_t before;

    memset(rate, 0, sizeof(*rate));
    if (totals->before_at != 0 && now - totals->before_at >= SPAN_MIN) {
        mod_stek_counts_handshakes(totals->all, rate);
        mod_stek_counts_handshakes(totals->before, &before);
        set_gain(totals->before_at, before.resumed, before.all, now, rate);
    }
}

void mod_stek_counters_rate_hour(const mod_stek_counters_t *counters,
                                 const mod_stek_totals_t *totals, apr_time_t now,
                                 mod_stek_rate_t *rate)
{
    const mark_t *mark = NULL;
    apr_time_t from = now;
    int i;

    memset(rate, 0, sizeof(*rate));
    for (i = 0; counters && i < MARK_N; i++) {
        apr_time_t at = get_time(&counters->shared->marks[i].at);

        if (at != 0 && at < from && at >= now - HOUR - REMEMBER_EVERY) {
            mark = &counters->shared->marks[i];
            from = at;
        }
    }
    if (mark && now - from >= SPAN_MIN) {
        mod_stek_counts_handshakes(totals->all, rate);
        set_gain(from, get(&mark->resumed), get(&mark->all), now, rate);
    }
}

static void set_mark(shared_t *shared, const mod_stek_totals_t *totals, apr_time_t now)
{
    mark_t *mark = &shared->marks[now / REMEMBER_EVERY % MARK_N];
    mod_stek_rate_t rate;

    mod_stek_counts_handshakes(totals->all, &rate);
    mark->resumed = rate.resumed;
    mark->all = rate.all;
    mark->at = now;
}

void mod_stek_counters_remember(mod_stek_counters_t *counters, apr_time_t now)
{
    mod_stek_totals_t totals;
    apr_int64_t found;
    apr_time_t at;
    past_t *past;
    int i;

    if (!counters) {
        return;
    }
    past = counters->shared->past;
    found = atomic_load(&past[0].at);
    at = found < 0 ? 0 : found;
    /* A clock that was set back must not stop it for long. */
    if (at != 0 && now >= at && now - at < REMEMBER_EVERY) {
        return;
    }
    if (!atomic_compare_exchange_strong(&past[0].at, &found, now)) {
        return; /* another child does it */
    }
    mod_stek_counters_sum(counters, &totals);
    for (i = 0; i < MOD_STEK_COUNTER_N; i++) {
        past[1].counts[i] = get(&past[0].counts[i]);
        past[0].counts[i] = totals.all[i];
    }
    past[1].at = at;
    set_mark(counters->shared, &totals, now);
}
