/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes in lanes (hash_lanes.h): the compression functions of RFC 1321 and FIPS 180-4 over vectors
 * of words, by the compiler's own vectors.  On x86-64 each is there three times: for any processor,
 * for AVX2, and for AVX-512, which rotates words in one instruction.
 */
#include "hash_lanes.h"

#include <string.h>

typedef apr_uint32_t w32_t __attribute__((vector_size(PROBE_VECTOR_LEN), may_alias));
typedef apr_uint64_t w64_t __attribute__((vector_size(PROBE_VECTOR_LEN), may_alias));

#define INLINED static inline __attribute__((always_inline))
#define ROTATE(x, n, bits) ((x) << (n) | (x) >> ((bits) - (n)))
#define RIGHT(x, n, bits) ROTATE(x, (bits) - (n), bits)

/* What a round adds: a vector, or one word for all lanes. */
#define ADDED(type, word, i)                                                                       \
    (is_same ? (type)((type){0} + ((const word *)schedule)[i]) : (type)((const type *)schedule)[i])

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

INLINED void expand_md5(probe_vector_t *schedule, const probe_vector_t *block)
{
    static const struct {
        unsigned from, step;
    } order[] = {{0, 1}, {1, 5}, {5, 3}, {0, 7}};
    const w32_t *in = (const w32_t *)(const void *)block;
    w32_t *out = (w32_t *)(void *)schedule;
    unsigned i;

    for (i = 0; i < 64; i++) {
        out[i] = in[(order[i / 16].from + i % 16 * order[i / 16].step) % 16] + md5[i];
    }
}

INLINED void add_md5(probe_vector_t *state, const void *schedule, int is_same)
{
    static const int turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    w32_t *all = (w32_t *)(void *)state, a = all[0], b = all[1], c = all[2], d = all[3];
    int i;

    for (i = 0; i < 64; i++) {
        w32_t f = i < 16   ? (d ^ (b & (c ^ d)))
                  : i < 32 ? (c ^ (d & (b ^ c)))
                  : i < 48 ? (b ^ c ^ d)
                           : (c ^ (b | ~d));
        w32_t sum = a + f + ADDED(w32_t, apr_uint32_t, i);

        a = d;
        d = c;
        c = b;
        b += ROTATE(sum, turns[i / 16][i % 4], 32);
    }
    all[0] += a;
    all[1] += b;
    all[2] += c;
    all[3] += d;
}

INLINED void expand_sha1(probe_vector_t *schedule, const probe_vector_t *block)
{
    static const apr_uint32_t k[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    const w32_t *in = (const w32_t *)(const void *)block;
    w32_t *out = (w32_t *)(void *)schedule, w[80];
    int i;

    for (i = 0; i < 80; i++) {
        if (i < 16) {
            w[i] = in[i];
        }
        else {
            w32_t sum = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];

            w[i] = ROTATE(sum, 1, 32);
        }
        out[i] = w[i] + k[i / 20];
    }
}

INLINED void add_sha1(probe_vector_t *state, const void *schedule, int is_same)
{
    w32_t *all = (w32_t *)(void *)state, a = all[0], b = all[1], c = all[2], d = all[3], e = all[4];
    int i;

    for (i = 0; i < 80; i++) {
        w32_t f = i < 20              ? (d ^ (b & (c ^ d)))
                  : i >= 40 && i < 60 ? ((b & c) | (d & (b | c)))
                                      : (b ^ c ^ d);
        w32_t sum = ROTATE(a, 5, 32) + f + e + ADDED(w32_t, apr_uint32_t, i);

        e = d;
        d = c;
        c = ROTATE(b, 30, 32);
        b = a;
        a = sum;
    }
    all[0] += a;
    all[1] += b;
    all[2] += c;
    all[3] += d;
    all[4] += e;
}

INLINED void expand_sha256(probe_vector_t *schedule, const probe_vector_t *block)
{
    const w32_t *in = (const w32_t *)(const void *)block;
    w32_t *out = (w32_t *)(void *)schedule, w[64];
    int i;

    for (i = 0; i < 64; i++) {
        if (i < 16) {
            w[i] = in[i];
        }
        else {
            w32_t x = w[i - 15], y = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] + (RIGHT(x, 7, 32) ^ RIGHT(x, 18, 32) ^ x >> 3)
                   + (RIGHT(y, 17, 32) ^ RIGHT(y, 19, 32) ^ y >> 10);
        }
        out[i] = w[i] + (apr_uint32_t)(sha2[i] >> 32);
    }
}

INLINED void add_sha256(probe_vector_t *state, const void *schedule, int is_same)
{
    w32_t *all = (w32_t *)(void *)state, s[8];
    int i;

    memcpy(s, all, sizeof(s));
    for (i = 0; i < 64; i++) {
        w32_t one = s[7] + ADDED(w32_t, apr_uint32_t, i) + (RIGHT(s[4], 6, 32) ^ RIGHT(s[4], 11, 32) ^ RIGHT(s[4], 25, 32))
                    + (s[6] ^ (s[4] & (s[5] ^ s[6])));
        w32_t two = (RIGHT(s[0], 2, 32) ^ RIGHT(s[0], 13, 32) ^ RIGHT(s[0], 22, 32))
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
        all[i] += s[i];
    }
}

