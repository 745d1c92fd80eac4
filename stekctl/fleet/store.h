/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: one object in a memcached or a Redis, read whole and written by compare-and-swap.
 * Nothing that a store does is trusted, and client libraries do not expect a hostile server
 * (libmemcached crashes on some answers), so each store has a process of its own that talks to it:
 * this program run anew, without any secret but Redis's password.  Whoever waits for its answer
 * waits up to a deadline; a worker that failed or was too late is ended, and the next call starts
 * another.  One thread.
 */
#ifndef STEKCTL_STORE_H
#define STEKCTL_STORE_H

#include <apr_pools.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

typedef struct store_t store_t;

/* Prepares the store of a URL, "memcached://host[:port]" or "redis://[user@]host[:port][/db]";
 * nothing is sent yet.  Returns NULL, or what is wrong with the URL, in pool.  password (may be
 * NULL) is copied. */
const char *store_open(const char *url, const char *object, const char *password, int timeout_ms,
                       apr_pool_t *pool, store_t **pstore);

/* Ends it and its worker.  NULL is ignored. */
void store_close(store_t *store);

/* Begin a call, by sending it to the worker: store_finish tells how it went. */
void store_begin_read(store_t *store);
void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len);

/* Waits for the end of the call until the monotonic time deadline_ms.  *pbytes[*plen] (of a
 * read) is the store's until the next call; NULL with *plen > 0: too long to be a ring. */
store_result_e store_finish(store_t *store, apr_int64_t deadline_ms, const unsigned char **pbytes,
                            apr_size_t *plen);

/* Why the last call was refused or silent; printable, the store's. */
const char *store_why(const store_t *store);

#pragma GCC visibility pop
#endif
