/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What certificates and CRLs decide, as a digest (mod_stek_trust_digest.h).  Glue; parent only,
 * while it configures.
 *
 * Digests are made when all objects are read, because what one says may depend on another: a CRL
 * on the certificate of its issuer, and on later CRLs of the same issuer.  Each object becomes a
 * digest, and the sorted set of these the digest of the whole.
 */
#include "mod_stek_trust_digest.h"

#include "httpd.h"
#include "apr_hash.h"
#include "apr_strings.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "mod_stek_reach.h"
#include "mod_stek_trust_watch.h"
#include "stek_error.h"
#include "stek_x509_time.h"

typedef struct known_t {
    mod_stek_digest_t digest;
    apr_array_header_t *watched; /* mod_stek_trust_watch_t */
} known_t;

/* By sources and what stores hold: known_t; of one configuration. */
static apr_hash_t *known;

void mod_stek_trust_digest_reset(apr_pool_t *pconf)
{
    known = apr_hash_make(pconf);
    mod_stek_reach_reset();
}

/* Sorts, drops doubles, and digests the set. */
static void digest_set(mod_stek_trust_t *trust, apr_array_header_t *set, mod_stek_digest_t *digest)
{
    mod_stek_digest_t *elts = (mod_stek_digest_t *)set->elts;
    int i, n = 0;

    qsort(set->elts, (size_t)set->nelts, sizeof(mod_stek_digest_t), mod_stek_digest_compare);
    for (i = 0; i < set->nelts; i++) {
        if (n == 0 || mod_stek_digest_compare(&elts[n - 1], &elts[i]) != 0) {
            elts[n++] = elts[i];
        }
    }
    mod_stek_trust_sha256(trust, elts, (apr_size_t)n * sizeof(mod_stek_digest_t), digest);
}

/* '<' before its time, '=' in it, '>' after it; '?' if it says none that can be read. */
static char season(mod_stek_trust_t *trust, const ASN1_TIME *begin, const ASN1_TIME *end)
{
    apr_time_t now = apr_time_now();
    int begun = stek_x509_time_compare(begin, now);
    int over = end ? stek_x509_time_compare(end, now) : 1;

    if (begun == 0 || over == 0) {
        mod_stek_trust_check_memory(trust);
        return '?';
    }
    return over < 0 ? '>' : begun > 0 ? '<' : '=';
}

/* OpenSSL keeps in the store what it has found in a directory, as early as when it looks for the
 * issuers of the server's own certificate: all of a name, and then the place is the directory. */
static int place_of(const mod_stek_trust_t *trust, const mod_stek_trust_object_t *object)
{
    int i;

    for (i = 0; object->also && i < trust->objects->nelts; i++) {
        const mod_stek_trust_object_t *other = &APR_ARRAY_IDX(trust->objects, i,
                                                              mod_stek_trust_object_t);

        if (!other->cert == !object->cert && !other->hash[0] && other->also != object->also
            && (other->place == 0 || other->place == object->also)
            && X509_NAME_cmp(mod_stek_trust_name(other), mod_stek_trust_name(object)) == 0) {
            return object->place;
        }
    }
    return object->also ? object->also : object->place;
}

/* OpenSSL tries authorities of one name one by one. */
static int order_of(const mod_stek_trust_t *trust, const mod_stek_trust_object_t *object)
{
    const mod_stek_trust_object_t *other = (const mod_stek_trust_object_t *)trust->objects->elts;
    int before = 0;

    for (; other < object; other++) {
        before += other->cert && memcmp(other->hash, object->hash, sizeof(object->hash)) == 0
                  && X509_NAME_cmp(X509_get_subject_name(other->cert),
                                   X509_get_subject_name(object->cert))
                         == 0;
    }
    return before;
}

