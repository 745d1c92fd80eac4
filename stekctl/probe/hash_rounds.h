/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compression functions of RFC 1321 and FIPS 180-4 over vectors of words, by the compiler's own
 * vectors (hash_lanes.c).  This file is included once for every kind of processor, with KIND, TARGET
 * (an attribute) and VECTOR_LEN (bytes); so it has no guard around its functions.
 */
#include "hash_vector.h"

#ifndef STEKCTL_PROBE_HASH_ROUNDS_H
#define STEKCTL_PROBE_HASH_ROUNDS_H

#define INLINED static inline __attribute__((always_inline))
#define ROTATE(x, n, bits) ((x) << (n) | (x) >> ((bits) - (n)))
#define RIGHT(x, n, bits) ROTATE(x, (bits) - (n), bits)

#define PASTED(name, kind) name##_##kind
#define NAMED(name, kind) PASTED(name, kind)
#define OF_KIND(name) NAMED(name, KIND)
#define STRIDE (PROBE_VECTOR_LEN / VECTOR_LEN)

/* What a round adds: a vector, or one word for all lanes. */
#define ADDED(type, word, i)                                                                       \
    (is_same ? (type)((type){0} + ((const word *)schedule)[i])                                     \
             : (type)((const type *)schedule)[(i)*STRIDE])

/* FIPS 180-4, 4.2.3; the upper halves of the first 64 are those of SHA-256. */
static const apr_uint64_t sha2[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

/* RFC 1321, 3.4 */
static const apr_uint32_t md5[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

#endif

#ifndef KIND
#define KIND any
#define TARGET
#define VECTOR_LEN 16
#endif

typedef apr_uint32_t OF_KIND(w32) __attribute__((vector_size(VECTOR_LEN), may_alias));
typedef apr_uint64_t OF_KIND(w64) __attribute__((vector_size(VECTOR_LEN), may_alias));

TARGET static void OF_KIND(expand_md5)(probe_vector_t *schedule, const probe_vector_t *block)
{
    static const struct {
        unsigned from, step;
    } order[] = {{0, 1}, {1, 5}, {5, 3}, {0, 7}};
    const OF_KIND(w32) *in = (const OF_KIND(w32) *)(const void *)block;
    OF_KIND(w32) *out = (OF_KIND(w32) *)(void *)schedule;
    unsigned i;

    for (i = 0; i < 64; i++) {
        out[i * STRIDE] = in[(order[i / 16].from + i % 16 * order[i / 16].step) % 16 * STRIDE]
                          + md5[i];
    }
}

TARGET INLINED void OF_KIND(sum_md5)(probe_vector_t *state, const void *schedule, int is_same)
{
    static const int turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    OF_KIND(w32) *all = (OF_KIND(w32) *)(void *)state, a = all[0], b = all[1 * STRIDE],
                 c = all[2 * STRIDE], d = all[3 * STRIDE];
    int i;

    for (i = 0; i < 64; i++) {
        OF_KIND(w32)
        f = i < 16   ? (d ^ (b & (c ^ d)))
            : i < 32 ? (c ^ (d & (b ^ c)))
            : i < 48 ? (b ^ c ^ d)
                     : (c ^ (b | ~d));
        OF_KIND(w32) sum = a + f + ADDED(OF_KIND(w32), apr_uint32_t, i);

        a = d;
        d = c;
        c = b;
        b += ROTATE(sum, turns[i / 16][i % 4], 32);
    }
    all[0] += a;
    all[1 * STRIDE] += b;
    all[2 * STRIDE] += c;
    all[3 * STRIDE] += d;
}

TARGET static void OF_KIND(add_md5)(probe_vector_t *state, const probe_vector_t *schedule)
{
    OF_KIND(sum_md5)(state, schedule, 0);
}

TARGET static void OF_KIND(same_md5)(probe_vector_t *state, const void *words)
{
    OF_KIND(sum_md5)(state, words, 1);
}

TARGET static void OF_KIND(expand_sha1)(probe_vector_t *schedule, const probe_vector_t *block)
{
    static const apr_uint32_t k[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    const OF_KIND(w32) *in = (const OF_KIND(w32) *)(const void *)block;
    OF_KIND(w32) *out = (OF_KIND(w32) *)(void *)schedule, w[80];
    int i;

    for (i = 0; i < 80; i++) {
        if (i < 16) {
            w[i] = in[i * STRIDE];
        }
        else {
            OF_KIND(w32) sum = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];

            w[i] = ROTATE(sum, 1, 32);
        }
        out[i * STRIDE] = w[i] + k[i / 20];
    }
}

TARGET INLINED void OF_KIND(sum_sha1)(probe_vector_t *state, const void *schedule, int is_same)
{
    OF_KIND(w32) *all = (OF_KIND(w32) *)(void *)state, a = all[0], b = all[1 * STRIDE],
                 c = all[2 * STRIDE], d = all[3 * STRIDE], e = all[4 * STRIDE];
    int i;

    for (i = 0; i < 80; i++) {
        OF_KIND(w32)
        f = i < 20              ? (d ^ (b & (c ^ d)))
            : i >= 40 && i < 60 ? ((b & c) | (d & (b | c)))
                                : (b ^ c ^ d);
        OF_KIND(w32) sum = ROTATE(a, 5, 32) + f + e + ADDED(OF_KIND(w32), apr_uint32_t, i);

        e = d;
        d = c;
        c = ROTATE(b, 30, 32);
        b = a;
        a = sum;
    }
    all[0] += a;
    all[1 * STRIDE] += b;
    all[2 * STRIDE] += c;
    all[3 * STRIDE] += d;
    all[4 * STRIDE] += e;
}

TARGET static void OF_KIND(add_sha1)(probe_vector_t *state, const probe_vector_t *schedule)
{
    OF_KIND(sum_sha1)(state, schedule, 0);
}

TARGET static void OF_KIND(same_sha1)(probe_vector_t *state, const void *words)
{
    OF_KIND(sum_sha1)(state, words, 1);
}

TARGET static void OF_KIND(expand_sha256)(probe_vector_t *schedule, const probe_vector_t *block)
{
    const OF_KIND(w32) *in = (const OF_KIND(w32) *)(const void *)block;
    OF_KIND(w32) *out = (OF_KIND(w32) *)(void *)schedule, w[64];
    int i;

    for (i = 0; i < 64; i++) {
        if (i < 16) {
            w[i] = in[i * STRIDE];
        }
        else {
            OF_KIND(w32) x = w[i - 15], y = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] + (RIGHT(x, 7, 32) ^ RIGHT(x, 18, 32) ^ x >> 3)
                   + (RIGHT(y, 17, 32) ^ RIGHT(y, 19, 32) ^ y >> 10);
        }
        out[i * STRIDE] = w[i] + (apr_uint32_t)(sha2[i] >> 32);
    }
}

TARGET INLINED void OF_KIND(sum_sha256)(probe_vector_t *state, const void *schedule, int is_same)
{
    OF_KIND(w32) *all = (OF_KIND(w32) *)(void *)state, s[8];
    int i;

    for (i = 0; i < 8; i++) {
        s[i] = all[i * STRIDE];
    }
    for (i = 0; i < 64; i++) {
        OF_KIND(w32)
        one = s[7] + ADDED(OF_KIND(w32), apr_uint32_t, i)
              + (RIGHT(s[4], 6, 32) ^ RIGHT(s[4], 11, 32) ^ RIGHT(s[4], 25, 32))
              + (s[6] ^ (s[4] & (s[5] ^ s[6])));
        OF_KIND(w32)
        two = (RIGHT(s[0], 2, 32) ^ RIGHT(s[0], 13, 32) ^ RIGHT(s[0], 22, 32))
              + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));

        s[7] = s[6];
        s[6] = s[5];
        s[5] = s[4];
        s[4] = s[3] + one;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = s[0];
        s[0] = one + two;
    }
    for (i = 0; i < 8; i++) {
        all[i * STRIDE] += s[i];
    }
}

