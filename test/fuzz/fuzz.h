/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share: the entry point, a pool, properties that must hold, and a generator that
 * repeats.  Included once by each target.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <apr_general.h>
#include <apr_pools.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What does not hold ends the run, which libFuzzer reports with the input. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* One for all inputs; a target clears it behind each. */
static inline apr_pool_t *fuzz_pool(void)
{
    static apr_pool_t *pool;

    if (!pool) {
        HOLDS(apr_initialize() == APR_SUCCESS && apr_pool_create(&pool, NULL) == APR_SUCCESS);
    }
    return pool;
}

/* SplitMix64, from the same start for each input. */
static uint64_t fuzz_rng_state;

static inline apr_status_t fuzz_rng(unsigned char *bytes, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        uint64_t z = fuzz_rng_state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        bytes[i] = (unsigned char)(z >> 56);
    }
    return APR_SUCCESS;
}

#endif
