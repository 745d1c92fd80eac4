/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings.  A ring is one block of locked memory, so that it is wiped as a whole:
 *
 *     stek_ring_t | keys[key_max] | tombstones[tombstone_max] | heads[key_max] | by_start[key_max]
 *
 * Core; no state, so any thread and any phase.
 */
#include "stek_ring.h"

#include <openssl/crypto.h>
#include <stddef.h>
#include <string.h>

#include "stek_error.h"
#include "stek_mem.h"
#include "stek_time.h"

_Static_assert(STEK_KEYS_MAX <= 0xffff, "by_start holds 16 bits");

apr_status_t stek_ring_create(apr_size_t key_max, apr_size_t tombstone_max, stek_ring_t **pring)
{
    apr_size_t keys_at = (sizeof(stek_ring_t) + 15) & ~(apr_size_t)15;
    apr_size_t tombstones_at, heads_at, by_start_at;
    char *block;
    stek_ring_t *ring;

    if (key_max > STEK_KEYS_MAX || tombstone_max > 0xffff) {
        return STEK_EFULL;
    }
    tombstones_at = keys_at + key_max * sizeof(stek_key_t);
    heads_at = tombstones_at + tombstone_max * sizeof(stek_tombstone_t);
    by_start_at = heads_at + key_max * sizeof(apr_uint64_t);
    block = stek_mem_alloc(by_start_at + key_max * sizeof(apr_uint16_t));
    if (!block) {
        return APR_ENOMEM;
    }
    ring = (stek_ring_t *)(void *)block;
    ring->key_max = key_max;
    ring->tombstone_max = tombstone_max;
    ring->keys = (stek_key_t *)(void *)(block + keys_at);
    ring->tombstones = (stek_tombstone_t *)(void *)(block + tombstones_at);
    ring->heads = (apr_uint64_t *)(void *)(block + heads_at);
    ring->by_start = (apr_uint16_t *)(void *)(block + by_start_at);
    *pring = ring;
    return APR_SUCCESS;
}

void stek_ring_destroy(stek_ring_t *ring)
{
    stek_mem_free(ring);
}

int stek_tombstone_holds(const stek_tombstone_t *tombstone, apr_time_t now)
{
    return tombstone->until > now - STEK_TOMBSTONE_MARGIN;
}

/* Index of the first key whose name is not less.  The names' heads lie side by side: a search
 * for one of thousands touches few cache lines, and of the keys, as a rule, only the one that it
 * finds. */
static apr_size_t key_bound(const stek_ring_t *ring, const unsigned char *name)
{
    apr_uint64_t head = stek_name_head(name);
    apr_size_t low = 0, high = ring->key_n;

    /* A merge adds in order: each one goes to the end. */
    if (high > 0 && ring->heads[high - 1] < head) {
        return high;
    }
    while (low < high) {
        apr_size_t mid = low + (high - low) / 2;
        int c = STEK_COMPARE(ring->heads[mid], head);

        c = c ? c : memcmp(ring->keys[mid].name, name, STEK_NAME_LEN);
        if (c < 0) {
            low = mid + 1;
        }
        else {
            high = mid;
        }
    }
    return low;
}

static apr_size_t tombstone_bound(const stek_ring_t *ring, const unsigned char *name)
{
    apr_size_t low = 0, high = ring->tombstone_n;

    if (high > 0 && stek_name_compare(ring->tombstones[high - 1].name, name) < 0) {
        return high;
    }
    while (low < high) {
        apr_size_t mid = low + (high - low) / 2;

        if (stek_name_compare(ring->tombstones[mid].name, name) < 0) {
            low = mid + 1;
        }
        else {
            high = mid;
        }
    }
    return low;
}

/* Position in by_start of the first key with not_before < t. */
static apr_size_t start_bound(const stek_ring_t *ring, apr_time_t t)
{
    apr_size_t low = 0, high = ring->key_n;

    while (low < high) {
        apr_size_t mid = low + (high - low) / 2;

        if (ring->keys[ring->by_start[mid]].not_before >= t) {
            low = mid + 1;
        }
        else {
            high = mid;
        }
    }
    return low;
}

