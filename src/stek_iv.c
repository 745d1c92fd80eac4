/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialisation vectors for tickets.  Core; any thread, one mutex.
 *
 * A batch is the encryption of the next BATCH_N counter values.  A vector is wiped from the batch
 * as it is handed out.  The whole state is one block of locked memory that a fork wipes: `keyed` is
 * then 0 and the child gets an error instead of its parent's vectors.
 */
#include "stek_iv.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "stek_error.h"
#include "stek_mem.h"

#define KEY_LEN 32
#define BATCH_N 64
#define UNIQUE_LEN 32

struct stek_iv_t {
    int keyed;
    pthread_mutex_t mutex;
    unsigned char key[KEY_LEN];
    unsigned char unique[UNIQUE_LEN]; /* SHA-256 of what the caller gave */
    apr_uint64_t counter;             /* of the next batch; never set back, whatever the key */
    apr_uint64_t rekey_at;            /* counter value */
    apr_time_t keyed_at;
    stek_rng_t *rng;
    unsigned int left_n; /* in the batch */
    unsigned char batch[BATCH_N * STEK_IV_LEN];
    EVP_CIPHER_CTX *cipher;
    EVP_CIPHER *aes;
};

static apr_status_t failed(void)
{
    ERR_clear_error();
    return STEK_ECRYPTO;
}

static apr_status_t rekey(stek_iv_t *iv, apr_time_t now)
{
    static const char label[] = "stek iv v1";
    struct {
        char label[sizeof(label)];
        unsigned char random[32], unique[UNIQUE_LEN], former[KEY_LEN];
        apr_uint64_t counter;
        apr_time_t now;
    } input;
    int ok;

    memset(&input, 0, sizeof(input));
    memcpy(input.label, label, sizeof(label));
    /* A generator that fails leaves zeros: the rest of the input still keeps vectors apart. */
    if (iv->rng(input.random, sizeof(input.random)) != APR_SUCCESS) {
        memset(input.random, 0, sizeof(input.random));
    }
    memcpy(input.unique, iv->unique, sizeof(input.unique));
    memcpy(input.former, iv->key, sizeof(input.former));
    input.counter = iv->counter;
    input.now = now;
    ok = EVP_Digest(&input, sizeof(input), iv->key, NULL, EVP_sha256(), NULL)
         && EVP_EncryptInit_ex(iv->cipher, iv->aes, NULL, iv->key, NULL)
         && EVP_CIPHER_CTX_set_padding(iv->cipher, 0);
    OPENSSL_cleanse(&input, sizeof(input));
    iv->rekey_at = iv->counter + STEK_IV_REKEY_N;
    iv->keyed_at = now;
    iv->left_n = 0;
    return ok ? APR_SUCCESS : failed();
}

static apr_status_t fill_batch(stek_iv_t *iv)
{
    unsigned char counters[BATCH_N * STEK_IV_LEN];
    int i, len;

    memset(counters, 0, sizeof(counters));
    for (i = 0; i < BATCH_N; i++) {
        apr_uint64_t value = iv->counter + (apr_uint64_t)i;

        memcpy(counters + i * STEK_IV_LEN, &value, sizeof(value));
    }
    iv->counter += BATCH_N;
    if (!EVP_EncryptUpdate(iv->cipher, iv->batch, &len, counters, (int)sizeof(counters))) {
        return failed();
    }
    iv->left_n = BATCH_N;
    return APR_SUCCESS;
}

apr_status_t stek_iv_create(const void *unique, apr_size_t unique_len, apr_time_t now,
                            stek_rng_t *rng, stek_iv_t **piv)
{
    stek_iv_t *iv = stek_mem_alloc(sizeof(*iv));
    apr_status_t rv = STEK_ECRYPTO;

    if (!iv) {
        return APR_ENOMEM;
    }
    stek_mem_wipe_on_fork(iv, 1);
    iv->rng = rng;
    iv->cipher = EVP_CIPHER_CTX_new();
    iv->aes = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    if (iv->cipher && iv->aes
        && EVP_Digest(unique, unique_len, iv->unique, NULL, EVP_sha256(), NULL)) {
        rv = pthread_mutex_init(&iv->mutex, NULL);
    }
    if (rv == APR_SUCCESS) {
        iv->keyed = 1;
        rv = rekey(iv, now);
    }
    if (rv != APR_SUCCESS) {
        ERR_clear_error();
        stek_iv_destroy(iv);
        return rv;
    }
    *piv = iv;
    return APR_SUCCESS;
}

apr_status_t stek_iv_next(stek_iv_t *iv, apr_time_t now, unsigned char out[STEK_IV_LEN])
{
    apr_status_t rv = APR_SUCCESS;

    if (!iv->keyed) {
        return STEK_ECRYPTO;
    }
    pthread_mutex_lock(&iv->mutex);
    if (iv->counter >= iv->rekey_at || now - iv->keyed_at >= STEK_IV_REKEY_AFTER) {
        rv = rekey(iv, now);
    }
    if (rv == APR_SUCCESS && iv->left_n == 0) {
        rv = fill_batch(iv);
    }
    if (rv == APR_SUCCESS) {
        unsigned char *next = iv->batch + --iv->left_n * STEK_IV_LEN;

        memcpy(out, next, STEK_IV_LEN);
        OPENSSL_cleanse(next, STEK_IV_LEN);
    }
    pthread_mutex_unlock(&iv->mutex);
    return rv;
}

void stek_iv_destroy(stek_iv_t *iv)
{
    if (!iv) {
        return;
    }
    EVP_CIPHER_CTX_free(iv->cipher);
    EVP_CIPHER_free(iv->aes);
    if (iv->keyed) {
        pthread_mutex_destroy(&iv->mutex);
    }
    stek_mem_free(iv);
}
