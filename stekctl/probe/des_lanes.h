/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Triple DES under many keys at once.  Every bit of a block has a vector with a bit for each key, so
 * permutations cost nothing, and a round is the same few operations for all keys.  A search decrypts
 * the same few blocks under hundreds of keys; what is found this way is proven by OpenSSL.  Pure;
 * stekctl.
 */
#ifndef STEKCTL_PROBE_DES_LANES_H
#define STEKCTL_PROBE_DES_LANES_H

#include <apr.h>

#pragma GCC visibility push(hidden)

#define PROBE_DES_KEYS 512 /* keys at a time */
#define PROBE_DES_BLOCK 8

typedef struct probe_des_t probe_des_t;

/* Takes keys[n * key_len], with n up to PROBE_DES_KEYS; key_len: 8 (DES), 16 (the third key is the
 * first) or 24.  Parity is ignored.  NULL: no memory; to be freed by probe_des_free(). */
probe_des_t *probe_des_create(const unsigned char *keys, apr_size_t key_len, apr_size_t n);
void probe_des_free(probe_des_t *des);

/* Decrypts the block under every key: PROBE_DES_KEYS texts, of which those of the keys count. */
void probe_des_decrypt(const probe_des_t *des, const unsigned char block[PROBE_DES_BLOCK],
                       unsigned char (*texts)[PROBE_DES_BLOCK]);

#pragma GCC visibility pop
#endif
