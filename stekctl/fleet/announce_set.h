/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of announcements: which of two counts, and what follows from what all hosts say.  Pure functions
 * of sets and time; any thread.
 */
#ifndef STEKCTL_ANNOUNCE_SET_H
#define STEKCTL_ANNOUNCE_SET_H

#include "announce_format.h"
#include "stek_ring.h"

#pragma GCC visibility push(hidden)

/* A host that has not announced itself for so long is forgotten. */
#define ANNOUNCE_FORGET apr_time_from_sec(7 * 86400)

/* A clock that is further ahead than this is wrong: what it stamps comes after everything else. */
#define ANNOUNCE_AHEAD_MAX apr_time_from_sec(86400)

/* Which of two announcements of one host counts: greater than 0 if a does.  Clocks decide, with what the host
 * knows to be behind by, and in the same second epochs and generations; those too far ahead of now come last.  A total order: 0 only if they are the same. */
int announce_compare(const announce_t *a, const announce_t *b, apr_time_t now);

/* The union, without those that are to be forgotten, of each host the announcement that counts; then drops
 * the earliest where there are more than max.  Commutative, associative, idempotent.  In pool. */
announce_set_t announce_merge(const announce_set_t *a, const announce_set_t *b, apr_time_t now,
                              apr_size_t max, apr_pool_t *pool);

/* The set with that announcement in place of what it has of the host, whatever the clocks say: a host has
 * the last word on itself.  In pool. */
announce_set_t announce_put(const announce_set_t *set, const announce_t *host, apr_time_t now,
                            apr_pool_t *pool);

/* The set without the host of that name.  In pool. */
announce_set_t announce_without(const announce_set_t *set, const char *name, apr_pool_t *pool);

/* The set with a mark in place of the host: whoever has seen the host before shall forget it.  In pool. */
announce_set_t announce_forget(const announce_set_t *set, const char *name, apr_time_t now,
                               apr_pool_t *pool);

/* The set without such marks.  In pool. */
announce_set_t announce_present(const announce_set_t *set, apr_pool_t *pool);

/* The host's, or NULL. */
const announce_t *announce_find(const announce_set_t *set, const char *name);

/* The first four bytes of a digest or a process, as people compare them. */
const char *announce_hex(const unsigned char *bytes, apr_pool_t *pool);

/* The beginning of stek_ring_digest.  Its codes. */
apr_status_t announce_digest(const stek_ring_t *ring, apr_time_t now,
                             unsigned char digest[ANNOUNCE_DIGEST_LEN]);

/* For a set in any order: how far at least the others' clocks are ahead of the host's, by what they have said and its now: as two
 * of them agree, or the only other says; more than a day only if most of them agree.  0: not at all, as far as can be seen. */
apr_interval_time_t announce_behind(const announce_set_t *set, const char *name, apr_time_t now);

#pragma GCC visibility pop
#endif
