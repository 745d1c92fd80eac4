/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of certificates and CRLs as OpenSSL reads them (mod_stek_policy_files.h).  Glue; parent
 * only, while it configures.
 *
 * The objects of all sources are read first, in OpenSSL's order, since what one says may depend on
 * another: a CRL on the certificate of its issuer, and on later CRLs of the same issuer.  Then each
 * becomes a digest, and the sorted set of these the digest of the whole.
 */
#include "mod_stek_policy_files.h"

#include "httpd.h"
#include "http_config.h"
#include "apr_file_info.h"
#include "apr_hash.h"
#include "apr_strings.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "mod_stek_reach.h"
#include "stek_error.h"

typedef struct digest_t {
    unsigned char bytes[STEK_DIGEST_LEN];
} digest_t;

/* A certificate or a CRL; the other is NULL. */
typedef struct object_t {
    X509 *cert;
    X509_CRL *crl;
    /* 0: all files; else the number of the directory.  OpenSSL asks a directory only for names that
     * it has not met before. */
    int place;
    int also;            /* the directory that has the same, if a file has it; 0: none */
    char hash[8];        /* under which it is found, if that is not its name's own; else zeros */
    digest_t der, whole; /* without and with a certificate's trust attributes */
} object_t;

/* One digest in the making. */
typedef struct scan_t {
    apr_pool_t *pool;
    apr_array_header_t *objects; /* object_t, in the order in which OpenSSL meets them */
    apr_array_header_t *parts;   /* digest_t: what the digest is made of */
    apr_array_header_t *watched; /* mod_stek_watch_t */
    int crls, place;
    const char *hash; /* of the file's name, in a directory; else NULL */
    int failed;       /* a file cannot be read just now, or OpenSSL could not digest something */
} scan_t;

typedef struct known_t {
    digest_t digest;
    apr_array_header_t *watched;
} known_t;

/* By sources and what stores hold: known_t; of one configuration. */
static apr_hash_t *known;

void mod_stek_policy_files_reset(apr_pool_t *pconf)
{
    known = apr_hash_make(pconf);
    mod_stek_reach_reset();
}

static void sha256(scan_t *scan, const void *bytes, apr_size_t len, digest_t *digest)
{
    if (!EVP_Digest(bytes, len, digest->bytes, NULL, EVP_sha256(), NULL)) {
        scan->failed = 1;
    }
}

/* SHA-256 of what an i2d function writes; takes the bytes. */
static void sha256_der(scan_t *scan, unsigned char *der, int len, digest_t *digest)
{
    if (len <= 0) {
        scan->failed = 1;
        return;
    }
    sha256(scan, der, (apr_size_t)len, digest);
    OPENSSL_free(der);
}

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(digest_t));
}

/* Sorts, drops doubles, and digests the set. */
static void digest_set(scan_t *scan, apr_array_header_t *set, digest_t *digest)
{
    digest_t *elts = (digest_t *)set->elts;
    int i, n = 0;

    qsort(set->elts, (size_t)set->nelts, sizeof(digest_t), compare_digests);
    for (i = 0; i < set->nelts; i++) {
        if (n == 0 || compare_digests(&elts[n - 1], &elts[i]) != 0) {
            elts[n++] = elts[i];
        }
    }
    sha256(scan, elts, (apr_size_t)n * sizeof(digest_t), digest);
}

/* Reading ------------------------------------------------------------------------------------- */

static apr_status_t free_objects(void *data)
{
    const apr_array_header_t *objects = data;
    int i;

    for (i = 0; i < objects->nelts; i++) {
        X509_free(APR_ARRAY_IDX(objects, i, object_t).cert);
        X509_CRL_free(APR_ARRAY_IDX(objects, i, object_t).crl);
    }
    return APR_SUCCESS;
}

static const X509_NAME *name_of(const object_t *object)
{
    return object->cert ? X509_get_subject_name(object->cert) : X509_CRL_get_issuer(object->crl);
}

