/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all connections of a run share in OpenSSL: one SSL_CTX per version.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_CONTEXTS_H
#define STEKCTL_PROBE_CONTEXTS_H

#include <apr_pools.h>
#include <openssl/ssl.h>

#include "model.h"

#pragma GCC visibility push(hidden)

typedef struct probe_contexts_t {
    SSL_CTX *of[PROBE_VERSIONS_N]; /* NULL: not wanted */
} probe_contexts_t;

/* What the client shows every server; each may be NULL. */
typedef struct probe_client_hello_t {
    const char *alpn;      /* protocol names, separated by commas */
    const char *cert_path; /* PEM: the client's certificate, and its chain */
    const char *key_path;  /* NULL: the key is in cert_path, too */
} probe_client_hello_t;

/* For the versions in has.  On APR_EGENERAL, *pwhy says why. */
apr_status_t probe_contexts_create(probe_contexts_t **pcontexts, const unsigned char *has,
                                   const probe_client_hello_t *hello, const char **pwhy,
                                   apr_pool_t *pool);

#pragma GCC visibility pop
#endif
