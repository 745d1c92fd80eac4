/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weak generators (weak_random.h).  A generator makes numbers of up to 32 bits, and a form takes
 * bytes from them.
 *
 *     glibc, stdlib/random_r.c            31 words, x[i] = x[i-3] + x[i-31], the first 310 dropped
 *     MT19937, Matsumoto and Nishimura    init_genrand: C++, PHP, NumPy; init_by_array: Python
 *     java.util.Random                    48 bits, of which the upper 32
 *     congruential                        Microsoft's C, the example in ISO C, Numerical Recipes,
 *                                         musl, Park and Miller
 */
#include "weak_random.h"

#include <stdio.h>
#include <string.h>

#define MT_N 624
#define MT_M 397
#define NUMBERS_MAX (2 * PROBE_RANDOM_MAX + 80) /* some forms drop every second one */

typedef void make_numbers_t(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n);

static void make_glibc(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    apr_uint32_t ring[34], x = (apr_uint32_t)seed ? (apr_uint32_t)seed : 1;
    apr_int64_t word = (apr_int32_t)x;
    apr_size_t i;

    ring[0] = x;
    for (i = 1; i < 31; i++) {
        word = 16807 * word % 2147483647;
        word += word < 0 ? 2147483647 : 0;
        ring[i] = (apr_uint32_t)word;
    }
    /* Word i replaces word i - 31 of the ring. */
    for (i = 34; i < 344 + n; i++) {
        apr_size_t at = (i - 34 + 3) % 31;

        ring[at] += ring[(at + 28) % 31];
        if (i >= 344) {
            out[i - 344] = ring[at] >> 1;
        }
    }
}

static void fill_mt(apr_uint32_t seed, apr_uint32_t *mt, apr_size_t n)
{
    apr_size_t i;

    mt[0] = seed;
    for (i = 1; i < n; i++) {
        mt[i] = 1812433253U * (mt[i - 1] ^ mt[i - 1] >> 30) + (apr_uint32_t)i;
    }
}

/* The first n outputs, n at most MT_N. */
static void run_mt(apr_uint32_t *mt, apr_uint32_t *out, apr_size_t n)
{
    apr_size_t i;

    for (i = 0; i < n; i++) {
        apr_uint32_t y = (mt[i] & 0x80000000U) | (mt[(i + 1) % MT_N] & 0x7fffffffU);

        mt[i] = mt[(i + MT_M) % MT_N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfU : 0);
        y = mt[i];
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c5680U;
        y ^= y << 15 & 0xefc60000U;
        out[i] = y ^ y >> 18;
    }
}

static void make_mt(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    apr_uint32_t mt[MT_N];

    fill_mt((apr_uint32_t)seed, mt, n + MT_M + 1 < MT_N ? n + MT_M + 1 : MT_N);
    run_mt(mt, out, n);
}

/* init_by_array() with the number's 32-bit digits as the key. */
static void make_python(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    static apr_uint32_t begin[MT_N];
    apr_uint32_t mt[MT_N], key[2] = {(apr_uint32_t)seed, (apr_uint32_t)(seed >> 32)};
    apr_uint32_t key_n = key[1] ? 2 : 1, i = 1, j = 0, k;

    if (!begin[0]) {
        fill_mt(19650218U, begin, MT_N);
    }
    memcpy(mt, begin, sizeof(mt));
    for (k = 0; k < MT_N; k++) {
        mt[i] = (mt[i] ^ (mt[i - 1] ^ mt[i - 1] >> 30) * 1664525U) + key[j] + j;
        j = j + 1 < key_n ? j + 1 : 0;
        if (++i >= MT_N) {
            mt[0] = mt[MT_N - 1];
            i = 1;
        }
    }
    for (k = 0; k < MT_N - 1; k++) {
        mt[i] = (mt[i] ^ (mt[i - 1] ^ mt[i - 1] >> 30) * 1566083941U) - i;
        if (++i >= MT_N) {
            mt[0] = mt[MT_N - 1];
            i = 1;
        }
    }
    mt[0] = 0x80000000U;
    run_mt(mt, out, n);
}

static void make_java(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    apr_uint64_t x = seed ^ APR_UINT64_C(0x5deece66d);
    apr_size_t i;

    for (i = 0; i < n; i++) {
        x = (x * APR_UINT64_C(0x5deece66d) + 11) & APR_UINT64_C(0xffffffffffff);
        out[i] = (apr_uint32_t)(x >> 16);
    }
}

