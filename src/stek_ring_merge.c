/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge (stek_ring_merge.h).  It gives the same result in any order of its operands, because every
 * record is judged in this way: what has ended by now does not count; of those of one name, the greatest
 * in an order that begins with the epoch stays; then epoch and tombstones, which only grow, take theirs.
 * A ring of a lower epoch contributes nothing: the greater epoch ends its keys, and with them what its
 * tombstones name.  So 'revoke --all' also empties a ring that somebody has filled with tombstones, on
 * every host.
 *
 * Room.  If more is left than fits, keys that can encrypt now stay before those that will, and those
 * before all others (the key's class).  Keys and tombstones of one decrypt_until form a group, ordered by
 * name; a key's rank is the number of tombstones and of keys of its class or a better one before it in
 * its group.  Within a class the groups' first keys stay, then their second ones, and so on, in the places
 * that tombstones leave.  A union only moves keys back, and every tombstone takes one place, so a key that
 * stays in the whole stays in each of its parts, and the order of the operands still makes no difference.
 * (Except with more than STEK_KEYS_MAX - KEYS_MIN tombstones, which only somebody who has the secret
 * makes: then the first KEYS_MIN keys stay.)  Whoever has the secret can fill a ring, but not with keys
 * that leave no key to encrypt.
 *
 * Clocks.  A key's class changes with time.  If each host went by its own clock there, two that are a
 * second apart would take turns in writing a full ring, each with the keys that the other leaves out.
 * So all go by the latest of their clocks, which is in the rings (stek_ring_room_time).  For a host that
 * is behind it a slot may still last that is over by then: the first keys of such slots stay, too, and
 * what has ended by then goes first of all.  Core; no state, so any thread and any phase.
 */
#include "stek_ring_merge.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stek_error.h"

/* A ring keeps room for so many keys, however many tombstones it has, and for so many tombstones. */
#define KEYS_MIN 64
#define TOMBSTONES_MAX                                                                             \
    ((STEK_RING_BYTES_MAX - STEK_SEALED_REST_LEN - KEYS_MIN * STEK_SEALED_KEY_LEN)                 \
     / STEK_SEALED_TOMBSTONE_LEN)

_Static_assert(STEK_KEYS_MAX *STEK_SEALED_KEY_LEN + STEK_SEALED_REST_LEN <= STEK_RING_BYTES_MAX,
               "keys and tombstones that the merge leaves fit a sealed ring");

_Static_assert(offsetof(stek_key_t, name) == 0 && offsetof(stek_tombstone_t, name) == 0,
               "merge compares records by their first bytes");

/* A merge under way: walks both rings by name. */
typedef struct merge_t {
    const stek_ring_t *a;
    const stek_ring_t *b; /* an empty ring if there is no other */
    const stek_ring_t
        *a_tombstones; /* the ring, or an empty one if a greater epoch ends its keys */
    const stek_ring_t *b_tombstones;
    apr_time_t now;
    apr_time_t room_at; /* the time that decides what goes for want of room */
    apr_interval_time_t lifetime;
    apr_uint64_t epoch;
    apr_size_t a_at, b_at;
} merge_t;

static int has_tombstone(const stek_ring_t *ring, const unsigned char *name, apr_time_t now)
{
    const stek_tombstone_t *tombstone = stek_ring_find_tombstone(ring, name);

    return tombstone && stek_tombstone_holds(tombstone, now);
}

/* Which side's record comes next: < 0 that of a, > 0 that of b, 0 both, being of one name. */
static int merge_side(const void *a, const void *b)
{
    if (!a || !b) {
        return a ? -1 : 1;
    }
    return stek_name_compare(a, b);
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
        key = a && b ? (stek_key_compare(a, b) >= 0 ? a : b) : (a ? a : b);
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
        if (stek_tombstone_holds(tombstone, m->now)) {
            return tombstone;
        }
    }
}

static void merge_rewind(merge_t *m)
{
    m->a_at = 0;
    m->b_at = 0;
}

/* A key's chance to stay, at a time. */
typedef enum class_e {
    ENCRYPTS,
    ENCRYPTED, /* until a moment ago: for a slower clock it still does */
    WILL_ENCRYPT,
    ONLY_DECRYPTS,
    HAS_ENDED, /* for a slower clock it has not */
    CLASSES_N
} class_e;

/* Entries of a merge that does not fit, of which the first ones stay. */
typedef struct place_t {
    const unsigned char *name;
    const stek_key_t *key; /* NULL: a tombstone */
    apr_time_t until;      /* the group: decrypt_until */
    apr_size_t rank;
    class_e class;
} place_t;

static int compare_in_group(const void *one, const void *other)
{
    const place_t *a = one, *b = other;
    int c = STEK_COMPARE(a->until, b->until);

    return c ? c : stek_name_compare(a->name, b->name);
}

