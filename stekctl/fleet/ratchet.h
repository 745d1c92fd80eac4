/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secrets that seal a fleet's object in the store.  They are derived from the fleet's secret
 * file, so they work only for this fleet's object.  A ratchet advances the file's secrets every
 * day, so a file that is stolen later opens nothing that was recorded earlier:
 *
 *     S(d+1) = HKDF-SHA256(S(d), salt fleet id, info "stek fleet v1 next", 32)
 *     K(d)   = HKDF-SHA256(S(d), salt fleet id, info "stek fleet v1 seal", 32)    seals on day d
 *
 * d counts days (UTC) since 1970.  A file without a day has no ratchet: K is the same every day.
 * The file keeps S of yesterday, from which today's follows, and tomorrow's for hosts whose clock
 * is ahead.  Pure functions of secrets and day; any thread.
 */
#ifndef STEKCTL_RATCHET_H
#define STEKCTL_RATCHET_H

#include <apr_time.h>

#include "stek_secret.h"

#pragma GCC visibility push(hidden)

/* The most days that a set advances at once: more days probably mean a wrong clock, and the step
 * cannot be undone. */
#define RATCHET_DAYS_MAX 30

/* The day that contains now. */
apr_int32_t ratchet_day(apr_time_t now);

/* Advances all secrets of the set to day; does nothing if they are already at that day or later, or
 * have no ratchet.  *pmoved: number of days.  On failure the set is unchanged: APR_EINVAL beyond
 * RATCHET_DAYS_MAX, STEK_ECRYPTO, APR_ENOMEM. */
apr_status_t ratchet_move(stek_secrets_t *secrets, apr_int32_t day, apr_int32_t *pmoved);

/* The sealing secrets K of that day, in the set's order, without fleet id and day: for
 * stek_ring_seal and stek_ring_unseal.  STEK_ESECRET if the set is past that day, because earlier
 * secrets cannot be derived; APR_EINVAL, STEK_ECRYPTO, APR_ENOMEM.  Release with
 * stek_secrets_destroy. */
apr_status_t ratchet_keys(const stek_secrets_t *secrets, apr_int32_t day, stek_secrets_t **pkeys);

#pragma GCC visibility pop
#endif
