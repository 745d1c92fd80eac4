/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schedule: which keys a ring should have at a time.  Slots are aligned to wall-clock multiples
 * of the interval, so hosts agree without talking.  Pure functions of parameters, ring and time;
 * any thread, any phase.
 */
#ifndef STEK_SCHEDULE_H
#define STEK_SCHEDULE_H

#include "stek_ring.h"

#pragma GCC visibility push(hidden)

/* Keys are prepared at least this far ahead, whatever the interval: the parent checks only every ten
 * seconds, and later than that while it loads a large configuration. */
#define STEK_PREPARE_MIN apr_time_from_sec(120)

typedef struct stek_params_t {
    apr_interval_time_t interval; /* length of a slot: 1 s .. STEK_TIME_MAX, whole seconds */
    apr_interval_time_t lifetime; /* how long a key decrypts after its slot: interval .. TIME_MAX */
    int ahead;                    /* slots prepared in advance: 0 .. STEK_KEYS_MAX */
} stek_params_t;

#define STEK_PARAMS_DEFAULT                                                                        \
    {                                                                                              \
        apr_time_from_sec(3600), apr_time_from_sec(18 * 3600), 1                                   \
    }

/* Keys that a ring of these parameters holds at most: the lifetime's, the current, the prepared,
 * and one for a change of grid. */
apr_size_t stek_schedule_keys_n(const stek_params_t *params);

/* NULL if the parameters are usable; else what is wrong and what is allowed, in pool, as
 * "interval '0s': must be between 1s and 7d". */
const char *stek_schedule_check(const stek_params_t *params, apr_pool_t *pool);

/* A slot without a key. */
typedef struct stek_slot_t {
    apr_time_t not_before;
    apr_time_t encrypt_until;
} stek_slot_t;

/* How far beyond now keys are wanted: max(ahead * interval, STEK_PREPARE_MIN). */
apr_interval_time_t stek_schedule_horizon(const stek_params_t *params);

/* The next slot to make a key for, in the order of time; 0 if the ring covers now and everything
 * up to and including now + horizon.  Rules: the slot of now only if no key covers now; then no
 * slot that has begun; a new interval's grid begins at the first multiple after the last
 * prepared key, a short slot fills the gap to it.  Calling again with the made key in the ring
 * gives the one after. */
int stek_schedule_missing(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now,
                          stek_slot_t *slot);

/* The time from which no key would encrypt any more, if none were made: end of the gapless run of
 * slots that contains now; now itself if there is none. */
apr_time_t stek_schedule_covered_until(const stek_ring_t *ring, apr_time_t now);

/* Makes all missing keys and merges them in.  *pring is ring merged with them (tidied even if
 * none was missing), *pmade the number made.  ring is not changed.  STEK_EFULL, STEK_ERNG,
 * STEK_EWEAK. */
apr_status_t stek_schedule_extend(const stek_ring_t *ring, const stek_params_t *params,
                                  apr_time_t now, stek_rng_t *rng, stek_ring_t **pring,
                                  apr_size_t *pmade);

#pragma GCC visibility pop
#endif
