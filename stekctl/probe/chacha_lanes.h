/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen blocks of ChaCha20 side by side, each with a key, a counter and a nonce of its own: a search
 * makes a few blocks under each of many keys and nonces, for which OpenSSL's calls cost more than the
 * blocks.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_CHACHA_LANES_H
#define STEKCTL_PROBE_CHACHA_LANES_H

#include <apr.h>

#pragma GCC visibility push(hidden)

#define PROBE_CHACHA_LANES 16
#define PROBE_CHACHA_BLOCK 64

/* The words of sixteen blocks: word i of block j is words[i][j]. */
typedef struct probe_chacha_t {
    apr_uint32_t words[16][PROBE_CHACHA_LANES];
} __attribute__((aligned(64))) probe_chacha_t;

/* A word of the key, the counter or the nonce (RFC 8439, 2.3). */
apr_uint32_t probe_chacha_word(const unsigned char bytes[4]);

/* Makes the blocks of an input whose first four words are set here. */
void probe_chacha_make(const probe_chacha_t *in, probe_chacha_t *out);

/* Instead, makes what a permutation leaves of it, without adding the input: HChaCha20's key is in the
 * first four words and the last four (draft-irtf-cfrg-xchacha-03, 2.2). */
void probe_chacha_permute(const probe_chacha_t *in, probe_chacha_t *out);

/* Writes the beginning of block `lane`: len bytes, a multiple of 4. */
void probe_chacha_take(const probe_chacha_t *blocks, apr_size_t lane, unsigned char *bytes,
                       apr_size_t len);

#pragma GCC visibility pop
#endif
