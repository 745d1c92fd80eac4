/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys another program gets (export_keys.h).  stekctl; pure, any thread.
 */
#include "export_keys.h"

#include <string.h>

static stek_state_e state_of(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now)
{
    return stek_ring_key_state(ring, key, now, ring->lifetime);
}

static int is_live(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now)
{
    return state_of(ring, key, now) != STEK_STATE_ENDED;
}

static const stek_key_t *row(const stek_ring_t *ring, apr_size_t i)
{
    return &ring->keys[ring->by_start[i]];
}

static const stek_key_t *find_lead(const stek_ring_t *ring, apr_time_t now,
                                   const unsigned char *previous)
{
    const stek_key_t *lead = stek_ring_current(ring, now);

    if (!lead && previous) {
        lead = stek_ring_find(ring, previous);
    }
    return lead && is_live(ring, lead, now) ? lead : NULL;
}

static void add(export_keys_t *selection, const stek_key_t *key)
{
    selection->keys[selection->key_n++] = key;
}

/* The lead, then all other keys that have not ended, the latest slot first; with_short: those of 48
 * bytes, too. */
static void lead_first(const stek_ring_t *ring, apr_time_t now, int with_short,
                       export_keys_t *selection)
{
    apr_size_t i;

    add(selection, selection->lead);
    for (i = 0; i < ring->key_n; i++) {
        if (row(ring, i) != selection->lead && is_live(ring, row(ring, i), now)
            && (with_short || !(row(ring, i)->flags & STEK_KEY_AES128))) {
            add(selection, row(ring, i));
        }
    }
}

/* Old keys, the oldest slot first, then future keys, the next slot last, then the lead: a program
 * that keeps only the last few loses the least. */
static void lead_last(const stek_ring_t *ring, apr_time_t now, export_keys_t *selection)
{
    apr_size_t i;

    for (i = ring->key_n; i-- > 0;) {
        const stek_key_t *key = row(ring, i);

        if (key != selection->lead && state_of(ring, key, now) == STEK_STATE_OLD
            && !(key->flags & STEK_KEY_AES128)) {
            add(selection, key);
        }
    }
    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = row(ring, i);

        if (key != selection->lead && state_of(ring, key, now) == STEK_STATE_FUTURE) {
            add(selection, key);
        }
    }
    add(selection, selection->lead);
}

/* HAProxy's three: the previous key, the lead and the next key.  Older keys, or the lead again,
 * take the place of missing ones. */
static void three(const stek_ring_t *ring, apr_time_t now, export_keys_t *selection)
{
    const stek_key_t *old[2] = {NULL, NULL}, *next = NULL;
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = row(ring, i);

        if (key == selection->lead || key->flags & STEK_KEY_AES128 || !is_live(ring, key, now)) {
            continue;
        }
        if (state_of(ring, key, now) == STEK_STATE_FUTURE) {
            /* If slots are equal, the smaller name goes first, as in stek_ring_current. */
            next = !next || key->not_before < next->not_before ? key : next;
        }
        else if (!old[0]) {
            old[0] = key;
        }
        else if (!old[1]) {
            old[1] = key;
        }
    }
    add(selection, old[0] ? old[0] : selection->lead);
    add(selection, selection->lead);
    if (next) {
        add(selection, next);
    }
    else {
        add(selection, old[1] ? old[1] : selection->lead);
    }
}

apr_status_t export_keys_make(const stek_ring_t *ring, format_e format, apr_time_t now,
                              const unsigned char *previous, export_keys_t *selection)
{
    memset(selection, 0, sizeof(*selection));
    selection->lead = find_lead(ring, now, previous);
    if (!selection->lead) {
        return APR_NOTFOUND;
    }
    switch (format) {
    case FORMAT_HAPROXY:
        three(ring, now, selection);
        break;
    case FORMAT_DNSDIST:
        lead_last(ring, now, selection);
        break;
    case FORMAT_APACHE:
    case FORMAT_LIGHTTPD:
        add(selection, selection->lead);
        break;
    case FORMAT_ENVOY:
    case FORMAT_KUBERNETES:
        lead_first(ring, now, 0, selection);
        break;
    default:
        lead_first(ring, now, 1, selection);
        break;
    }
    return APR_SUCCESS;
}
