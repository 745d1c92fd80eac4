/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of stores, one thread:
 *
 *     memcached://[USER@]HOST[:PORT]                       memcached+unix://[USER@]/PATH
 *     redis[s]://[USER@]HOST[:PORT][,HOST[:PORT]...][/DB]  redis+unix://[USER@]/PATH[?db=DB]
 *     redis[s]+sentinel://[USER@]HOST[:PORT][,HOST[:PORT]...]/PRIMARY[/DB]
 *     etcd[s]://[USER@]HOST[:PORT][,HOST[:PORT]...]/PREFIX
 */
#ifndef STEKCTL_STORE_URL_H
#define STEKCTL_STORE_URL_H

#include <apr_pools.h>

#include "store_driver.h"

#pragma GCC visibility push(hidden)

/* Sets *pdriver and the target's host, port, user, db, prefix and master; texts belong to the pool.  Returns NULL,
 * or what is wrong with the URL, in pool. */
const char *store_url_parse(const char *url, const store_driver_t **pdriver, store_target_t *target,
                            apr_pool_t *pool);

/* Whether two targets of these kinds are one store, as far as the URLs can tell. */
int store_url_same(const store_driver_t *driver_a, const store_target_t *a,
                   const store_driver_t *driver_b, const store_target_t *b, apr_pool_t *pool);

/* The URL for a message: what may be a password in it is masked.  In pool, or url itself. */
const char *store_url_shown(const char *url, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
