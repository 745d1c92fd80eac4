/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that production's code seals and opens passes here: it is really sealed, and carries
 * its writer's taint (sim_truth.c).  Hosts read the same bytes again and again, so what was opened
 * lately is remembered with its bytes and secrets.  One thread.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "stek_ring_merge.h"
#include "stek_seal.h"

#define SALT_AT 52
#define OPENED_N 512

apr_status_t __real_stek_ring_seal(const stek_ring_t *ring, const stek_secret_t *secret,
                                   const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                                   unsigned char **psealed, apr_size_t *plen);
apr_status_t __wrap_stek_ring_seal(const stek_ring_t *ring, const stek_secret_t *secret,
                                   const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                                   unsigned char **psealed, apr_size_t *plen);
apr_status_t __real_stek_ring_open(const unsigned char *sealed, apr_size_t len,
                                   const stek_secrets_t *secrets, int audit, stek_ring_t **pring,
                                   apr_size_t *psecret_i);
apr_status_t __wrap_stek_ring_open(const unsigned char *sealed, apr_size_t len,
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
    if (stek_ring_merge(ring, NULL, 0, 0, &entry->ring) == APR_SUCCESS) {
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
        return stek_ring_merge(entry->ring, NULL, 0, 0, pring);
    }
    rv = __real_stek_ring_open(sealed, len, secrets, 1, pring, &secret_i);
    if (rv == APR_SUCCESS) {
        remember(entry, sealed, len, secrets, *pring, secret_i);
        if (psecret_i) {
            *psecret_i = secret_i;
        }
    }
    return rv;
}

apr_status_t __wrap_stek_ring_open(const unsigned char *sealed, apr_size_t len,
                                   const stek_secrets_t *secrets, int audit, stek_ring_t **pring,
                                   apr_size_t *psecret_i)
{
    apr_status_t rv;

    if (audit && len > STEK_RING_HEADER_LEN) {
        rv = open_again(sealed, len, secrets, pring, psecret_i);
    }
    else {
        rv = __real_stek_ring_open(sealed, len, secrets, audit, pring, psecret_i);
    }
    if (rv == APR_SUCCESS && sim_host) {
        sim_host->taint |= sim_truth_taint(sealed, len);
    }
    return rv;
}
