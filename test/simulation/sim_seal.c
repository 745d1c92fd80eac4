/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that production's code seals and opens passes here: it is really sealed, and carries
 * its writer's taint (sim_truth.c).  Hosts read the same bytes again and again, so what was opened
 * lately is remembered with its bytes and secrets; so is what was derived from secrets.  One thread.
 */
#include "sim.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

#include "stek_seal.h"

#define SALT_AT 52
#define OPENED_N 512
#define DERIVED_N 4096

apr_status_t __real_stek_ring_seal(const stek_ring_t *ring, const stek_secret_t *secret,
                                   const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                                   unsigned char **psealed, apr_size_t *plen);
apr_status_t __wrap_stek_ring_seal(const stek_ring_t *ring, const stek_secret_t *secret,
                                   const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                                   unsigned char **psealed, apr_size_t *plen);
apr_status_t __real_stek_ring_unseal(const unsigned char *sealed, apr_size_t len,
                                     const stek_secrets_t *secrets, int audit, stek_ring_t **pring,
                                     apr_size_t *psecret_i);
apr_status_t __wrap_stek_ring_unseal(const unsigned char *sealed, apr_size_t len,
                                     const stek_secrets_t *secrets, int audit, stek_ring_t **pring,
                                     apr_size_t *psecret_i);

typedef struct opened_t {
    unsigned char *sealed; /* NULL: free */
    apr_size_t len;
    stek_secret_t secrets[STEK_SECRETS_MAX];
    apr_size_t secret_n, secret_i;
    stek_ring_t *ring;
} opened_t;

static opened_t opened[OPENED_N];

apr_status_t __wrap_stek_ring_seal(const stek_ring_t *ring, const stek_secret_t *secret,
                                   const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                                   unsigned char **psealed, apr_size_t *plen)
{
    apr_status_t rv = __real_stek_ring_seal(ring, secret, random, psealed, plen);

    if (rv == APR_SUCCESS && sim_host) {
        sim_truth_see_ring(ring);
        sim_truth_note(*psealed, *plen, sim_host->taint);
    }
    return rv;
}

static void forget(opened_t *entry)
{
    stek_ring_destroy(entry->ring);
    free(entry->sealed);
    entry->ring = NULL;
    entry->sealed = NULL;
}

static void remember(opened_t *entry, const unsigned char *sealed, apr_size_t len,
                     const stek_secrets_t *secrets, const stek_ring_t *ring, apr_size_t secret_i)
{
    forget(entry);
    entry->ring = sim_ring_copy(ring);
    if (entry->ring) {
        entry->sealed = malloc(len);
        memcpy(entry->sealed, sealed, len);
        entry->len = len;
        entry->secret_n = secrets->n;
        memcpy(entry->secrets, secrets->secrets, secrets->n * sizeof(secrets->secrets[0]));
        entry->secret_i = secret_i;
    }
}

static int is_opened(const opened_t *entry, const unsigned char *sealed, apr_size_t len,
                     const stek_secrets_t *secrets)
{
    return entry->sealed && entry->len == len && entry->secret_n == secrets->n
           && !memcmp(entry->sealed, sealed, len)
           && !memcmp(entry->secrets, secrets->secrets, secrets->n * sizeof(secrets->secrets[0]));
}

static apr_status_t open_again(const unsigned char *sealed, apr_size_t len,
                               const stek_secrets_t *secrets, stek_ring_t **pring,
                               apr_size_t *psecret_i)
{
    opened_t *entry = &opened[(sealed[SALT_AT] | sealed[SALT_AT + 1] << 8) % OPENED_N];
    apr_size_t secret_i = 0;
    apr_status_t rv;

    if (is_opened(entry, sealed, len, secrets)) {
        if (psecret_i) {
            *psecret_i = entry->secret_i;
        }
        *pring = sim_ring_copy(entry->ring);
        return *pring ? APR_SUCCESS : APR_ENOMEM;
    }
    rv = __real_stek_ring_unseal(sealed, len, secrets, 1, pring, &secret_i);
    if (rv == APR_SUCCESS) {
        remember(entry, sealed, len, secrets, *pring, secret_i);
        if (psecret_i) {
            *psecret_i = secret_i;
        }
    }
    return rv;
}

apr_status_t __wrap_stek_ring_unseal(const unsigned char *sealed, apr_size_t len,
                                     const stek_secrets_t *secrets, int audit, stek_ring_t **pring,
                                     apr_size_t *psecret_i)
{
    apr_status_t rv;

    if (audit && len > STEK_RING_HEADER_LEN) {
        rv = open_again(sealed, len, secrets, pring, psecret_i);
    }
    else {
        rv = __real_stek_ring_unseal(sealed, len, secrets, audit, pring, psecret_i);
    }
    if (rv == APR_SUCCESS && sim_host) {
        sim_host->taint |= sim_truth_taint(sealed, len);
    }
    return rv;
}

