/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GHASH of a nonce (ghash.h), bit by bit: what a bit stands for depends only on the key.
 */
#include "ghash.h"

#include <string.h>

typedef struct element_t {
    apr_uint64_t high, low; /* bit 0 of SP 800-38D is high's highest */
} element_t;

static element_t load(const unsigned char *bytes)
{
    element_t x = {0, 0};
    int i;

    for (i = 0; i < 8; i++) {
        x.high = x.high << 8 | bytes[i];
        x.low = x.low << 8 | bytes[8 + i];
    }
    return x;
}

void probe_ghash_begin(probe_ghash_t *ghash, const unsigned char *h)
{
    element_t y = load(h);
    int i;

    for (i = 0; i < 128; i++) {
        apr_uint64_t carry = 0 - (y.low & 1);

        ghash->high[i] = y.high;
        ghash->low[i] = y.low;
        y.low = y.low >> 1 | y.high << 63;
        y.high = y.high >> 1 ^ (carry & APR_UINT64_C(0xe100000000000000));
    }
}

static element_t multiply(const probe_ghash_t *ghash, element_t x)
{
    element_t z = {0, 0};
    int i;

    for (i = 0; i < 64; i++) {
        apr_uint64_t high = 0 - (x.high >> (63 - i) & 1), low = 0 - (x.low >> (63 - i) & 1);

        z.high ^= (ghash->high[i] & high) ^ (ghash->high[64 + i] & low);
        z.low ^= (ghash->low[i] & high) ^ (ghash->low[64 + i] & low);
    }
    return z;
}

void probe_ghash_nonce(const probe_ghash_t *ghash, const unsigned char *nonce, apr_size_t len,
                       unsigned char *block)
{
    element_t x;
    unsigned char padded[16] = {0};
    int i;

    memcpy(padded, nonce, len);
    x = multiply(ghash, load(padded));
    x.low ^= (apr_uint64_t)len * 8;
    x = multiply(ghash, x);
    for (i = 0; i < 8; i++) {
        block[i] = (unsigned char)(x.high >> (56 - 8 * i));
        block[8 + i] = (unsigned char)(x.low >> (56 - 8 * i));
    }
}
