/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What production's code makes of rings again and again, for every host of a fleet: the result is
 * remembered with a hash of all that went into it.  The first time it is production's code that answers.
 * One thread.
 */
#include "sim.h"

#include <string.h>

#include "stek_audit.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"

#define MEMO_N 512

typedef struct memo_t {
    sim_hash_t of;     /* 0: free */
    stek_ring_t *ring; /* NULL: as it was */
} memo_t;

static memo_t memos[MEMO_N];

static uint64_t fold(uint64_t x, uint64_t y)
{
    __extension__ typedef unsigned __int128 wide_t;
    wide_t product = (wide_t)x * y;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void hash_number(sim_hash_t *hash, uint64_t number)
{
    hash->a = fold(hash->a ^ number, UINT64_C(0x9e3779b97f4a7c15));
    hash->b = fold(hash->b + number, UINT64_C(0xd6e8feb86659fd93)) ^ hash->a;
}

/* Whole words: records of rings have no others.  In four lanes, because every step waits for the one
 * before. */
static void hash_bytes(sim_hash_t *hash, const void *bytes, size_t len)
{
    static const uint64_t odd[4] = {UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db),
                                    UINT64_C(0x8ebc6af09c88c6e3), UINT64_C(0x589965cc75374cc3)};
    uint64_t lanes[4] = {hash->a, hash->b, ~hash->a, ~hash->b}, words[8];
    const unsigned char *at = bytes;
    size_t i, k;

    for (i = 0; i + sizeof(words) <= len; i += sizeof(words)) {
        memcpy(words, at + i, sizeof(words));
        for (k = 0; k < 4; k++) {
            lanes[k] = fold(lanes[k] ^ words[2 * k], words[2 * k + 1] ^ odd[k]) + words[2 * k];
        }
    }
    for (k = 0; k < 4; k++) {
        hash_number(hash, lanes[k]);
    }
    for (; i + sizeof(words[0]) <= len; i += sizeof(words[0])) {
        memcpy(words, at + i, sizeof(words[0]));
        hash_number(hash, words[0]);
    }
    hash_number(hash, len);
}

static void hash_ring(sim_hash_t *hash, const stek_ring_t *ring)
{
    hash_number(hash, ring != NULL);
    if (ring) {
        hash_number(hash, ring->epoch);
        hash_number(hash, ring->generation);
        hash_number(hash, (uint64_t)ring->written_at);
        hash_number(hash, (uint64_t)ring->interval);
        hash_number(hash, (uint64_t)ring->lifetime);
        hash_bytes(hash, ring->keys, ring->key_n * sizeof(*ring->keys));
        hash_bytes(hash, ring->tombstones, ring->tombstone_n * sizeof(*ring->tombstones));
    }
}

static sim_hash_t hash_of(uint64_t what, const stek_ring_t *one, const stek_ring_t *other,
                          apr_time_t now, apr_interval_time_t lifetime)
{
    sim_hash_t hash = {what, ~what};

    hash_ring(&hash, one);
    hash_ring(&hash, other);
    hash_number(&hash, (uint64_t)now);
    hash_number(&hash, (uint64_t)lifetime);
    return hash;
}

sim_hash_t sim_hash(const stek_ring_t *ring, uint64_t more)
{
    return hash_of(more, ring, NULL, 0, 0);
}

static memo_t *place_of(sim_hash_t hash)
{
    return &memos[hash.a % MEMO_N];
}

static int is_known(sim_hash_t hash)
{
    const memo_t *memo = place_of(hash);

    return memo->of.a == hash.a && memo->of.b == hash.b;
}

static void remember(sim_hash_t hash, const stek_ring_t *ring)
{
    memo_t *memo = place_of(hash);

    stek_ring_destroy(memo->ring);
    memo->ring = ring ? sim_ring_copy(ring) : NULL;
    memo->of = hash;
}

/* ---- what is remembered ---- */