/* A linear congruential generator of 32 bits; of each number, what mask leaves of it after the shift. */
static void make_lcg(apr_uint64_t seed, apr_uint32_t factor, apr_uint32_t step, int shift,
                     apr_uint32_t mask, apr_uint32_t *out, apr_size_t n)
{
    apr_uint32_t x = (apr_uint32_t)seed;
    apr_size_t i;

    for (i = 0; i < n; i++) {
        x = x * factor + step;
        out[i] = x >> shift & mask;
    }
}

static void make_microsoft(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    make_lcg(seed, 214013, 2531011, 16, 0x7fff, out, n);
}

static void make_iso(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    make_lcg(seed, 1103515245, 12345, 16, 0x7fff, out, n);
}

static void make_recipes(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    make_lcg(seed, 1664525, 1013904223, 0, 0xffffffff, out, n);
}

static void make_musl(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    apr_uint64_t x = (apr_uint32_t)seed - 1U;
    apr_size_t i;

    for (i = 0; i < n; i++) {
        x = x * APR_UINT64_C(6364136223846793005) + 1;
        out[i] = (apr_uint32_t)(x >> 33);
    }
}

static void make_park(apr_uint64_t seed, apr_uint32_t *out, apr_size_t n)
{
    apr_uint64_t x = seed % 2147483647 ? seed % 2147483647 : 1;
    apr_size_t i;

    for (i = 0; i < n; i++) {
        x = x * 16807 % 2147483647;
        out[i] = (apr_uint32_t)x;
    }
}

/* ---- forms ---- */

typedef enum take_e {
    TAKE_LOW,    /* number & 255 */
    TAKE_SECOND, /* number >> 1 & 255 */
    TAKE_SCALED, /* the upper 8 of 31 bits */
    TAKE_HIGH,   /* the upper 8 of 32 bits */
    TAKE_NINE,   /* the upper 9 of 32 bits, unless they are 256 or more */
    TAKE_WORDS,  /* four bytes, the lowest first */
    TAKE_TEXT,
    TAKE_TEXTS, /* decimal digits, then zeros; repeated */
    TAKE_LITTLE,
    TAKE_LITTLES,
    TAKE_BIG,
    TAKE_BIG4,
    TAKE_BIG4S,
    TAKE_MD5,
    TAKE_SHA1,
    TAKE_SHA256
} take_e;

typedef struct form_t {
    const char *name;
    make_numbers_t *make; /* NULL: of the number itself */
    take_e take;
    int takes_ms;
} form_t;

static const form_t forms[PROBE_RANDOM_FORMS] = {
    {"rand() of glibc, a byte each", make_glibc, TAKE_LOW, 0},
    {"rand() of glibc, scaled to bytes", make_glibc, TAKE_SCALED, 0},
    {"rand() of glibc, four bytes each", make_glibc, TAKE_WORDS, 0},
    {"mt19937, a byte each", make_mt, TAKE_LOW, 0},
    {"mt19937, four bytes each", make_mt, TAKE_WORDS, 0},
    {"mt19937, scaled to bytes", make_mt, TAKE_HIGH, 0},
    {"mt_rand() of PHP, a byte each", make_mt, TAKE_SECOND, 0},
    {"randbytes() of Python", make_python, TAKE_WORDS, 0},
    {"getrandbits(8) of Python", make_python, TAKE_HIGH, 0},
    {"randrange(256) of Python", make_python, TAKE_NINE, 0},
    {"nextBytes() of java.util.Random", make_java, TAKE_WORDS, 1},
    {"nextInt(256) of java.util.Random", make_java, TAKE_HIGH, 1},
    {"rand() of Microsoft's C", make_microsoft, TAKE_LOW, 0},
    {"rand() of ISO C's example", make_iso, TAKE_LOW, 0},
    {"the generator of Numerical Recipes, four bytes each", make_recipes, TAKE_WORDS, 0},
    {"the generator of Numerical Recipes, its upper bytes", make_recipes, TAKE_HIGH, 0},
    {"rand() of musl", make_musl, TAKE_LOW, 0},
    {"the generator of Park and Miller", make_park, TAKE_LOW, 0},
    {"the number as text", NULL, TAKE_TEXT, 1},
    {"the number as text, repeated", NULL, TAKE_TEXTS, 1},
    {"the number, little-endian", NULL, TAKE_LITTLE, 1},
    {"the number, little-endian, repeated", NULL, TAKE_LITTLES, 0},
    {"the number of eight bytes, big-endian", NULL, TAKE_BIG, 1},
    {"the number of four bytes, big-endian", NULL, TAKE_BIG4, 0},
    {"the number of four bytes, big-endian, repeated", NULL, TAKE_BIG4S, 0},
    {"MD5 of the number as text", NULL, TAKE_MD5, 1},
    {"SHA-1 of the number as text", NULL, TAKE_SHA1, 1},
    {"SHA-256 of the number as text", NULL, TAKE_SHA256, 1},
};

