/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What seals a fleet's object in the store: secrets derived from those of the fleet's secret file,
 * so that they are good for this fleet's object only, and a ratchet that moves the file's secrets
 * on day by day, so that a file taken later opens nothing that was recorded earlier:
 *
 *     S(d+1) = HKDF-SHA256(S(d), salt fleet id, info "stek fleet v1 next", 32)
 *     K(d)   = HKDF-SHA256(S(d), salt fleet id, info "stek fleet v1 seal", 32)    seals on day d
 *
 * d counts days of UTC since 1970.  A file without a day has no ratchet: K is the same on all days.
 * The file keeps S of yesterday: from it follow today and, for hosts whose clock is ahead,
 * tomorrow.  Pure functions of secrets and day; any thread.
 */
#ifndef STEKCTL_RATCHET_H
#define STEKCTL_RATCHET_H

#include <apr_time.h>

#include "stek_secret.h"

#pragma GCC visibility push(hidden)

/* So many days at most a set moves in one go: more is rather a wrong clock, and there is no way
 * back. */
#define RATCHET_DAYS_MAX 30

/* The day that now is in. */
apr_int32_t ratchet_day(apr_time_t now);

/* Moves all secrets of the set on to day; nothing if they stand there already or further on, or
 * have no ratchet.  *pmoved: days moved.  On failure the set is unchanged: APR_EINVAL beyond
 * RATCHET_DAYS_MAX, STEK_ECRYPTO, APR_ENOMEM. */
apr_status_t ratchet_move(stek_secrets_t *secrets, apr_int32_t day, apr_int32_t *pmoved);

/* The sealing secrets K of that day, in the set's order, without fleet id and day: for
 * stek_ring_seal and stek_ring_open.  STEK_ESECRET if the set stands beyond day: what is gone
 * cannot be derived; APR_EINVAL, STEK_ECRYPTO, APR_ENOMEM.  Release with stek_secrets_destroy. */
apr_status_t ratchet_keys(const stek_secrets_t *secrets, apr_int32_t day, stek_secrets_t **pkeys);

#pragma GCC visibility pop
#endif