apr_status_t __real_stek_ring_merge(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now,
                                    apr_interval_time_t lifetime, stek_ring_t **pring);
apr_status_t __wrap_stek_ring_merge(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now,
                                    apr_interval_time_t lifetime, stek_ring_t **pring);
apr_status_t __real_stek_ring_merge_into(stek_ring_t **pring, const stek_ring_t *other,
                                         apr_time_t now, apr_interval_time_t lifetime);
apr_status_t __wrap_stek_ring_merge_into(stek_ring_t **pring, const stek_ring_t *other,
                                         apr_time_t now, apr_interval_time_t lifetime);
apr_status_t __real_stek_schedule_extend(const stek_ring_t *ring, const stek_params_t *params,
                                         apr_time_t now, stek_rng_t *rng, stek_ring_t **pring,
                                         apr_size_t *pmade);
apr_status_t __wrap_stek_schedule_extend(const stek_ring_t *ring, const stek_params_t *params,
                                         apr_time_t now, stek_rng_t *rng, stek_ring_t **pring,
                                         apr_size_t *pmade);
apr_size_t __real_stek_audit_drop_shared(stek_ring_t *ring);
apr_size_t __wrap_stek_audit_drop_shared(stek_ring_t *ring);

apr_status_t __wrap_stek_ring_merge(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now,
                                    apr_interval_time_t lifetime, stek_ring_t **pring)
{
    sim_hash_t hash = hash_of(1, a, b, now, lifetime);
    apr_status_t rv;

    if (is_known(hash)) {
        *pring = sim_ring_copy(place_of(hash)->ring);
        return *pring ? APR_SUCCESS : APR_ENOMEM;
    }
    rv = __real_stek_ring_merge(a, b, now, lifetime, pring);
    if (rv == APR_SUCCESS) {
        remember(hash, *pring);
    }
    return rv;
}

apr_status_t __wrap_stek_ring_merge_into(stek_ring_t **pring, const stek_ring_t *other,
                                         apr_time_t now, apr_interval_time_t lifetime)
{
    sim_hash_t hash = hash_of(2, *pring, other, now, lifetime);
    apr_status_t rv;

    if (is_known(hash)) {
        stek_ring_destroy(*pring);
        *pring = sim_ring_copy(place_of(hash)->ring);
        return *pring ? APR_SUCCESS : APR_ENOMEM;
    }
    rv = __real_stek_ring_merge_into(pring, other, now, lifetime);
    if (rv == APR_SUCCESS) {
        remember(hash, *pring);
    }
    return rv;
}

/* Only where no key was made: a new one is another every time. */
apr_status_t __wrap_stek_schedule_extend(const stek_ring_t *ring, const stek_params_t *params,
                                         apr_time_t now, stek_rng_t *rng, stek_ring_t **pring,
                                         apr_size_t *pmade)
{
    sim_hash_t hash = hash_of(3, ring, NULL, now, params->lifetime);
    apr_status_t rv;

    hash_number(&hash, (uint64_t)params->interval);
    hash_number(&hash, (uint64_t)params->ahead);
    if (is_known(hash)) {
        *pmade = 0;
        *pring = sim_ring_copy(place_of(hash)->ring);
        return *pring ? APR_SUCCESS : APR_ENOMEM;
    }
    rv = __real_stek_schedule_extend(ring, params, now, rng, pring, pmade);
    if (rv == APR_SUCCESS && *pmade == 0) {
        remember(hash, *pring);
    }
    return rv;
}

/* Only where nothing was dropped. */
apr_size_t __wrap_stek_audit_drop_shared(stek_ring_t *ring)
{
    sim_hash_t hash = hash_of(4, ring, NULL, 0, 0);
    apr_size_t n;

    if (is_known(hash)) {
        return 0;
    }
    n = __real_stek_audit_drop_shared(ring);
    if (n == 0) {
        remember(hash, NULL);
    }
    return n;
}