/* ---- what is derived from secrets ---- */

apr_status_t __real_stek_secret_hkdf(const unsigned char secret[STEK_SECRET_LEN],
                                     const unsigned char *salt, const char *info,
                                     unsigned char *out, apr_size_t out_len);
apr_status_t __wrap_stek_secret_hkdf(const unsigned char secret[STEK_SECRET_LEN],
                                     const unsigned char *salt, const char *info,
                                     unsigned char *out, apr_size_t out_len);
apr_status_t __wrap_stek_secret_set_id(stek_secret_t *secret);

typedef struct asked_t {
    unsigned char secret[STEK_SECRET_LEN];
    unsigned char salt[STEK_SECRET_SALT_LEN];
    char info[40];
    apr_size_t out_len; /* 0: free */
} asked_t;

static struct {
    asked_t asked;
    unsigned char out[64];
} derived[DERIVED_N];

static unsigned place_of(const asked_t *asked)
{
    uint64_t words[sizeof(*asked) / sizeof(uint64_t)], hash = 0;
    size_t i;

    memcpy(words, asked, sizeof(words));
    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return (unsigned)(hash % DERIVED_N);
}

apr_status_t __wrap_stek_secret_hkdf(const unsigned char secret[STEK_SECRET_LEN],
                                     const unsigned char *salt, const char *info,
                                     unsigned char *out, apr_size_t out_len)
{
    asked_t asked;
    apr_status_t rv = APR_SUCCESS;
    unsigned at;

    if (strlen(info) >= sizeof(asked.info) || out_len > sizeof(derived[0].out)) {
        return __real_stek_secret_hkdf(secret, salt, info, out, out_len);
    }
    memset(&asked, 0, sizeof(asked));
    memcpy(asked.secret, secret, sizeof(asked.secret));
    if (salt) {
        memcpy(asked.salt, salt, sizeof(asked.salt));
    }
    strcpy(asked.info, info);
    asked.out_len = out_len;
    at = place_of(&asked);
    if (memcmp(&derived[at].asked, &asked, sizeof(asked)) != 0) {
        rv = __real_stek_secret_hkdf(secret, salt, info, out, out_len);
        if (rv == APR_SUCCESS) {
            memcpy(&derived[at].asked, &asked, sizeof(asked));
            memcpy(derived[at].out, out, out_len);
        }
        return rv;
    }
    memcpy(out, derived[at].out, out_len);
    return APR_SUCCESS;
}

apr_status_t __wrap_stek_secret_set_id(stek_secret_t *secret)
{
    return __wrap_stek_secret_hkdf(secret->bytes, NULL, "stek ring v1 id", secret->id,
                                   STEK_SECRET_ID_LEN);
}

/* ---- algorithms, which OpenSSL looks up at length every time ---- */

EVP_KDF *__real_EVP_KDF_fetch(OSSL_LIB_CTX *context, const char *name, const char *properties);
EVP_KDF *__wrap_EVP_KDF_fetch(OSSL_LIB_CTX *context, const char *name, const char *properties);
EVP_MAC *__real_EVP_MAC_fetch(OSSL_LIB_CTX *context, const char *name, const char *properties);
EVP_MAC *__wrap_EVP_MAC_fetch(OSSL_LIB_CTX *context, const char *name, const char *properties);
EVP_CIPHER *__real_EVP_CIPHER_fetch(OSSL_LIB_CTX *context, const char *name,
                                    const char *properties);
EVP_CIPHER *__wrap_EVP_CIPHER_fetch(OSSL_LIB_CTX *context, const char *name,
                                    const char *properties);

/* Production's code uses one of each. */
#define FETCH(kind, wanted)                                                                        \
    static kind *found;                                                                            \
    if (context || properties || strcmp(name, wanted) != 0) {                                      \
        return __real_##kind##_fetch(context, name, properties);                                   \
    }                                                                                              \
    found = found ? found : __real_##kind##_fetch(context, name, properties);                      \
    if (found) {                                                                                   \
        (void)kind##_up_ref(found);                                                                \
    }                                                                                              \
    return found

EVP_KDF *__wrap_EVP_KDF_fetch(OSSL_LIB_CTX *context, const char *name, const char *properties)
{
    FETCH(EVP_KDF, OSSL_KDF_NAME_HKDF);
}

EVP_MAC *__wrap_EVP_MAC_fetch(OSSL_LIB_CTX *context, const char *name, const char *properties)
{
    FETCH(EVP_MAC, OSSL_MAC_NAME_HMAC);
}

EVP_CIPHER *__wrap_EVP_CIPHER_fetch(OSSL_LIB_CTX *context, const char *name, const char *properties)
{
    FETCH(EVP_CIPHER, "AES-256-GCM");
}
