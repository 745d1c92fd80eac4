/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GCM's first counter block for nonces that do not have 12 bytes.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_GHASH_H
#define STEKCTL_PROBE_GHASH_H

#include <apr.h>

#pragma GCC visibility push(hidden)

/* The products of every single bit with a key, and with its square. */
typedef struct probe_ghash_products_t {
    apr_uint64_t high[128], low[128];
} probe_ghash_products_t;

typedef struct probe_ghash_t {
    probe_ghash_products_t once, twice;
} probe_ghash_t;

/* h is the encryption of zeros. */
void probe_ghash_begin(probe_ghash_t *ghash, const unsigned char *h);

/* J0 of SP 800-38D, 7.1, for a nonce of at most 16 bytes. */
void probe_ghash_nonce(const probe_ghash_t *ghash, const unsigned char *nonce, apr_size_t len,
                       unsigned char *block);

#pragma GCC visibility pop
#endif
