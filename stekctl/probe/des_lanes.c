/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DES in lanes (des_lanes.h), as FIPS 46-3 has it; tables count bits from 1, the highest of the first
 * byte.  An S-box is a choice among sixteen functions of its two last bits by the four others:
 *
 *     f[leaf 0], f[leaf 1]   f[2], f[3]  ...  f[14], f[15]
 *          by bit 4             by bit 4         by bit 4
 *                    by bit 3  ...                           by bit 2, by bit 1
 */
#include "des_lanes.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define VECTOR_LEN (PROBE_DES_KEYS / 8)
#define WORDS (VECTOR_LEN / 8)
#define ROUNDS 16
#define ROUND_BITS 48
#define HALF 32
#define INLINED static inline __attribute__((always_inline))

typedef apr_uint64_t lanes_t __attribute__((vector_size(VECTOR_LEN), may_alias));

struct probe_des_t {
    lanes_t keys[3][64];
    int keys_n; /* 1: the three are the same */
    apr_byte_t schedule[ROUNDS][ROUND_BITS];
    apr_uint16_t leaves[8][4][16]; /* where a function is, in bytes */
};

static const apr_byte_t choice_1[56] = {
    57, 49, 41, 33, 25, 17, 9,  1,  58, 50, 42, 34, 26, 18, 10, 2,  59, 51, 43,
    35, 27, 19, 11, 3,  60, 52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7,  62, 54,
    46, 38, 30, 22, 14, 6,  61, 53, 45, 37, 29, 21, 13, 5,  28, 20, 12, 4,
};

static const apr_byte_t choice_2[ROUND_BITS] = {
    14, 17, 11, 24, 1,  5,  3,  28, 15, 6,  21, 10, 23, 19, 12, 4,  26, 8,  16, 7,  27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
};

static const apr_byte_t boxes[8][64] = {
    {14, 4,  13, 1, 2,  15, 11, 8, 3, 10, 6, 12, 5,  9,  0,  7,  0,  15, 7,  4,  14, 2,
     13, 1,  10, 6, 12, 11, 9,  5, 3, 8,  4, 1,  14, 8,  13, 6,  2,  11, 15, 12, 9,  7,
     3,  10, 5,  0, 15, 12, 8,  2, 4, 9,  1, 7,  5,  11, 3,  14, 10, 0,  6,  13},
    {15, 1,  8,  14, 6,  11, 3,  4, 9,  7,  2, 13, 12, 0,  5,  10, 3,  13, 4,  7, 15, 2,
     8,  14, 12, 0,  1,  10, 6,  9, 11, 5,  0, 14, 7,  11, 10, 4,  13, 1,  5,  8, 12, 6,
     9,  3,  2,  15, 13, 8,  10, 1, 3,  15, 4, 2,  11, 6,  7,  12, 0,  5,  14, 9},
    {10, 0,  9,  14, 6, 3,  15, 5,  1,  13, 12, 7, 11, 4,  2,  8,  13, 7, 0,  9, 3, 4,
     6,  10, 2,  8,  5, 14, 12, 11, 15, 1,  13, 6, 4,  9,  8,  15, 3,  0, 11, 1, 2, 12,
     5,  10, 14, 7,  1, 10, 13, 0,  6,  9,  8,  7, 4,  15, 14, 3,  11, 5, 2,  12},
    {7, 13, 14, 3, 0, 6,  9, 10, 1,  2, 8,  5, 11, 12, 4,  15, 13, 8,  11, 5, 6, 15,
     0, 3,  4,  7, 2, 12, 1, 10, 14, 9, 10, 6, 9,  0,  12, 11, 7,  13, 15, 1, 3, 14,
     5, 2,  8,  4, 3, 15, 0, 6,  10, 1, 13, 8, 9,  4,  5,  11, 12, 7,  2,  14},
    {2,  12, 4, 1,  7,  10, 11, 6, 8, 5,  3, 15, 13, 0,  14, 9,  14, 11, 2,  12, 4,  7,
     13, 1,  5, 0,  15, 10, 3,  9, 8, 6,  4, 2,  1,  11, 10, 13, 7,  8,  15, 9,  12, 5,
     6,  3,  0, 14, 11, 8,  12, 7, 1, 14, 2, 13, 6,  15, 0,  9,  10, 4,  5,  3},
    {12, 1,  10, 15, 9,  2,  6, 8,  0, 13, 3,  4,  14, 7,  5, 11, 10, 15, 4, 2, 7, 12,
     9,  5,  6,  1,  13, 14, 0, 11, 3, 8,  9,  14, 15, 5,  2, 8,  12, 3,  7, 0, 4, 10,
     1,  13, 11, 6,  4,  3,  2, 12, 9, 5,  15, 10, 11, 14, 1, 7,  6,  0,  8, 13},
    {4, 11, 2,  14, 15, 0,  8,  13, 3, 12, 9,  7, 5,  10, 6,  1,  13, 0,  11, 7,  4, 9,
     1, 10, 14, 3,  5,  12, 2,  15, 8, 6,  1,  4, 11, 13, 12, 3,  7,  14, 10, 15, 6, 8,
     0, 5,  9,  2,  6,  11, 13, 8,  1, 4,  10, 7, 9,  5,  0,  15, 14, 2,  3,  12},
    {13, 2, 8,  4, 6, 15, 11, 1,  10, 9,  3, 14, 5,  0,  12, 7,  1,  15, 13, 8, 10, 3,
     7,  4, 12, 5, 6, 11, 0,  14, 9,  2,  7, 11, 4,  1,  9,  12, 14, 2,  0,  6, 10, 13,
     15, 3, 5,  8, 2, 1,  14, 7,  4,  10, 8, 13, 15, 12, 9,  0,  3,  5,  6,  11},
};

