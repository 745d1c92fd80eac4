/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd's part for benchmarks that run the module's ticket callbacks in a process of their own:
 * what the glue calls, one ring, one virtual host, a certificate, and TLS connections from memory
 * to memory.  Included once by a program; one thread.
 */
#ifndef PLAY_HTTPD_H
#define PLAY_HTTPD_H

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_general.h"
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/httpd_stub.h"
#include "http_ssl.h"
#include "mod_stek_phase.h"
#include "mod_stek_exdata.h"
#include "mod_stek_ticket_outcome.h"
#include "mod_stek_live.h"
#include "mod_stek_ticket.h"

module AP_MODULE_DECLARE_DATA stek_rotate_module = {.module_index = 0};

void ap_log_error_(const char *file, int line, int module_index, int level, apr_status_t status,
                   const server_rec *s, const char *fmt, ...)
{
    (void)file, (void)line, (void)module_index, (void)level, (void)status, (void)s;
    fprintf(stderr, "%s\n", fmt);
}

int mod_stek_one_process(void)
{
    return 0;
}

static mod_stek_ring_config_t ring = {.name = "default", .params = STEK_PARAMS_DEFAULT};
static mod_stek_vhost_t vhost = {.ring = &ring,
                                 .bound = 1,
                                 .count = {2, 1, 2},
                                 .limits = {APR_USEC_PER_SEC * 3600, APR_USEC_PER_SEC * 7200},
                                 .cert_limits = {APR_USEC_PER_SEC * 300, APR_USEC_PER_SEC * 300}};

/* No client here has a certificate. */
const char *ap_ssl_var_lookup(apr_pool_t *p, server_rec *s, conn_rec *c, request_rec *r,
                              const char *name)
{
    (void)p;
    (void)s;
    (void)c;
    (void)r;
    (void)name;
    return NULL;
}

mod_stek_ring_config_t *const *mod_stek_rings(int *n)
{
    static mod_stek_ring_config_t *const rings[] = {&ring};

    *n = 1;
    return rings;
}

static int vhost_index = -1;

const mod_stek_vhost_t *mod_stek_vhost_of_ctx(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, vhost_index);
}

const mod_stek_vhost_t *mod_stek_vhost_of(const SSL *ssl)
{
    return mod_stek_vhost_of_ctx(SSL_get_SSL_CTX(ssl));
}

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

static SSL_CTX *server_ctx, *client_ctx;
static SSL_SESSION *kept; /* the client's last */

static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static void play_contexts(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    check(server_ctx && client_ctx
              && SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"x", 1),
          "contexts");
    check(key && cert && X509_gmtime_adj(X509_getm_notBefore(cert), 0)
              && X509_gmtime_adj(X509_getm_notAfter(cert), 3600) && X509_set_pubkey(cert, key)
              && X509_sign(cert, key, EVP_sha256()) && SSL_CTX_use_certificate(server_ctx, cert)
              && SSL_CTX_use_PrivateKey(server_ctx, key),
          "certificate");
    X509_free(cert);
    EVP_PKEY_free(key);
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_ctx, keep);
}

static int play_pass(void *data)
{
    (void)data;
    return 1;
}

/* Puts the module on server_ctx, with these keys (taken over); after play_contexts. */
static void play_module(stek_ring_t *keys, apr_pool_t *pool)
{
    mod_stek_live_t *live;

    check(mod_stek_live_get(&ring, &live) == APR_SUCCESS, "live keyring");
    check(mod_stek_live_swap(live, keys) == APR_SUCCESS, "ring");
    check(mod_stek_live_selftest(live, apr_time_now(), play_pass, NULL), "issuing");
    ring.live = live;
    vhost.ctx = server_ctx;
    vhost_index = mod_stek_exdata_vhost();
    check(SSL_CTX_set_ex_data(server_ctx, vhost_index, &vhost)
              && mod_stek_ticket_setup(pool) == APR_SUCCESS
              && mod_stek_ticket_install(server_ctx, 1),
          "callbacks");
}

/* A connection whose handshake is done; kept is offered, if there is any, and renewed.  counted:
 * with a record of the handshake, in pool.  The caller's to free, by play_free. */
static void play_connect(int counted, apr_pool_t *pool, SSL **pserver, SSL **pclient)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *to_server = NULL, *to_client = NULL;
    char byte;
    int i;

    check(server && client && BIO_new_bio_pair(&to_server, 65536, &to_client, 65536), "SSL_new");
    SSL_set_bio(server, to_server, to_server);
    SSL_set_bio(client, to_client, to_client);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    if (kept) {
        SSL_set_session(client, kept);
    }
    if (counted) {
        conn_rec *c = apr_pcalloc(pool, sizeof(*c));

        c->pool = pool;
        c->conn_config = apr_pcalloc(pool, sizeof(void *));
        mod_stek_ticket_outcome_begin(c, server, 0);
        SSL_set_app_data(server, c); /* mod_ssl does */
    }
    for (i = 0; i < 10 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server)); i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    /* The ticket comes behind the handshake. */
    SSL_read(client, &byte, 1);
    check(SSL_is_init_finished(server), "handshake");
    *pserver = server;
    *pclient = client;
}

static void play_free(SSL *server, SSL *client)
{
    /* Without it OpenSSL takes the session for a bad one. */
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(server);
}

#endif