static void digest_certificate(mod_stek_trust_t *trust, const mod_stek_trust_object_t *object,
                               mod_stek_digest_t *digest)
{
    struct {
        char kind, season, hash[8];
        int place, order;
        mod_stek_digest_t content; /* with the trust attributes */
    } says;

    memset(&says, 0, sizeof(says));
    says.kind = 'c';
    says.season = season(trust, X509_get0_notBefore(object->cert),
                         X509_get0_notAfter(object->cert));
    says.place = place_of(trust, object);
    says.order = order_of(trust, object);
    memcpy(says.hash, object->hash, sizeof(says.hash));
    says.content = object->whole;
    mod_stek_trust_sha256(trust, &says, sizeof(says), digest);
}

static void add_extension(mod_stek_trust_t *trust, const X509_EXTENSION *extension,
                          apr_array_header_t *set)
{
    unsigned char *der = NULL;
    int len = i2d_X509_EXTENSION((X509_EXTENSION *)extension, &der);

    mod_stek_trust_sha256_der(trust, der, len, apr_array_push(set));
}

/* A serial, and what makes it other than revoked.  OpenSSL reads of the reason only whether it is
 * removeFromCRL; any extension that is critical makes it refuse the whole list. */
static void digest_entry(mod_stek_trust_t *trust, X509_REVOKED *entry, mod_stek_digest_t *digest)
{
    const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(entry);
    apr_array_header_t *parts = apr_array_make(trust->pool, 1, sizeof(mod_stek_digest_t));
    int i, found = -1;
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, &found, NULL);
    struct {
        int type, removed; /* 2: there is a reason, but none that can be read */
        mod_stek_digest_t serial, rest;
    } says;

    if (!reason) {
        mod_stek_trust_check_memory(trust);
    }
    memset(&says, 0, sizeof(says));
    says.type = ASN1_STRING_type(serial);
    says.removed = reason ? ASN1_ENUMERATED_get(reason) == CRL_REASON_REMOVE_FROM_CRL
                          : 2 * (found != -1);
    ASN1_ENUMERATED_free(reason);
    mod_stek_trust_sha256(trust, ASN1_STRING_get0_data(serial),
                          (apr_size_t)ASN1_STRING_length(serial), &says.serial);
    for (i = 0; i < X509_REVOKED_get_ext_count(entry); i++) {
        X509_EXTENSION *extension = (X509_EXTENSION *)X509_REVOKED_get_ext(entry, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

        if (X509_EXTENSION_get_critical(extension)
            || (nid != NID_crl_reason && nid != NID_invalidity_date
                && nid != NID_hold_instruction_code)) {
            add_extension(trust, extension, parts);
        }
    }
    digest_set(trust, parts, &says.rest);
    mod_stek_trust_sha256(trust, &says, sizeof(says), digest);
}

/* An entry's issuer holds for those after it (RFC 5280, 5.3.3). */
static int names_issuer(X509_REVOKED *entry)
{
    return X509_REVOKED_get_ext_by_NID(entry, NID_certificate_issuer, -1) >= 0;
}

typedef struct serial_t {
    const ASN1_INTEGER *value;
} serial_t;

static int compare_serials(const void *a, const void *b)
{
    return ASN1_INTEGER_cmp(((const serial_t *)a)->value, ((const serial_t *)b)->value);
}

