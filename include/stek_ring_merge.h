/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge of two rings: commutative, associative and idempotent, so that writers need no leader.  It
 * decides what of a ring that is too full goes.  Core; any thread, any phase.
 */
#ifndef STEK_RING_MERGE_H
#define STEK_RING_MERGE_H

#include "stek_ring.h"

#pragma GCC visibility push(hidden)

/* Hosts whose clocks are no further apart agree on what goes from a ring that is too full. */
#define STEK_RING_CLOCKS_APART apr_time_from_sec(10)

/* The time by which is judged what goes from a ring that is too full: of the host that wrote it, if its
 * clock was ahead of now by at most STEK_RING_CLOCKS_APART; else now.  Who writes a ring writes that
 * into written_at, so that it never goes back. */
apr_time_t stek_ring_room_time(const stek_ring_t *ring, apr_time_t now);

/* The union of two rings at the time now: keys and tombstones of both, the greater epoch; generation,
 * interval and lifetime of the side whose (generation, interval, lifetime) is greater; the later
 * written_at.  Then drops, in this order: tombstones that hold no longer, and those of a ring of a lower
 * epoch (that epoch has ended what they name: no key has a greater epoch than its ring); keys that a
 * tombstone names; keys of a lower epoch; keys with stek_key_end(key, lifetime) <= now.
 * Two records of one name that have not ended: the one with the greater epoch, then the later
 * decrypt_until, then the greater in bytes.  b may be NULL (a alone, tidied).  Exact in size.
 *
 * If more is left than STEK_KEYS_MAX keys and tombstones, keys are left out, and left_out_n says how
 * many; tombstones stay.  Which keys, is judged by the later of the rings' stek_ring_room_time; the
 * merge is associative for rings that have the same.  Keys that can encrypt then stay first; then one of each
 * decrypt_until that could in the STEK_RING_CLOCKS_APART before; then those that will, then the others, and
 * last what has ended by then: of those of each decrypt_until the ones with the smallest names, as many
 * of each as fit.  So if any key can encrypt at that time, one that can stays.  STEK_EFULL only for more
 * than 20,000 tombstones. */
apr_status_t stek_ring_merge(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now,
                             apr_interval_time_t lifetime, stek_ring_t **pring);

/* The same with another limit in place of STEK_KEYS_MAX, not above it. */
apr_status_t stek_ring_merge_within(const stek_ring_t *a, const stek_ring_t *b, apr_time_t now,
                                    apr_interval_time_t lifetime, apr_size_t entry_max,
                                    stek_ring_t **pring);

/* Merges other into *pring, which may be NULL and is destroyed, and puts the result in its place; on
 * failure it stays.  other may be NULL if *pring is not. */
apr_status_t stek_ring_merge_into(stek_ring_t **pring, const stek_ring_t *other, apr_time_t now,
                                  apr_interval_time_t lifetime);

#pragma GCC visibility pop
#endif
