/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HChaCha20, which OpenSSL does not have.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_HCHACHA_H
#define STEKCTL_PROBE_HCHACHA_H

#pragma GCC visibility push(hidden)

/* Makes XChaCha20's key of 32 bytes (draft-irtf-cfrg-xchacha-03, 2.2) from key 32 and nonce 16. */
void probe_hchacha(const unsigned char *key, const unsigned char *nonce, unsigned char *out);

#pragma GCC visibility pop
#endif
