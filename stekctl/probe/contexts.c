/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's contexts (contexts.h).
 */
#include "contexts.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#include "messages.h"
#include "words.h"

static apr_status_t free_contexts(void *data)
{
    probe_contexts_t *contexts = data;
    int i;

    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        SSL_CTX_free(contexts->of[i]);
    }
    return APR_SUCCESS;
}

static const char *error_text(apr_pool_t *pool)
{
    unsigned long error = ERR_peek_error();
    const char *text = error ? ERR_reason_error_string(error) : NULL;

    return apr_pstrdup(pool, text ? text : "OpenSSL gave no reason");
}

/* Verification is off, but OpenSSL would look for the certificate's issuers all the same. */
static int accept_certificate(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

/* Old servers have neither secure renegotiation nor strong signatures nor extended master
 * secrets. */
static SSL_CTX *make_context(int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (!context) {
        return NULL;
    }
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(context, accept_certificate, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    probe_messages_prepare(context);
    (void)SSL_CTX_set_options(context, SSL_OP_LEGACY_SERVER_CONNECT);
    if (SSL_CTX_set_min_proto_version(context, version) != 1
        || SSL_CTX_set_max_proto_version(context, version) != 1
        || SSL_CTX_set_cipher_list(context, "ALL:!aNULL:!eNULL:!PSK:!SRP") != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

/* "h2,http/1.1" as length, name, length, name; the caller has checked the lengths. */
static int set_alpn(SSL_CTX *context, const char *names, apr_pool_t *pool)
{
    apr_size_t len = strlen(names) + 1, i, start = 0;
    unsigned char *wire = apr_palloc(pool, len);

    for (i = 1; i <= len; i++) {
        if (i == len || names[i - 1] == ',') {
            wire[start] = (unsigned char)(i - start - 1);
            start = i;
        }
        else {
            wire[i] = (unsigned char)names[i - 1];
        }
    }
    return SSL_CTX_set_alpn_protos(context, wire, (unsigned)len) == 0;
}

/* Why the certificate cannot be used; NULL: it can. */
static const char *set_certificate(SSL_CTX *context, const probe_client_hello_t *hello,
                                   apr_pool_t *pool)
{
    const char *key_path = hello->key_path ? hello->key_path : hello->cert_path;

    if (SSL_CTX_use_certificate_chain_file(context, hello->cert_path) != 1) {
        return apr_pstrcat(pool, hello->cert_path, ": no certificate: ", error_text(pool), NULL);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1) {
        return apr_pstrcat(pool, key_path, ": not the certificate's key: ", error_text(pool), NULL);
    }
    return NULL;
}

apr_status_t probe_contexts_create(probe_contexts_t **pcontexts, const unsigned char *has,
                                   const probe_client_hello_t *hello, const char **pwhy,
                                   apr_pool_t *pool)
{
    probe_contexts_t *contexts = apr_pcalloc(pool, sizeof(*contexts));
    int i;

    *pwhy = NULL;
    apr_pool_cleanup_register(pool, contexts, free_contexts, apr_pool_cleanup_null);
    for (i = 0; i < PROBE_VERSIONS_N && !*pwhy; i++) {
        if (!has[i]) {
            continue;
        }
        ERR_clear_error();
        contexts->of[i] = make_context(TLS1_VERSION + i);
        if (!contexts->of[i] || (hello->alpn && !set_alpn(contexts->of[i], hello->alpn, pool))) {
            *pwhy = apr_pstrcat(pool, "this machine's OpenSSL does not support ",
                                probe_version_name(TLS1_VERSION + i), NULL);
        }
        else if (hello->cert_path) {
            *pwhy = set_certificate(contexts->of[i], hello, pool);
        }
    }
    ERR_clear_error();
    if (*pwhy) {
        return APR_EGENERAL;
    }
    *pcontexts = contexts;
    return APR_SUCCESS;
}