/* Enters keys[at], which start_bound does not see yet, since key_n is still the old one. */
static void by_start_insert(stek_ring_t *ring, apr_size_t at)
{
    apr_uint16_t *by_start = ring->by_start;
    apr_time_t not_before = ring->keys[at].not_before;
    apr_size_t i, pos;

    if (at < ring->key_n) {
        for (i = 0; i < ring->key_n; i++) {
            by_start[i] = (apr_uint16_t)(by_start[i] + (by_start[i] >= at));
        }
    }
    pos = start_bound(ring, not_before);
    while (pos > 0 && by_start[pos - 1] > at
           && ring->keys[by_start[pos - 1]].not_before == not_before) {
        pos--;
    }
    memmove(by_start + pos + 1, by_start + pos, (ring->key_n - pos) * sizeof(*by_start));
    by_start[pos] = (apr_uint16_t)at;
}

apr_status_t stek_ring_add_key(stek_ring_t *ring, const stek_key_t *key)
{
    apr_size_t at = key_bound(ring, key->name);
    apr_status_t rv = stek_key_check(key);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (at < ring->key_n && memcmp(ring->keys[at].name, key->name, STEK_NAME_LEN) == 0) {
        return APR_EEXIST;
    }
    if (ring->key_n == ring->key_max) {
        return STEK_EFULL;
    }
    memmove(ring->keys + at + 1, ring->keys + at, (ring->key_n - at) * sizeof(*key));
    ring->keys[at] = *key;
    memmove(ring->heads + at + 1, ring->heads + at, (ring->key_n - at) * sizeof(*ring->heads));
    ring->heads[at] = stek_name_head(key->name);
    by_start_insert(ring, at);
    ring->key_n++;
    return APR_SUCCESS;
}

apr_status_t stek_ring_add_tombstone(stek_ring_t *ring, const stek_tombstone_t *tombstone)
{
    apr_size_t at = tombstone_bound(ring, tombstone->name);

    if (at < ring->tombstone_n
        && memcmp(ring->tombstones[at].name, tombstone->name, STEK_NAME_LEN) == 0) {
        return APR_EEXIST;
    }
    if (ring->tombstone_n == ring->tombstone_max) {
        return STEK_EFULL;
    }
    memmove(ring->tombstones + at + 1, ring->tombstones + at,
            (ring->tombstone_n - at) * sizeof(*tombstone));
    ring->tombstones[at] = *tombstone;
    ring->tombstone_n++;
    return APR_SUCCESS;
}

/* Until the end of this, heads[i] is the new place of key i, or DROPPED. */
#define DROPPED (~(apr_uint64_t)0)

/* Drops the keys that begin after latest, or have ended. */
static void drop_keys(stek_ring_t *ring, apr_time_t now, apr_interval_time_t lifetime,
                      apr_time_t latest)
{
    apr_size_t i, kept_n = 0, pos = 0;

    for (i = 0; i < ring->key_n; i++) {
        ring->heads[i] = DROPPED;
        if (ring->keys[i].not_before <= latest
            && stek_key_can_decrypt(&ring->keys[i], now, lifetime)) {
            ring->heads[i] = kept_n;
            if (kept_n < i) {
                ring->keys[kept_n] = ring->keys[i];
            }
            kept_n++;
        }
    }
    for (i = 0; i < ring->key_n; i++) {
        apr_uint64_t place = ring->heads[ring->by_start[i]];

        if (place != DROPPED) {
            ring->by_start[pos++] = (apr_uint16_t)place;
        }
    }
    OPENSSL_cleanse(ring->keys + kept_n, (ring->key_n - kept_n) * sizeof(*ring->keys));
    ring->key_n = kept_n;
    for (i = 0; i < kept_n; i++) {
        ring->heads[i] = stek_name_head(ring->keys[i].name);
    }
    stek_mem_wipe_registers();
}

void stek_ring_drop_ended(stek_ring_t *ring, apr_time_t now, apr_interval_time_t lifetime)
{
    apr_size_t i, kept_n = 0;

    drop_keys(ring, now, lifetime, APR_INT64_MAX);
    for (i = 0; i < ring->tombstone_n; i++) {
        if (stek_tombstone_holds(&ring->tombstones[i], now)) {
            ring->tombstones[kept_n++] = ring->tombstones[i];
        }
    }
    ring->tombstone_n = kept_n;
}

apr_size_t stek_ring_drop_later(stek_ring_t *ring, apr_time_t latest)
{
    apr_size_t before_n = ring->key_n;

    drop_keys(ring, APR_INT64_MIN, 0, latest);
    return before_n - ring->key_n;
}