/* Of those that only decrypt, the latest first. */
static int compare_places(const void *one, const void *other)
{
    const place_t *a = one, *b = other;
    int c = STEK_COMPARE(a->class, b->class);

    c = c ? c : STEK_COMPARE(a->rank, b->rank);
    c = c                           ? c
        : a->class >= ONLY_DECRYPTS ? STEK_COMPARE(b->until, a->until)
                                    : STEK_COMPARE(a->until, b->until);
    return c ? c : stek_name_compare(a->name, b->name);
}

static int compare_names(const void *one, const void *other)
{
    const place_t *a = one, *b = other;

    return stek_name_compare(a->name, b->name);
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

static class_e class_of(const stek_key_t *key, apr_time_t at, apr_interval_time_t lifetime)
{
    if (!stek_key_can_decrypt(key, at, lifetime)) {
        return HAS_ENDED;
    }
    if (key->encrypt_until == key->not_before
        || key->encrypt_until <= at - STEK_RING_CLOCKS_APART) {
        return ONLY_DECRYPTS;
    }
    return key->not_before > at ? WILL_ENCRYPT : key->encrypt_until > at ? ENCRYPTS : ENCRYPTED;
}

/* Nonzero if a key of the class `one` that comes before another of its group moves that one back. */
static int counts_for(class_e one, class_e other)
{
    return one == other || (other >= ONLY_DECRYPTS && one < other)
           || (one == ENCRYPTS && other == WILL_ENCRYPT);
}

/* places, sorted by group and name, get their ranks.  Of the keys that have just encrypted, only the first
 * of a group is before those that will. */
static void rank_places(place_t *places, apr_size_t place_n)
{
    apr_size_t before_n[CLASSES_N] = {0}; /* in the group: what counts for a key of that class */
    apr_size_t i;
    int class;

    for (i = 0; i < place_n; i++) {
        place_t *place = &places[i];

        if (i > 0 && place->until != places[i - 1].until) {
            memset(before_n, 0, sizeof(before_n));
        }
        if (place->class == ENCRYPTED && before_n[ENCRYPTED] > 0) {
            place->class = ONLY_DECRYPTS;
        }
        place->rank = before_n[place->class];
        for (class = 0; class < CLASSES_N; class ++) {
            before_n[class] += !place->key || counts_for(place->class, (class_e) class);
        }
    }
}

/* All entries of the merge, ranked. */
static void list_places(merge_t *m, place_t *places, apr_size_t place_n)
{
    const stek_key_t *key;
    const stek_tombstone_t *tombstone;
    place_t *place = places;

    merge_rewind(m);
    while ((key = merge_next_key(m)) != NULL) {
        *place++ = (place_t){.name = key->name,
                             .key = key,
                             .until = key->decrypt_until,
                             .class = class_of(key, m->room_at, m->lifetime)};
    }
    merge_rewind(m);
    while ((tombstone = merge_next_tombstone(m)) != NULL) {
        *place++ = (place_t){.name = tombstone->name, .until = tombstone->until};
    }
    qsort(places, place_n, sizeof(*places), compare_in_group);
    rank_places(places, place_n);
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

apr_time_t stek_ring_room_time(const stek_ring_t *ring, apr_time_t now)
{
    return ring->written_at > now && ring->written_at <= now + STEK_RING_CLOCKS_APART
               ? ring->written_at
               : now;
}

static apr_time_t later_room_time(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now)
{
    apr_time_t at_a = stek_ring_room_time(a, now), at_b = stek_ring_room_time(b, now);

    return at_a > at_b ? at_a : at_b;
}

/* The side that wrote last, as far as that can be told. */
static const stek_ring_t *last_writer(const stek_ring_t *a, const stek_ring_t *b)
{
    /* Generations count from the last revocation of all on, so that none outlives it. */
    int c = STEK_COMPARE(a->epoch, b->epoch);

    c = c ? c : STEK_COMPARE(a->generation, b->generation);
    c = c ? c : STEK_COMPARE(a->interval, b->interval);
    c = c ? c : STEK_COMPARE(a->lifetime, b->lifetime);
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
    m.room_at = later_room_time(a, m.b, now);
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

apr_status_t stek_ring_merge_into(stek_ring_t **pring, const stek_ring_t *other, apr_time_t now,
                                  apr_interval_time_t lifetime)
{
    stek_ring_t *merged = NULL;
    apr_status_t rv = *pring ? stek_ring_merge(*pring, other, now, lifetime, &merged)
                             : stek_ring_merge(other, NULL, now, lifetime, &merged);

    if (rv == APR_SUCCESS) {
        stek_ring_destroy(*pring);
        *pring = merged;
    }
    return rv;
}
