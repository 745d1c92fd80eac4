/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the module on the SSL_CTX of a virtual host (mod_stek_ssl_ctx.h).  Glue; parent only.
 */
#include "mod_stek_ssl_ctx.h"

#include "http_log.h"
#include "apr_hash.h"
#include "apr_strings.h"

#include "mod_stek_cache.h"
#include "mod_stek_ticket_outcome.h"
#include "mod_stek_hello.h"
#include "mod_stek_words.h"
#include "mod_stek_phase.h"
#include "mod_stek_ticket.h"
#include "mod_stek_ticket_count.h"
#include "mod_stek_trust_watch.h"
#include "mod_stek_vhost.h"

APLOG_USE_MODULE(stek_rotate);

/* Where that fails, nothing is resumed that has to do with a certificate. */
static void note_groups(mod_stek_vhost_t *vhost)
{
    unsigned char sigalgs[STEK_DIGEST_LEN];

    vhost->has_groups = mod_stek_hello_digest(vhost->ctx, vhost->groups, sigalgs) == APR_SUCCESS;
}

/* Without StekTicketCount, what OpenSSL was told, or its own. */
static mod_stek_ticket_count_t count_of(const mod_stek_server_t *config, const SSL_CTX *ctx)
{
    int full = (int)SSL_CTX_get_num_tickets(ctx);
    mod_stek_ticket_count_t count = {full, full > 0, full};

    return config->ticket_count ? *config->ticket_count : count;
}

static void fill_tickets(mod_stek_vhost_t *vhost, const mod_stek_server_t *config)
{
    vhost->no_tickets = config->tickets == MOD_STEK_TICKETS_OFF;
    vhost->forward_secret = config->tickets == MOD_STEK_TICKETS_TLS13;
    vhost->count = count_of(config, vhost->ctx);
    if (vhost->forward_secret) {
        vhost->no_kex_refused = config->allows_no_kex == 1
                                || (SSL_CTX_get_options(vhost->ctx) & SSL_OP_ALLOW_NO_DHE_KEX) != 0;
        SSL_CTX_clear_options(vhost->ctx, SSL_OP_ALLOW_NO_DHE_KEX);
    }
}

/* Fills in what the directives say about s; 0 if OpenSSL fails. */
static int vhost_fill(mod_stek_vhost_t *vhost, server_rec *s, apr_pool_t *p)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    apr_array_header_t *watched;

    fill_tickets(vhost, config);
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
    vhost->limits = mod_stek_limits_of(s, 0);
    vhost->cert_limits = mod_stek_limits_of(s, 1);
    vhost->asks_clients = mod_stek_policy_asks_clients(config->policy);
    vhost->unbindable = mod_stek_policy_unbindable(config->policy);
    if (vhost->asks_clients) {
        note_groups(vhost);
    }
    vhost->watched = watched = apr_array_make(p, 0, sizeof(mod_stek_trust_watch_t));
    return mod_stek_policy_digest(s, config->policy, vhost->ctx, watched, vhost->policy, p)
           == APR_SUCCESS;
}

int mod_stek_ssl_ctx_install(server_rec *s, apr_pool_t *p, int is_proxy, SSL_CTX *ctx)
{
    mod_stek_vhost_t *vhost;

    if (is_proxy || mod_stek_trial_run()) {
        return DECLINED;
    }
    vhost = mod_stek_vhost_add(s, ctx, p);
    mod_stek_cache_install(vhost);
    if (!vhost_fill(vhost, s, p) || !mod_stek_vhost_attach(vhost)
        || !mod_stek_ticket_install(ctx, !mod_stek_vhost_left_to_key_file(vhost))) {
        /* An error here would end httpd. */
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK3001: %s issues no tickets, because OpenSSL failed to set them up; check "
                     "memory, and OpenSSL's configuration and providers",
                     mod_stek_server_text(s, p));
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    else {
        mod_stek_ticket_outcome_install(vhost);
    }
    if (!mod_stek_ticket_count_install(ctx) && vhost->ring) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "STEK3016: %s: clients cannot ask for a number of tickets, because another "
                     "module or OpenSSL itself answers them; max= of StekTicketCount has no effect",
                     mod_stek_server_text(s, p));
    }
    return OK;
}