TARGET static void OF_KIND(add_sha256)(probe_vector_t *state, const probe_vector_t *schedule)
{
    OF_KIND(sum_sha256)(state, schedule, 0);
}

TARGET static void OF_KIND(same_sha256)(probe_vector_t *state, const void *words)
{
    OF_KIND(sum_sha256)(state, words, 1);
}

TARGET static void OF_KIND(expand_sha512)(probe_vector_t *schedule, const probe_vector_t *block)
{
    const OF_KIND(w64) *in = (const OF_KIND(w64) *)(const void *)block;
    OF_KIND(w64) *out = (OF_KIND(w64) *)(void *)schedule, w[80];
    int i;

    for (i = 0; i < 80; i++) {
        if (i < 16) {
            w[i] = in[i * STRIDE];
        }
        else {
            OF_KIND(w64) x = w[i - 15], y = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] + (RIGHT(x, 1, 64) ^ RIGHT(x, 8, 64) ^ x >> 7)
                   + (RIGHT(y, 19, 64) ^ RIGHT(y, 61, 64) ^ y >> 6);
        }
        out[i * STRIDE] = w[i] + sha2[i];
    }
}

TARGET INLINED void OF_KIND(sum_sha512)(probe_vector_t *state, const void *schedule, int is_same)
{
    OF_KIND(w64) *all = (OF_KIND(w64) *)(void *)state, s[8];
    int i;

    for (i = 0; i < 8; i++) {
        s[i] = all[i * STRIDE];
    }
    for (i = 0; i < 80; i++) {
        OF_KIND(w64)
        one = s[7] + ADDED(OF_KIND(w64), apr_uint64_t, i)
              + (RIGHT(s[4], 14, 64) ^ RIGHT(s[4], 18, 64) ^ RIGHT(s[4], 41, 64))
              + (s[6] ^ (s[4] & (s[5] ^ s[6])));
        OF_KIND(w64)
        two = (RIGHT(s[0], 28, 64) ^ RIGHT(s[0], 34, 64) ^ RIGHT(s[0], 39, 64))
              + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));

        s[7] = s[6];
        s[6] = s[5];
        s[5] = s[4];
        s[4] = s[3] + one;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = s[0];
        s[0] = one + two;
    }
    for (i = 0; i < 8; i++) {
        all[i * STRIDE] += s[i];
    }
}

TARGET static void OF_KIND(add_sha512)(probe_vector_t *state, const probe_vector_t *schedule)
{
    OF_KIND(sum_sha512)(state, schedule, 0);
}

TARGET static void OF_KIND(same_sha512)(probe_vector_t *state, const void *words)
{
    OF_KIND(sum_sha512)(state, words, 1);
}

#undef KIND
#undef TARGET
#undef VECTOR_LEN
