/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live keyrings of this process.  Glue.
 *
 * They live in httpd's retained data, which outlives the reload that unloads and loads this
 * module: nothing here may point into the module's own data or code.  Handshake threads take the
 * read lock for a look-up and a copy of some 150 bytes; the writing thread builds the next ring
 * aside and takes the write lock to swap the pointers.
 */
#include "mod_stek_live.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mod_stek_live_private.h"
#include "mod_stek_retained.h"
#include "stek_key_make.h"
#include "stek_mem.h"

/* Counts up with every change of these structures, even one that keeps their sizes. */
#define LAYOUT 23
/* The counters hang off the keyrings. */
#define WHOLE_LAYOUT (100 * LAYOUT + MOD_STEK_COUNTERS_LAYOUT)
#define REACH                                                                                      \
    (sizeof(mod_stek_live_t) + sizeof(stek_ring_t) + sizeof(stek_key_t) + sizeof(stek_tombstone_t) \
     + sizeof(stek_secrets_t) + sizeof(pthread_rwlock_t) + sizeof(mod_stek_tally_t))

#define SWAP_WAIT apr_time_from_sec(1)

typedef struct retained_t {
    void *lives; /* mod_stek_live_t, the first */
} retained_t;

static retained_t *retained_get(void)
{
    return mod_stek_retained("live", WHOLE_LAYOUT, sizeof(retained_t), REACH);
}

static void live_destroy(mod_stek_live_t *live)
{
    stek_ring_destroy(live->ring);
    stek_secrets_destroy(live->secrets);
    stek_ring_file_close(&live->file);
    mod_stek_counters_destroy(live->counters);
    pthread_rwlock_destroy(&live->lock);
    free(live->path);
    free(live->identity);
    free(live);
}

static apr_status_t lock_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    int rc = pthread_rwlockattr_init(&attr);

    if (rc != 0) {
        return rc;
    }
#ifdef __GLIBC__
    /* Handshakes never stop: without this they could keep the writer out for good. */
    rc = pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    if (rc == 0) {
        rc = pthread_rwlock_init(lock, &attr);
    }
    pthread_rwlockattr_destroy(&attr);
    return rc;
}

/* What tells a live keyring from others, besides the path. */
static const char *identity_of(const mod_stek_ring_config_t *ring)
{
    return ring->path ? ring->secret_path : ring->name;
}

static apr_status_t live_create(const mod_stek_ring_config_t *ring, mod_stek_live_t **plive)
{
    mod_stek_live_t *live = calloc(1, sizeof(*live));
    apr_status_t rv;

    if (!live) {
        return APR_ENOMEM;
    }
    rv = lock_init(&live->lock);
    if (rv != APR_SUCCESS) {
        free(live);
        return rv;
    }
    stek_ring_file_init(&live->file, NULL, geteuid(), (gid_t)-1);
    live->path = ring->path ? strdup(ring->path) : NULL;
    live->identity = strdup(identity_of(ring));
    rv = live->identity && (live->path || !ring->path) ? stek_ring_create(1, 0, &live->ring)
                                                       : APR_ENOMEM;
    if (rv != APR_SUCCESS) {
        live_destroy(live);
        return rv;
    }
    *plive = live;
    return APR_SUCCESS;
}

static int is_of(const mod_stek_live_t *live, const mod_stek_ring_config_t *ring)
{
    int same_path = live->path && ring->path ? strcmp(live->path, ring->path) == 0
                                             : !live->path && !ring->path;

    return same_path && strcmp(live->identity, identity_of(ring)) == 0;
}

apr_status_t mod_stek_live_get(const mod_stek_ring_config_t *ring, mod_stek_live_t **plive)
{
    retained_t *retained = retained_get();
    mod_stek_live_t *live;
    apr_status_t rv;

    for (live = retained->lives; live; live = live->next) {
        if (is_of(live, ring)) {
            live->lifetime = ring->params.lifetime;
            *plive = live;
            return APR_SUCCESS;
        }
    }
    rv = live_create(ring, &live);
    if (rv == APR_SUCCESS) {
        live->lifetime = ring->params.lifetime;
        /* Without memory for them it runs, and counts nothing. */
        mod_stek_counters_create(&live->counters);
        live->tally = mod_stek_counters_tally(live->counters);
        live->next = retained->lives;
        retained->lives = live;
        *plive = live;
    }
    return rv;
}

static int is_configured(const mod_stek_live_t *live)
{
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->live == live) {
            return 1;
        }
    }
    return 0;
}

void mod_stek_live_sweep(void)
{
    retained_t *retained = retained_get();
    mod_stek_live_t *live = retained->lives, *kept = NULL, *next;

    for (; live; live = next) {
        next = live->next;
        if (is_configured(live)) {
            live->next = kept;
            kept = live;
        }
        else {
            live_destroy(live);
        }
    }
    retained->lives = kept;
    mod_stek_retained_end_former(WHOLE_LAYOUT, REACH);
}

static void hand_over(void *block)
{
    if (block) {
        mod_stek_retained_list(stek_mem_mapping(block), stek_mem_size(block));
    }
}

