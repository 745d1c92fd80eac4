/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is accepted of a ring from outside: neither an epoch nor keys that only a wrong clock, or a thief
 * of the secret, can have made.  Checked wherever a ring enters: from a file, a store, or another program.
 * Pure functions; any thread, any phase.
 */
#ifndef STEK_ADMIT_H
#define STEK_ADMIT_H

#include "stek_ring.h"
#include "stek_schedule.h"

#pragma GCC visibility push(hidden)

/* How far an epoch, which is the time of the last revocation of all keys in seconds, may be ahead of this
 * host's clock. */
#define STEK_ADMIT_EPOCH_MARGIN apr_time_from_sec(86400)

/* How much later than the keys that this host would make itself a key may begin. */
#define STEK_ADMIT_KEY_MARGIN apr_time_from_sec(86400)

/* APR_SUCCESS if that epoch is accepted; known is the greatest that this host has accepted, or made,
 * before: an epoch that is not above it is fine.  STEK_EEPOCH: no later revocation could exceed it. */
apr_status_t stek_admit_epoch(apr_uint64_t epoch, apr_uint64_t known, apr_time_t now);

/* The epoch that revokes all keys of a ring: later than the ring's, and than those that other hosts
 * raise theirs to before now.  STEK_EEPOCH: it would not be accepted. */
apr_status_t stek_admit_next_epoch(apr_uint64_t epoch, apr_time_t now, apr_uint64_t *pnext);

/* Drops from the ring, in place, the keys that begin later than a host with these parameters makes them,
 * and the margin.  params NULL: a host that does not know the writer's parameters; it accepts two weeks,
 * which is what an interval of a week prepares, and any run of slots without a gap from now on, however
 * many are prepared.  Returns how many were dropped. */
apr_size_t stek_admit_keys(stek_ring_t *ring, const stek_params_t *params, apr_time_t now);

/* How many it would drop, and after which time those begin. */
apr_size_t stek_admit_late_n(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now);
apr_time_t stek_admit_latest(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now);

#pragma GCC visibility pop
#endif
