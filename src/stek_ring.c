/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings, and the merge.  A ring is one block of locked memory, so that it is wiped as a whole:
 *
 *     stek_ring_t | keys[key_max] | tombstones[tombstone_max] | heads[key_max] | by_start[key_max]
 *
 * The merge gives the same result in any order of its operands, because every record is judged in this
 * way: what has ended by now does not count; of those of one name, the greatest in an order that begins
 * with the epoch stays; then epoch and tombstones, which only grow, take theirs.  A ring of a lower
 * epoch contributes nothing: the greater epoch ends its keys, and with them what its tombstones name.
 * So 'revoke --all' also empties a ring that somebody has filled with tombstones, on every host.
 *
 * Room.  If more is left than fits, keys and tombstones of one decrypt_until form a group, ordered by
 * name; a key's rank is its place in its group.  The groups' first keys stay, then their second ones,
 * and so on, in the places that tombstones leave.  A union only moves keys back in their groups, and
 * every tombstone takes one place, so a key that stays in the whole stays in each of its parts, and the
 * order of the operands still makes no difference.  (Except with more than STEK_KEYS_MAX - KEYS_MIN
 * tombstones, which only somebody who has the secret makes: then the first KEYS_MIN keys stay.)  Core;
 * no state, so any thread and any phase.
 */
#include "stek_ring.h"

#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stek_error.h"
#include "stek_mem.h"
#include "stek_time.h"

/* A ring keeps room for so many keys, however many tombstones it has, and for so many tombstones. */
#define KEYS_MIN 64
#define TOMBSTONES_MAX                                                                             \
    ((STEK_RING_BYTES_MAX - STEK_SEALED_REST_LEN - KEYS_MIN * STEK_SEALED_KEY_LEN)                 \
     / STEK_SEALED_TOMBSTONE_LEN)

_Static_assert(STEK_KEYS_MAX *STEK_SEALED_KEY_LEN + STEK_SEALED_REST_LEN <= STEK_RING_BYTES_MAX,
               "keys and tombstones that the merge leaves fit a sealed ring");

_Static_assert(offsetof(stek_key_t, name) == 0 && offsetof(stek_tombstone_t, name) == 0,
               "merge compares records by their first bytes");
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

static apr_uint64_t name_head(const unsigned char name[STEK_NAME_LEN])
{
    apr_uint64_t head = 0;
    int i;

    for (i = 0; i < (int)sizeof(head); i++) {
        head = head << 8 | name[i];
    }
    return head;
}