void stek_ring_drop_keys(stek_ring_t *ring)
{
    ring->key_n = 0;
    OPENSSL_cleanse(ring->keys, ring->key_max * sizeof(*ring->keys));
}

apr_uint64_t stek_ring_next_generation(apr_uint64_t generation)
{
    generation += generation < APR_UINT64_MAX;
    return generation == STEK_RING_FLOOR ? generation + 1 : generation;
}

apr_uint64_t stek_ring_generation_after(const stek_ring_t *before, apr_uint64_t epoch)
{
    return epoch > before->epoch && before->generation > STEK_GENERATION_MAX
               ? 1
               : stek_ring_next_generation(before->generation);
}

int stek_ring_equal(const stek_ring_t *a, const stek_ring_t *b)
{
    apr_size_t i;

    if (a->epoch != b->epoch || a->key_n != b->key_n || a->tombstone_n != b->tombstone_n) {
        return 0;
    }
    for (i = 0; i < a->key_n; i++) {
        if (memcmp(a->keys[i].name, b->keys[i].name, STEK_NAME_LEN) != 0
            || stek_key_compare(&a->keys[i], &b->keys[i]) != 0) {
            return 0;
        }
    }
    for (i = 0; i < a->tombstone_n; i++) {
        if (memcmp(a->tombstones[i].name, b->tombstones[i].name, STEK_NAME_LEN) != 0
            || a->tombstones[i].until != b->tombstones[i].until) {
            return 0;
        }
    }
    return 1;
}

const stek_key_t *stek_ring_find(const stek_ring_t *ring, const unsigned char name[STEK_NAME_LEN])
{
    apr_uint64_t head = stek_name_head(name);
    apr_size_t low = 0, n = ring->key_n;

    /* In every handshake: only heads are compared, until one is as great. */
    while (n > 0) {
        apr_size_t half = n / 2;
        int is_less = ring->heads[low + half] < head;

        low = is_less ? low + half + 1 : low;
        n = is_less ? n - half - 1 : half;
    }
    for (; low < ring->key_n && ring->heads[low] == head; low++) {
        if (memcmp(ring->keys[low].name, name, STEK_NAME_LEN) == 0) {
            return &ring->keys[low];
        }
    }
    return NULL;
}

const stek_tombstone_t *stek_ring_find_tombstone(const stek_ring_t *ring,
                                                 const unsigned char name[STEK_NAME_LEN])
{
    apr_size_t at = tombstone_bound(ring, name);

    if (at < ring->tombstone_n && memcmp(ring->tombstones[at].name, name, STEK_NAME_LEN) == 0) {
        return &ring->tombstones[at];
    }
    return NULL;
}

const stek_key_t *stek_ring_current(const stek_ring_t *ring, apr_time_t now)
{
    apr_size_t i;

    for (i = start_bound(ring, now + 1); i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[ring->by_start[i]];

        if (stek_key_can_encrypt(key, now)) {
            return key;
        }
        /* No slot is longer, so none that began earlier reaches now. */
        if (now - key->not_before >= STEK_TIME_MAX) {
            break;
        }
    }
    return NULL;
}

stek_state_e stek_ring_key_state(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now,
                                 apr_interval_time_t lifetime)
{
    if (!key) {
        return STEK_STATE_UNKNOWN;
    }
    if (!stek_key_can_decrypt(key, now, lifetime)) {
        return STEK_STATE_ENDED;
    }
    if (now < key->not_before) {
        return STEK_STATE_FUTURE;
    }
    return stek_key_can_encrypt(key, now) && key == stek_ring_current(ring, now)
               ? STEK_STATE_CURRENT
               : STEK_STATE_OLD;
}

const char *stek_state_text(stek_state_e state)
{
    switch (state) {
    case STEK_STATE_CURRENT:
        return "current";
    case STEK_STATE_FUTURE:
        return "future";
    case STEK_STATE_OLD:
        return "old";
    case STEK_STATE_ENDED:
        return "ended";
    default:
        return "unknown";
    }
}

apr_time_t stek_ring_next_end(const stek_ring_t *ring, apr_time_t now, apr_interval_time_t lifetime)
{
    apr_time_t next = 0;
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        apr_time_t end = stek_key_end(&ring->keys[i], lifetime);

        if (end > now && (next == 0 || end < next)) {
            next = end;
        }
    }
    return next;
}
