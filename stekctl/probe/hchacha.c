/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HChaCha20 (hchacha.h).
 */
#include "hchacha.h"

#include <apr.h>

static apr_uint32_t load(const unsigned char *bytes)
{
    return (apr_uint32_t)bytes[0] | (apr_uint32_t)bytes[1] << 8 | (apr_uint32_t)bytes[2] << 16
           | (apr_uint32_t)bytes[3] << 24;
}

static apr_uint32_t rotate(apr_uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void quarter(apr_uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

void probe_hchacha(const unsigned char *key, const unsigned char *nonce, unsigned char *out)
{
    apr_uint32_t x[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    int i;

    for (i = 0; i < 8; i++) {
        x[4 + i] = load(key + 4 * i);
    }
    for (i = 0; i < 4; i++) {
        x[12 + i] = load(nonce + 4 * i);
    }
    for (i = 0; i < 10; i++) {
        quarter(x, 0, 4, 8, 12);
        quarter(x, 1, 5, 9, 13);
        quarter(x, 2, 6, 10, 14);
        quarter(x, 3, 7, 11, 15);
        quarter(x, 0, 5, 10, 15);
        quarter(x, 1, 6, 11, 12);
        quarter(x, 2, 7, 8, 13);
        quarter(x, 3, 4, 9, 14);
    }
    for (i = 0; i < 32; i++) {
        apr_uint32_t word = x[i < 16 ? i / 4 : 12 + (i - 16) / 4];

        out[i] = (unsigned char)(word >> 8 * (i % 4));
    }
}