void mod_stek_live_hand_over(void)
{
    retained_t *retained = retained_get();
    mod_stek_live_t *live;

    mod_stek_retained_list_begin(WHOLE_LAYOUT, REACH, &retained->lives);
    for (live = retained->lives; live; live = live->next) {
        hand_over(live->ring);
        hand_over(live->secrets);
        mod_stek_counters_hand_over(live->counters);
        mod_stek_retained_list_fd(live->file.memory_fd);
        mod_stek_retained_list_fd(live->file.writer_fd);
        mod_stek_retained_list_fd(live->file.dir_fd);
    }
}

void mod_stek_live_inherit(int inherit)
{
    mod_stek_live_t *live;

    for (live = retained_get()->lives; live; live = live->next) {
        if (!inherit) {
            stek_ring_file_drop_writer(&live->file);
        }
        stek_mem_wipe_on_fork(live->ring, !inherit);
        if (live->secrets) {
            stek_mem_wipe_on_fork(live->secrets, !inherit);
        }
    }
}

void mod_stek_live_child_init(int in_jail)
{
    mod_stek_live_t *live;

    for (live = retained_get()->lives; live; live = live->next) {
        stek_ring_file_drop_writer(&live->file);
        if (in_jail) {
            stek_ring_file_enter_jail(&live->file);
        }
        live->tally = mod_stek_counters_tally(live->counters);
    }
    mod_stek_live_lock();
}

void mod_stek_live_lock(void)
{
    mod_stek_live_t *live;

    for (live = retained_get()->lives; live; live = live->next) {
        stek_mem_lock(live->ring);
        if (live->secrets) {
            stek_mem_lock(live->secrets);
        }
    }
}

void mod_stek_live_wipe(void)
{
    mod_stek_live_t *live;

    for (live = retained_get()->lives; live; live = live->next) {
        if (pthread_rwlock_trywrlock(&live->lock) == 0) {
            stek_ring_drop_keys(live->ring);
            pthread_rwlock_unlock(&live->lock);
        }
        if (live->secrets) {
            OPENSSL_cleanse(live->secrets, sizeof(*live->secrets));
        }
    }
}

/* How many keys have ended and are not in next (NULL: empty); number i of the last ones has its
 * name at names[i % MOD_STEK_ENDED_MAX], in live's ring. */
static unsigned find_ended(const mod_stek_live_t *live, const stek_ring_t *next, apr_time_t now,
                           const unsigned char *names[MOD_STEK_ENDED_MAX])
{
    unsigned n = 0;
    apr_size_t i;

    for (i = 0; i < live->ring->key_n; i++) {
        const stek_key_t *key = &live->ring->keys[i];

        if (!stek_key_can_decrypt(key, now, live->lifetime)
            && !(next && stek_ring_find(next, key->name))) {
            names[n++ % MOD_STEK_ENDED_MAX] = key->name;
        }
    }
    return n;
}

/* Under the write lock. */
static void remember_ended(mod_stek_live_t *live, unsigned n,
                           const unsigned char *const names[MOD_STEK_ENDED_MAX])
{
    unsigned i;

    for (i = n > MOD_STEK_ENDED_MAX ? n - MOD_STEK_ENDED_MAX : 0; i < n; i++) {
        memcpy(live->ended[live->ended_n++ % MOD_STEK_ENDED_MAX], names[i % MOD_STEK_ENDED_MAX],
               STEK_NAME_LEN);
    }
}

/* Keeps handshakes away; nonzero if they do not let go. */
static int lock_out(mod_stek_live_t *live)
{
    apr_time_t until = apr_time_now() + SWAP_WAIT;
    struct timespec until_ts = {(time_t)apr_time_sec(until), (long)apr_time_usec(until) * 1000};

    return pthread_rwlock_timedwrlock(&live->lock, &until_ts);
}

apr_status_t mod_stek_live_swap(mod_stek_live_t *live, stek_ring_t *ring)
{
    stek_ring_t *previous = live->ring;
    const unsigned char *names[MOD_STEK_ENDED_MAX];
    /* Before the lock, because handshakes wait for it: only this thread writes. */
    unsigned ended_n = find_ended(live, ring, apr_time_now(), names);

    if (lock_out(live) != 0) {
        stek_ring_destroy(ring);
        return APR_TIMEUP;
    }
    remember_ended(live, ended_n, names);
    live->ring = ring;
    live->unpublished = 1;
    pthread_rwlock_unlock(&live->lock);
    stek_ring_destroy(previous);
    return APR_SUCCESS;
}

apr_status_t mod_stek_live_drop_ended(mod_stek_live_t *live, apr_time_t now)
{
    const unsigned char *names[MOD_STEK_ENDED_MAX];
    unsigned ended_n = find_ended(live, NULL, now, names);

    if (ended_n == 0) {
        return APR_SUCCESS;
    }
    if (lock_out(live) != 0) {
        return APR_TIMEUP;
    }
    remember_ended(live, ended_n, names);
    stek_ring_drop_ended(live->ring, now, live->lifetime);
    live->dirty = 1;
    live->unpublished = 1;
    pthread_rwlock_unlock(&live->lock);
    return APR_SUCCESS;
}

