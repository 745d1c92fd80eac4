/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL takes from files and directories of certificates and CRLs, as a digest of all that
 * can decide whether a client's certificate is good.  Files are read as X509_LOOKUP_file(3) and
 * X509_LOOKUP_hash_dir(3) read them, since mod_ssl has OpenSSL read them:
 *
 *     a file       every certificate, trusted certificate and CRL in it (PEM)
 *     a directory  certificates in HASH.0, HASH.1 and so on, and CRLs in HASH.r0, HASH.r1 and so
 *                  on, up to the first number that is missing; a path may name several, as a:b
 *
 * All sources of a store count together, whichever directive names them.  Of a certificate counts
 * what is in it, its trust attributes, whether its time has begun or ended, and its place among
 * those of the same name.  Of a CRL counts what decides: issuer, revoked serials, extensions,
 * whether its time has begun or ended, which certificates of the store have signed it, and which of
 * several CRLs of one issuer OpenSSL prefers.  What a directory has under another hash than that of
 * its own name, OpenSSL finds only by chance: it counts as something else.  So a CRL that is issued again with the same entries, comments, order and names of files change
 * nothing.  CRLs are left out where nothing looks at them.
 *
 * Parent only, while it configures.
 */
#ifndef MOD_STEK_POLICY_FILES_H
#define MOD_STEK_POLICY_FILES_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <openssl/x509_vfy.h>
#include "stek_appdata.h"
#include "stek_file.h"

#pragma GCC visibility push(hidden)

typedef enum mod_stek_source_e {
    MOD_STEK_SOURCE_FILE,
    MOD_STEK_SOURCE_DIRECTORY,
    MOD_STEK_SOURCE_LOADED, /* what is in a store already; comes first */
    MOD_STEK_SOURCE_STORE   /* of OpenSSL's: a path or a file: URI, of whatever format */
} mod_stek_source_e;

typedef struct mod_stek_source_t {
    mod_stek_source_e kind;
    const char *path;  /* as in the directive; NULL: none */
    X509_STORE *store; /* of MOD_STEK_SOURCE_LOADED; NULL: none */
} mod_stek_source_t;

/* What OpenSSL reads not now but in handshakes, and how children saw it when it was digested. */
typedef struct mod_stek_watch_t {
    const char *path;
    stek_stamp_t stamp; /* zero: not to be seen */
} mod_stek_watch_t;

/* Nonzero if it is another by now: what is decided by it need not be what the digest says.  Any
 * process, any thread; looks, and reads nothing. */
int mod_stek_watch_changed(const mod_stek_watch_t *watch);

/* pre_config: forgets the files that were digested for the former configuration. */
void mod_stek_policy_files_reset(apr_pool_t *pconf);

/* The digest of n sources, in the order in which OpenSSL is told of them; the same sources are
 * read once a configuration.  crls == 0: CRLs do not count.  What is not there, or shut, counts as
 * empty: mod_ssl judges its files.  Directories and stores, which OpenSSL reads in handshakes, are
 * judged as httpd's children see them, and appended to watched.  STEK_ECRYPTO if a file cannot be read just now, or OpenSSL
 * cannot digest. */
apr_status_t mod_stek_policy_files_digest(const mod_stek_source_t *sources, int n, int crls,
                                          apr_array_header_t *watched,
                                          unsigned char digest[STEK_DIGEST_LEN], apr_pool_t *pool);

#pragma GCC visibility pop
#endif
