/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ring is, in a few bytes that may be shown: hosts and processes compare theirs.  Contains no key bytes.
 * Core; any thread, any phase; no state.
 */
#ifndef STEK_RING_DIGEST_H
#define STEK_RING_DIGEST_H

#include "stek_ring.h"

#pragma GCC visibility push(hidden)

#define STEK_RING_DIGEST_LEN 32

/* Of epoch, keys (all but their secrets) and tombstones, without what has ended at now: equal digests, equal keys and
 * revocations.  STEK_ECRYPTO, APR_ENOMEM. */
apr_status_t stek_ring_digest(const stek_ring_t *ring, apr_time_t now,
                              unsigned char digest[STEK_RING_DIGEST_LEN]);

/* 48 bits of the digest of the whole ring, as a number that a double can hold; 0: there is none. */
apr_uint64_t stek_ring_digest48(const stek_ring_t *ring);

#pragma GCC visibility pop
#endif
