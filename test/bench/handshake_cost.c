/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What counting costs a handshake: resumed TLS 1.3 handshakes in one process, through the module's own
 * ticket callbacks.  To be run under callgrind, which counts what happens inside `measured`:
 *
 *     valgrind --tool=callgrind --toggle-collect=measured handshake_cost on|off N [label]
 *
 * off: no counters, no record of the handshake and no info callback, as without all this.  httpd's part
 * is played by the functions at the top.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_general.h"
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/httpd_stub.h"
#include "mod_stek_phase.h"
#include "mod_stek_handshake.h"
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

static mod_stek_ring_t ring = {.name = "default", .params = STEK_PARAMS_DEFAULT};
static mod_stek_vhost_t vhost = {.ring = &ring,
                                 .bound = 1,
                                 .limits = {APR_USEC_PER_SEC * 3600, APR_USEC_PER_SEC * 7200},
                                 .cert_limits = {APR_USEC_PER_SEC * 300, APR_USEC_PER_SEC * 300}};

mod_stek_ring_t *const *mod_stek_rings(int *n)
{
    static mod_stek_ring_t *const rings[] = {&ring};

    *n = 1;
    return rings;
}

const mod_stek_vhost_t *mod_stek_vhost_of(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), mod_stek_ssl_ctx_index());
}

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "handshake_cost: %s failed\n", what);
        exit(1);
    }
}

static void set_certificate(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    check(key && cert && X509_gmtime_adj(X509_getm_notBefore(cert), 0)
              && X509_gmtime_adj(X509_getm_notAfter(cert), 3600) && X509_set_pubkey(cert, key)
              && X509_sign(cert, key, EVP_sha256()) && SSL_CTX_use_certificate(ctx, cert)
              && SSL_CTX_use_PrivateKey(ctx, key),
          "certificate");
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void make_keys(void)
{
    mod_stek_live_t *live;
    stek_ring_t *next = NULL;
    apr_size_t made_n;

    check(mod_stek_live_get("default", &live) == APR_SUCCESS
              && stek_schedule_extend(live->ring, &ring.params, apr_time_now(), stek_rng_system,
                                      &next, &made_n)
                     == APR_SUCCESS,
          "ring");
    mod_stek_live_swap(live, next);
    live->lifetime = ring.params.lifetime;
    live->issue = 1;
    ring.live = live;
}

static SSL_SESSION *kept;

static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static SSL_CTX *server_ctx, *client_ctx;
static int counting;

static void connect_once(apr_pool_t *pool)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *to_server = NULL, *to_client = NULL;
    conn_rec c = {.pool = pool, .conn_config = apr_pcalloc(pool, sizeof(void *))};
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
    if (counting) {
        mod_stek_handshake_begin(&c, server, 0);
    }
    for (i = 0; i < 10 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server)); i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    /* The ticket comes behind the handshake. */
    SSL_read(client, &byte, 1);
    check(SSL_is_init_finished(server), "handshake");
    /* Without it OpenSSL takes the session for a bad one. */
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(server);
}

/* Callgrind collects what happens in here. */
__attribute__((noinline)) static void measured(int n, apr_pool_t *pool)
{
    while (n-- > 0) {
        connect_once(pool);
        apr_pool_clear(pool);
    }
}

int main(int argc, char **argv)
{
    mod_stek_totals_t totals;
    apr_pool_t *pool, *connection_pool;
    int n = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;

    if (n < 1 || (strcmp(argv[1], "on") != 0 && strcmp(argv[1], "off") != 0)) {
        fputs("usage: handshake_cost on|off N [label]\n", stderr);
        return 2;
    }
    counting = strcmp(argv[1], "on") == 0;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&connection_pool, pool);
    make_keys();
    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    set_certificate(server_ctx);
    vhost.ctx = server_ctx;
    check(SSL_CTX_set_ex_data(server_ctx, mod_stek_ssl_ctx_index(), &vhost)
              && SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"x", 1)
              && mod_stek_ticket_setup(pool) == APR_SUCCESS
              && mod_stek_ticket_install(server_ctx, 1),
          "callbacks");
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_ctx, keep);
    if (counting) {
        check(mod_stek_handshake_install(server_ctx), "info callback");
    }
    connect_once(connection_pool); /* a full one, and all that is done once */
    connect_once(connection_pool);
    measured(n, connection_pool);
    mod_stek_counters_sum(ring.live->counters, &totals);
    check(totals.all[MOD_STEK_RESUMED_CURRENT] == (counting ? (apr_uint64_t)n + 1 : 0), "counting");
    printf("%d resumed\n", n);
    return 0;
}
