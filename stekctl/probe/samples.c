/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets of other hosts (samples.h): a hash table with one place per value of the hash.  A key
 * name whose place another one has taken is not sampled.
 */
#include "samples.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "across.h"

#define PLACES_N 8192
#define SESSION_MAX 2048                /* longer sessions are not kept */
#define FRESH_MAX apr_time_from_sec(60) /* an older sample is replaced */

typedef struct place_t {
    unsigned char digest[32]; /* of version and key name */
    char *host;               /* NULL: empty */
    unsigned char *session;
    apr_size_t session_len;
    apr_time_t at;
    int asked_cert, alert, has_cert;
    unsigned char cert_digest[32];
} place_t;

struct probe_samples_t {
    place_t places[PLACES_N];
};

static void free_place(place_t *place)
{
    OPENSSL_clear_free(place->session, place->session_len);
    free(place->host);
    memset(place, 0, sizeof(*place));
}

static apr_status_t free_samples(void *data)
{
    probe_samples_t *samples = data;
    int i;

    for (i = 0; i < PLACES_N; i++) {
        free_place(&samples->places[i]);
    }
    free(samples);
    return APR_SUCCESS;
}

probe_samples_t *probe_samples_create(apr_pool_t *pool)
{
    probe_samples_t *samples = calloc(1, sizeof(*samples));

    if (samples) {
        apr_pool_cleanup_register(pool, samples, free_samples, apr_pool_cleanup_null);
    }
    return samples;
}

static int digest_name(const probe_version_t *version, const probe_backend_t *backend,
                       unsigned char *digest)
{
    const probe_ticket_t *ticket = &APR_ARRAY_IDX(backend->tickets, 0, probe_ticket_t);
    unsigned char text[2 + 64];
    apr_size_t len = backend->is_named ? backend->name_len : backend->format.name_len;

    if (!probe_across_is_comparable(backend) || len > sizeof(text) - 2 || len > ticket->len) {
        return 0;
    }
    text[0] = (unsigned char)version->version;
    text[1] = (unsigned char)backend->format.layout;
    memcpy(text + 2, ticket->bytes, len);
    return EVP_Digest(text, 2 + len, digest, NULL, EVP_sha256(), NULL) == 1;
}

static void keep(place_t *place, const char *host, const probe_version_t *version,
                 const probe_backend_t *backend, const unsigned char *digest)
{
    const probe_ticket_t *ticket = &APR_ARRAY_IDX(backend->tickets, backend->tickets->nelts - 1,
                                                  probe_ticket_t);

    if (!ticket->session || ticket->session_len > SESSION_MAX) {
        return;
    }
    free_place(place);
    place->host = strdup(host);
    place->session = OPENSSL_memdup(ticket->session, ticket->session_len);
    place->session_len = ticket->session_len;
    if (!place->host || !place->session) {
        free_place(place);
        return;
    }
    memcpy(place->digest, digest, sizeof(place->digest));
    place->at = apr_time_now();
    place->asked_cert = version->own->asked_cert;
    place->alert = version->own->alert;
    place->has_cert = version->own->has_cert;
    memcpy(place->cert_digest, version->own->cert_digest, sizeof(place->cert_digest));
}

static const probe_sample_t *copy(const place_t *place, apr_pool_t *pool)
{
    probe_sample_t *sample = apr_pcalloc(pool, sizeof(*sample));

    sample->host = apr_pstrdup(pool, place->host);
    sample->ticket.session = apr_pmemdup(pool, place->session, place->session_len);
    sample->ticket.session_len = place->session_len;
    sample->own.asked_cert = place->asked_cert;
    sample->own.alert = place->alert;
    sample->own.has_cert = place->has_cert;
    memcpy(sample->own.cert_digest, place->cert_digest, sizeof(place->cert_digest));
    return sample;
}

const probe_sample_t *probe_samples_swap(probe_samples_t *samples, const probe_host_t *host,
                                         const probe_version_t *version, apr_pool_t *pool)
{
    const char *name = apr_psprintf(pool, "%s:%d", host->name, host->port);
    const probe_sample_t *found = NULL;
    int i;

    for (i = 0; version->backends && i < version->backends->nelts; i++) {
        const probe_backend_t *backend = &APR_ARRAY_IDX(version->backends, i, probe_backend_t);
        unsigned char digest[32];
        place_t *place;
        int is_same;

        if (!digest_name(version, backend, digest)) {
            continue;
        }
        place = &samples->places[(digest[0] << 8 | digest[1]) % PLACES_N];
        is_same = place->host && memcmp(place->digest, digest, sizeof(digest)) == 0;
        if (is_same && !found && strcmp(place->host, name) != 0) {
            found = copy(place, pool);
        }
        if (!place->host || (is_same && apr_time_now() - place->at > FRESH_MAX)) {
            keep(place, name, version, backend, digest);
        }
    }
    return found;
}
