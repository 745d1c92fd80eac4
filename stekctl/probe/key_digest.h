/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a key that was found is shown to those who should not see it.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_KEY_DIGEST_H
#define STEKCTL_PROBE_KEY_DIGEST_H

#include <apr_pools.h>

#pragma GCC visibility push(hidden)

/* "sha256:" and the SHA-256 of the key in hex. */
const char *probe_key_digest(const unsigned char *key, apr_size_t len, apr_pool_t *pool);

/* "00 x 32", or the bytes in hex; they may be shown, because anyone can guess the key.  redacts: its
 * digest.  len is at most PROBE_KEY_MAX. */
const char *probe_key_text(const unsigned char *key, apr_size_t len, int redacts, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
