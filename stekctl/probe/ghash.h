/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GCM's first counter block for nonces that do not have 12 bytes.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_GHASH_H
#define STEKCTL_PROBE_GHASH_H

#include <apr.h>

#pragma GCC visibility push(hidden)

/* J0 of SP 800-38D, 7.1, for a nonce of at most 16 bytes; h is the encryption of zeros. */
void probe_ghash_nonce(const unsigned char *h, const unsigned char *nonce, apr_size_t len,
                       unsigned char *block);

#pragma GCC visibility pop
#endif
