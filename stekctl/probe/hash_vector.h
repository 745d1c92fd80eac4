/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors of a hash's words (hash_lanes.h).  Types only; stekctl.
 */
#ifndef STEKCTL_PROBE_HASH_VECTOR_H
#define STEKCTL_PROBE_HASH_VECTOR_H

#include <apr.h>

#define PROBE_VECTOR_LEN 64 /* bytes, of which a hash uses vector_len */
#define PROBE_STATE_MAX 8   /* words of a hash's state */
#define PROBE_BLOCK_N 16    /* words of a block */
#define PROBE_ROUNDS_MAX 80

/* One word of every lane. */
typedef struct probe_vector_t {
    unsigned char bytes[PROBE_VECTOR_LEN];
} __attribute__((aligned(PROBE_VECTOR_LEN))) probe_vector_t;

#endif
