/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers in this build (store_kinds.h).
 */
#include "store_kinds.h"

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
    return NULL;
}

const char *fleet_store_names(void)
{
#if defined(STEK_WITH_MEMCACHED) && defined(STEK_WITH_HIREDIS)
    return "memcached, Redis";
#elif defined(STEK_WITH_MEMCACHED)
    return "memcached";
#elif defined(STEK_WITH_HIREDIS)
    return "Redis";
#else
    return "none";
#endif
}
