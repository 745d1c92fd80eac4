/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who answers (faces.h).
 *
 * A balancer that picks at random brings an offer to the ticket's backend only now and then.  The
 * backend that made a full handshake instead shows itself by its certificate, its hello, and the
 * key's name in the ticket that it gives: then an offer is repeated until the right one has
 * answered.  Where answers do not tell, only many repeats make sure; how many follows from the share
 * of the connections that it got, and at most from an equal share for all that were seen, because
 * few connections say little about shares.
 */
#include "faces.h"

#include <string.h>

#define MISSED_MAX 0.01

static const probe_face_t *face_n(const probe_version_t *version, int n)
{
    return &APR_ARRAY_IDX(version->faces, n, probe_face_t);
}

/* The backend whose tickets came on this connection; -1: none. */
static int backend_of(const probe_version_t *version, apr_size_t connection)
{
    int i, j;

    for (i = 0; i < version->backends->nelts; i++) {
        const apr_array_header_t *tickets =
            APR_ARRAY_IDX(version->backends, i, probe_backend_t).tickets;

        for (j = 0; j < tickets->nelts; j++) {
            if (APR_ARRAY_IDX(tickets, j, probe_ticket_t).connection == connection) {
                return i;
            }
        }
    }
    return -1;
}

static int looks_alike(const probe_face_t *a, const probe_face_t *b)
{
    return a->hello == b->hello && a->has_cert == b->has_cert
           && memcmp(a->cert_digest, b->cert_digest, sizeof(a->cert_digest)) == 0;
}

void probe_faces_find(probe_version_t *version, apr_pool_t *pool)
{
    int i, j;

    version->faces = apr_array_make(pool, 4, sizeof(probe_face_t));
    for (i = 0; version->visits && i < version->visits->nelts; i++) {
        const probe_visit_t *visit = &APR_ARRAY_IDX(version->visits, i, probe_visit_t);
        int backend = backend_of(version, visit->connection);

        for (j = 0; j < version->faces->nelts
                    && (face_n(version, j)->backend != backend
                        || !looks_alike(face_n(version, j), &visit->face));
             j++) {
        }
        if (j == version->faces->nelts && j < PROBE_FACES_MAX) {
            APR_ARRAY_PUSH(version->faces, probe_face_t) = visit->face;
            APR_ARRAY_IDX(version->faces, j, probe_face_t).backend = backend;
        }
        if (j < version->faces->nelts) {
            APR_ARRAY_IDX(version->faces, j, probe_face_t).connections_n++;
        }
    }
    version->faces_n = version->faces->nelts;
}

/* Whose key's name a ticket has; -1: that of none. */
static int backend_by_name(const probe_version_t *version, const probe_ticket_t *ticket)
{
    int i;

    for (i = 0; i < version->backends->nelts; i++) {
        const probe_backend_t *backend = &APR_ARRAY_IDX(version->backends, i, probe_backend_t);

        if (backend->is_named && ticket->len >= backend->name_len
            && memcmp(ticket->bytes, backend->name, backend->name_len) == 0) {
            return i;
        }
    }
    return -1;
}

/* An answer without a ticket says nothing about a name, so that only what it shows besides counts. */
int probe_faces_of(const probe_version_t *version, const probe_reply_t *reply)
{
    probe_face_t seen = {.has_cert = reply->has_cert, .hello = reply->hello};
    int has_ticket = reply->tickets->nelts > 0, i, at = -1, n = 0;

    memcpy(seen.cert_digest, reply->cert_digest, sizeof(seen.cert_digest));
    if (has_ticket) {
        seen.backend = backend_by_name(version, &APR_ARRAY_IDX(reply->tickets, 0, probe_ticket_t));
    }
    for (i = 0; version->faces && i < version->faces->nelts; i++) {
        if (looks_alike(&seen, face_n(version, i))
            && (!has_ticket || seen.backend == face_n(version, i)->backend)) {
            at = i;
            n++;
        }
    }
    return n == 1 ? at : -1;
}

apr_uint64_t probe_faces_of_backend(const probe_version_t *version, int backend)
{
    apr_uint64_t faces = 0;
    int i;

    for (i = 0; version->faces && i < version->faces->nelts; i++) {
        faces |= face_n(version, i)->backend == backend ? APR_UINT64_C(1) << i : 0;
    }
    return faces;
}

apr_uint64_t probe_faces_all(const probe_version_t *version)
{
    int n = version->faces ? version->faces->nelts : 0;

    return n < 2 ? 0 : ~APR_UINT64_C(0) >> (64 - n);
}

apr_uint64_t probe_faces_often(const probe_version_t *version)
{
    apr_uint64_t faces = 0;
    int i;

    for (i = 0; version->faces && i < version->faces->nelts; i++) {
        faces |= face_n(version, i)->connections_n > 1 ? APR_UINT64_C(1) << i : 0;
    }
    return faces;
}

int probe_faces_are_alike(const probe_version_t *version)
{
    int i;

    for (i = 0; version->faces && i < version->faces->nelts; i++) {
        if (face_n(version, i)->backend < 0
            || !looks_alike(face_n(version, i), face_n(version, 0))) {
            return 0;
        }
    }
    return 1;
}

int probe_faces_repeats_for(double share, int faces_n)
{
    double missed = 1;
    int n;

    for (n = 0; n <= PROBE_REPEATS_MAX && missed * faces_n >= MISSED_MAX; n++) {
        missed *= 1 - share;
    }
    return n < 1 ? 1 : n;
}

int probe_faces_repeats(const probe_version_t *version, apr_uint64_t faces, int met_n, int *pcost_n)
{
    int seen_n = version->faces && version->faces->nelts ? version->faces->nelts : 1, all_n = 0;
    int wanted_n = 0, repeats_n, i;
    double share, cost = 0;

    for (i = 0; version->faces && i < version->faces->nelts; i++) {
        all_n += face_n(version, i)->connections_n;
        if (faces >> i & 1) {
            met_n = !wanted_n++ || face_n(version, i)->connections_n < met_n
                        ? face_n(version, i)->connections_n
                        : met_n;
        }
    }
    seen_n = seen_n < version->backends->nelts ? version->backends->nelts : seen_n;
    share = all_n && met_n < all_n ? (double)met_n / all_n : 1;
    share = share < 1.0 / seen_n ? share : 1.0 / seen_n;
    repeats_n = probe_faces_repeats_for(share, wanted_n ? wanted_n : 1);
    for (i = 1; i <= wanted_n; i++) {
        cost += 1 / share / i;
    }
    *pcost_n = wanted_n && cost < repeats_n ? (int)(cost + 0.999) : repeats_n;
    return repeats_n;
}