apr_status_t mod_stek_live_drop_keys(mod_stek_live_t *live)
{
    if (lock_out(live) != 0) {
        return APR_TIMEUP;
    }
    stek_ring_drop_keys(live->ring);
    pthread_rwlock_unlock(&live->lock);
    return APR_SUCCESS;
}

/* Makes a ring with one good key that is current at now. */
static apr_status_t scratch_ring(apr_time_t now, stek_ring_t **pring)
{
    stek_key_t *key = stek_mem_alloc(sizeof(*key));
    const apr_time_t from = apr_time_from_sec(apr_time_sec(now));
    const apr_interval_time_t hour = apr_time_from_sec(3600);
    apr_status_t rv;

    if (!key) {
        return APR_ENOMEM;
    }
    rv = stek_key_make(from, from + hour, hour, 0, now, stek_rng_system, key);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_create(1, 0, pring);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_add_key(*pring, key);
    }
    stek_mem_free(key);
    return rv;
}

static void lend(mod_stek_live_t *live, stek_ring_t *ring, int issue)
{
    /* Waits for nobody: while httpd configures, it serves no handshake. */
    pthread_rwlock_wrlock(&live->lock);
    live->ring = ring;
    live->issue = issue;
    pthread_rwlock_unlock(&live->lock);
}

int mod_stek_live_selftest(mod_stek_live_t *live, apr_time_t now, int (*test)(void *data),
                           void *data)
{
    stek_ring_t *ring = live->ring, *scratch = NULL;
    int with_scratch = !stek_ring_current(ring, now) && scratch_ring(now, &scratch) == APR_SUCCESS;
    int passes;

    lend(live, with_scratch ? scratch : ring, 1);
    passes = test(data);
    if (!passes) {
        passes = test(data);
    }
    lend(live, ring, passes);
    stek_ring_destroy(scratch);
    return passes;
}

const stek_ring_t *mod_stek_live_ring(const mod_stek_live_t *live)
{
    return live->ring;
}

apr_time_t mod_stek_live_next_end(const mod_stek_live_t *live, apr_time_t now)
{
    return stek_ring_next_end(live->ring, now, live->lifetime);
}

mod_stek_counters_t *mod_stek_live_counters(const mod_stek_live_t *live)
{
    return live->counters;
}

mod_stek_tally_t *mod_stek_live_tally(const mod_stek_live_t *live)
{
    return live->tally;
}

void mod_stek_live_count_unsealed(mod_stek_live_t *live)
{
    atomic_fetch_add_explicit(&live->unsealed_n, 1, memory_order_relaxed);
}

unsigned mod_stek_live_take_unsealed(mod_stek_live_t *live)
{
    return atomic_exchange_explicit(&live->unsealed_n, 0, memory_order_relaxed);
}

mod_stek_logged_t *mod_stek_live_logged(mod_stek_live_t *live)
{
    return &live->logged;
}

int mod_stek_live_current(mod_stek_live_t *live, apr_time_t now, stek_key_t *key)
{
    const stek_key_t *current;

    pthread_rwlock_rdlock(&live->lock);
    current = live->issue ? stek_ring_current(live->ring, now) : NULL;
    if (current) {
        *key = *current;
    }
    pthread_rwlock_unlock(&live->lock);
    return current != NULL;
}

int mod_stek_live_can_issue(mod_stek_live_t *live, apr_time_t now)
{
    int can;

    pthread_rwlock_rdlock(&live->lock);
    can = live->issue && stek_ring_current(live->ring, now) != NULL;
    pthread_rwlock_unlock(&live->lock);
    return can;
}

/* Nonzero if the key of that name was here and has ended. */
static int has_ended(const mod_stek_live_t *live, const unsigned char name[STEK_NAME_LEN])
{
    unsigned i, n = live->ended_n < MOD_STEK_ENDED_MAX ? live->ended_n : MOD_STEK_ENDED_MAX;

    for (i = 0; i < n; i++) {
        if (memcmp(live->ended[i], name, STEK_NAME_LEN) == 0) {
            return 1;
        }
    }
    return 0;
}

stek_state_e mod_stek_live_lookup(mod_stek_live_t *live, const unsigned char name[STEK_NAME_LEN],
                                  apr_time_t now, stek_key_t *key, int *prenewable)
{
    const stek_key_t *found;
    stek_state_e state;

    pthread_rwlock_rdlock(&live->lock);
    found = stek_ring_find(live->ring, name);
    state = stek_ring_key_state(live->ring, found, now, live->lifetime);
    if (state == STEK_STATE_UNKNOWN) {
        state = has_ended(live, name) ? STEK_STATE_ENDED : STEK_STATE_UNKNOWN;
    }
    else if (state != STEK_STATE_ENDED) {
        *key = *found;
        *prenewable = live->issue
                      && (state == STEK_STATE_CURRENT || stek_ring_current(live->ring, now));
    }
    pthread_rwlock_unlock(&live->lock);
    return state;
}
