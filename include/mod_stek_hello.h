/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an SSL_CTX accepts of a client's certificate that OpenSSL has no function to ask for: groups
 * and signature algorithms, whoever has set them (mod_ssl, SSLOpenSSLConfCmd, openssl.cnf,
 * OpenSSL's own defaults).  They stand in the ClientHello that it would send if it were a client.
 * Parent only, while it configures.
 */
#ifndef MOD_STEK_HELLO_H
#define MOD_STEK_HELLO_H

#include <apr_errno.h>
#include <openssl/ssl.h>
#include "stek_appdata.h"

#pragma GCC visibility push(hidden)

/* The digests of two sets: the groups that the key of a certificate can be of, and the signature
 * algorithms.  STEK_ECRYPTO if OpenSSL makes no ClientHello. */
apr_status_t mod_stek_hello_digest(SSL_CTX *ctx, unsigned char groups[STEK_DIGEST_LEN],
                                   unsigned char sigalgs[STEK_DIGEST_LEN]);

#pragma GCC visibility pop
#endif