static const char *address_text(const server_addr_rec *addr, apr_pool_t *pool)
{
    char *ip = NULL;

    if (apr_sockaddr_ip_get(&ip, addr->host_addr) != APR_SUCCESS) {
        ip = NULL;
    }
    return apr_psprintf(pool, "%s %u", ip ? ip : "", (unsigned)addr->host_port);
}

/* Of the vhosts on one address. */
typedef struct neighbours_t {
    int asking_n; /* that can ask for a certificate */
    int twice;    /* one asks itself and in sections */
    int mixed;    /* SSLVHostSNIPolicy lets one connection serve different rules */
} neighbours_t;

static neighbours_t *neighbours_at(apr_hash_t *by_address, const server_addr_rec *addr)
{
    apr_pool_t *pool = apr_hash_pool_get(by_address);
    const char *text = address_text(addr, pool);
    neighbours_t *found = apr_hash_get(by_address, text, APR_HASH_KEY_STRING);

    if (!found) {
        found = apr_pcalloc(pool, sizeof(*found));
        apr_hash_set(by_address, text, APR_HASH_KEY_STRING, found);
    }
    return found;
}

/* OpenSSL takes options from the first vhost on an address, too. */
static void note_secrecy(mod_stek_vhost_t *const *vhosts, int n)
{
    int i, any = 0;

    for (i = 0; i < n; i++) {
        any |= vhosts[i]->forward_secret;
    }
    for (i = 0; i < n; i++) {
        vhosts[i]->no_kex_by_name = any;
    }
}

/* The Host line may name another vhost than SNI did, and in TLS 1.3 httpd asks again only where the
 * connection was resumed. */
void mod_stek_ssl_ctx_note_neighbours(apr_pool_t *ptemp)
{
    apr_hash_t *by_address = apr_hash_make(ptemp);
    const server_addr_rec *addr;
    int i, n;
    mod_stek_vhost_t *const *vhosts = mod_stek_vhosts(&n);

    note_secrecy(vhosts, n);
    for (i = 0; i < n; i++) {
        const mod_stek_policy_t *policy = mod_stek_server_get(vhosts[i]->server)->policy;

        if (!mod_stek_policy_asks_clients(policy)) {
            continue;
        }
        for (addr = vhosts[i]->server->addrs; addr; addr = addr->next) {
            neighbours_t *at = neighbours_at(by_address, addr);

            at->asking_n++;
            at->twice |= mod_stek_policy_asks_twice(policy);
            at->mixed |= mod_stek_policy_mixes_hosts();
        }
    }
    for (i = 0; i < n; i++) {
        if (!mod_stek_policy_server_asks(mod_stek_server_get(vhosts[i]->server)->policy)) {
            continue;
        }
        for (addr = vhosts[i]->server->addrs; addr; addr = addr->next) {
            const neighbours_t *at = neighbours_at(by_address, addr);

            vhosts[i]->asks_twice |= at->twice || (at->mixed && at->asking_n > 1);
        }
    }
}

/* OpenSSL takes the groups that a client's key may be of from the SSL_CTX with which a connection
 * began. */
void mod_stek_ssl_ctx_note_groups(apr_pool_t *ptemp)
{
    apr_hash_t *asking = apr_hash_make(ptemp);
    const server_addr_rec *addr;
    int i, n;
    mod_stek_vhost_t *const *vhosts = mod_stek_vhosts(&n);

    for (i = 0; i < n; i++) {
        const mod_stek_vhost_t *vhost = vhosts[i];

        for (addr = vhost->asks_clients ? vhost->server->addrs : NULL; addr; addr = addr->next) {
            apr_hash_set(asking, address_text(addr, ptemp), APR_HASH_KEY_STRING, "");
        }
    }
    /* The first in the configuration; httpd lists vhosts in reverse order. */
    for (i = n - 1; i >= 0 && apr_hash_count(asking) > 0; i--) {
        mod_stek_vhost_t *vhost = vhosts[i];

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
