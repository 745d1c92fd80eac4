/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of TLS virtual hosts, and what can be said of them at start.  Glue; parent only, but for
 * mod_stek_vhost_of.
 */
#include "mod_stek_vhost.h"

#include "http_core.h"
#include "http_log.h"
#include "apr_hash.h"
#include "apr_strings.h"
#include <string.h>

#include "mod_stek_cache.h"
#include "mod_stek_handshake.h"
#include "mod_stek_hello.h"
#include "mod_stek_live.h"
#include "mod_stek_log.h"
#include "mod_stek_phase.h"
#include "mod_stek_ticket.h"
#include "stek_time.h"

APLOG_USE_MODULE(stek_rotate);

static apr_array_header_t *vhosts;
static int ssl_ctx_index = -1;

void mod_stek_vhosts_reset(apr_pool_t *pconf)
{
    vhosts = apr_array_make(pconf, 16, sizeof(mod_stek_vhost_t *));
}

mod_stek_vhost_t *const *mod_stek_vhosts(int *n)
{
    *n = vhosts->nelts;
    return (mod_stek_vhost_t *const *)vhosts->elts;
}

const mod_stek_vhost_t *mod_stek_vhost_of(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ssl_ctx_index);
}

/* Nonzero if mod_ssl has put its own ticket callback on the vhost, and it is to stay. */
static int left_to_key_file(const mod_stek_vhost_t *vhost)
{
    return !vhost->ring && mod_stek_server_get(vhost->server)->ticket_key_file;
}

/* Where that fails, nothing is resumed that has to do with a certificate. */
static void note_groups(mod_stek_vhost_t *vhost)
{
    unsigned char sigalgs[STEK_DIGEST_LEN];

    vhost->has_groups = mod_stek_hello_digest(vhost->ctx, vhost->groups, sigalgs) == APR_SUCCESS;
}

/* Takes what the directives say of s; 0 if OpenSSL fails. */
static int vhost_fill(mod_stek_vhost_t *vhost, server_rec *s, apr_pool_t *p)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    apr_array_header_t *watched;

    vhost->no_tickets = config->tickets == 0;
    vhost->bound = config->binding != 0;
    /* An explicit `StekTickets on` undoes an inherited off, not what mod_ssl was told. */
    if (config->ssl_tickets == 0) {
        SSL_CTX_set_options(vhost->ctx, SSL_OP_NO_TICKET);
    }
    if (!mod_stek_server_rotates(s)) {
        return 1;
    }
    vhost->ring = mod_stek_server_ring(s);
    vhost->ring->used = 1;
    vhost->asks_twice = mod_stek_policy_asks_twice(config->policy);
    vhost->limits = mod_stek_server_limits(s, 0);
    vhost->cert_limits = mod_stek_server_limits(s, 1);
    vhost->asks_clients = mod_stek_policy_asks_clients(config->policy);
    if (vhost->asks_clients) {
        note_groups(vhost);
    }
    vhost->watched = watched = apr_array_make(p, 0, sizeof(mod_stek_watch_t));
    return mod_stek_policy_digest(s, config->policy, vhost->ctx, watched, vhost->policy, p)
           == APR_SUCCESS;
}

int mod_stek_vhost_init(server_rec *s, apr_pool_t *p, int is_proxy, SSL_CTX *ctx)
{
    mod_stek_vhost_t *vhost;

    if (is_proxy || mod_stek_trial_run()) {
        return DECLINED;
    }
    ssl_ctx_index = mod_stek_ssl_ctx_index();
    vhost = apr_pcalloc(p, sizeof(*vhost));
    vhost->server = s;
    vhost->ctx = ctx;
    APR_ARRAY_PUSH(vhosts, mod_stek_vhost_t *) = vhost;
    mod_stek_cache_install(vhost);
    if (!vhost_fill(vhost, s, p) || !SSL_CTX_set_ex_data(ctx, ssl_ctx_index, vhost)
        || !mod_stek_ticket_install(ctx, !left_to_key_file(vhost))) {
        /* An error here would end httpd. */
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK3001: %s: OpenSSL failed to set up tickets: it gives out none",
                     mod_stek_server_text(s, p));
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    else if (!mod_stek_handshake_install(ctx)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "STEK3012: %s: another module follows its handshakes: they are not counted",
                     mod_stek_server_text(s, p));
    }
    return OK;
}

