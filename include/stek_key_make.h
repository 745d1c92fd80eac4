/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes keys.  Any thread, any phase.
 */
#ifndef STEK_KEY_MAKE_H
#define STEK_KEY_MAKE_H

#include "stek_key.h"

#pragma GCC visibility push(hidden)

/* Makes a random key for the window given; decrypt_until = encrypt_until + lifetime.  The result
 * has passed the audit: STEK_EWEAK if the generator yields weak bytes, STEK_ERNG if it fails.
 * *key is in locked memory of the caller and is wiped on failure. */
apr_status_t stek_key_make(apr_time_t not_before, apr_time_t encrypt_until,
                           apr_interval_time_t lifetime, apr_uint64_t epoch, apr_time_t now,
                           stek_rng_t *rng, stek_key_t *key);

#pragma GCC visibility pop
#endif
