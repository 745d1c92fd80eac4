/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes in lanes (hash_lanes.h).  On x86-64 each is there three times: for any processor, for AVX2,
 * and for AVX-512, which rotates words in one instruction.
 */
#include "hash_lanes.h"

#include <string.h>

#define LEN_any 16
#define LEN_avx2 32
#define LEN_avx512 64

#define KIND any
#define TARGET
#define VECTOR_LEN LEN_any
#include "hash_rounds.h"

#if defined(__x86_64__)
#define HAS_AVX

#define KIND avx2
#define TARGET __attribute__((target("avx2")))
#define VECTOR_LEN LEN_avx2
#include "hash_rounds.h"

#define KIND avx512
#define TARGET __attribute__((target("avx2,avx512f,avx512vl")))
#define VECTOR_LEN LEN_avx512
#include "hash_rounds.h"
#endif

/* The functions of one hash for one kind of processor. */
#define HASH(kind, name, same, word_len, rounds_n, state_n, digest_len, is_big, ...)               \
    {                                                                                              \
        name, word_len, rounds_n, state_n, digest_len, LEN_##kind, is_big, {__VA_ARGS__},          \
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

static const probe_hash_t for_any[] = HASHES(any);
#ifdef HAS_AVX
static const probe_hash_t for_avx2[] = HASHES(avx2);
static const probe_hash_t for_avx512[] = HASHES(avx512);
#endif

#define HASHES_N (sizeof(for_any) / sizeof(for_any[0]))

/* NULL: this processor does not have it. */
static const probe_hash_t *of_kind(int kind)
{
    if (kind == 0) {
        return for_any;
    }
#ifdef HAS_AVX
    if (kind == 1) {
        return __builtin_cpu_supports("avx2") ? for_avx2 : NULL;
    }
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? for_avx512
                                                                                   : NULL;
#else
    return NULL;
#endif
}

const probe_hash_t *probe_hash_of_kind(const char *name, int kind)
{
    const probe_hash_t *hashes = of_kind(kind);
    apr_size_t i;

    for (i = 0; hashes && i < HASHES_N; i++) {
        if (strcmp(hashes[i].name, name) == 0) {
            return &hashes[i];
        }
    }
    return NULL;
}

const probe_hash_t *probe_hash_find(const char *name)
{
    const probe_hash_t *found = NULL;
    int kind;

    for (kind = PROBE_HASH_KINDS - 1; kind >= 0 && !found; kind--) {
        found = probe_hash_of_kind(name, kind);
    }
    return found;
}
