/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core's unit tests share: seconds, a seedable generator, good keys, an injected source of
 * random bytes.  Included once by each test program.
 */
#ifndef CORE_UTIL_H
#define CORE_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "stek_error.h"
#include "stek_key.h"

#define SEC(n) apr_time_from_sec(n)
#define HOUR SEC(3600)
#define DAY SEC(86400)

/* 2026-01-01 00:00:00 UTC: a multiple of every interval that divides a day. */
#define T0 SEC(APR_INT64_C(1767225600))

/* SplitMix64: good enough to look random to the audit, and the same everywhere for one seed. */
typedef struct rnd_t {
    uint64_t state;
} rnd_t;

static inline uint64_t rnd_next(rnd_t *rnd)
{
    uint64_t z = rnd->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline unsigned rnd_below(rnd_t *rnd, unsigned n)
{
    return (unsigned)(rnd_next(rnd) % n);
}

static inline void rnd_fill(rnd_t *rnd, unsigned char *bytes, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        bytes[i] = (unsigned char)(rnd_next(rnd) >> 56);
    }
}

/* STEK_SEED, or a new one each time. */
static inline uint64_t seed_from_env(void)
{
    const char *text = getenv("STEK_SEED");

    if (text && *text) {
        return strtoull(text, NULL, 0);
    }
    return (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
}

/* A good key, the same for one number n. */
static inline stek_key_t good_key(unsigned n, apr_time_t not_before, apr_interval_time_t interval,
                                  apr_interval_time_t lifetime)
{
    rnd_t rnd = {0x5eed0000u + n};
    stek_key_t key;

    memset(&key, 0, sizeof(key));
    rnd_fill(&rnd, key.name, sizeof(key.name));
    rnd_fill(&rnd, key.hmac_key, sizeof(key.hmac_key));
    rnd_fill(&rnd, key.aes_key, sizeof(key.aes_key));
    key.created = not_before;
    key.not_before = not_before;
    key.encrypt_until = not_before + interval;
    key.decrypt_until = not_before + interval + lifetime;
    return key;
}

/* Injected generators.  fake_rng is good; each key takes 80 bytes: name, HMAC key, AES key.  What
 * fake_patch[80] has where fake_mask is set stands in the bytes instead. */
static rnd_t fake_rnd = {1};
static unsigned char fake_patch[80];
static unsigned char fake_mask[80];
static size_t fake_at;

static inline apr_status_t fake_rng(unsigned char *bytes, apr_size_t len)
{
    apr_size_t i;

    rnd_fill(&fake_rnd, bytes, len);
    for (i = 0; i < len; i++, fake_at = (fake_at + 1) % sizeof(fake_patch)) {
        if (fake_mask[fake_at]) {
            bytes[i] = fake_patch[fake_at];
        }
    }
    return APR_SUCCESS;
}

static inline void fake_rng_reset(uint64_t seed)
{
    fake_rnd.state = seed;
    fake_at = 0;
    memset(fake_mask, 0, sizeof(fake_mask));
}

static inline void fake_rng_patch(size_t at, const unsigned char *bytes, size_t len)
{
    memcpy(fake_patch + at, bytes, len);
    memset(fake_mask + at, 1, len);
}

static inline apr_status_t broken_rng(unsigned char *bytes, apr_size_t len)
{
    memset(bytes, 0x5a, len);
    return STEK_ERNG;
}

#endif
