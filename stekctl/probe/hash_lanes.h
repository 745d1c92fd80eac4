/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of several texts side by side, one in every lane of a vector: a search for keys computes the
 * same MAC under thousands of them, and OpenSSL's calls cost more than the hashing itself.  What is
 * found this way is proven by OpenSSL.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_HASH_LANES_H
#define STEKCTL_PROBE_HASH_LANES_H

#include "hash_vector.h"

#pragma GCC visibility push(hidden)

typedef struct probe_hash_t {
    const char *name;                       /* as OpenSSL calls it */
    apr_size_t word_len, rounds_n, state_n; /* bytes of a word; words of the state */
    apr_size_t digest_len, vector_len;      /* bytes */
    int is_big;                             /* words are big-endian in bytes */
    apr_uint64_t start[PROBE_STATE_MAX];
    /* Makes what the rounds add from a block; adds a block to the state, or one that is the same for
     * all lanes: rounds_n words. */
    void (*expand)(probe_vector_t *schedule, const probe_vector_t *block);
    void (*add)(probe_vector_t *state, const probe_vector_t *schedule);
    void (*add_same)(probe_vector_t *state, const void *words);
} probe_hash_t;

/* MD5, SHA1, SHA224, SHA256, SHA384 or SHA512; NULL: another one. */
const probe_hash_t *probe_hash_find(const char *name);

/* The same for one kind of processor, from 0 for any to the fastest; NULL also if this one is not of
 * that kind. */
#define PROBE_HASH_KINDS 3
const probe_hash_t *probe_hash_of_kind(const char *name, int kind);

#pragma GCC visibility pop
#endif
