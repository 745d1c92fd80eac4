/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ticket carries of ours, as the session's ticket application data, sealed with the rest:
 *
 *     version = 1, 1 byte | last full handshake, s since 1970, 8 bytes | policy digest, 32 bytes
 *
 * Pure functions.
 */
#ifndef STEK_APPDATA_H
#define STEK_APPDATA_H

#include <apr_errno.h>
#include <apr_time.h>

#pragma GCC visibility push(hidden)

#define STEK_DIGEST_LEN 32
#define STEK_APPDATA_LEN (1 + 8 + STEK_DIGEST_LEN)

typedef struct stek_appdata_t {
    apr_time_t full_at; /* whole seconds */
    unsigned char policy[STEK_DIGEST_LEN];
} stek_appdata_t;

void stek_appdata_pack(const stek_appdata_t *appdata, unsigned char out[STEK_APPDATA_LEN]);

/* STEK_EMALFORMED unless bytes[len] is exactly such data and its time fits an apr_time_t. bytes may
 * be NULL when len is 0. */
apr_status_t stek_appdata_unpack(const void *bytes, apr_size_t len, stek_appdata_t *appdata);

/* Nonzero if the last full handshake is max_age or more ago, or max_age or more in the future:
 * setting a clock back must not let a chain of tickets go on for ever. max_age 0: never. */
int stek_appdata_over_age(const stek_appdata_t *appdata, apr_interval_time_t max_age,
                          apr_time_t now);

/* How long a ticket issued now may live, in whole seconds and at least 1: lifetime, but not beyond
 * full_at + max_age, because the limit applies to the whole chain (RFC 8446, 4.6.1). */
apr_interval_time_t stek_appdata_ticket_life(const stek_appdata_t *appdata,
                                             apr_interval_time_t lifetime,
                                             apr_interval_time_t max_age, apr_time_t now);

#pragma GCC visibility pop
#endif