/* ---- keys ---- */

/* Which of a key's bits every round adds. */
static void make_schedule(probe_des_t *des)
{
    static const apr_byte_t shifts[ROUNDS] = {1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1};
    unsigned round, shift = 0, i;

    for (round = 0; round < ROUNDS; round++) {
        shift += shifts[round];
        for (i = 0; i < ROUND_BITS; i++) {
            unsigned at = choice_2[i] - 1U, half = at / 28 * 28;

            des->schedule[round][i] = (apr_byte_t)(choice_1[half + (at - half + shift) % 28] - 1);
        }
    }
}

/* A row of a box is chosen by bits 1 and 6, a column by the others. */
static void make_leaves(probe_des_t *des)
{
    unsigned box, bit, in;

    for (box = 0; box < 8; box++) {
        for (in = 0; in < 64; in++) {
            unsigned row = (in >> 5) << 1 | (in & 1), column = in >> 1 & 15;
            unsigned value = boxes[box][16 * row + column];

            for (bit = 0; bit < 4; bit++) {
                des->leaves[box][bit][in >> 2] +=
                    (apr_uint16_t)((value >> (3 - bit) & 1) * VECTOR_LEN << (in & 3));
            }
        }
    }
}

static void put_key(lanes_t *bits, apr_size_t lane, const unsigned char *key)
{
    unsigned i;

    for (i = 0; i < 64; i++) {
        bits[i][lane / 64] |= (apr_uint64_t)(key[i / 8] >> (7 - i % 8) & 1) << lane % 64;
    }
}

probe_des_t *probe_des_create(const unsigned char *keys, apr_size_t key_len, apr_size_t n)
{
    probe_des_t *des = aligned_alloc(VECTOR_LEN,
                                     (sizeof(*des) + VECTOR_LEN - 1) / VECTOR_LEN * VECTOR_LEN);
    apr_size_t i, lane;

    if (!des) {
        return NULL;
    }
    memset(des, 0, sizeof(*des));
    des->keys_n = key_len == 8 ? 1 : 3;
    make_schedule(des);
    make_leaves(des);
    for (lane = 0; lane < n; lane++) {
        for (i = 0; i < (apr_size_t)des->keys_n; i++) {
            put_key(des->keys[i], lane, keys + lane * key_len + 8 * i % key_len);
        }
    }
    return des;
}

void probe_des_free(probe_des_t *des)
{
    free(des);
}

/* ---- rounds ---- */

/* The sixteen functions of two bits; bit t of a function's number is its value at t = 2 * a + b. */
INLINED void make_functions(lanes_t *f, const lanes_t *pa, const lanes_t *pb)
{
    lanes_t a = *pa, b = *pb;
    int i;

    f[0] = (lanes_t){0};
    f[1] = ~(a | b);
    f[2] = ~a & b;
    f[3] = ~a;
    f[4] = a & ~b;
    f[5] = ~b;
    f[6] = a ^ b;
    f[7] = ~(a & b);
    for (i = 8; i < 16; i++) {
        f[i] = ~f[15 - i];
    }
}

/* one where by is 1, else zero: the result is in zero. */
#define CHOOSE(by, one, zero) ((zero) ^= (by) & ((one) ^ (zero)))

/* The functions of four leaves, chosen by bits 4 and 3. */
INLINED void choose_four(lanes_t *out, const lanes_t *f, const apr_uint16_t *leaves,
                         const lanes_t *in)
{
    const char *from = (const char *)f;
    lanes_t a = *(const lanes_t *)(from + leaves[0]), b = *(const lanes_t *)(from + leaves[1]);
    lanes_t c = *(const lanes_t *)(from + leaves[2]), d = *(const lanes_t *)(from + leaves[3]);

    CHOOSE(in[3], b, a);
    CHOOSE(in[3], d, c);
    CHOOSE(in[2], c, a);
    *out = a;
}