int mod_stek_vhost_tickets_off(const mod_stek_vhost_t *vhost)
{
    return vhost->no_tickets || (SSL_CTX_get_options(vhost->ctx) & SSL_OP_NO_TICKET) != 0;
}

static int share_address(const server_rec *a, const server_rec *b)
{
    const server_addr_rec *x, *y;

    for (x = a->addrs; x; x = x->next) {
        for (y = b->addrs; y; y = y->next) {
            if (x->host_port == y->host_port && apr_sockaddr_equal(x->host_addr, y->host_addr)) {
                return 1;
            }
        }
    }
    return 0;
}

static const char *address_text(const server_addr_rec *addr, apr_pool_t *pool)
{
    char *ip = NULL;

    if (apr_sockaddr_ip_get(&ip, addr->host_addr) != APR_SUCCESS) {
        ip = NULL;
    }
    return apr_psprintf(pool, "%s %u", ip ? ip : "", (unsigned)addr->host_port);
}

/* OpenSSL takes the groups that a client's key may be of from the SSL_CTX with which a connection
 * began. */
void mod_stek_vhosts_note_groups(apr_pool_t *ptemp)
{
    apr_hash_t *asking = apr_hash_make(ptemp);
    const server_addr_rec *addr;
    int i;

    for (i = 0; i < vhosts->nelts; i++) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        for (addr = vhost->asks_clients ? vhost->server->addrs : NULL; addr; addr = addr->next) {
            apr_hash_set(asking, address_text(addr, ptemp), APR_HASH_KEY_STRING, "");
        }
    }
    /* The first in the configuration; httpd lists vhosts in reverse order. */
    for (i = vhosts->nelts - 1; i >= 0 && apr_hash_count(asking) > 0; i--) {
        mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        for (addr = vhost->server->is_virtual ? vhost->server->addrs : NULL; addr;
             addr = addr->next) {
            const char *text = address_text(addr, ptemp);

            if (apr_hash_get(asking, text, APR_HASH_KEY_STRING)) {
                apr_hash_set(asking, text, APR_HASH_KEY_STRING, NULL);
                if (!vhost->has_groups) {
                    note_groups(vhost);
                }
            }
        }
    }
}

/* The vhost that OpenSSL asks for all behind its address: the first in the configuration.  httpd
 * lists vhosts in reverse order. */
static const mod_stek_vhost_t *first_on_address(const mod_stek_vhost_t *vhost)
{
    int i;
    const mod_stek_vhost_t *const *all = (const mod_stek_vhost_t *const *)vhosts->elts;

    for (i = vhosts->nelts - 1; i >= 0; i--) {
        if (all[i]->server->is_virtual && share_address(all[i]->server, vhost->server)) {
            return all[i];
        }
    }
    return vhost;
}

/* mod_ssl reads a vhost's key file only if OpenSSL asks mod_ssl: if the first vhost on the address
 * has one too. */
static int key_file_is_used(const mod_stek_vhost_t *vhost)
{
    return left_to_key_file(first_on_address(vhost));
}

/* One notice for the vhosts whose file is used, one for those whose file is not. */
static void lint_key_files(int used, apr_pool_t *ptemp)
{
    int i, left_n = 0;
    const mod_stek_vhost_t *left = NULL;

    for (i = vhosts->nelts - 1; i >= 0; i--) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        if (left_to_key_file(vhost) && mod_stek_server_get(vhost->server)->rotate != 0
            && key_file_is_used(vhost) == used) {
            left = left ? left : vhost;
            left_n++;
        }
    }
    if (left) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, left->server,
                     "STEK3002: %s%s: %s; to have keys that rotate, remove "
                     "SSLSessionTicketKeyFile or add 'StekRotate on'",
                     mod_stek_server_text(left->server, ptemp),
                     left_n > 1 ? apr_psprintf(ptemp, " and %d more", left_n - 1) : "",
                     used ? "the key of SSLSessionTicketKeyFile seals tickets and does not rotate"
                          : "SSLSessionTicketKeyFile has no effect, because the first virtual host "
                            "on the address does not use one; OpenSSL's own key seals tickets and "
                            "does not rotate");
    }
}