/* Notes a foreign hash, under which OpenSSL finds the object only if another name has it. */
static void note_hash(scan_t *scan, object_t *object)
{
    char own[16];
    int ok = 0;

    if (scan->hash) {
        apr_snprintf(own, sizeof(own), "%08lx",
                     X509_NAME_hash_ex(name_of(object), NULL, NULL, &ok));
        scan->failed |= !ok;
        if (memcmp(own, scan->hash, sizeof(object->hash)) != 0) {
            memcpy(object->hash, scan->hash, sizeof(object->hash));
        }
    }
}

static int same_object(const object_t *a, const object_t *b)
{
    return compare_digests(&a->der, &b->der) == 0 && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* Takes the object.  OpenSSL keeps the first of two that are equal but for their trust. */
static void add_object(scan_t *scan, X509 *cert, X509_CRL *crl)
{
    unsigned char *der = NULL;
    object_t object = {.cert = cert, .crl = crl, .place = scan->place}, *same;
    int i, len;

    if (crl && !scan->crls) {
        X509_CRL_free(crl);
        return;
    }
    len = cert ? i2d_X509(cert, &der) : i2d_X509_CRL(crl, &der);
    sha256_der(scan, der, len, &object.der);
    object.whole = object.der;
    if (cert) {
        der = NULL;
        len = i2d_X509_AUX(cert, &der);
        sha256_der(scan, der, len, &object.whole);
    }
    note_hash(scan, &object);
    for (i = 0; i < scan->objects->nelts; i++) {
        if (same_object(&APR_ARRAY_IDX(scan->objects, i, object_t), &object)) {
            break;
        }
    }
    if (i < scan->objects->nelts) {
        same = &APR_ARRAY_IDX(scan->objects, i, object_t);
        if (same->place == 0 && !same->also && compare_digests(&same->whole, &object.whole) == 0) {
            same->also = scan->place;
        }
        X509_free(cert);
        X509_CRL_free(crl);
    }
    else {
        APR_ARRAY_PUSH(scan->objects, object_t) = object;
    }
}

/* What mod_ssl has had read into a store. */
static void read_loaded(scan_t *scan, X509_STORE *store)
{
    const STACK_OF(X509_OBJECT) *loaded = X509_STORE_get0_objects(store);
    int i;

    for (i = 0; i < sk_X509_OBJECT_num(loaded); i++) {
        const X509_OBJECT *object = sk_X509_OBJECT_value(loaded, i);
        X509 *cert = X509_OBJECT_get0_X509(object);
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL((X509_OBJECT *)object);

        if (cert ? X509_up_ref(cert) : crl && X509_CRL_up_ref(crl)) {
            add_object(scan, cert, crl);
        }
        else {
            scan->failed |= cert || crl;
        }
    }
}

/* A file that cannot be read just now must not pass for an empty one: its digest would be that of
 * other rules.  What is not there, or shut, is mod_ssl's to judge. */
static int is_passing(apr_status_t rv)
{
    return rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv) && !APR_STATUS_IS_ENOTDIR(rv)
           && !APR_STATUS_IS_EACCES(rv);
}

/* Nonzero if children find path, by its name and where links lead, and can read it; a directory they
 * need not read, and what is in it is judged by itself. */
static int is_seen(scan_t *scan, const char *path, int readable)
{
    const char *culprit;
    char *real;
    int seen = 1;

    if (geteuid() == 0) {
        real = realpath(path, NULL);
        scan->failed |= !real && is_passing(errno);
        seen = real && mod_stek_reach_check(path, 0, &culprit, scan->pool) == APR_SUCCESS
               && mod_stek_reach_check(real, readable, &culprit, scan->pool) == APR_SUCCESS;
        free(real);
    }
    return seen;
}

