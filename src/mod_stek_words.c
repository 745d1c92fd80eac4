/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words that messages share.  Glue; no state; any thread.
 */
#include "mod_stek_words.h"

#include "apr_strings.h"

const char *mod_stek_server_text(const server_rec *s, apr_pool_t *pool)
{
    const char *name = s->server_hostname ? s->server_hostname : "main server";
    apr_port_t port = s->port;

    if (port == 0 && s->addrs) {
        port = s->addrs->host_port;
    }
    if (port) {
        name = apr_psprintf(pool, "%s:%u", name, (unsigned)port);
    }
    return s->is_virtual && s->defn_name
               ? apr_psprintf(pool, "%s (%s:%u)", name, s->defn_name, s->defn_line_number)
               : name;
}

const char *mod_stek_place_text(const ap_directive_t *at, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s:%d", at->filename, at->line_num);
}

const char *mod_stek_error_text(apr_status_t rv, apr_pool_t *pool)
{
    char buf[200];

    return apr_pstrdup(pool, stek_strerror(rv, buf, sizeof(buf)));
}

const char *mod_stek_time_text(apr_time_t t, apr_pool_t *pool)
{
    char text[32] = "";
    apr_size_t len;
    apr_time_exp_t parts;

    if (apr_time_exp_gmt(&parts, t) == APR_SUCCESS) {
        apr_strftime(text, &len, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
    }
    return apr_pstrdup(pool, text);
}
