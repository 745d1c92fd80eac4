/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of so many random keys none is refused: soak_audit [count], 10,000,000 by default.  The bytes
 * come from AES-256-CTR under a random key, since the system's generator is slower than the audit.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stek_audit.h"
#include "stek_key_make.h"
#include "stek_schedule.h"

#define BUFFER_LEN 65536

static EVP_CIPHER_CTX *cipher;
static unsigned char buffer[BUFFER_LEN];
static apr_size_t used = BUFFER_LEN;

static apr_status_t fast_rng(unsigned char *bytes, apr_size_t len)
{
    static const unsigned char zeros[BUFFER_LEN];

    if (len > BUFFER_LEN - used) {
        int out;

        if (EVP_EncryptUpdate(cipher, buffer, &out, zeros, BUFFER_LEN) != 1 || out != BUFFER_LEN) {
            return APR_EGENERAL;
        }
        used = 0;
    }
    memcpy(bytes, buffer + used, len);
    used += len;
    return APR_SUCCESS;
}

/* One key through the very function that makes keys, and its bytes as an AES-128 key too. */
static int try_key(long n)
{
    stek_key_t key;

    if (stek_key_make(0, 1000000, 1000000, 0, 0, fast_rng, &key) != APR_SUCCESS) {
        fprintf(stderr, "soak_audit: key %ld refused\n", n);
        return 0;
    }
    if (n % 4 == 0) {
        key.flags = STEK_KEY_AES128;
        if (stek_audit_key(&key) != STEK_WEAK_NONE) {
            fprintf(stderr, "soak_audit: key %ld refused as AES-128\n", n);
            return 0;
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 10000000, n;
    unsigned char seed[32 + 16] = {0};

    cipher = EVP_CIPHER_CTX_new();
    if (count <= 0 || !cipher || stek_rng_system(seed, 32) != APR_SUCCESS
        || EVP_EncryptInit_ex(cipher, EVP_aes_256_ctr(), NULL, seed, seed + 32) != 1) {
        fprintf(stderr, "usage: soak_audit [count > 0]\n");
        return 2;
    }
    for (n = 0; n < count; n++) {
        if (!try_key(n)) {
            int i;

            fprintf(stderr, "soak_audit: seed ");
            for (i = 0; i < 32; i++) {
                fprintf(stderr, "%02x", seed[i]);
            }
            fprintf(stderr, "\n");
            return 1;
        }
    }
    EVP_CIPHER_CTX_free(cipher);
    printf("soak_audit: %ld keys, none refused\n", count);
    return 0;
}
