/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers in this build (store_kinds.h).
 */
#include "store_kinds.h"

#include <apr_strings.h>
#include <string.h>

#include "fleet.h"

static int is(const char *name, const char *scheme, apr_size_t len)
{
    return strlen(name) == len && !strncmp(name, scheme, len);
}

const store_driver_t *store_kinds_find(const char *scheme, apr_size_t len, const char **pwhy)
{
    *pwhy = NULL;
    if (is("memcached", scheme, len)) {
#ifdef STEK_WITH_MEMCACHED
        return &store_memcached;
#else
        *pwhy = "this stekctl has no memcached support; install libmemcached-dev and rebuild it";
#endif
    }
    if (is("redis", scheme, len)) {
#ifdef STEK_WITH_HIREDIS
        return &store_redis;
#else
        *pwhy = "this stekctl has no Redis support; install libhiredis-dev and rebuild it";
#endif
    }
    if (is("etcd", scheme, len) || is("etcds", scheme, len)) {
#ifdef STEK_WITH_ETCD
        return is("etcd", scheme, len) ? &store_etcd : &store_etcds;
#else
        *pwhy = "this stekctl has no etcd support; install libcurl4-openssl-dev and "
                "libjansson-dev and rebuild it";
#endif
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
