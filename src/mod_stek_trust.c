/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of certificates and CRLs, read as OpenSSL reads them (mod_stek_trust.h).  Glue; parent
 * only, while it configures.
 */
#include "mod_stek_trust.h"

#include "httpd.h"
#include "http_config.h"
#include "apr_file_info.h"
#include "apr_strings.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "mod_stek_reach.h"
#include "mod_stek_trust_watch.h"

void mod_stek_trust_sha256(mod_stek_trust_t *trust, const void *bytes, apr_size_t len,
                           mod_stek_digest_t *digest)
{
    if (!EVP_Digest(bytes, len, digest->bytes, NULL, EVP_sha256(), NULL)) {
        trust->failed = 1;
    }
}

void mod_stek_trust_sha256_der(mod_stek_trust_t *trust, unsigned char *der, int len,
                               mod_stek_digest_t *digest)
{
    if (len <= 0) {
        trust->failed = 1;
        return;
    }
    mod_stek_trust_sha256(trust, der, (apr_size_t)len, digest);
    OPENSSL_free(der);
}

int mod_stek_digest_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(mod_stek_digest_t));
}

static apr_status_t free_objects(void *data)
{
    const apr_array_header_t *objects = data;
    int i;

    for (i = 0; i < objects->nelts; i++) {
        X509_free(APR_ARRAY_IDX(objects, i, mod_stek_trust_object_t).cert);
        X509_CRL_free(APR_ARRAY_IDX(objects, i, mod_stek_trust_object_t).crl);
    }
    return APR_SUCCESS;
}

const X509_NAME *mod_stek_trust_name(const mod_stek_trust_object_t *object)
{
    return object->cert ? X509_get_subject_name(object->cert) : X509_CRL_get_issuer(object->crl);
}

/* Notes a foreign hash, under which OpenSSL finds the object only if another name has it. */
static void note_hash(mod_stek_trust_t *trust, mod_stek_trust_object_t *object)
{
    char own[16];
    int ok = 0;

    if (trust->hash) {
        apr_snprintf(own, sizeof(own), "%08lx",
                     X509_NAME_hash_ex(mod_stek_trust_name(object), NULL, NULL, &ok));
        trust->failed |= !ok;
        if (memcmp(own, trust->hash, sizeof(object->hash)) != 0) {
            memcpy(object->hash, trust->hash, sizeof(object->hash));
        }
    }
}

static int same_object(const mod_stek_trust_object_t *a, const mod_stek_trust_object_t *b)
{
    return mod_stek_digest_compare(&a->der, &b->der) == 0
           && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* Takes ownership of the object.  OpenSSL keeps the first of two that are equal but for their trust. */
static void add_object(mod_stek_trust_t *trust, X509 *cert, X509_CRL *crl)
{
    unsigned char *der = NULL;
    mod_stek_trust_object_t object = {.cert = cert, .crl = crl, .place = trust->place}, *same;
    int i, len;

    if (crl && !trust->crls) {
        X509_CRL_free(crl);
        return;
    }
    len = cert ? i2d_X509(cert, &der) : i2d_X509_CRL(crl, &der);
    mod_stek_trust_sha256_der(trust, der, len, &object.der);
    object.whole = object.der;
    if (cert) {
        der = NULL;
        len = i2d_X509_AUX(cert, &der);
        mod_stek_trust_sha256_der(trust, der, len, &object.whole);
    }
    note_hash(trust, &object);
    for (i = 0; i < trust->objects->nelts && trust->objects->nelts <= MOD_STEK_TRUST_MANY; i++) {
        if (same_object(&APR_ARRAY_IDX(trust->objects, i, mod_stek_trust_object_t), &object)) {
            break;
        }
    }
    if (trust->objects->nelts > MOD_STEK_TRUST_MANY) {
        i = trust->objects->nelts;
    }
    if (i < trust->objects->nelts) {
        same = &APR_ARRAY_IDX(trust->objects, i, mod_stek_trust_object_t);
        if (same->place == 0 && !same->also
            && mod_stek_digest_compare(&same->whole, &object.whole) == 0) {
            same->also = trust->place;
        }
        X509_free(cert);
        X509_CRL_free(crl);
    }
    else {
        APR_ARRAY_PUSH(trust->objects, mod_stek_trust_object_t) = object;
    }
}

/* OpenSSL 4.0 deprecates the list that is the store's own; before 3.3 there is no other. */
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
#define OBJECTS_OF(store) X509_STORE_get1_objects(store)
#define OBJECTS_DONE(loaded) sk_X509_OBJECT_pop_free(loaded, X509_OBJECT_free)
#else
#define OBJECTS_OF(store) X509_STORE_get0_objects(store)
#define OBJECTS_DONE(loaded) ((void)0)
#endif

/* What mod_ssl has had read into a store. */
static void read_loaded(mod_stek_trust_t *trust, X509_STORE *store)
{
    STACK_OF(X509_OBJECT) *loaded = OBJECTS_OF(store);
    int i;

    trust->failed |= !loaded;
    for (i = 0; i < sk_X509_OBJECT_num(loaded); i++) {
        const X509_OBJECT *object = sk_X509_OBJECT_value(loaded, i);
        X509 *cert = X509_OBJECT_get0_X509(object);
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL((X509_OBJECT *)object);

        if (cert ? X509_up_ref(cert) : crl && X509_CRL_up_ref(crl)) {
            add_object(trust, cert, crl);
        }
        else {
            trust->failed |= cert || crl;
        }
    }
    OBJECTS_DONE(loaded);
}

/* A file that cannot be read just now must not pass for an empty one: its digest would be that of
 * other rules.  What is not there, or shut, is mod_ssl's to judge. */
static int is_passing(apr_status_t rv)
{
    return rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv) && !APR_STATUS_IS_ENOTDIR(rv)
           && !APR_STATUS_IS_EACCES(rv) && rv != APR_FROM_OS_ERROR(ELOOP)
           && !APR_STATUS_IS_ENAMETOOLONG(rv);
}

