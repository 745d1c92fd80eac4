/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GHASH of a nonce (ghash.h), bit by bit: the numbers are not secret.
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

static element_t multiply(element_t x, element_t y)
{
    element_t z = {0, 0};
    int i;

    for (i = 0; i < 128; i++) {
        apr_uint64_t bit = (i < 64 ? x.high >> (63 - i) : x.low >> (127 - i)) & 1;
        apr_uint64_t mask = 0 - bit, carry = 0 - (y.low & 1);

        z.high ^= y.high & mask;
        z.low ^= y.low & mask;
        y.low = y.low >> 1 | y.high << 63;
        y.high = y.high >> 1 ^ (carry & APR_UINT64_C(0xe100000000000000));
    }
    return z;
}

void probe_ghash_nonce(const unsigned char *h, const unsigned char *nonce, apr_size_t len,
                       unsigned char *block)
{
    element_t key = load(h), x;
    unsigned char padded[16] = {0};
    int i;

    memcpy(padded, nonce, len);
    x = multiply(load(padded), key);
    x.low ^= (apr_uint64_t)len * 8;
    x = multiply(x, key);
    for (i = 0; i < 8; i++) {
        block[i] = (unsigned char)(x.high >> (56 - 8 * i));
        block[8 + i] = (unsigned char)(x.low >> (56 - 8 * i));
    }
}
