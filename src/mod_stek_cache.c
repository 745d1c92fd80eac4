/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions in mod_ssl's cache (mod_stek_cache.h).  Glue.
 */
#include "mod_stek_cache.h"

#include "mod_stek_may_resume.h"
#include "mod_stek_ticket_count.h"

/* 0: OpenSSL keeps its reference. */
static int on_new(SSL *ssl, SSL_SESSION *session)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);

    if (!vhost || !vhost->cache_new
        || (vhost->ring
            && (!mod_stek_may_resume_lasts(ssl)
                || !mod_stek_may_resume_bind(ssl, session, apr_time_now())))) {
        return 0;
    }
    return vhost->cache_new(ssl, session);
}

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int id_len, int *copy)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);
    SSL_SESSION *session = vhost && vhost->cache_get ? vhost->cache_get(ssl, id, id_len, copy)
                                                     : NULL;

    if (session && mod_stek_may_resume_refused(ssl, vhost, session, apr_time_now())) {
        /* Ours to give back, unless mod_ssl goes on holding it. */
        if (!*copy) {
            SSL_SESSION_free(session);
        }
        return NULL;
    }
    if (session) {
        mod_stek_ticket_count_choose(ssl, vhost, mod_stek_ticket_outcome_of(ssl),
                                     MOD_STEK_TICKETS_RESUMED);
    }
    return session;
}

void mod_stek_cache_install(mod_stek_vhost_t *vhost)
{
    vhost->cache_new = SSL_CTX_sess_get_new_cb(vhost->ctx);
    vhost->cache_get = SSL_CTX_sess_get_get_cb(vhost->ctx);
    if (vhost->cache_new) {
        SSL_CTX_sess_set_new_cb(vhost->ctx, on_new);
    }
    if (vhost->cache_get) {
        SSL_CTX_sess_set_get_cb(vhost->ctx, on_get);
    }
}