/* Behind a first vhost with a key file, mod_ssl looks for the vhost's own. */
static const char *key_file_effect(const mod_stek_vhost_t *vhost)
{
    return mod_stek_server_get(vhost->server)->ticket_key_file
               ? "the key in this virtual host's own file seals its tickets"
               : "handshakes fail here, where there is no such file";
}

static void lint_shared_addresses(apr_pool_t *ptemp)
{
    int i;

    for (i = vhosts->nelts - 1; i >= 0; i--) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);
        const mod_stek_vhost_t *first;

        if (!vhost->ring || !vhost->server->is_virtual) {
            continue;
        }
        first = first_on_address(vhost);
        if (left_to_key_file(first)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, vhost->server,
                         "STEK3003: %s does not rotate its ticket keys: %s, the first virtual host "
                         "on its address, uses SSLSessionTicketKeyFile, so %s; add 'StekRotate "
                         "on' to the first",
                         mod_stek_server_text(vhost->server, ptemp),
                         mod_stek_server_text(first->server, ptemp), key_file_effect(vhost));
        }
    }
}

/* OpenSSL takes the option from the first vhost on an address, whichever SNI chooses. */
static void lint_tickets_off(apr_pool_t *ptemp)
{
    int i;

    for (i = vhosts->nelts - 1; i >= 0; i--) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);
        const mod_stek_vhost_t *first;

        if (!vhost->server->is_virtual || (SSL_CTX_get_options(vhost->ctx) & SSL_OP_NO_TICKET)) {
            continue;
        }
        first = first_on_address(vhost);
        if (SSL_CTX_get_options(first->ctx) & SSL_OP_NO_TICKET) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, vhost->server,
                         "STEK3006: %s gives out no tickets: they are off for %s, the first "
                         "virtual host on its address, and so for all behind it; put another first",
                         mod_stek_server_text(vhost->server, ptemp),
                         mod_stek_server_text(first->server, ptemp));
        }
    }
}

static int speaks_h2(const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);

    return core->protocols && ap_array_str_contains(core->protocols, "h2");
}

/* mod_ssl counts SSLOpenSSLConfCmd among what two vhosts must share for one connection to serve
 * both. */
static void lint_shared_connections(apr_pool_t *ptemp)
{
    int i;

    if (!ap_find_linked_module("mod_http2.c")) {
        return;
    }
    for (i = vhosts->nelts - 1; i >= 0; i--) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);
        const mod_stek_vhost_t *first;

        if (!vhost->server->is_virtual || !speaks_h2(vhost->server)) {
            continue;
        }
        first = first_on_address(vhost);
        if (mod_stek_server_get(first->server)->tickets
            != mod_stek_server_get(vhost->server)->tickets) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, vhost->server,
                         "STEK3007: %s and %s differ in StekTickets: an HTTP/2 connection to one "
                         "cannot be used for the other, clients are told so with status 421",
                         mod_stek_server_text(first->server, ptemp),
                         mod_stek_server_text(vhost->server, ptemp));
        }
    }
}

static void tell(const mod_stek_vhost_t *vhost, apr_pool_t *ptemp)
{
    const char *name = mod_stek_server_text(vhost->server, ptemp);

    if (!vhost->ring) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, vhost->server,
                     "STEK3010: %s: tickets are left to mod_ssl", name);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, vhost->server,
                 "STEK3011: %s: ring '%s', tickets %s, binding %s, lifetime %s, session age %s",
                 name, vhost->ring->name, mod_stek_vhost_tickets_off(vhost) ? "off" : "on",
                 vhost->bound ? "policy" : "off", stek_time_text(vhost->limits.lifetime, ptemp),
                 vhost->limits.max_age ? stek_time_text(vhost->limits.max_age, ptemp)
                                       : "not limited");
}

