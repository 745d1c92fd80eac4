/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS, by OpenSSL (store_tls.h).  That of hiredis is not used: Debian 12's has none, and none checks names.
 */
#include "store_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monotonic.h"
#include "store_member.h"
#include "store_words.h"

/* Where systems keep the authorities that they trust.  Directories of them would be read only when a
 * certificate is checked, and then the worker reads no file any more. */
static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                      "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                      "/etc/ssl/cert.pem"};

/* Keys have no passphrase: nobody is there to be asked. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type */
static int no_passphrase(char *text, int size, int writing, void *data)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)data;
    return 0;
}

static int trust(SSL_CTX *ctx, const char *path)
{
    apr_size_t i;

    for (i = 0; !path && i < sizeof(bundles) / sizeof(bundles[0]); i++) {
        path = access(bundles[i], R_OK) == 0 ? bundles[i] : NULL;
    }
    return path && SSL_CTX_load_verify_file(ctx, path) == 1;
}

/* NULL, or what cannot be used. */
static const char *load(SSL_CTX *ctx, const store_target_t *target)
{
    const char *key = target->key ? target->key : target->cert;

    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
        return "OpenSSL has no TLS 1.2";
    }
    if (!trust(ctx, target->ca)) {
        return target->ca ? target->ca : "the system's authorities";
    }
    if (target->cert && SSL_CTX_use_certificate_chain_file(ctx, target->cert) != 1) {
        return target->cert;
    }
    return key && SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ? key : NULL;
}

SSL_CTX *store_tls_load(const store_target_t *target, char why[STORE_WHY_LEN])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    const char *wrong = "out of memory";

    if (ctx) {
        SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        (void)SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
        (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        wrong = load(ctx, target);
    }
    if (!wrong) {
        return ctx;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
        (void)store_words_tls("key values mismatch", "", 1, why);
    }
    else {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        snprintf(why, STORE_WHY_LEN, "%.150s: cannot be used%s%s%s", wrong, reason ? " (" : "",
                 reason ? reason : "", reason ? ")" : "");
    }
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return NULL;
}

static int is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

SSL *store_tls_new(SSL_CTX *ctx, int fd, const char *host)
{
    SSL *ssl = SSL_new(ctx);

    if (!ssl || SSL_set_fd(ssl, fd) != 1
        || (!is_address(host) && SSL_set_tlsext_host_name(ssl, host) != 1)) {
        ERR_clear_error();
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

int store_tls_wait(SSL *ssl, int n, apr_int64_t deadline_ms)
{
    int error = SSL_get_error(ssl, n);
    struct pollfd pfd = {.fd = SSL_get_fd(ssl),
                         .events = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
    apr_int64_t left = deadline_ms - monotonic_ms();

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        if (left > 0) {
            (void)poll(&pfd, 1, left < 60000 ? (int)left : 60000);
        }
        return left <= 0;
    }
    return error == SSL_ERROR_SSL ? 3 : 2;
}

static int is_for(X509 *certificate, const char *host)
{
    return (is_address(host) ? X509_check_ip_asc(certificate, host, 0)
                             : X509_check_host(certificate, host, 0, 0, NULL))
           == 1;
}

/* Nodes of a cluster, and primaries that Sentinel names, often have addresses that no certificate has.  One
 * that is good for the URL's host is good for them. */
static int is_trusted(SSL *ssl, const store_target_t *target, const char *host)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    char *origin = strdup(target->origin ? target->origin : ""), *at = *origin ? origin : NULL;
    int good = certificate && is_for(certificate, host);

    while (certificate && !good && at) {
        char *name;

        good = store_member_next(&at, 1, &name) > 0 && is_for(certificate, name);
    }
    free(origin);
    X509_free(certificate);
    return good;
}

void store_tls_why(SSL *ssl, const store_target_t *target, char why[STORE_WHY_LEN])
{
    long verified = SSL_get_verify_result(ssl);
    const char *text = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                             : ERR_reason_error_string(ERR_peek_error());

    if (!store_words_tls(text ? text : "", "redis:// instead of rediss://", target->cert != NULL,
                         why)) {
        snprintf(why, STORE_WHY_LEN, "TLS failed (%s)", text ? text : "no reason given");
    }
    ERR_clear_error();
}

const char *store_tls_greet(SSL *ssl, const store_target_t *target, const char *host,
                            apr_int64_t deadline_ms, char why[STORE_WHY_LEN])
{
    for (;;) {
        int n = SSL_do_handshake(ssl);

        if (n == 1) {
            return is_trusted(ssl, target, host) ? NULL : "its certificate is for another name";
        }
        switch (store_tls_wait(ssl, n, deadline_ms)) {
        case 0:
            break;
        case 1:
            return "connected, but no answer in time: it may not speak TLS (rediss://)";
        case 2:
            ERR_clear_error();
            return "it closed the connection: it may not speak TLS (rediss://)";
        default:
            store_tls_why(ssl, target, why);
            return why;
        }
    }
}
