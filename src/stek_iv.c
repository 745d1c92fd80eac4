/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialisation vectors for tickets.  Core; any thread, one mutex.
 *
 * A batch is the encryption of the next BATCH_N counter values.  A vector is wiped from the batch
 * as it is handed out.  The state is one block of locked memory that a fork wipes: `keyed` is then
 * 0 and the child gets an error instead of its parent's vectors.  OpenSSL's context, which holds
 * the key too, is outside of it: a child that has no use for it destroys what it inherited.
 */
#include "stek_iv.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stek_error.h"
#include "stek_mem.h"

#define KEY_LEN 32
#define BATCH_N 64
#define UNIQUE_LEN 32

typedef struct state_t {
    int keyed;
    pthread_mutex_t mutex;
    unsigned char key[KEY_LEN];
    unsigned char unique[UNIQUE_LEN]; /* SHA-256 of what the caller gave */
    apr_uint64_t counter;             /* of the next batch; never reset, even for a new key */
    apr_uint64_t rekey_at;            /* counter value */
    apr_time_t keyed_at;
    stek_rng_t *rng;
    unsigned int left_n; /* in the batch */
    unsigned char batch[BATCH_N * STEK_IV_LEN];
} state_t;

struct stek_iv_t {
    EVP_CIPHER_CTX *cipher;
    EVP_CIPHER *aes;
    state_t *state;
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
    state_t *state = iv->state;
    int ok;

    memset(&input, 0, sizeof(input));
    memcpy(input.label, label, sizeof(label));
    /* A failing generator leaves zeros; the rest of the input still keeps vectors apart. */
    if (state->rng(input.random, sizeof(input.random)) != APR_SUCCESS) {
        memset(input.random, 0, sizeof(input.random));
    }
    memcpy(input.unique, state->unique, sizeof(input.unique));
    memcpy(input.former, state->key, sizeof(input.former));
    input.counter = state->counter;
    input.now = now;
    ok = EVP_Digest(&input, sizeof(input), state->key, NULL, EVP_sha256(), NULL)
         && EVP_EncryptInit_ex(iv->cipher, iv->aes, NULL, state->key, NULL)
         && EVP_CIPHER_CTX_set_padding(iv->cipher, 0);
    OPENSSL_cleanse(&input, sizeof(input));
    state->rekey_at = state->counter + STEK_IV_REKEY_N;
    state->keyed_at = now;
    state->left_n = 0;
    return ok ? APR_SUCCESS : failed();
}

static apr_status_t fill_batch(stek_iv_t *iv)
{
    unsigned char counters[BATCH_N * STEK_IV_LEN];
    state_t *state = iv->state;
    int i, len;

    memset(counters, 0, sizeof(counters));
    for (i = 0; i < BATCH_N; i++) {
        apr_uint64_t value = state->counter + (apr_uint64_t)i;

        memcpy(counters + i * STEK_IV_LEN, &value, sizeof(value));
    }
    state->counter += BATCH_N;
    if (!EVP_EncryptUpdate(iv->cipher, state->batch, &len, counters, (int)sizeof(counters))) {
        return failed();
    }
    state->left_n = BATCH_N;
    return APR_SUCCESS;
}

apr_status_t stek_iv_create(const void *unique, apr_size_t unique_len, apr_time_t now,
                            stek_rng_t *rng, stek_iv_t **piv)
{
    stek_iv_t *iv = calloc(1, sizeof(*iv));
    state_t *state = stek_mem_alloc(sizeof(*state));
    apr_status_t rv = STEK_ECRYPTO;

    if (!iv || !state) {
        free(iv);
        stek_mem_free(state);
        return APR_ENOMEM;
    }
    stek_mem_wipe_on_fork(state, 1);
    iv->state = state;
    state->rng = rng;
    iv->cipher = EVP_CIPHER_CTX_new();
    iv->aes = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    if (iv->cipher && iv->aes
        && EVP_Digest(unique, unique_len, state->unique, NULL, EVP_sha256(), NULL)) {
        rv = pthread_mutex_init(&state->mutex, NULL);
    }
    if (rv == APR_SUCCESS) {
        state->keyed = 1;
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
    state_t *state = iv->state;
    apr_status_t rv = APR_SUCCESS;

    if (!state->keyed) {
        return STEK_ECRYPTO;
    }
    pthread_mutex_lock(&state->mutex);
    if (state->counter >= state->rekey_at || now - state->keyed_at >= STEK_IV_REKEY_AFTER) {
        rv = rekey(iv, now);
    }
    if (rv == APR_SUCCESS && state->left_n == 0) {
        rv = fill_batch(iv);
    }
    if (rv == APR_SUCCESS) {
        unsigned char *next = state->batch + --state->left_n * STEK_IV_LEN;

        memcpy(out, next, STEK_IV_LEN);
        OPENSSL_cleanse(next, STEK_IV_LEN);
    }
    pthread_mutex_unlock(&state->mutex);
    return rv;
}

int stek_iv_is_wiped(const stek_iv_t *iv)
{
    return !iv->state->keyed;
}

void stek_iv_destroy(stek_iv_t *iv)
{
    if (!iv) {
        return;
    }
    EVP_CIPHER_CTX_free(iv->cipher);
    EVP_CIPHER_free(iv->aes);
    if (iv->state->keyed) {
        pthread_mutex_destroy(&iv->state->mutex);
    }
    stek_mem_free(iv->state);
    free(iv);
}
