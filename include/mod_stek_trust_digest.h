/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL takes from files and directories of certificates and CRLs, as a digest of all that
 * can decide whether a client's certificate is good.  All sources of a store count together,
 * whichever directive names them.
 *
 *     a certificate  its content, its trust attributes, whether its time has begun or ended, and its
 *                    place among those of the same name
 *     a CRL          issuer, revoked serials, extensions, whether its time has begun or ended, which
 *                    certificates of the store have signed it, and which of several CRLs of one issuer
 *                    OpenSSL prefers, if they can hold for the same certificate
 *
 * What a directory has under another hash than that of its own name, OpenSSL finds only by chance: it
 * counts as something else.
 *
 * So a CRL that is issued again with the same entries changes nothing, and neither do comments,
 * order and names of files.  CRLs are left out where nothing checks them.
 *
 * Parent only, while it configures.
 */
#ifndef MOD_STEK_TRUST_DIGEST_H
#define MOD_STEK_TRUST_DIGEST_H

#include "mod_stek_trust.h"

#pragma GCC visibility push(hidden)

/* pre_config: forgets the files that were digested for the previous configuration. */
void mod_stek_trust_digest_reset(apr_pool_t *pconf);

/* The digest of n sources, in the order in which OpenSSL gets them; the same sources are
 * read once per configuration.  crls == 0: CRLs do not count.  A file that is missing, or that may not
 * be read, counts as empty: mod_ssl judges its files.  Directories and stores, which OpenSSL reads in
 * handshakes, are judged as httpd's children see them, and appended to watched
 * (mod_stek_trust_watch_t).  STEK_ECRYPTO if a file cannot be read just now,
 * or OpenSSL cannot digest. */
apr_status_t mod_stek_trust_digest(const mod_stek_trust_source_t *sources, int n, int crls,
                                   apr_array_header_t *watched,
                                   unsigned char digest[STEK_DIGEST_LEN], apr_pool_t *pool);

#pragma GCC visibility pop
#endif
