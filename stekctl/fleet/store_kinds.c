/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers in this build (store_kinds.h).
 */
#include "store_kinds.h"

#include <apr_strings.h>
#include <string.h>

#include "fleet.h"

static const store_driver_t *const drivers[] = {
#ifdef STEK_WITH_MEMCACHED
    &store_memcached,
    &store_memcached_unix,
    &store_memcached_sasl,
    &store_memcached_sasl_unix,
#endif
#ifdef STEK_WITH_HIREDIS
    &store_redis,
    &store_rediss,
    &store_redis_unix,
    &store_redis_sentinel,
    &store_rediss_sentinel,
#endif
#ifdef STEK_WITH_ETCD
    &store_etcd,
    &store_etcds,
#endif
    NULL};

/* What the schemes of kinds begin with that may have been left out. */
static const struct {
    const char *begins, *why;
} left_out[] = {
    {"memcached", "this stekctl has no memcached support; install libmemcached-dev and rebuild it"},
    {"redis", "this stekctl has no Redis support; install libhiredis-dev and rebuild it"},
    {"etcd", "this stekctl has no etcd support; install libcurl4-openssl-dev and "
             "libjansson-dev and rebuild it"},
};

static int is_built(const char *begins)
{
    int i;

    for (i = 0; drivers[i]; i++) {
        if (!strncmp(drivers[i]->scheme, begins, strlen(begins))) {
            return 1;
        }
    }
    return 0;
}

const store_driver_t *store_kinds_find(const char *scheme, apr_size_t len, const char **pwhy)
{
    apr_size_t i;

    *pwhy = NULL;
    for (i = 0; drivers[i]; i++) {
        if (strlen(drivers[i]->scheme) == len && !strncmp(drivers[i]->scheme, scheme, len)) {
            return drivers[i];
        }
    }
    for (i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
        if (!strncmp(left_out[i].begins, scheme, strlen(left_out[i].begins))
            && !is_built(left_out[i].begins)) {
            *pwhy = left_out[i].why;
        }
    }
    return NULL;
}

static const char *const names[] = {
#ifdef STEK_WITH_MEMCACHED
    "memcached",
#endif
#ifdef STEK_WITH_HIREDIS
    "Redis",
#endif
#ifdef STEK_WITH_ETCD
    "etcd",
#endif
    NULL};

const char *fleet_store_names(apr_pool_t *pool)
{
    const char *list = names[0] ? names[0] : "none";
    int i;

    for (i = 1; names[0] && names[i]; i++) {
        list = apr_pstrcat(pool, list, ", ", names[i], NULL);
    }
    return list;
}