INLINED void expand_sha512(probe_vector_t *schedule, const probe_vector_t *block)
{
    const w64_t *in = (const w64_t *)(const void *)block;
    w64_t *out = (w64_t *)(void *)schedule, w[80];
    int i;

    for (i = 0; i < 80; i++) {
        if (i < 16) {
            w[i] = in[i];
        }
        else {
            w64_t x = w[i - 15], y = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] + (RIGHT(x, 1, 64) ^ RIGHT(x, 8, 64) ^ x >> 7)
                   + (RIGHT(y, 19, 64) ^ RIGHT(y, 61, 64) ^ y >> 6);
        }
        out[i] = w[i] + sha2[i];
    }
}

INLINED void add_sha512(probe_vector_t *state, const void *schedule, int is_same)
{
    w64_t *all = (w64_t *)(void *)state, s[8];
    int i;

    memcpy(s, all, sizeof(s));
    for (i = 0; i < 80; i++) {
        w64_t one = s[7] + ADDED(w64_t, apr_uint64_t, i) + (RIGHT(s[4], 14, 64) ^ RIGHT(s[4], 18, 64) ^ RIGHT(s[4], 41, 64))
                    + (s[6] ^ (s[4] & (s[5] ^ s[6])));
        w64_t two = (RIGHT(s[0], 28, 64) ^ RIGHT(s[0], 34, 64) ^ RIGHT(s[0], 39, 64))
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
        all[i] += s[i];
    }
}

/* The functions of one hash for one kind of processor. */
#define MADE_FOR(kind, how, name)                                                                  \
    how static void expand_##name##_##kind(probe_vector_t *schedule, const probe_vector_t *block)  \
    {                                                                                              \
        expand_##name(schedule, block);                                                            \
    }                                                                                              \
    how static void add_##name##_##kind(probe_vector_t *state, const probe_vector_t *schedule)     \
    {                                                                                              \
        add_##name(state, schedule, 0);                                                            \
    }                                                                                              \
    how static void same_##name##_##kind(probe_vector_t *state, const void *schedule)              \
    {                                                                                              \
        add_##name(state, schedule, 1);                                                            \
    }

#define MADE_FOR_ALL(kind, how)                                                                    \
    MADE_FOR(kind, how, md5)                                                                       \
    MADE_FOR(kind, how, sha1) MADE_FOR(kind, how, sha256) MADE_FOR(kind, how, sha512)

#define HASH(kind, name, same, word_len, rounds_n, state_n, digest_len, is_big, ...)               \
    {                                                                                              \
        name, word_len, rounds_n, state_n, digest_len, is_big, {__VA_ARGS__},                      \
            expand_##same##_##kind, add_##same##_##kind, same_##same##_##kind                      \
    }

/* FIPS 180-4, 5.3; what SHA-256 and SHA-224 start from are halves of SHA-512's and SHA-384's. */
#define HASHES(kind)                                                                               \
    {                                                                                              \
        HASH(kind, "MD5", md5, 4, 64, 4, 16, 0, 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476),   \
            HASH(kind, "SHA1", sha1, 4, 80, 5, 20, 1, 0x67452301, 0xefcdab89, 0x98badcfe,          \
                 0x10325476, 0xc3d2e1f0),                                                          \
            HASH(kind, "SHA224", sha256, 4, 64, 8, 28, 1, 0xc1059ed8, 0x367cd507, 0x3070dd17,      \
                 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4),                      \
            HASH(kind, "SHA256", sha256, 4, 64, 8, 32, 1, 0x6a09e667, 0xbb67ae85, 0x3c6ef372,      \
                 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19),                      \
            HASH(kind, "SHA384", sha512, 8, 80, 8, 48, 1, 0xcbbb9d5dc1059ed8, 0x629a292a367cd507,  \
                 0x9159015a3070dd17, 0x152fecd8f70e5939, 0x67332667ffc00b31, 0x8eb44a8768581511,   \
                 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4),                                          \
            HASH(kind, "SHA512", sha512, 8, 80, 8, 64, 1, 0x6a09e667f3bcc908, 0xbb67ae8584caa73b,  \
                 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,   \
                 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179),                                          \
    }

MADE_FOR_ALL(any, )
static const probe_hash_t for_any[] = HASHES(any);

#if defined(__x86_64__)
#define HAS_AVX
MADE_FOR_ALL(avx2, __attribute__((target("avx2"))))
static const probe_hash_t for_avx2[] = HASHES(avx2);
MADE_FOR_ALL(avx512, __attribute__((target("avx2,avx512f,avx512vl"))))
static const probe_hash_t for_avx512[] = HASHES(avx512);
#endif

const probe_hash_t *probe_hash_find(const char *name)
{
    const probe_hash_t *hashes = for_any;
    apr_size_t i;

#ifdef HAS_AVX
    hashes = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? for_avx512
             : __builtin_cpu_supports("avx2")                                        ? for_avx2
                                                                                     : for_any;
#endif
    for (i = 0; i < sizeof(for_any) / sizeof(for_any[0]); i++) {
        if (strcmp(hashes[i].name, name) == 0) {
            return &hashes[i];
        }
    }
    return NULL;
}