/* Notes what OpenSSL will look up in handshakes; 0 if children cannot see it. */
static int watch(scan_t *scan, const char *path, int is_directory)
{
    mod_stek_watch_t *added = apr_array_push(scan->watched);
    int seen = is_seen(scan, path, !is_directory);

    added->path = apr_pstrdup(scan->watched->pool, path);
    memset(&added->stamp, 0, sizeof(added->stamp));
    if (seen) {
        scan->failed |= is_passing(stek_file_stamp(path, &added->stamp));
    }
    return seen;
}

int mod_stek_watch_changed(const mod_stek_watch_t *watched)
{
    stek_stamp_t stamp;

    if (stek_file_stamp(watched->path, &stamp) != APR_SUCCESS) {
        memset(&stamp, 0, sizeof(stamp));
    }
    return !stek_stamp_equal(&stamp, &watched->stamp);
}

static BIO *open_file(scan_t *scan, const char *path)
{
    BIO *bio;

    ERR_clear_error();
    bio = BIO_new_file(path, "r");
    if (!bio) {
        scan->failed |= is_passing(errno);
        ERR_clear_error();
    }
    return bio;
}

static void check_memory(scan_t *scan)
{
    scan->failed |= ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
    /* A file that OpenSSL finds bad is no error here. */
    ERR_clear_error();
}

/* As X509_load_cert_crl_file(): all, or nothing if one is malformed. */
static void read_file(scan_t *scan, const char *path)
{
    static char no_password[] = "";
    BIO *bio = open_file(scan, path);
    STACK_OF(X509_INFO) *infos = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, no_password) : NULL;
    int i;

    if (bio && !infos) {
        check_memory(scan);
    }
    for (i = 0; i < sk_X509_INFO_num(infos); i++) {
        X509_INFO *info = sk_X509_INFO_value(infos, i);

        if (info->x509) {
            add_object(scan, info->x509, NULL);
            info->x509 = NULL;
        }
        if (info->crl) {
            add_object(scan, NULL, info->crl);
            info->crl = NULL;
        }
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    BIO_free(bio);
    ERR_clear_error();
}

/* As X509_load_cert_file() and X509_load_crl_file(): one kind, up to what is malformed.  Nonzero if
 * OpenSSL would look for the next number. */
static int read_hashed_file(scan_t *scan, const char *path, int crls)
{
    static char no_password[] = "";
    BIO *bio = is_seen(scan, path, 1) ? open_file(scan, path) : NULL;
    X509 *cert = NULL;
    X509_CRL *crl = NULL;
    int n = 0, at_end;

    if (!bio) {
        return 0;
    }
    while (crls ? (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, no_password)) != NULL
                : (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, no_password)) != NULL) {
        add_object(scan, cert, crl);
        n++;
    }
    at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    check_memory(scan);
    BIO_free(bio);
    return n > 0 && at_end;
}

/* Names as OpenSSL forms them, for the first of each hash: "0a1b2c3d.0", "0a1b2c3d.r0". */
static int is_first_of_hash(const char *name, int *crls)
{
    *crls = name[0] && strlen(name) > 9 && name[9] == 'r';
    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.'
           && strcmp(name + 9, *crls ? "r0" : "0") == 0;
}

/* All that OpenSSL may come to read.  A name that does not fit what is in the file counts too: a
 * client's certificate can name an issuer of that hash. */
static void read_directory(scan_t *scan, const char *path)
{
    apr_finfo_t entry;
    apr_dir_t *dir;
    apr_status_t rv;
    const char *file;
    int crls, i;

    if (!watch(scan, path, 1)) {
        return;
    }
    rv = apr_dir_open(&dir, path, scan->pool);
    scan->failed |= is_passing(rv);
    if (rv != APR_SUCCESS) {
        return;
    }
    while ((rv = apr_dir_read(&entry, APR_FINFO_NAME, dir)) == APR_SUCCESS) {
        if (!is_first_of_hash(entry.name, &crls)) {
            continue;
        }
        i = 0;
        scan->hash = entry.name;
        do {
            file = apr_psprintf(scan->pool, "%s/%.9s%s%d", path, entry.name, crls ? "r" : "", i++);
        } while (read_hashed_file(scan, file, crls));
        scan->hash = NULL;
    }
    /* At the end it is APR_ENOENT. */
    scan->failed |= is_passing(rv);
    apr_dir_close(dir);
}