/* Notes what OpenSSL will look up in handshakes; 0 if children cannot see it. */
static int add_watch(mod_stek_trust_t *trust, const char *path)
{
    struct stat st;
    apr_status_t rv = mod_stek_reach_stat(path, &st);

    trust->failed |= is_passing(rv);
    mod_stek_trust_watch_add(trust->watched, path, rv == APR_SUCCESS ? &st : NULL);
    return rv == APR_SUCCESS;
}

/* As children see it; a FIFO would keep the parent waiting for ever. */
static BIO *open_file(mod_stek_trust_t *trust, const char *path)
{
    int fd;
    FILE *file;
    BIO *bio;
    apr_status_t rv = mod_stek_reach_open(path, &fd);

    ERR_clear_error();
    trust->failed |= is_passing(rv);
    if (rv != APR_SUCCESS) {
        return NULL;
    }
    file = fdopen(fd, "r");
    bio = file ? BIO_new_fp(file, BIO_CLOSE) : NULL;
    if (!bio) {
        trust->failed = 1;
        if (file) {
            fclose(file);
        }
        else {
            close(fd);
        }
        ERR_clear_error();
    }
    return bio;
}

void mod_stek_trust_check_memory(mod_stek_trust_t *trust)
{
    trust->failed |= ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
    /* A file that OpenSSL finds bad is no error here. */
    ERR_clear_error();
}

/* As X509_load_cert_crl_file(): all, or nothing if one is malformed. */
static void read_file(mod_stek_trust_t *trust, const char *path)
{
    static char no_password[] = "";
    BIO *bio = open_file(trust, path);
    STACK_OF(X509_INFO) *infos = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, no_password) : NULL;
    int i;

    if (bio && !infos) {
        mod_stek_trust_check_memory(trust);
    }
    for (i = 0; i < sk_X509_INFO_num(infos); i++) {
        X509_INFO *info = sk_X509_INFO_value(infos, i);

        if (info->x509) {
            add_object(trust, info->x509, NULL);
            info->x509 = NULL;
        }
        if (info->crl) {
            add_object(trust, NULL, info->crl);
            info->crl = NULL;
        }
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    BIO_free(bio);
    ERR_clear_error();
}

/* As X509_load_cert_file() and X509_load_crl_file(): one kind, up to what is malformed.  Nonzero if
 * OpenSSL would look for the next number. */
