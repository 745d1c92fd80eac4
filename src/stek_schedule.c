/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schedule.  Keys that exist are never touched: the ring's slots are taken as they are,
 * whatever interval made them, and new ones are put where the gapless run from now ends.  So a
 * change of interval, a clock that jumps and a writer that was away all come down to one rule.
 * Core; no state, so any thread and any phase.
 */
#include "stek_schedule.h"

#include <apr_strings.h>
#include <stddef.h>

#include "stek_audit.h"
#include "stek_error.h"
#include "stek_key_make.h"
#include "stek_mem.h"
#include "stek_ring_merge.h"
#include "stek_time.h"

#define SPAN_MIN apr_time_from_sec(1)

static apr_int64_t divide_up(apr_interval_time_t span, apr_interval_time_t interval)
{
    return (span + interval - 1) / interval;
}

apr_interval_time_t stek_schedule_horizon(const stek_params_t *params)
{
    apr_interval_time_t span = params->ahead * params->interval;

    return span > STEK_PREPARE_MIN ? span : STEK_PREPARE_MIN;
}

apr_size_t stek_schedule_keys_n(const stek_params_t *params)
{
    if (params->interval < SPAN_MIN || params->lifetime < 0) {
        return 0;
    }
    return (apr_size_t)(divide_up(params->lifetime, params->interval) + 1
                        + divide_up(stek_schedule_horizon(params), params->interval) + 1);
}

static int is_span(apr_interval_time_t span, apr_interval_time_t span_min)
{
    return span >= span_min && span <= STEK_TIME_MAX && span % APR_USEC_PER_SEC == 0;
}

const char *stek_schedule_check(const stek_params_t *params, apr_pool_t *pool)
{
    apr_size_t keys_n;

    if (!is_span(params->interval, SPAN_MIN)) {
        return apr_psprintf(pool, "interval '%s': must be between %s and %s",
                            stek_time_text(params->interval, pool), stek_time_text(SPAN_MIN, pool),
                            stek_time_text(STEK_TIME_MAX, pool));
    }
    if (!is_span(params->lifetime, params->interval)) {
        return apr_psprintf(
            pool, "lifetime '%s': must be at least the interval (%s) and at most %s",
            stek_time_text(params->lifetime, pool), stek_time_text(params->interval, pool),
            stek_time_text(STEK_TIME_MAX, pool));
    }
    if (params->ahead < 0 || params->ahead > STEK_KEYS_MAX) {
        return apr_psprintf(pool, "ahead '%d': must be between 0 and %d", params->ahead,
                            STEK_KEYS_MAX);
    }
    keys_n = stek_schedule_keys_n(params);
    if (keys_n > STEK_KEYS_MAX) {
        return apr_psprintf(pool,
                            "interval '%s' with lifetime '%s' and ahead '%d' needs %" APR_SIZE_T_FMT
                            " keys, but a ring holds at most %d; lengthen interval or shorten "
                            "lifetime",
                            stek_time_text(params->interval, pool),
                            stek_time_text(params->lifetime, pool), params->ahead, keys_n,
                            STEK_KEYS_MAX);
    }
    return NULL;
}

apr_time_t stek_schedule_covered_until(const stek_ring_t *ring, apr_time_t now)
{
    apr_time_t until = now;
    apr_size_t i;

    /* From the least not_before on; equal to until is no gap, since slots are half open. */
    for (i = ring->key_n; i-- > 0;) {
        const stek_key_t *key = &ring->keys[ring->by_start[i]];

        if (key->not_before > until) {
            break;
        }
        if (key->encrypt_until > until && !(key->flags & STEK_KEY_AES128)) {
            until = key->encrypt_until;
        }
    }
    return until;
}

int stek_schedule_missing(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now,
                          stek_slot_t *slot)
{
    apr_time_t until = stek_schedule_covered_until(ring, now);
    apr_interval_time_t interval = params->interval;

    if (interval < SPAN_MIN || until > now + stek_schedule_horizon(params)) {
        return 0;
    }
    slot->encrypt_until = until - until % interval + interval;
    slot->not_before = until > now ? until : slot->encrypt_until - interval;
    return 1;
}

/* How many keys may be missing: each missing slot ends at another multiple of the interval after what
 * is covered, and the last begins within the horizon. */
static apr_size_t missing_max(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now)
{
    apr_interval_time_t span = now + stek_schedule_horizon(params)
                               - stek_schedule_covered_until(ring, now);
    apr_int64_t n = 1;

    if (params->interval >= SPAN_MIN && span >= 0) {
        n += divide_up(span, params->interval);
    }
    return n < STEK_KEYS_MAX ? (apr_size_t)n : STEK_KEYS_MAX;
}