/* Each directory of "a:b" is another place. */
static void read_directories(scan_t *scan, const char *path, int *places)
{
    char *last, *one = apr_strtok(apr_pstrdup(scan->pool, path), ":", &last);

    for (; one; one = apr_strtok(NULL, ":", &last)) {
        scan->place = ++*places;
        read_directory(scan, one);
    }
}

/* A store reads formats that we do not: its bytes count. */
static void read_bytes(scan_t *scan, const char *path, apr_size_t len)
{
    char *bytes = apr_palloc(scan->pool, len + 1);
    BIO *bio = open_file(scan, path);
    int n = bio && len > 0 ? BIO_read(bio, bytes, (int)len) : 0;

    if (n < 0) {
        scan->failed = 1;
    }
    else if (bio) {
        sha256(scan, bytes, (apr_size_t)n, apr_array_push(scan->parts));
    }
    BIO_free(bio);
}

static void read_store(scan_t *scan, const char *value, const char *path, int *places)
{
    apr_finfo_t finfo;
    apr_status_t rv;

    if (strncasecmp(value, "file:", 5) == 0) {
        path = value + 5; /* RFC 8089, 2: file:///path, or file:/path */
        path += strncmp(path, "//", 2) == 0 ? 2 : 0;
        path += strncasecmp(path, "localhost/", 10) == 0 ? 9 : 0;
    }
    rv = apr_stat(&finfo, path, APR_FINFO_TYPE | APR_FINFO_SIZE, scan->pool);
    scan->failed |= is_passing(rv);
    if (rv == APR_SUCCESS && finfo.filetype == APR_DIR) {
        read_directories(scan, path, places);
    }
    else if (rv == APR_SUCCESS && finfo.filetype == APR_REG && finfo.size < APR_INT32_MAX
             && watch(scan, path, 0)) {
        read_bytes(scan, path, (apr_size_t)finfo.size);
    }
}

static void read_sources(scan_t *scan, const mod_stek_source_t *sources, int n)
{
    int i, places = 0;

    for (i = 0; i < n; i++) {
        const char *path = sources[i].path ? ap_server_root_relative(scan->pool, sources[i].path)
                                           : NULL;

        scan->place = 0;
        if (sources[i].kind == MOD_STEK_SOURCE_LOADED) {
            continue; /* by read_stores() */
        }
        if (!path) {
            continue;
        }
        if (sources[i].kind == MOD_STEK_SOURCE_FILE) {
            read_file(scan, path);
        }
        else if (sources[i].kind == MOD_STEK_SOURCE_DIRECTORY) {
            read_directories(scan, path, &places);
        }
        else {
            read_store(scan, sources[i].path, path, &places);
        }
    }
}

static void read_stores(scan_t *scan, const mod_stek_source_t *sources, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        if (sources[i].store) {
            read_loaded(scan, sources[i].store);
        }
    }
}

/* Digesting ----------------------------------------------------------------------------------- */

/* '<' before its time, '=' in it, '>' after it; '?' if it says none that can be read. */
static char season(scan_t *scan, const ASN1_TIME *begin, const ASN1_TIME *end)
{
    time_t now = (time_t)apr_time_sec(apr_time_now());
    int begun = X509_cmp_time(begin, &now), over = end ? X509_cmp_time(end, &now) : 1;

    if (begun == 0 || over == 0) {
        check_memory(scan);
        return '?';
    }
    return over < 0 ? '>' : begun > 0 ? '<' : '=';
}

