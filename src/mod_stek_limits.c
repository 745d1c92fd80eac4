/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of tickets and sessions (mod_stek_limits.h).  Glue.
 */
#include "mod_stek_limits.h"

#define MAX_SESSION_AGE_DEFAULT apr_time_from_sec(24 * 3600)
#define CACHE_TIMEOUT_DEFAULT apr_time_from_sec(300) /* mod_ssl's */

static apr_interval_time_t cache_timeout(const mod_stek_server_t *config)
{
    return config->cache_timeout != MOD_STEK_UNSET ? config->cache_timeout : CACHE_TIMEOUT_DEFAULT;
}

mod_stek_limits_t mod_stek_limits_of(const server_rec *s, int client_cert)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    apr_interval_time_t ring_lifetime = mod_stek_server_ring(s)->params.lifetime;
    apr_interval_time_t wanted = config->ticket_lifetime != MOD_STEK_UNSET ? config->ticket_lifetime
                                                                           : ring_lifetime;
    mod_stek_limits_t limits = {ring_lifetime, MAX_SESSION_AGE_DEFAULT};

    if (client_cert || mod_stek_policy_asks_clients(config->policy)) {
        limits.max_age = cache_timeout(config);
        limits.lifetime = limits.max_age < ring_lifetime ? limits.max_age : ring_lifetime;
    }
    else if (wanted > limits.max_age) {
        /* Tickets that live for days are meant to be used for days. */
        limits.max_age = wanted;
    }
    if (config->ticket_lifetime != MOD_STEK_UNSET) {
        limits.lifetime = config->ticket_lifetime;
    }
    if (config->max_session_age != MOD_STEK_UNSET) {
        limits.max_age = config->max_session_age;
    }
    return limits;
}

int mod_stek_limits_outlive_cache(const server_rec *s)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    mod_stek_limits_t limits = mod_stek_limits_of(s, 1);

    return mod_stek_policy_asks_clients(config->policy)
           && (limits.max_age == 0 || limits.max_age > cache_timeout(config));
}