static int compare_number(apr_uint64_t a, apr_uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Index of the first key whose name is not less.  The names' heads lie side by side: a search
 * for one of thousands touches few cache lines, and of the keys, as a rule, only the one that it
 * finds. */
static apr_size_t key_bound(const stek_ring_t *ring, const unsigned char *name)
{
    apr_uint64_t head = name_head(name);
    apr_size_t low = 0, high = ring->key_n;

    while (low < high) {
        apr_size_t mid = low + (high - low) / 2;
        int c = compare_number(ring->heads[mid], head);

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

    while (low < high) {
        apr_size_t mid = low + (high - low) / 2;

        if (memcmp(ring->tombstones[mid].name, name, STEK_NAME_LEN) < 0) {
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
    ring->heads[at] = name_head(key->name);
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

static int compare_time(apr_time_t a, apr_time_t b)
{
    return a < b ? -1 : a > b;
}

/* Total order of two records of one name; 0 only if they are the same. */
static int compare_keys(const stek_key_t *a, const stek_key_t *b)
{
    int c = compare_number(a->epoch, b->epoch);

    c = c ? c : compare_time(a->decrypt_until, b->decrypt_until);
    c = c ? c : memcmp(a->hmac_key, b->hmac_key, sizeof(a->hmac_key));
    c = c ? c : memcmp(a->aes_key, b->aes_key, sizeof(a->aes_key));
    c = c ? c : compare_number(a->flags, b->flags);
    c = c ? c : compare_time(a->created, b->created);
    c = c ? c : compare_time(a->not_before, b->not_before);
    return c ? c : compare_time(a->encrypt_until, b->encrypt_until);
}

/* A merge under way: walks both rings by name. */
typedef struct merge_t {
    const stek_ring_t *a;
    const stek_ring_t *b; /* an empty ring if there is no other */
    const stek_ring_t
        *a_tombstones; /* the ring, or an empty one if a greater epoch ends its keys */
    const stek_ring_t *b_tombstones;
    apr_time_t now;
    apr_interval_time_t lifetime;
    apr_uint64_t epoch;
    apr_size_t a_at, b_at;
} merge_t;

static int has_tombstone(const stek_ring_t *ring, const unsigned char *name, apr_time_t now)
{
    apr_size_t at = tombstone_bound(ring, name);

    return at < ring->tombstone_n && memcmp(ring->tombstones[at].name, name, STEK_NAME_LEN) == 0
           && ring->tombstones[at].until > now;
}

/* Which side's record comes next: < 0 that of a, > 0 that of b, 0 both, being of one name. */
static int merge_side(const void *a, const void *b)
{
    if (!a || !b) {
        return a ? -1 : 1;
    }
    return memcmp(a, b, STEK_NAME_LEN);
}

/* The next key of the result, or NULL at the end. */
static const stek_key_t *merge_next_key(merge_t *m)
{
    for (;;) {
        const stek_key_t *a = m->a_at < m->a->key_n ? &m->a->keys[m->a_at] : NULL;
        const stek_key_t *b = m->b_at < m->b->key_n ? &m->b->keys[m->b_at] : NULL;
        const stek_key_t *key;
        int side;

        if (!a && !b) {
            return NULL;
        }
        side = merge_side(a, b);
        m->a_at += side <= 0;
        m->b_at += side >= 0;
        if (side > 0 || !stek_key_can_decrypt(a, m->now, m->lifetime)) {
            a = NULL;
        }
        if (side < 0 || !stek_key_can_decrypt(b, m->now, m->lifetime)) {
            b = NULL;
        }
        key = a && b ? (compare_keys(a, b) >= 0 ? a : b) : (a ? a : b);
        if (key && key->epoch >= m->epoch && !has_tombstone(m->a_tombstones, key->name, m->now)
            && !has_tombstone(m->b_tombstones, key->name, m->now)) {
            return key;
        }
    }
}

/* The next tombstone of the result, or NULL at the end. */
static const stek_tombstone_t *merge_next_tombstone(merge_t *m)
{
    const stek_ring_t *in_a = m->a_tombstones, *in_b = m->b_tombstones;

    for (;;) {
        const stek_tombstone_t *a = m->a_at < in_a->tombstone_n ? &in_a->tombstones[m->a_at] : NULL;
        const stek_tombstone_t *b = m->b_at < in_b->tombstone_n ? &in_b->tombstones[m->b_at] : NULL;
        const stek_tombstone_t *tombstone;
        int side;

        if (!a && !b) {
            return NULL;
        }
        side = merge_side(a, b);
        m->a_at += side <= 0;
        m->b_at += side >= 0;
        tombstone = side < 0 || (side == 0 && a->until >= b->until) ? a : b;
        if (tombstone->until > m->now) {
            return tombstone;
        }
    }
}

static void merge_rewind(merge_t *m)
{
    m->a_at = 0;
    m->b_at = 0;
}

/* Entries of a merge that does not fit, of which the first ones stay. */
typedef struct place_t {
    const unsigned char *name;
    const stek_key_t *key; /* NULL: a tombstone */
    apr_time_t until;      /* the group: decrypt_until */
    apr_size_t rank;       /* in the group */
    int is_over;           /* the group's slot is over, for keys of the usual lifetime */
} place_t;

static int compare_in_group(const void *one, const void *other)
{
    const place_t *a = one, *b = other;
    int c = compare_time(a->until, b->until);

    return c ? c : memcmp(a->name, b->name, STEK_NAME_LEN);
}

/* The current slot first, then those to come, then the latest of those that are over. */
static int compare_places(const void *one, const void *other)
{
    const place_t *a = one, *b = other;
    int c = a->rank < b->rank ? -1 : a->rank > b->rank;

    c = c ? c : a->is_over - b->is_over;
    c = c ? c : a->is_over ? compare_time(b->until, a->until) : compare_time(a->until, b->until);
    return c ? c : memcmp(a->name, b->name, STEK_NAME_LEN);
}

static int compare_names(const void *one, const void *other)
{
    const place_t *a = one, *b = other;

    return memcmp(a->name, b->name, STEK_NAME_LEN);
}

static void merge_count(merge_t *m, apr_size_t *pkey_n, apr_size_t *ptombstone_n)
{
    *pkey_n = 0;
    *ptombstone_n = 0;
    merge_rewind(m);
    while (merge_next_key(m)) {
        ++*pkey_n;
    }
    merge_rewind(m);
    while (merge_next_tombstone(m)) {
        ++*ptombstone_n;
    }
}

static apr_status_t fill_tombstones(merge_t *m, stek_ring_t *ring)
{
    const stek_tombstone_t *tombstone;
    apr_status_t rv = APR_SUCCESS;

    merge_rewind(m);
    while (rv == APR_SUCCESS && (tombstone = merge_next_tombstone(m)) != NULL) {
        rv = stek_ring_add_tombstone(ring, tombstone);
    }
    return rv;
}

static apr_status_t fill_keys(merge_t *m, stek_ring_t *ring)
{
    const stek_key_t *key;
    apr_status_t rv = APR_SUCCESS;

    merge_rewind(m);
    while (rv == APR_SUCCESS && (key = merge_next_key(m)) != NULL) {
        rv = stek_ring_add_key(ring, key);
    }
    return rv;
}

/* All entries of the merge, ranked.  What comes first must follow from decrypt_until alone: that is all
 * that a tombstone has. */
static void list_places(merge_t *m, place_t *places, apr_size_t place_n)
{
    apr_interval_time_t usual = m->lifetime                       ? m->lifetime
                                : m->a->lifetime > m->b->lifetime ? m->a->lifetime
                                                                  : m->b->lifetime;
    const stek_key_t *key;
    const stek_tombstone_t *tombstone;
    place_t *place = places;
    apr_size_t i;

    merge_rewind(m);
    while ((key = merge_next_key(m)) != NULL) {
        *place++ = (place_t){.name = key->name, .key = key, .until = key->decrypt_until};
    }
    merge_rewind(m);
    while ((tombstone = merge_next_tombstone(m)) != NULL) {
        *place++ = (place_t){.name = tombstone->name, .until = tombstone->until};
    }
    qsort(places, place_n, sizeof(*places), compare_in_group);
    for (i = 0; i < place_n; i++) {
        places[i].is_over = places[i].until - usual <= m->now;
        if (i > 0 && places[i].until == places[i - 1].until) {
            places[i].rank = places[i - 1].rank + 1;
        }
    }
}

/* Moves the keys that stay to the front, sorted by name. */
static void choose(place_t *places, apr_size_t place_n, apr_size_t stay_n)
{
    apr_size_t i, key_n = 0;

    for (i = 0; i < place_n; i++) {
        if (places[i].key) {
            places[key_n++] = places[i];
        }
    }
    qsort(places, key_n, sizeof(*places), compare_places);
    qsort(places, stay_n, sizeof(*places), compare_names);
}

/* Fills the ring with as many of the merge's key_n keys as it has room for. */
static apr_status_t fill_some_keys(merge_t *m, apr_size_t key_n, stek_ring_t *ring)
{
    apr_size_t i, place_n = key_n + ring->tombstone_max;
    place_t *places = malloc(place_n * sizeof(*places));
    apr_status_t rv = places ? APR_SUCCESS : APR_ENOMEM;

    if (rv == APR_SUCCESS) {
        list_places(m, places, place_n);
        choose(places, place_n, ring->key_max);
        ring->left_out_n = key_n - ring->key_max;
    }
    for (i = 0; rv == APR_SUCCESS && i < ring->key_max; i++) {
        rv = stek_ring_add_key(ring, places[i].key);
    }
    free(places);
    return rv;
}

/* Room for keys beside so many tombstones.  Each takes the place of a key, but not of the last
 * KEYS_MIN. */
static apr_size_t room_beside(apr_size_t tombstone_n, apr_size_t entry_max)
{
    return tombstone_n + KEYS_MIN < entry_max ? entry_max - tombstone_n : KEYS_MIN;
}

/* The side that wrote last, as far as that can be told. */
static const stek_ring_t *last_writer(const stek_ring_t *a, const stek_ring_t *b)
{
    int c = compare_number(a->generation, b->generation);

    c = c ? c : compare_time(a->interval, b->interval);
    c = c ? c : compare_time(a->lifetime, b->lifetime);
    return c >= 0 ? a : b;
}

apr_status_t stek_ring_merge_within(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now,
                                    apr_interval_time_t lifetime, apr_size_t entry_max,
                                    stek_ring_t **pring)
{
    merge_t m = {.a = a, .now = now, .lifetime = lifetime};
    static const stek_ring_t none;
    const stek_ring_t *writer;
    apr_size_t key_n, tombstone_n, room;
    stek_ring_t *ring = NULL;
    apr_status_t rv;

    m.b = b ? b : &none;
    m.epoch = a->epoch > m.b->epoch ? a->epoch : m.b->epoch;
    m.a_tombstones = a->epoch == m.epoch ? a : &none;
    m.b_tombstones = m.b->epoch == m.epoch ? m.b : &none;
    merge_count(&m, &key_n, &tombstone_n);
    room = room_beside(tombstone_n, entry_max);
    if (tombstone_n > TOMBSTONES_MAX) {
        return STEK_EFULL;
    }
    rv = stek_ring_create(key_n < room ? key_n : room, tombstone_n, &ring);
    if (rv == APR_SUCCESS) {
        rv = key_n <= room ? fill_keys(&m, ring) : fill_some_keys(&m, key_n, ring);
    }
    if (rv == APR_SUCCESS) {
        rv = fill_tombstones(&m, ring);
    }
    if (rv != APR_SUCCESS) {
        stek_ring_destroy(ring);
        return rv;
    }
    writer = b ? last_writer(a, b) : a;
    ring->epoch = m.epoch;
    ring->generation = writer->generation;
    ring->interval = writer->interval;
    ring->lifetime = writer->lifetime;
    ring->written_at = a->written_at > m.b->written_at ? a->written_at : m.b->written_at;
    *pring = ring;
    return APR_SUCCESS;
}

apr_status_t stek_ring_merge(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now,
                             apr_interval_time_t lifetime, stek_ring_t **pring)
{
    return stek_ring_merge_within(a, b, now, lifetime, STEK_KEYS_MAX, pring);
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
        ring->heads[i] = name_head(ring->keys[i].name);
    }
    stek_mem_wipe_registers();
}

void stek_ring_drop_ended(stek_ring_t *ring, apr_time_t now, apr_interval_time_t lifetime)
{
    apr_size_t i, kept_n = 0;

    drop_keys(ring, now, lifetime, APR_INT64_MAX);
    for (i = 0; i < ring->tombstone_n; i++) {
        if (ring->tombstones[i].until > now) {
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

int stek_ring_equal(const stek_ring_t *a, const stek_ring_t *b)
{
    apr_size_t i;

    if (a->epoch != b->epoch || a->key_n != b->key_n || a->tombstone_n != b->tombstone_n) {
        return 0;
    }
    for (i = 0; i < a->key_n; i++) {
        if (memcmp(a->keys[i].name, b->keys[i].name, STEK_NAME_LEN) != 0
            || compare_keys(&a->keys[i], &b->keys[i]) != 0) {
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
    apr_size_t at = key_bound(ring, name);

    if (at < ring->key_n && memcmp(ring->keys[at].name, name, STEK_NAME_LEN) == 0) {
        return &ring->keys[at];
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
    return key == stek_ring_current(ring, now) ? STEK_STATE_CURRENT : STEK_STATE_OLD;
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