void mod_stek_vhosts_tell(apr_pool_t *ptemp)
{
    apr_pool_t *pool;
    int i;

    if (apr_pool_create(&pool, ptemp) != APR_SUCCESS) {
        return;
    }
    for (i = vhosts->nelts - 1; i >= 0; i--) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        if (APLOG_IS_LEVEL(vhost->server, APLOG_INFO)) {
            tell(vhost, pool);
            apr_pool_clear(pool);
        }
    }
    apr_pool_destroy(pool);
}

/* Debian's ssl.conf turns tickets off: keys that nobody uses should not go unnoticed. */
static void lint_all_off(server_rec *main_server)
{
    int i, rotating_n = 0;

    for (i = 0; i < vhosts->nelts; i++) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        if (!(SSL_CTX_get_options(vhost->ctx) & SSL_OP_NO_TICKET)
            || mod_stek_server_get(vhost->server)->ssl_tickets != 0) {
            return;
        }
        rotating_n += vhost->ring != NULL;
    }
    if (rotating_n > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server,
                     "STEK3008: no virtual host gives out tickets: 'SSLSessionTickets off' stands "
                     "for all of them, as in Debian's ssl.conf; set 'SSLSessionTickets on' to have "
                     "them, now that their keys rotate");
    }
}

/* Explicit limits win over the careful ones; where they stand for the whole server, that may be
 * more than was meant. */
static void lint_client_limits(apr_pool_t *ptemp)
{
    int i, long_n = 0;
    const mod_stek_vhost_t *long_lived = NULL;

    for (i = vhosts->nelts - 1; i >= 0; i--) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        if (vhost->ring && mod_stek_server_outlives_cache(vhost->server)) {
            long_lived = long_lived ? long_lived : vhost;
            long_n++;
        }
    }
    if (long_lived) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, long_lived->server,
                     "STEK3009: %s%s: asks for client certificates, and StekTicketLifetime or "
                     "StekMaxSessionAge lets sessions last longer than SSLSessionCacheTimeout; a "
                     "certificate is looked at only in full handshakes",
                     mod_stek_server_text(long_lived->server, ptemp),
                     long_n > 1 ? apr_psprintf(ptemp, " and %d more", long_n - 1) : "");
    }
}

static void lint_asked_twice(apr_pool_t *ptemp)
{
    int i, twice_n = 0;
    const mod_stek_vhost_t *twice = NULL;

    for (i = vhosts->nelts - 1; i >= 0; i--) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        if (vhost->asks_twice && !mod_stek_vhost_tickets_off(vhost)) {
            twice = twice ? twice : vhost;
            twice_n++;
        }
    }
    if (twice) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, twice->server,
                     "STEK3013: %s%s: asks for client certificates, and a section has its own "
                     "SSLVerifyClient or SSLVerifyDepth: no TLS 1.3 session is resumed, for httpd "
                     "would decide otherwise than after a full handshake; ask either in the "
                     "virtual host or in sections",
                     mod_stek_server_text(twice->server, ptemp),
                     twice_n > 1 ? apr_psprintf(ptemp, " and %d more", twice_n - 1) : "");
    }
}

void mod_stek_vhosts_lint(server_rec *main_server, apr_pool_t *ptemp)
{
    int i, any_left = 0, any_off = 0;

    for (i = 0; i < vhosts->nelts; i++) {
        const mod_stek_vhost_t *vhost = APR_ARRAY_IDX(vhosts, i, mod_stek_vhost_t *);

        any_left |= left_to_key_file(vhost);
        any_off |= mod_stek_vhost_tickets_off(vhost);
    }
    lint_client_limits(ptemp);
    lint_asked_twice(ptemp);
    /* Each look compares vhosts by pairs: not for nothing, where there are thousands. */
    if (any_left) {
        lint_key_files(1, ptemp);
        lint_key_files(0, ptemp);
        lint_shared_addresses(ptemp);
    }
    if (any_off) {
        lint_all_off(main_server);
        lint_tickets_off(ptemp);
        lint_shared_connections(ptemp);
    }
}
