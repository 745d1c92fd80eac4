/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of TLS virtual hosts (mod_stek_vhost.h).  Glue.
 */
#include "mod_stek_vhost.h"

#include "http_config.h"

#include "mod_stek_exdata.h"

static apr_array_header_t *vhosts;
static int exdata_index = -1;

void mod_stek_vhosts_reset(apr_pool_t *pconf)
{
    vhosts = apr_array_make(pconf, 16, sizeof(mod_stek_vhost_t *));
}

mod_stek_vhost_t *const *mod_stek_vhosts(int *n)
{
    *n = vhosts->nelts;
    return (mod_stek_vhost_t *const *)vhosts->elts;
}

mod_stek_vhost_t *mod_stek_vhost_add(server_rec *s, SSL_CTX *ctx, apr_pool_t *pconf)
{
    mod_stek_vhost_t *vhost = apr_pcalloc(pconf, sizeof(*vhost));

    exdata_index = mod_stek_exdata_vhost();
    vhost->server = s;
    vhost->ctx = ctx;
    APR_ARRAY_PUSH(vhosts, mod_stek_vhost_t *) = vhost;
    return vhost;
}

int mod_stek_vhost_attach(mod_stek_vhost_t *vhost)
{
    return SSL_CTX_set_ex_data(vhost->ctx, exdata_index, vhost);
}

const mod_stek_vhost_t *mod_stek_vhost_of_ctx(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, exdata_index);
}

const mod_stek_vhost_t *mod_stek_vhost_of(const SSL *ssl)
{
    return mod_stek_vhost_of_ctx(SSL_get_SSL_CTX(ssl));
}

int mod_stek_vhost_left_to_key_file(const mod_stek_vhost_t *vhost)
{
    return !vhost->ring && mod_stek_server_get(vhost->server)->ticket_key_file;
}

int mod_stek_vhost_tickets_off(const mod_stek_vhost_t *vhost)
{
    return vhost->no_tickets || (SSL_CTX_get_options(vhost->ctx) & SSL_OP_NO_TICKET) != 0;
}

const char *mod_stek_vhost_tickets_text(const mod_stek_vhost_t *vhost)
{
    return mod_stek_vhost_tickets_off(vhost) ? "off" : vhost->forward_secret ? "tls1.3" : "on";
}
