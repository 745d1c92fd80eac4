/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ticket carries of ours, as the session's ticket application data, sealed with the rest.
 * A client sends it back in every ClientHello, so it is short:
 *
 *     version = 2, 4 bits | last full handshake, s since 1970, 36 bits | policy, 128 bits
 *
 * The policy is the first half of the policy digest: what has to be hard is to find other demands
 * with the digest of given ones (docs/threat-model.md).  Version 1 had 8 bits, 64 bits and the
 * whole digest.  It is still read, until the last tickets that have it are over.
 *
 * Pure functions.
 */
#ifndef STEK_APPDATA_H
#define STEK_APPDATA_H

#include <apr_errno.h>
#include <apr_time.h>

#pragma GCC visibility push(hidden)

#define STEK_DIGEST_LEN 32 /* of a policy, whole */
#define STEK_POLICY_LEN 16 /* of it, in a ticket */
#define STEK_APPDATA_LEN (5 + STEK_POLICY_LEN)

typedef struct stek_appdata_t {
    apr_time_t full_at; /* whole seconds */
    unsigned char policy[STEK_POLICY_LEN];
} stek_appdata_t;

/* Always in version 2.  A time that does not fit becomes the nearest that does: 1970 or 4147. */
void stek_appdata_pack(const stek_appdata_t *appdata, unsigned char out[STEK_APPDATA_LEN]);

/* STEK_EMALFORMED unless bytes[len] is exactly such data, of either version, and its time fits an
 * apr_time_t.  bytes may be NULL when len is 0. */
apr_status_t stek_appdata_unpack(const void *bytes, apr_size_t len, stek_appdata_t *appdata);

/* Nonzero if the last full handshake is max_age or more ago, or max_age or more in the future:
 * setting a clock back must not let a chain of tickets go on for ever. max_age 0: never. */
int stek_appdata_over_age(const stek_appdata_t *appdata, apr_interval_time_t max_age,
                          apr_time_t now);

/* How long a ticket issued now may live, in whole seconds and at least 1: lifetime, but not beyond
 * full_at + max_age, because the limit applies to the whole chain (RFC 9846, 4.7.1). */
apr_interval_time_t stek_appdata_ticket_life(const stek_appdata_t *appdata,
                                             apr_interval_time_t lifetime,
                                             apr_interval_time_t max_age, apr_time_t now);

#pragma GCC visibility pop
#endif
