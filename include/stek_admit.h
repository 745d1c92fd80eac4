/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a ring from outside is taken in: neither an epoch nor keys that only a wrong clock, or a thief
 * of the secret, can have made.  Asked wherever a ring enters: from a file, a store, or another program.
 * Pure functions; any thread, any phase.
 */
#ifndef STEK_ADMIT_H
#define STEK_ADMIT_H

#include "stek_ring.h"
#include "stek_schedule.h"

#pragma GCC visibility push(hidden)

/* By this much an epoch, which is a time in seconds since the ring's keys were last revoked, may be
 * ahead of this host's clock. */
#define STEK_ADMIT_EPOCH_MARGIN apr_time_from_sec(86400)

/* By this much keys may begin after those that this host would make itself. */
#define STEK_ADMIT_KEY_MARGIN apr_time_from_sec(86400)

/* APR_SUCCESS if that epoch may be taken in; known is the greatest that this host has taken in, or made,
 * before: whatever is not above it is fine.  STEK_EEPOCH: all revocations to come would be below it. */
apr_status_t stek_admit_epoch(apr_uint64_t epoch, apr_uint64_t known, apr_time_t now);

/* The epoch that revokes all keys of a ring: later than the ring's, and than those that other hosts
 * raise theirs to before now.  STEK_EEPOCH: it could not be taken in. */
apr_status_t stek_admit_next_epoch(apr_uint64_t epoch, apr_time_t now, apr_uint64_t *pnext);

/* Drops from the ring, in place, the keys that begin later than a host with these parameters makes
 * them, and the margin.  params NULL: a host that makes none accepts what any allowed parameters can
 * mean.  Returns how many were dropped. */
apr_size_t stek_admit_keys(stek_ring_t *ring, const stek_params_t *params, apr_time_t now);

#pragma GCC visibility pop
#endif