/* OpenSSL keeps in the store what it has found in a directory, as early as when it looks for the
 * issuers of the server's own certificate: all of a name, and then the place is the directory. */
static int place_of(const scan_t *scan, const object_t *object)
{
    int i;

    for (i = 0; object->also && i < scan->objects->nelts; i++) {
        const object_t *other = &APR_ARRAY_IDX(scan->objects, i, object_t);

        if (!other->cert == !object->cert && !other->hash[0] && other->also != object->also
            && (other->place == 0 || other->place == object->also)
            && X509_NAME_cmp(name_of(other), name_of(object)) == 0) {
            return object->place;
        }
    }
    return object->also ? object->also : object->place;
}

/* OpenSSL tries authorities of one name one by one. */
static int order_of(const scan_t *scan, const object_t *object)
{
    const object_t *other = (const object_t *)scan->objects->elts;
    int before = 0;

    for (; other < object; other++) {
        before += other->cert && memcmp(other->hash, object->hash, sizeof(object->hash)) == 0
                  && X509_NAME_cmp(X509_get_subject_name(other->cert),
                                   X509_get_subject_name(object->cert))
                         == 0;
    }
    return before;
}

static void digest_certificate(scan_t *scan, const object_t *object, digest_t *digest)
{
    struct {
        char kind, season, hash[8];
        int place, order;
        digest_t content; /* with the trust attributes */
    } says;

    memset(&says, 0, sizeof(says));
    says.kind = 'c';
    says.season = season(scan, X509_get0_notBefore(object->cert), X509_get0_notAfter(object->cert));
    says.place = place_of(scan, object);
    says.order = order_of(scan, object);
    memcpy(says.hash, object->hash, sizeof(says.hash));
    says.content = object->whole;
    sha256(scan, &says, sizeof(says), digest);
}

static void add_extension(scan_t *scan, const X509_EXTENSION *extension, apr_array_header_t *set)
{
    unsigned char *der = NULL;
    int len = i2d_X509_EXTENSION((X509_EXTENSION *)extension, &der);

    sha256_der(scan, der, len, apr_array_push(set));
}

/* A serial, and what makes it other than revoked.  OpenSSL reads of the reason only whether it is
 * removeFromCRL; any extension that is critical makes it refuse the whole list. */
static void digest_entry(scan_t *scan, X509_REVOKED *entry, digest_t *digest)
{
    const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(entry);
    apr_array_header_t *parts = apr_array_make(scan->pool, 1, sizeof(digest_t));
    int i, found = -1;
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, &found, NULL);
    struct {
        int type, removed; /* 2: there is a reason, but none that can be read */
        digest_t serial, rest;
    } says;

    if (!reason) {
        check_memory(scan);
    }
    memset(&says, 0, sizeof(says));
    says.type = ASN1_STRING_type(serial);
    says.removed = reason ? ASN1_ENUMERATED_get(reason) == CRL_REASON_REMOVE_FROM_CRL
                          : 2 * (found != -1);
    ASN1_ENUMERATED_free(reason);
    sha256(scan, ASN1_STRING_get0_data(serial), (apr_size_t)ASN1_STRING_length(serial),
           &says.serial);
    for (i = 0; i < X509_REVOKED_get_ext_count(entry); i++) {
        X509_EXTENSION *extension = X509_REVOKED_get_ext(entry, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

        if (X509_EXTENSION_get_critical(extension)
            || (nid != NID_crl_reason && nid != NID_invalidity_date
                && nid != NID_hold_instruction_code)) {
            add_extension(scan, extension, parts);
        }
    }
    digest_set(scan, parts, &says.rest);
    sha256(scan, &says, sizeof(says), digest);
}

