/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers of a history, and what production's code takes for the system's: SplitMix64, the
 * same everywhere for one seed.  One thread.
 */
#include "sim.h"

static uint64_t state;

void sim_seed(uint64_t seed)
{
    state = seed;
}

uint64_t sim_random(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

unsigned sim_below(unsigned n)
{
    return n ? (unsigned)(sim_random() % n) : 0;
}

uint64_t sim_mix(uint64_t a, uint64_t b)
{
    uint64_t before = state, mixed;

    state = a ^ (b * UINT64_C(0xd6e8feb86659fd93));
    (void)sim_random();
    mixed = sim_random();
    state = before;
    return mixed;
}

apr_status_t __wrap_stek_rng_system(unsigned char *bytes, apr_size_t len);

apr_status_t __wrap_stek_rng_system(unsigned char *bytes, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        bytes[i] = (unsigned char)(sim_random() >> 56);
    }
    return APR_SUCCESS;
}