/* Of entries with one serial OpenSSL takes the first. */
static int order_counts(mod_stek_trust_t *trust, const STACK_OF(X509_REVOKED) * revoked, int n)
{
    serial_t *serials = apr_palloc(trust->pool, ((apr_size_t)n + 1) * sizeof(*serials));
    int i;

    for (i = 0; i < n; i++) {
        X509_REVOKED *entry = sk_X509_REVOKED_value(revoked, i);

        if (names_issuer(entry)) {
            return 1;
        }
        serials[i].value = X509_REVOKED_get0_serialNumber(entry);
    }
    qsort(serials, (size_t)n, sizeof(*serials), compare_serials);
    for (i = 1; i < n; i++) {
        if (compare_serials(&serials[i - 1], &serials[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void digest_entries(mod_stek_trust_t *trust, X509_CRL *crl, mod_stek_digest_t *digest)
{
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    int i, n = revoked ? sk_X509_REVOKED_num(revoked) : 0;
    apr_array_header_t *entries = apr_array_make(trust->pool, n + 1, sizeof(mod_stek_digest_t));
    apr_pool_t *pool = trust->pool;
    int ordered = order_counts(trust, revoked, n);

    if (apr_pool_create(&trust->pool, pool) != APR_SUCCESS) {
        trust->pool = pool;
        trust->failed = 1;
        return;
    }
    for (i = 0; i < n; i++) {
        digest_entry(trust, sk_X509_REVOKED_value(revoked, i), apr_array_push(entries));
        if (i % 1024 == 1023) {
            apr_pool_clear(trust->pool);
        }
    }
    apr_pool_destroy(trust->pool);
    trust->pool = pool;
    if (ordered) {
        mod_stek_trust_sha256(trust, entries->elts,
                              (apr_size_t)entries->nelts * sizeof(mod_stek_digest_t), digest);
    }
    else {
        digest_set(trust, entries, digest);
    }
}

/* All but the number, which changes every time, and where a delta can be fetched, which nothing
 * does. */
static void digest_extensions(mod_stek_trust_t *trust, const X509_CRL *crl,
                              mod_stek_digest_t *digest)
{
    apr_array_header_t *parts = apr_array_make(trust->pool, 4, sizeof(mod_stek_digest_t));
    int i;

    for (i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        X509_EXTENSION *extension = (X509_EXTENSION *)X509_CRL_get_ext(crl, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

        if (X509_EXTENSION_get_critical(extension)
            || (nid != NID_crl_number && nid != NID_freshest_crl)) {
            add_extension(trust, extension, parts);
        }
    }
    digest_set(trust, parts, digest);
}

/* 'u': the CRL holds for users' certificates alone, 'a': for authorities' alone (RFC 5280, 5.2.5); 0
 * for any other.  OpenSSLs that take a delta for a whole list do not check what it holds for. */
static char scope_of(mod_stek_trust_t *trust, const X509_CRL *crl)
{
    int found = -1;
    char scope = 0;
    ISSUING_DIST_POINT *idp = X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &found,
                                                   NULL);

    if (!idp) {
        mod_stek_trust_check_memory(trust);
    }
    else if ((idp->onlyuser > 0) != (idp->onlyCA > 0) && idp->onlyattr <= 0
             && X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) < 0) {
        scope = idp->onlyuser > 0 ? 'u' : 'a';
    }
    ISSUING_DIST_POINT_free(idp);
    return scope;
}

/* Whether OpenSSL ever chooses between the two, and the choice decides.  For one certificate, one of
 * users' and authorities' lists is out of scope: the other is better if it is in scope, and if it is
 * not either, each of the two refuses the certificate. */
static int compete(const mod_stek_trust_object_t *a, const mod_stek_trust_object_t *b)
{
    return !(a->scope && b->scope && a->scope != b->scope)
           && X509_NAME_cmp(X509_CRL_get_issuer(a->crl), X509_CRL_get_issuer(b->crl)) == 0;
}

/* How many CRLs that it competes with are later, or of the same second and met before: OpenSSL prefers
 * those.  -1 if a time cannot be read. */
static int rank_of(mod_stek_trust_t *trust, const mod_stek_trust_object_t *object)
{
    int i, later = 0;

    for (i = 0; i < trust->objects->nelts; i++) {
        const mod_stek_trust_object_t *other = &APR_ARRAY_IDX(trust->objects, i,
                                                              mod_stek_trust_object_t);
        int order;

        if (other == object || !other->crl || !compete(other, object)) {
            continue;
        }
        order = ASN1_TIME_compare(X509_CRL_get0_lastUpdate(other->crl),
                                  X509_CRL_get0_lastUpdate(object->crl));
        if (order < -1 || order > 1) {
            mod_stek_trust_check_memory(trust);
            return -1;
        }
        later += order == 1 || (order == 0 && other < object);
    }
    return later;
}

/* Which certificates of the store have signed it; 0: none. */
static int digest_signers(mod_stek_trust_t *trust, X509_CRL *crl, mod_stek_digest_t *digest)
{
    apr_array_header_t *signers = apr_array_make(trust->pool, 1, sizeof(mod_stek_digest_t));
    int i;

    for (i = 0; i < trust->objects->nelts; i++) {
        const mod_stek_trust_object_t *object = &APR_ARRAY_IDX(trust->objects, i,
                                                               mod_stek_trust_object_t);
        X509 *cert = object->cert;

        if (cert && X509_NAME_cmp(X509_get_subject_name(cert), X509_CRL_get_issuer(crl)) == 0) {
            EVP_PKEY *key = X509_get0_pubkey(cert);

            if (key && X509_CRL_verify(crl, key) == 1) {
                APR_ARRAY_PUSH(signers, mod_stek_digest_t) = object->der;
            }
        }
    }
    mod_stek_trust_check_memory(trust);
    digest_set(trust, signers, digest);
    return signers->nelts > 0;
}

/* Of a CRL what it says, not when: a list issued again with the same entries is the same. */
static void digest_crl(mod_stek_trust_t *trust, const mod_stek_trust_object_t *object,
                       mod_stek_digest_t *digest)
{
    struct {
        char kind, season, hash[8];
        int place, rank, algorithm, is_signed;
        mod_stek_digest_t issuer, signers, entries, extensions, whole;
    } says;

    memset(&says, 0, sizeof(says));
    says.kind = 'r';
    says.season = season(trust, X509_CRL_get0_lastUpdate(object->crl),
                         X509_CRL_get0_nextUpdate(object->crl));
    says.place = place_of(trust, object);
    says.rank = rank_of(trust, object);
    says.algorithm = X509_CRL_get_signature_nid(object->crl);
    memcpy(says.hash, object->hash, sizeof(says.hash));
    says.is_signed = digest_signers(trust, object->crl, &says.signers);
    if (!X509_NAME_digest(X509_CRL_get_issuer(object->crl), EVP_sha256(), says.issuer.bytes,
                          NULL)) {
        trust->failed = 1;
    }
    digest_entries(trust, object->crl, &says.entries);
    digest_extensions(trust, object->crl, &says.extensions);
    /* What cannot be judged here counts byte by byte. */
    if (says.rank < 0 || !says.is_signed) {
        says.whole = object->der;
    }
    mod_stek_trust_sha256(trust, &says, sizeof(says), digest);
}

/* One of very many: as it is, in its place, whatever of it counts. */
static void digest_whole(mod_stek_trust_t *trust, const mod_stek_trust_object_t *object, int order,
                         mod_stek_digest_t *digest)
{
    struct {
        char kind, season, hash[8];
        int place, also, order;
        mod_stek_digest_t content;
    } says;

    memset(&says, 0, sizeof(says));
    says.kind = 'w';
    says.season = object->cert ? season(trust, X509_get0_notBefore(object->cert),
                                        X509_get0_notAfter(object->cert))
                               : season(trust, X509_CRL_get0_lastUpdate(object->crl),
                                        X509_CRL_get0_nextUpdate(object->crl));
    says.place = object->place;
    says.also = object->also;
    says.order = order;
    memcpy(says.hash, object->hash, sizeof(says.hash));
    says.content = object->whole;
    mod_stek_trust_sha256(trust, &says, sizeof(says), digest);
}

static void digest_objects(mod_stek_trust_t *trust)
{
    mod_stek_trust_object_t *objects = (mod_stek_trust_object_t *)trust->objects->elts;
    int i, many = trust->objects->nelts > MOD_STEK_TRUST_MANY;

    for (i = 0; i < trust->objects->nelts && !many; i++) {
        if (objects[i].crl) {
            objects[i].scope = scope_of(trust, objects[i].crl);
        }
    }
    for (i = 0; i < trust->objects->nelts; i++) {
        const mod_stek_trust_object_t *object = &APR_ARRAY_IDX(trust->objects, i,
                                                               mod_stek_trust_object_t);
        mod_stek_digest_t *part = apr_array_push(trust->parts);

        memset(part, 0, sizeof(*part));
        if (many) {
            digest_whole(trust, object, i, part);
        }
        else if (object->cert) {
            digest_certificate(trust, object, part);
        }
        else {
            digest_crl(trust, object, part);
        }
    }
}

/* What the stores hold, in order. */
static void digest_loaded(mod_stek_trust_t *trust, mod_stek_digest_t *digest)
{
    apr_array_header_t *ders = apr_array_make(trust->pool, 16, sizeof(mod_stek_digest_t));
    int i;

    for (i = 0; i < trust->objects->nelts; i++) {
        APR_ARRAY_PUSH(
            ders,
            mod_stek_digest_t) = APR_ARRAY_IDX(trust->objects, i, mod_stek_trust_object_t).whole;
    }
    mod_stek_trust_sha256(trust, ders->elts, (apr_size_t)ders->nelts * sizeof(mod_stek_digest_t),
                          digest);
}

/* The same sources, and the same in the stores. */
static void make_key(mod_stek_trust_t *trust, const mod_stek_trust_source_t *sources, int n,
                     mod_stek_digest_t *digest)
{
    const char *key = trust->crls ? "crls" : "";
    mod_stek_digest_t both[2];
    int i;

    for (i = 0; i < n; i++) {
        if (sources[i].path) {
            key = apr_psprintf(trust->pool, "%s\n%d %s", key, (int)sources[i].kind,
                               sources[i].path);
        }
    }
    mod_stek_trust_sha256(trust, key, strlen(key), &both[0]);
    digest_loaded(trust, &both[1]);
    mod_stek_trust_sha256(trust, both, sizeof(both), digest);
}

/* Reads what is not known yet; NULL if that fails. */
static const known_t *scan_sources(mod_stek_trust_t *trust, const mod_stek_trust_source_t *sources,
                                   int n, apr_pool_t *pconf)
{
    known_t *found = apr_pcalloc(pconf, sizeof(*found));

    trust->watched = found->watched = apr_array_make(pconf, 0, sizeof(mod_stek_trust_watch_t));
    mod_stek_trust_read(trust, sources, n);
    digest_objects(trust);
    digest_set(trust, trust->parts, &found->digest);
    return trust->failed ? NULL : found;
}

apr_status_t mod_stek_trust_digest(const mod_stek_trust_source_t *sources, int n, int crls,
                                   apr_array_header_t *watched,
                                   unsigned char digest[STEK_DIGEST_LEN], apr_pool_t *pool)
{
    apr_pool_t *pconf = apr_hash_pool_get(known);
    mod_stek_trust_t trust = {.crls = crls};
    apr_status_t rv = apr_pool_create(&trust.pool, pool);
    const known_t *found;
    mod_stek_digest_t key;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    mod_stek_trust_read_loaded(&trust, sources, n);
    make_key(&trust, sources, n, &key);
    found = trust.failed ? NULL : apr_hash_get(known, &key, sizeof(key));
    if (!found) {
        found = scan_sources(&trust, sources, n, pconf);
        if (!found) {
            ERR_clear_error();
            rv = STEK_ECRYPTO;
            goto cleanup;
        }
        apr_hash_set(known, apr_pmemdup(pconf, &key, sizeof(key)), sizeof(key), found);
    }
    memcpy(digest, &found->digest, sizeof(found->digest));
    apr_array_cat(watched, found->watched);

cleanup:
    apr_pool_destroy(trust.pool);
    return rv;
}