static int read_hashed_file(mod_stek_trust_t *trust, const char *path, int crls)
{
    static char no_password[] = "";
    BIO *bio = open_file(trust, path);
    X509 *cert = NULL;
    X509_CRL *crl = NULL;
    int n = 0, at_end;

    if (!bio) {
        return 0;
    }
    while (crls ? (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, no_password)) != NULL
                : (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, no_password)) != NULL) {
        add_object(trust, cert, crl);
        n++;
    }
    at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    mod_stek_trust_check_memory(trust);
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
static void read_directory(mod_stek_trust_t *trust, const char *path)
{
    apr_finfo_t entry;
    apr_dir_t *dir;
    apr_status_t rv;
    const char *file;
    int crls, i;

    if (!add_watch(trust, path)) {
        return;
    }
    rv = apr_dir_open(&dir, path, trust->pool);
    trust->failed |= is_passing(rv);
    if (rv != APR_SUCCESS) {
        return;
    }
    while ((rv = apr_dir_read(&entry, APR_FINFO_NAME, dir)) == APR_SUCCESS) {
        if (!is_first_of_hash(entry.name, &crls)) {
            continue;
        }
        i = 0;
        trust->hash = entry.name;
        do {
            file = apr_psprintf(trust->pool, "%s/%.9s%s%d", path, entry.name, crls ? "r" : "", i++);
            add_watch(trust, file);
        } while (read_hashed_file(trust, file, crls));
        trust->hash = NULL;
    }
    /* At the end it is APR_ENOENT. */
    trust->failed |= is_passing(rv);
    apr_dir_close(dir);
}

/* Each directory of "a:b" is another place. */
static void read_directories(mod_stek_trust_t *trust, const char *path, int *places)
{
    char *last, *one = apr_strtok(apr_pstrdup(trust->pool, path), ":", &last);

    for (; one; one = apr_strtok(NULL, ":", &last)) {
        trust->place = ++*places;
        read_directory(trust, one);
    }
}

/* A store reads formats that we do not: its bytes count. */
static void read_bytes(mod_stek_trust_t *trust, const char *path, apr_size_t len)
{
    char *bytes = apr_palloc(trust->pool, len + 1);
    BIO *bio = open_file(trust, path);
    int n = bio && len > 0 ? BIO_read(bio, bytes, (int)len) : 0;

    if (n < 0) {
        trust->failed = 1;
    }
    else if (bio) {
        mod_stek_trust_sha256(trust, bytes, (apr_size_t)n, apr_array_push(trust->parts));
    }
    BIO_free(bio);
}

static void read_store(mod_stek_trust_t *trust, const char *value, const char *path, int *places)
{
    apr_finfo_t finfo;
    apr_status_t rv;

    if (strncasecmp(value, "file:", 5) == 0) {
        path = value + 5; /* RFC 8089, 2: file:///path, or file:/path */
        path += strncmp(path, "//", 2) == 0 ? 2 : 0;
        path += strncasecmp(path, "localhost/", 10) == 0 ? 9 : 0;
    }
    rv = apr_stat(&finfo, path, APR_FINFO_TYPE | APR_FINFO_SIZE, trust->pool);
    trust->failed |= is_passing(rv);
    if (rv == APR_SUCCESS && finfo.filetype == APR_DIR) {
        read_directories(trust, path, places);
    }
    else if (rv == APR_SUCCESS && finfo.filetype == APR_REG && finfo.size < APR_INT32_MAX
             && add_watch(trust, path)) {
        read_bytes(trust, path, (apr_size_t)finfo.size);
    }
}

void mod_stek_trust_read_loaded(mod_stek_trust_t *trust, const mod_stek_trust_source_t *sources,
                                int n)
{
    int i;

    trust->objects = apr_array_make(trust->pool, 16, sizeof(mod_stek_trust_object_t));
    trust->parts = apr_array_make(trust->pool, 16, sizeof(mod_stek_digest_t));
    apr_pool_cleanup_register(trust->pool, trust->objects, free_objects, apr_pool_cleanup_null);
    for (i = 0; i < n; i++) {
        if (sources[i].store) {
            read_loaded(trust, sources[i].store);
        }
    }
}

void mod_stek_trust_read(mod_stek_trust_t *trust, const mod_stek_trust_source_t *sources, int n)
{
    int i, places = 0;

    for (i = 0; i < n; i++) {
        const char *path = sources[i].path ? ap_server_root_relative(trust->pool, sources[i].path)
                                           : NULL;

        trust->place = 0;
        if (sources[i].kind == MOD_STEK_TRUST_LOADED) {
            continue; /* by mod_stek_trust_read_loaded */
        }
        if (!path) {
            continue;
        }
        if (sources[i].kind == MOD_STEK_TRUST_FILE) {
            read_file(trust, path);
        }
        else if (sources[i].kind == MOD_STEK_TRUST_DIRECTORY) {
            read_directories(trust, path, &places);
        }
        else {
            read_store(trust, sources[i].path, path, &places);
        }
    }
}
