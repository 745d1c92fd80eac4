/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates and CRLs that OpenSSL verifies clients with.  Files are read as
 * X509_LOOKUP_file(3) and X509_LOOKUP_hash_dir(3) read them, because mod_ssl has OpenSSL read them:
 *
 *     a file       every certificate, trusted certificate and CRL in it (PEM)
 *     a directory  certificates in HASH.0, HASH.1 and so on, and CRLs in HASH.r0, HASH.r1 and so
 *                  on, up to the first number that is missing; a path may name several, as a:b
 *
 * Parent only, while it configures.
 */
#ifndef MOD_STEK_TRUST_H
#define MOD_STEK_TRUST_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include "stek_appdata.h"

#pragma GCC visibility push(hidden)

typedef enum mod_stek_trust_source_e {
    MOD_STEK_TRUST_FILE,
    MOD_STEK_TRUST_DIRECTORY,
    MOD_STEK_TRUST_LOADED, /* what is already in an X509_STORE; comes first */
    MOD_STEK_TRUST_STORE   /* of OpenSSL's: a path or a file: URI, in any format */
} mod_stek_trust_source_e;

typedef struct mod_stek_trust_source_t {
    mod_stek_trust_source_e kind;
    const char *path;  /* as in the directive; NULL: none */
    X509_STORE *store; /* of MOD_STEK_TRUST_LOADED; NULL: none */
} mod_stek_trust_source_t;

typedef struct mod_stek_digest_t {
    unsigned char bytes[STEK_DIGEST_LEN];
} mod_stek_digest_t;

/* A certificate or a CRL; the other is NULL. */
typedef struct mod_stek_trust_object_t {
    X509 *cert;
    X509_CRL *crl;
    /* 0: all files; else the number of the directory.  OpenSSL asks a directory only for names that
     * it has not met before. */
    int place;
    int also;     /* the directory that has the same, if a file has it; 0: none */
    char hash[8]; /* under which it is found, if that is not its name's own; else zeros */
    mod_stek_digest_t der, whole; /* without and with a certificate's trust attributes */
    char scope;                   /* of a CRL, see scope_of(); set before it is digested */
} mod_stek_trust_object_t;

/* Sources that are being read; pool, crls and watched are the caller's to set, all else is 0. */
typedef struct mod_stek_trust_t {
    apr_pool_t *pool;
    int crls; /* 0: CRLs are left out */
    apr_array_header_t
        *objects; /* mod_stek_trust_object_t, in the order in which OpenSSL meets them */
    apr_array_header_t *parts;   /* mod_stek_digest_t, of stores whose format we cannot read */
    apr_array_header_t *watched; /* mod_stek_trust_watch_t, for mod_stek_trust_read */
    int place;
    const char *hash; /* of the file's name, in a directory; else NULL */
    int failed;       /* a file cannot be read just now, or OpenSSL could not digest something */
} mod_stek_trust_t;

/* Comparing each object with all others takes too long beyond this number. */
#define MOD_STEK_TRUST_MANY 1000

/* First: takes what is in the stores of the sources; the objects are freed with the pool. */
void mod_stek_trust_read_loaded(mod_stek_trust_t *trust, const mod_stek_trust_source_t *sources,
                                int n);

/* Then: reads the other sources.  Directories and stores of OpenSSL's, which it reads in handshakes,
 * are read as httpd's children see them, and appended to watched. */
void mod_stek_trust_read(mod_stek_trust_t *trust, const mod_stek_trust_source_t *sources, int n);

void mod_stek_trust_sha256(mod_stek_trust_t *trust, const void *bytes, apr_size_t len,
                           mod_stek_digest_t *digest);

/* SHA-256 of what an i2d function wrote; takes ownership of the bytes. */
void mod_stek_trust_sha256_der(mod_stek_trust_t *trust, unsigned char *der, int len,
                               mod_stek_digest_t *digest);

/* The subject of a certificate, the issuer of a CRL. */
const X509_NAME *mod_stek_trust_name(const mod_stek_trust_object_t *object);

/* Compares for qsort. */
int mod_stek_digest_compare(const void *a, const void *b);

/* Clears OpenSSL's errors; a lack of memory counts as a failure. */
void mod_stek_trust_check_memory(mod_stek_trust_t *trust);

#pragma GCC visibility pop
#endif
