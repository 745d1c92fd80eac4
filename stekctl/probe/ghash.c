/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GHASH of a nonce (ghash.h), bit by bit: what a bit stands for depends only on the key.
 * A nonce is one block, and its length another: the nonce is multiplied by the key's square.
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

static void begin(probe_ghash_products_t *of, element_t y)
{
    int i;

    for (i = 0; i < 128; i++) {
        apr_uint64_t carry = 0 - (y.low & 1);

        of->high[i] = y.high;
        of->low[i] = y.low;
        y.low = y.low >> 1 | y.high << 63;
        y.high = y.high >> 1 ^ (carry & APR_UINT64_C(0xe100000000000000));
    }
}

/* z += x * key, for the half of x whose first bit is that bit of an element. */
static void add_product(const probe_ghash_products_t *of, apr_uint64_t x, int first, element_t *z)
{
    int i;

    for (i = 0; i < 64; i++) {
        apr_uint64_t mask = 0 - (x >> (63 - i) & 1);

        z->high ^= of->high[first + i] & mask;
        z->low ^= of->low[first + i] & mask;
    }
}

void probe_ghash_begin(probe_ghash_t *ghash, const unsigned char *h)
{
    element_t x = load(h), square = {0, 0};

    begin(&ghash->once, x);
    add_product(&ghash->once, x.high, 0, &square);
    add_product(&ghash->once, x.low, 64, &square);
    begin(&ghash->twice, square);
}

/* (nonce * key + length) * key */
void probe_ghash_nonce(const probe_ghash_t *ghash, const unsigned char *nonce, apr_size_t len,
                       unsigned char *block)
{
    unsigned char padded[16] = {0};
    element_t x, z = {0, 0};
    int i;

    memcpy(padded, nonce, len);
    x = load(padded);
    add_product(&ghash->twice, x.high, 0, &z);
    if (len > 8) {
        add_product(&ghash->twice, x.low, 64, &z);
    }
    /* The length in bits takes the last byte. */
    for (i = 0; i < 8; i++) {
        if (8 * len >> i & 1) {
            z.high ^= ghash->once.high[127 - i];
            z.low ^= ghash->once.low[127 - i];
        }
    }
    for (i = 0; i < 8; i++) {
        block[i] = (unsigned char)(z.high >> (56 - 8 * i));
        block[8 + i] = (unsigned char)(z.low >> (56 - 8 * i));
    }
}
