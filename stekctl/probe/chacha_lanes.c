/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ChaCha20 in lanes (chacha_lanes.h), by the compiler's own vectors.
 */
#include "chacha_lanes.h"

#include <string.h>

#define INLINED static inline __attribute__((always_inline))
#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))

typedef apr_uint32_t lanes_t __attribute__((vector_size(4 * PROBE_CHACHA_LANES), may_alias));

static const apr_uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

apr_uint32_t probe_chacha_word(const unsigned char bytes[4])
{
    return (apr_uint32_t)bytes[0] | (apr_uint32_t)bytes[1] << 8 | (apr_uint32_t)bytes[2] << 16
           | (apr_uint32_t)bytes[3] << 24;
}

INLINED void quarter(lanes_t *x, int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = ROTATE(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = ROTATE(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = ROTATE(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = ROTATE(x[b] ^ x[c], 7);
}

INLINED void permute(const probe_chacha_t *in, probe_chacha_t *out, int is_added)
{
    lanes_t *to = (lanes_t *)(void *)out->words, first[16], x[16];
    int i;

    memcpy(first, in->words, sizeof(first));
    for (i = 0; i < 4; i++) {
        first[i] = (lanes_t){0} + constants[i];
    }
    memcpy(x, first, sizeof(x));
    for (i = 0; i < 10; i++) {
        quarter(x, 0, 4, 8, 12);
        quarter(x, 1, 5, 9, 13);
        quarter(x, 2, 6, 10, 14);
        quarter(x, 3, 7, 11, 15);
        quarter(x, 0, 5, 10, 15);
        quarter(x, 1, 6, 11, 12);
        quarter(x, 2, 7, 8, 13);
        quarter(x, 3, 4, 9, 14);
    }
    for (i = 0; i < 16; i++) {
        to[i] = x[i];
        if (is_added) {
            to[i] += first[i];
        }
    }
}

static void permute_any(const probe_chacha_t *in, probe_chacha_t *out, int is_added)
{
    permute(in, out, is_added);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void permute_avx2(const probe_chacha_t *in,
                                                         probe_chacha_t *out, int is_added)
{
    permute(in, out, is_added);
}

__attribute__((target("avx512f"))) static void permute_avx512(const probe_chacha_t *in,
                                                              probe_chacha_t *out, int is_added)
{
    permute(in, out, is_added);
}
#endif

static void permute_fastest(const probe_chacha_t *in, probe_chacha_t *out, int is_added)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        permute_avx512(in, out, is_added);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        permute_avx2(in, out, is_added);
        return;
    }
#endif
    permute_any(in, out, is_added);
}

void probe_chacha_make(const probe_chacha_t *in, probe_chacha_t *out)
{
    permute_fastest(in, out, 1);
}

void probe_chacha_permute(const probe_chacha_t *in, probe_chacha_t *out)
{
    permute_fastest(in, out, 0);
}

void probe_chacha_take(const probe_chacha_t *blocks, apr_size_t lane, unsigned char *bytes,
                       apr_size_t len)
{
    apr_size_t i, j;

    for (i = 0; i < len / 4; i++) {
        for (j = 0; j < 4; j++) {
            bytes[4 * i + j] = (unsigned char)(blocks->words[i][lane] >> 8 * j);
        }
    }
}