/* One output bit of a box. */
INLINED void choose(lanes_t *out, const lanes_t *f, const apr_uint16_t *leaves, const lanes_t *in)
{
    lanes_t a, b, c, d;

    choose_four(&a, f, leaves, in);
    choose_four(&b, f, leaves + 4, in);
    choose_four(&c, f, leaves + 8, in);
    choose_four(&d, f, leaves + 12, in);
    CHOOSE(in[1], b, a);
    CHOOSE(in[1], d, c);
    CHOOSE(in[0], c, a);
    *out ^= a;
}

/* left ^= f(right, the key's bits of the round) */
INLINED void do_round(const probe_des_t *des, const lanes_t *key, const apr_byte_t *schedule,
                      lanes_t *left, const lanes_t *right)
{
    static const apr_byte_t to[HALF] = {8,  16, 22, 30, 12, 27, 1,  17, 23, 15, 29,
                                        5,  25, 19, 9,  0,  7,  13, 24, 2,  3,  28,
                                        10, 18, 31, 11, 21, 6,  4,  26, 14, 20};
    lanes_t in[6], f[16];
    int box, i;

    for (box = 0; box < 8; box++) {
        for (i = 0; i < 6; i++) {
            in[i] = right[(4 * box + i + HALF - 1) % HALF] ^ key[schedule[6 * box + i]];
        }
        make_functions(f, &in[4], &in[5]);
        for (i = 0; i < 4; i++) {
            choose(&left[to[4 * box + i]], f, des->leaves[box][i], in);
        }
    }
}

/* All rounds of one DES; bits: the two halves, swapped behind the last round. */
INLINED void do_rounds(const probe_des_t *des, const lanes_t *key, int is_decrypted, lanes_t *bits)
{
    int i;

    for (i = 0; i < ROUNDS; i += 2) {
        do_round(des, key, des->schedule[is_decrypted ? ROUNDS - 1 - i : i], bits, bits + HALF);
        do_round(des, key, des->schedule[is_decrypted ? ROUNDS - 2 - i : i + 1], bits + HALF, bits);
    }
    for (i = 0; i < HALF; i++) {
        lanes_t left = bits[i];

        bits[i] = bits[HALF + i];
        bits[HALF + i] = left;
    }
}

INLINED void do_all(const probe_des_t *des, lanes_t *bits)
{
    if (des->keys_n == 1) {
        do_rounds(des, des->keys[0], 1, bits);
        return;
    }
    do_rounds(des, des->keys[2], 1, bits);
    do_rounds(des, des->keys[1], 0, bits);
    do_rounds(des, des->keys[0], 1, bits);
}

static void do_all_any(const probe_des_t *des, lanes_t *bits)
{
    do_all(des, bits);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void do_all_avx2(const probe_des_t *des, lanes_t *bits)
{
    do_all(des, bits);
}

__attribute__((target("avx512f"))) static void do_all_avx512(const probe_des_t *des, lanes_t *bits)
{
    do_all(des, bits);
}
#endif

static void do_fastest(const probe_des_t *des, lanes_t *bits)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        do_all_avx512(des, bits);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        do_all_avx2(des, bits);
        return;
    }
#endif
    do_all_any(des, bits);
}

/* ---- blocks ---- */

/* The initial permutation: bit i of the halves is that bit of the block. */
static unsigned place_of(unsigned i)
{
    unsigned row = i / 8 % 4;

    return (7 - i % 8) * 8 + 2 * row + (i < HALF);
}

/* Exchanges rows and columns. */
static void transpose(apr_uint64_t rows[64])
{
    apr_uint64_t mask = APR_UINT64_C(0x00000000ffffffff), swapped;
    unsigned width, i;

    for (width = 32; width > 0; width /= 2, mask ^= mask << width) {
        for (i = 0; i < 64; i = ((i | width) + 1) & ~width) {
            swapped = (rows[i] >> width ^ rows[i | width]) & mask;
            rows[i] ^= swapped << width;
            rows[i | width] ^= swapped;
        }
    }
}

void probe_des_decrypt(const probe_des_t *des, const unsigned char block[PROBE_DES_BLOCK],
                       unsigned char (*texts)[PROBE_DES_BLOCK])
{
    lanes_t bits[64];
    apr_uint64_t rows[64];
    unsigned i, j, word;

    for (i = 0; i < 64; i++) {
        unsigned at = place_of(i);

        bits[i] = (lanes_t){0} - (apr_uint64_t)(block[at / 8] >> (7 - at % 8) & 1);
    }
    do_fastest(des, bits);
    for (word = 0; word < WORDS; word++) {
        for (i = 0; i < 64; i++) {
            unsigned at = place_of(i);

            rows[at / 8 * 8 + 7 - at % 8] = bits[i][word];
        }
        transpose(rows);
        for (i = 0; i < 64; i++) {
            for (j = 0; j < PROBE_DES_BLOCK; j++) {
                texts[64 * word + i][j] = (unsigned char)(rows[i] >> 8 * j);
            }
        }
    }
}