int probe_random_begin(probe_random_t *random)
{
    random->ctx = EVP_MD_CTX_new();
    random->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    random->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    random->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    return random->ctx != NULL;
}

void probe_random_end(probe_random_t *random)
{
    EVP_MD_CTX_free(random->ctx);
    EVP_MD_free(random->md5);
    EVP_MD_free(random->sha1);
    EVP_MD_free(random->sha256);
}

const char *probe_random_name(int form)
{
    return forms[form].name;
}

int probe_random_takes_ms(int form)
{
    return forms[form].takes_ms;
}

static void take(take_e how, const apr_uint32_t *numbers, apr_size_t numbers_n, unsigned char *out,
                 apr_size_t len)
{
    apr_size_t i, n = 0;

    for (i = 0; i < numbers_n && n < len; i++) {
        apr_uint32_t x = how == TAKE_WORDS ? numbers[i / 4] >> 8 * (i % 4) : numbers[i];

        switch (how) {
        case TAKE_NINE:
            out[n] = (unsigned char)(x >> 23);
            n += x >> 31 == 0;
            break;
        default:
            out[n++] = (unsigned char)(how == TAKE_HIGH     ? x >> 24
                                       : how == TAKE_SCALED ? x >> 23
                                       : how == TAKE_SECOND ? x >> 1
                                                            : x);
        }
    }
}

/* Bytes of the number, and how many: the others are zeros, or they are repeated. */
static apr_size_t write_number(take_e how, apr_uint64_t seed, unsigned char *out)
{
    apr_size_t n = how == TAKE_LITTLES || how == TAKE_BIG4 || how == TAKE_BIG4S ? 4 : 8, i;

    if (how == TAKE_TEXT || how == TAKE_TEXTS || how >= TAKE_MD5) {
        return (apr_size_t)snprintf((char *)out, 24, "%llu", (unsigned long long)seed);
    }
    for (i = 0; i < n; i++) {
        out[i] =
            (unsigned char)(seed
                            >> 8 * (how == TAKE_LITTLE || how == TAKE_LITTLES ? i : n - 1 - i));
    }
    return n;
}

static int take_number(const probe_random_t *random, take_e how, apr_uint64_t seed,
                       unsigned char *out, apr_size_t len)
{
    const EVP_MD *md = how == TAKE_MD5    ? random->md5
                       : how == TAKE_SHA1 ? random->sha1
                                          : random->sha256;
    unsigned char bytes[24], digest[EVP_MAX_MD_SIZE];
    apr_size_t n = write_number(how, seed, bytes), i;
    unsigned int digest_len = 0;

    if (how >= TAKE_MD5) {
        if (!md || EVP_DigestInit_ex(random->ctx, md, NULL) != 1
            || EVP_DigestUpdate(random->ctx, bytes, n) != 1
            || EVP_DigestFinal_ex(random->ctx, digest, &digest_len) != 1) {
            return 0;
        }
        memset(out, 0, len);
        memcpy(out, digest, digest_len < len ? digest_len : len);
        return 1;
    }
    for (i = 0; i < len; i++) {
        int repeats = how == TAKE_TEXTS || how == TAKE_LITTLES || how == TAKE_BIG4S;

        out[i] = i < n || (repeats && n) ? bytes[i % n] : 0;
    }
    return 1;
}

int probe_random_make(const probe_random_t *random, int form, apr_uint64_t seed, unsigned char *out,
                      apr_size_t len)
{
    apr_uint32_t numbers[NUMBERS_MAX];
    const form_t *one = &forms[form];
    apr_size_t n = one->take == TAKE_NINE ? 2 * len + 80 : len;

    if (!one->make) {
        return take_number(random, one->take, seed, out, len);
    }
    /* Words need a quarter of the numbers, which take() counts by bytes. */
    one->make(seed, numbers, one->take == TAKE_WORDS ? (len + 3) / 4 : n);
    take(one->take, numbers, n, out, len);
    return 1;
}
