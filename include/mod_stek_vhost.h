/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS virtual hosts: what the callbacks must know of each, carried by its SSL_CTX.
 *
 * OpenSSL asks the SSL_CTX of the first vhost on an address, whichever vhost SNI chooses.  So the
 * callbacks are installed on every vhost (mod_stek_ssl_ctx.h) and find the chosen one by
 * mod_stek_vhost_of.  Records are written in init_server, in the parent, and read-only afterwards;
 * they live in pconf, as the SSL_CTXs do.
 */
#ifndef MOD_STEK_VHOST_H
#define MOD_STEK_VHOST_H

#include "mod_ssl_openssl.h"
#include "mod_stek_limits.h"

#pragma GCC visibility push(hidden)

typedef struct mod_stek_vhost_t {
    server_rec *server;
    SSL_CTX *ctx;
    mod_stek_ring_config_t *ring; /* NULL: its tickets are not ours, it behaves as in stock httpd */
    int no_tickets;               /* StekTickets off: no session of it can be resumed */
    int forward_secret;           /* StekTickets tls1.3: none without a key exchange of its own */
    int no_kex_refused;           /* which OpenSSL was told to allow */
    int no_kex_by_name; /* some vhost refuses it: allowed where SNI names one that allows it */
    mod_stek_ticket_count_t count; /* of TLS 1.3 */
    int bound;                     /* StekBinding policy */
    int asks_twice;   /* server and sections ask for certificates: nothing resumes in TLS 1.3 */
    int unbindable;   /* what decides about certificates cannot be digested: none is resumed */
    int asks_clients; /* for a certificate; what follows counts only there: */
    unsigned char policy[STEK_DIGEST_LEN];
    const apr_array_header_t
        *watched;   /* mod_stek_trust_watch_t: what OpenSSL reads in handshakes */
    int has_groups; /* set where it asks, or is the first on such an address */
    unsigned char groups[STEK_DIGEST_LEN];
    mod_stek_limits_t limits;      /* of sessions without a client certificate, */
    mod_stek_limits_t cert_limits; /* and with one */
    /* What another module had called in handshakes; NULL: nothing. */
    void (*info)(const SSL *ssl, int where, int ret);
    /* mod_ssl's functions for SSLSessionCache; NULL without a cache. */
    int (*cache_new)(SSL *ssl, SSL_SESSION *session);
    SSL_SESSION *(*cache_get)(SSL *ssl, const unsigned char *id, int id_len, int *copy);
} mod_stek_vhost_t;

/* pre_config: no vhosts. */
void mod_stek_vhosts_reset(apr_pool_t *pconf);

/* init_server: adds the record of s... */
mod_stek_vhost_t *mod_stek_vhost_add(server_rec *s, SSL_CTX *ctx, apr_pool_t *pconf);

/* ...and lets its SSL_CTX carry it; 0 if OpenSSL fails. */
int mod_stek_vhost_attach(mod_stek_vhost_t *vhost);

/* All TLS vhosts of the configuration: n pointers. */
mod_stek_vhost_t *const *mod_stek_vhosts(int *n);

/* The vhost that serves this connection, NULL if its SSL_CTX is none of a vhost's.  Any thread. */
const mod_stek_vhost_t *mod_stek_vhost_of(const SSL *ssl);

const mod_stek_vhost_t *mod_stek_vhost_of_ctx(const SSL_CTX *ctx);

/* Nonzero if tickets are off for this vhost's own settings. */
int mod_stek_vhost_tickets_off(const mod_stek_vhost_t *vhost);

/* "on", "off" or "tls1.3": what holds for the vhost's own settings. */
const char *mod_stek_vhost_tickets_text(const mod_stek_vhost_t *vhost);

/* Nonzero if mod_ssl has put its own ticket callback on the vhost, and it stays there. */
int mod_stek_vhost_left_to_key_file(const mod_stek_vhost_t *vhost);

#pragma GCC visibility pop
#endif
