/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives without effect (mod_stek_config_notices.h).  Glue; parent only, one thread.
 */
#include "mod_stek_config_notices.h"

#include "http_log.h"
#include "apr_hash.h"
#include "apr_strings.h"

#include "mod_stek_config.h"
#include "mod_stek_words.h"
#include "mod_stek_vhost.h"
#include "stek_nearest.h"

APLOG_USE_MODULE(stek_rotate);

void mod_stek_config_notices_twice(server_rec *main_server, apr_pool_t *ptemp)
{
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->again) {
            ap_log_error(
                APLOG_MARK, APLOG_NOTICE, 0, main_server,
                "STEK1012: StekRing: ring '%s' is defined at %s and again at %s; where both "
                "set the same parameter, the later line wins; use one line",
                rings[i]->name, mod_stek_place_text(rings[i]->at, ptemp),
                mod_stek_place_text(rings[i]->again, ptemp));
        }
    }
}

/* The ring that the line was probably meant for, in brackets: one that is used. */
static const char *nearest_used(const char *name, apr_pool_t *pool)
{
    int i, n, used_n = 0;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);
    const char **names = apr_palloc(pool, ((apr_size_t)n + 1) * sizeof(*names)), *nearest;

    for (i = 0; i < n; i++) {
        if (rings[i]->used) {
            names[used_n++] = rings[i]->name;
        }
    }
    nearest = stek_nearest(name, names, (apr_size_t)used_n);
    return nearest ? apr_psprintf(pool, " (did you mean '%s'?)", nearest) : "";
}

static void log_unused(server_rec *main_server, apr_pool_t *ptemp)
{
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->at && !rings[i]->used) {
            ap_log_error(
                APLOG_MARK, APLOG_NOTICE, 0, main_server,
                "STEK1013: StekRing (%s): no virtual host with TLS uses ring '%s'%s, so httpd makes no "
                "keys for it; add 'StekUseRing %s' to one, or remove the StekRing line",
                mod_stek_place_text(rings[i]->at, ptemp), rings[i]->name,
                nearest_used(rings[i]->name, ptemp), rings[i]->name);
        }
    }
}

/* The virtual hosts with TLS, by their server_rec. */
static apr_hash_t *tls_servers(apr_pool_t *ptemp)
{
    apr_hash_t *servers = apr_hash_make(ptemp);
    int i, n;
    mod_stek_vhost_t *const *vhosts = mod_stek_vhosts(&n);

    for (i = 0; i < n; i++) {
        apr_hash_set(servers, &vhosts[i]->server, sizeof(server_rec *), vhosts[i]);
    }
    return servers;
}

/* A virtual host's own StekUseRing, not what it has from the main server. */
static void log_without_tls(server_rec *main_server, apr_pool_t *ptemp)
{
    const ap_directive_t *inherited = mod_stek_server_get(main_server)->ring_name_at;
    apr_hash_t *with_tls = NULL;
    const server_rec *s;

    for (s = main_server->next; s; s = s->next) {
        const ap_directive_t *at = mod_stek_server_get(s)->ring_name_at;

        if (!at || at == inherited) {
            continue;
        }
        with_tls = with_tls ? with_tls : tls_servers(ptemp);
        if (!apr_hash_get(with_tls, &s, sizeof(server_rec *))) {
            ap_log_error(
                APLOG_MARK, APLOG_NOTICE, 0, s,
                "STEK1014: StekUseRing (%s) has no effect: %s has no TLS; remove it, or add "
                "'SSLEngine on'",
                mod_stek_place_text(at, ptemp), mod_stek_server_text(s, ptemp));
        }
    }
}

void mod_stek_config_notices(server_rec *main_server, apr_pool_t *ptemp)
{
    mod_stek_config_notices_twice(main_server, ptemp);
    log_unused(main_server, ptemp);
    log_without_tls(main_server, ptemp);
}
