/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the module on the SSL_CTX of a virtual host (mod_stek_install.h).  Glue; parent only.
 */
#include "mod_stek_install.h"

#include "http_log.h"

#include "mod_stek_cache.h"
#include "mod_stek_handshake.h"
#include "mod_stek_log.h"
#include "mod_stek_phase.h"
#include "mod_stek_ticket.h"
#include "mod_stek_vhost.h"

APLOG_USE_MODULE(stek_rotate);

/* Fills in what the directives say about s; 0 if OpenSSL fails. */
static int vhost_fill(mod_stek_vhost_t *vhost, server_rec *s, apr_pool_t *p)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);

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
    vhost->limits = mod_stek_limits_of(s, 0);
    vhost->cert_limits = mod_stek_limits_of(s, 1);
    return mod_stek_policy_digest(s, config->policy, vhost->policy, p) == APR_SUCCESS;
}

int mod_stek_install_vhost(server_rec *s, apr_pool_t *p, int is_proxy, SSL_CTX *ctx)
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
                     "STEK3001: %s: OpenSSL failed to set up tickets: it issues none",
                     mod_stek_server_text(s, p));
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    else if (!mod_stek_handshake_install(ctx)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "STEK3012: %s: another module watches its handshakes; they are not counted",
                     mod_stek_server_text(s, p));
    }
    return OK;
}
