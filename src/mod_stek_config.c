/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the configuration (mod_stek_config.h).  Glue; parent only, while it configures.
 */
#include "mod_stek_config.h"

#include "apr_strings.h"
#include <string.h>

#define POLL_DEFAULT apr_time_from_sec(5)
#define DEFAULT_RING "default"

/* Rings of the configuration being read or in force; in pconf, re-created by pre_config. */
static apr_array_header_t *rings;

int mod_stek_have_ssl(void)
{
    return ap_find_linked_module("mod_ssl.c") != NULL;
}

int mod_stek_ssl_has(const char *directive)
{
    const module *ssl = ap_find_linked_module("mod_ssl.c");

    return ssl && ap_find_command(directive, ssl->cmds) != NULL;
}

const mod_stek_server_t *mod_stek_server_get(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &stek_rotate_module);
}

void *mod_stek_server_create(apr_pool_t *p, server_rec *s)
{
    mod_stek_server_t *config = apr_pcalloc(p, sizeof(*config));

    (void)s;
#define MOD_STEK_FIELD(type, member, unset) config->member = unset;
    MOD_STEK_SERVER_FIELDS(MOD_STEK_FIELD)
#undef MOD_STEK_FIELD
    config->tickets_said = "";
    config->policy = mod_stek_policy_create(p);
    return config;
}

void *mod_stek_server_merge(apr_pool_t *p, void *basev, void *addv)
{
    const mod_stek_server_t *base = basev, *add = addv;
    mod_stek_server_t *config = apr_pcalloc(p, sizeof(*config));

#define MOD_STEK_FIELD(type, member, unset)                                                        \
    config->member = add->member != (type)unset ? add->member : base->member;
    MOD_STEK_SERVER_FIELDS(MOD_STEK_FIELD)
#undef MOD_STEK_FIELD
    config->tickets_said = apr_pstrcat(p, base->tickets_said, add->tickets_said, NULL);
    config->policy = mod_stek_policy_merge(p, base->policy, add->policy);
    return config;
}

mod_stek_ring_config_t *const *mod_stek_rings(int *n)
{
    *n = rings ? rings->nelts : 0;
    return rings ? (mod_stek_ring_config_t *const *)rings->elts : NULL;
}

mod_stek_ring_config_t *mod_stek_ring_find(const char *name)
{
    int i, n;
    mod_stek_ring_config_t *const *all = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}

mod_stek_ring_config_t *mod_stek_ring_define(const char *name)
{
    const stek_params_t params = STEK_PARAMS_DEFAULT;
    mod_stek_ring_config_t *ring = apr_pcalloc(rings->pool, sizeof(*ring));

    ring->name = name;
    /* Resolved in check_config: DefaultRuntimeDir may be set further down. */
    ring->path = apr_pstrcat(rings->pool, "stek_rotate/", name, ".ring", NULL);
    ring->secret_is_default = ring->interval_is_default = ring->lifetime_is_default = 1;
    ring->params = params;
    ring->generate = 1;
    ring->poll = POLL_DEFAULT;
    APR_ARRAY_PUSH(rings, mod_stek_ring_config_t *) = ring;
    return ring;
}

int mod_stek_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    rings = apr_array_make(pconf, 4, sizeof(mod_stek_ring_config_t *));
    mod_stek_ring_define(DEFAULT_RING);
    mod_stek_policy_reset(pconf);
    return OK;
}

mod_stek_ring_config_t *mod_stek_server_ring(const server_rec *s)
{
    const char *name = mod_stek_server_get(s)->ring_name;

    return mod_stek_ring_find(name ? name : DEFAULT_RING);
}

int mod_stek_server_rotates(const server_rec *s)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);

    return config->rotate != MOD_STEK_UNSET ? config->rotate : !config->ticket_key_file;
}
