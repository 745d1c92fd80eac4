/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module that follows the handshakes of one virtual host, follower.test, as another module may: each
 * step must be of a connection there, and of one that httpd has accepted.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_optional_hooks.h"
#include "mod_ssl_openssl.h"
#include <string.h>

module AP_MODULE_DECLARE_DATA follower_module;
APLOG_USE_MODULE(follower);

static SSL_CTX *ours;

static void on_step(const SSL *ssl, int where, int ret)
{
    conn_rec *c = SSL_get_app_data(ssl);

    (void)ret;
    if (!c || SSL_get_SSL_CTX(ssl) != ours) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, NULL, "FOLLOWER: called for %s",
                     c ? "another virtual host" : "no connection");
    }
    else if (where & SSL_CB_HANDSHAKE_DONE) {
        ap_log_cerror(APLOG_MARK, APLOG_INFO, 0, c, "FOLLOWER: handshake done");
    }
}

static int init_server(server_rec *s, apr_pool_t *p, int is_proxy, SSL_CTX *ctx)
{
    (void)p;
    if (!is_proxy && s->server_hostname && strcmp(s->server_hostname, "follower.test") == 0) {
        ours = ctx;
        SSL_CTX_set_info_callback(ctx, on_step);
    }
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    APR_OPTIONAL_HOOK(ssl, init_server, init_server, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA follower_module = {STANDARD20_MODULE_STUFF,
                                                 NULL,
                                                 NULL,
                                                 NULL,
                                                 NULL,
                                                 NULL,
                                                 register_hooks
#ifdef AP_MODULE_FLAGS_MMN_MAJOR
                                                 ,
                                                 AP_MODULE_FLAG_NONE
#endif
};
