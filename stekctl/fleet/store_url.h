/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of stores: "memcached://host[:port]", "redis://[user@]host[:port][/db]" and
 * "etcd[s]://[user@]host[:port][,host[:port]...]/prefix".  One thread.
 */
#ifndef STEKCTL_STORE_URL_H
#define STEKCTL_STORE_URL_H

#include <apr_pools.h>

#include "store_driver.h"

#pragma GCC visibility push(hidden)

/* Sets *pdriver and the target's host, port, user, db and prefix; texts belong to the pool.  Returns NULL,
 * or what is wrong with the URL, in pool. */
const char *store_url_parse(const char *url, const store_driver_t **pdriver, store_target_t *target,
                            apr_pool_t *pool);

/* The URL for a message: what may be a password in it is masked.  In pool, or url itself. */
const char *store_url_shown(const char *url, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