/* Tidies the ring, and where keys are missing, leaves room for them. */
static apr_status_t tidy_up(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now,
                            stek_ring_t **ptidy)
{
    stek_ring_t *tidy = NULL;
    stek_slot_t slot;
    apr_status_t rv = stek_ring_merge(ring, NULL, now, params->lifetime, &tidy);
    apr_size_t room = rv == APR_SUCCESS ? missing_max(tidy, params, now) : 0;

    if (rv == APR_SUCCESS && tidy->key_n + tidy->tombstone_n + room > STEK_KEYS_MAX
        && stek_schedule_missing(tidy, params, now, &slot)) {
        stek_ring_destroy(tidy);
        rv = stek_ring_merge_within(ring, NULL, now, params->lifetime, STEK_KEYS_MAX - room, &tidy);
    }
    if (rv == APR_SUCCESS) {
        *ptidy = tidy;
    }
    return rv;
}

/* A copy of ring with room for all keys that can be missing. */
static apr_status_t copy_with_room(const stek_ring_t *ring, const stek_params_t *params,
                                   apr_time_t now, stek_ring_t **pcopy)
{
    apr_size_t room = ring->key_n + missing_max(ring, params, now);
    stek_ring_t *copy;
    apr_status_t rv;
    apr_size_t i;

    rv = stek_ring_create(room < STEK_KEYS_MAX ? room : STEK_KEYS_MAX, ring->tombstone_n, &copy);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    copy->epoch = ring->epoch;
    copy->generation = ring->generation;
    copy->written_at = ring->written_at;
    copy->interval = ring->interval;
    copy->lifetime = ring->lifetime;
    for (i = 0; rv == APR_SUCCESS && i < ring->key_n; i++) {
        rv = stek_ring_add_key(copy, &ring->keys[i]);
    }
    for (i = 0; rv == APR_SUCCESS && i < ring->tombstone_n; i++) {
        rv = stek_ring_add_tombstone(copy, &ring->tombstones[i]);
    }
    if (rv != APR_SUCCESS) {
        stek_ring_destroy(copy);
        return rv;
    }
    *pcopy = copy;
    return APR_SUCCESS;
}

/* Adds all missing keys to ring. */
static apr_status_t add_missing(stek_ring_t *ring, const stek_params_t *params, apr_time_t now,
                                stek_rng_t *rng, apr_size_t *pmade)
{
    stek_key_t *key = stek_mem_alloc(sizeof(*key));
    apr_status_t rv = APR_SUCCESS;
    stek_slot_t slot;
    apr_size_t made = 0;

    if (!key) {
        return APR_ENOMEM;
    }
    while (stek_schedule_missing(ring, params, now, &slot)) {
        rv = stek_key_make(slot.not_before, slot.encrypt_until, params->lifetime, ring->epoch, now,
                           rng, key);
        if (rv == APR_SUCCESS) {
            rv = stek_ring_add_key(ring, key);
        }
        if (rv != APR_SUCCESS) {
            break;
        }
        made++;
    }
    stek_mem_free(key);
    /* A name that comes twice: the generator repeats itself. */
    if (APR_STATUS_IS_EEXIST(rv)) {
        rv = STEK_EWEAK;
    }
    if (rv == APR_SUCCESS) {
        *pmade = made;
    }
    return rv;
}

apr_status_t stek_schedule_extend(const stek_ring_t *ring, const stek_params_t *params,
                                  apr_time_t now, stek_rng_t *rng, stek_ring_t **pring,
                                  apr_size_t *pmade)
{
    stek_ring_t *tidy = NULL, *work = NULL, *result = NULL;
    apr_size_t made = 0;
    apr_status_t rv;

    /* First of all, so that no dead key passes for one that covers now. */
    rv = tidy_up(ring, params, now, &tidy);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = copy_with_room(tidy, params, now, &work);
    if (rv == APR_SUCCESS) {
        rv = add_missing(work, params, now, rng, &made);
    }
    if (rv == APR_SUCCESS && made > 0) {
        rv = stek_ring_merge(work, NULL, now, params->lifetime, &result);
        /* A new key that a tombstone names, or one with another's bytes: the generator repeats
         * itself.  Tombstones may have left no room for older ones. */
        if (rv == APR_SUCCESS
            && (result->key_n + result->left_out_n != work->key_n
                || stek_audit_ring(result, NULL) != STEK_WEAK_NONE)) {
            rv = STEK_EWEAK;
        }
    }
    if (rv == APR_SUCCESS) {
        if (made > 0) {
            result->left_out_n += tidy->left_out_n;
        }
        *pring = made > 0 ? result : tidy;
        *pmade = made;
        *(made > 0 ? &result : &tidy) = NULL;
    }
    stek_ring_destroy(result);
    stek_ring_destroy(work);
    stek_ring_destroy(tidy);
    return rv;
}