static void digest_entries(scan_t *scan, X509_CRL *crl, digest_t *digest)
{
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    int i, n = revoked ? sk_X509_REVOKED_num(revoked) : 0;
    apr_array_header_t *entries = apr_array_make(scan->pool, n + 1, sizeof(digest_t));
    apr_pool_t *pool = scan->pool;

    if (apr_pool_create(&scan->pool, pool) != APR_SUCCESS) {
        scan->pool = pool;
        scan->failed = 1;
        return;
    }
    for (i = 0; i < n; i++) {
        digest_entry(scan, sk_X509_REVOKED_value(revoked, i), apr_array_push(entries));
        if (i % 1024 == 1023) {
            apr_pool_clear(scan->pool);
        }
    }
    apr_pool_destroy(scan->pool);
    scan->pool = pool;
    digest_set(scan, entries, digest);
}

/* All but the number, which is another each time; and where a delta is to be had, which nothing
 * looks for. */
static void digest_extensions(scan_t *scan, const X509_CRL *crl, digest_t *digest)
{
    apr_array_header_t *parts = apr_array_make(scan->pool, 4, sizeof(digest_t));
    int i;

    for (i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        X509_EXTENSION *extension = X509_CRL_get_ext(crl, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

        if (X509_EXTENSION_get_critical(extension)
            || (nid != NID_crl_number && nid != NID_freshest_crl)) {
            add_extension(scan, extension, parts);
        }
    }
    digest_set(scan, parts, digest);
}

/* How many CRLs of the same issuer are later, or of the same second and met before: OpenSSL prefers
 * those.  -1 if a time cannot be read. */
static int rank_of(scan_t *scan, const object_t *object)
{
    int i, later = 0;

    for (i = 0; i < scan->objects->nelts; i++) {
        const object_t *other = &APR_ARRAY_IDX(scan->objects, i, object_t);
        int order;

        if (other == object || !other->crl
            || X509_NAME_cmp(X509_CRL_get_issuer(other->crl), X509_CRL_get_issuer(object->crl))
                   != 0) {
            continue;
        }
        order = ASN1_TIME_compare(X509_CRL_get0_lastUpdate(other->crl),
                                  X509_CRL_get0_lastUpdate(object->crl));
        if (order < -1 || order > 1) {
            check_memory(scan);
            return -1;
        }
        later += order == 1 || (order == 0 && other < object);
    }
    return later;
}

/* Which certificates of the store have signed it; 0: none. */
static int digest_signers(scan_t *scan, X509_CRL *crl, digest_t *digest)
{
    apr_array_header_t *signers = apr_array_make(scan->pool, 1, sizeof(digest_t));
    int i;

    for (i = 0; i < scan->objects->nelts; i++) {
        const object_t *object = &APR_ARRAY_IDX(scan->objects, i, object_t);
        X509 *cert = object->cert;

        if (cert && X509_NAME_cmp(X509_get_subject_name(cert), X509_CRL_get_issuer(crl)) == 0) {
            EVP_PKEY *key = X509_get0_pubkey(cert);

            if (key && X509_CRL_verify(crl, key) == 1) {
                APR_ARRAY_PUSH(signers, digest_t) = object->der;
            }
        }
    }
    check_memory(scan);
    digest_set(scan, signers, digest);
    return signers->nelts > 0;
}

/* Of a CRL what it says, not when: a list issued again with the same entries is the same. */
static void digest_crl(scan_t *scan, const object_t *object, digest_t *digest)
{
    struct {
        char kind, season, hash[8];
        int place, rank, algorithm, is_signed;
        digest_t issuer, signers, entries, extensions, whole;
    } says;

    memset(&says, 0, sizeof(says));
    says.kind = 'r';
    says.season = season(scan, X509_CRL_get0_lastUpdate(object->crl),
                         X509_CRL_get0_nextUpdate(object->crl));
    says.place = place_of(scan, object);
    says.rank = rank_of(scan, object);
    says.algorithm = X509_CRL_get_signature_nid(object->crl);
    memcpy(says.hash, object->hash, sizeof(says.hash));
    says.is_signed = digest_signers(scan, object->crl, &says.signers);
    if (!X509_NAME_digest(X509_CRL_get_issuer(object->crl), EVP_sha256(), says.issuer.bytes,
                          NULL)) {
        scan->failed = 1;
    }
    digest_entries(scan, object->crl, &says.entries);
    digest_extensions(scan, object->crl, &says.extensions);
    /* What cannot be judged here counts byte by byte. */
    if (says.rank < 0 || !says.is_signed) {
        says.whole = object->der;
    }
    sha256(scan, &says, sizeof(says), digest);
}

static void digest_objects(scan_t *scan)
{
    int i;

    for (i = 0; i < scan->objects->nelts; i++) {
        const object_t *object = &APR_ARRAY_IDX(scan->objects, i, object_t);
        digest_t *part = apr_array_push(scan->parts);

        memset(part, 0, sizeof(*part));
        if (object->cert) {
            digest_certificate(scan, object, part);
        }
        else {
            digest_crl(scan, object, part);
        }
    }
}

/* What the stores hold, in order. */
static void digest_loaded(scan_t *scan, digest_t *digest)
{
    apr_array_header_t *ders = apr_array_make(scan->pool, 16, sizeof(digest_t));
    int i;

    for (i = 0; i < scan->objects->nelts; i++) {
        APR_ARRAY_PUSH(ders, digest_t) = APR_ARRAY_IDX(scan->objects, i, object_t).whole;
    }
    sha256(scan, ders->elts, (apr_size_t)ders->nelts * sizeof(digest_t), digest);
}

/* The same sources, and the same in the stores. */
static void make_key(scan_t *scan, const mod_stek_source_t *sources, int n, digest_t *digest)
{
    const char *key = scan->crls ? "crls" : "";
    digest_t both[2];
    int i;

    for (i = 0; i < n; i++) {
        if (sources[i].path) {
            key = apr_psprintf(scan->pool, "%s\n%d %s", key, (int)sources[i].kind, sources[i].path);
        }
    }
    sha256(scan, key, strlen(key), &both[0]);
    digest_loaded(scan, &both[1]);
    sha256(scan, both, sizeof(both), digest);
}

/* Reads what is not known yet; NULL if that fails. */
static const known_t *scan_sources(scan_t *scan, const mod_stek_source_t *sources, int n,
                                   apr_pool_t *pconf)
{
    known_t *found = apr_pcalloc(pconf, sizeof(*found));

    scan->watched = found->watched = apr_array_make(pconf, 0, sizeof(mod_stek_watch_t));
    read_sources(scan, sources, n);
    digest_objects(scan);
    digest_set(scan, scan->parts, &found->digest);
    return scan->failed ? NULL : found;
}

apr_status_t mod_stek_policy_files_digest(const mod_stek_source_t *sources, int n, int crls,
                                          apr_array_header_t *watched,
                                          unsigned char digest[STEK_DIGEST_LEN], apr_pool_t *pool)
{
    apr_pool_t *pconf = apr_hash_pool_get(known);
    scan_t scan = {.crls = crls};
    apr_status_t rv = apr_pool_create(&scan.pool, pool);
    const known_t *found;
    digest_t key;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    scan.objects = apr_array_make(scan.pool, 16, sizeof(object_t));
    scan.parts = apr_array_make(scan.pool, 16, sizeof(digest_t));
    apr_pool_cleanup_register(scan.pool, scan.objects, free_objects, apr_pool_cleanup_null);
    read_stores(&scan, sources, n);
    make_key(&scan, sources, n, &key);
    found = scan.failed ? NULL : apr_hash_get(known, &key, sizeof(key));
    if (!found) {
        found = scan_sources(&scan, sources, n, pconf);
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
    apr_pool_destroy(scan.pool);
    return rv;
}
