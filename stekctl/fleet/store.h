/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: one object in memcached or Redis, read as a whole and written by compare-and-swap.
 * Stores are not trusted, and client libraries do not expect a hostile server (libmemcached crashes
 * on some answers), so every store has its own worker process that talks to it: this program,
 * executed again, with no secret except the Redis password.  Callers wait for its answer until a
 * deadline.  A worker that fails or is too late is killed, and the next call starts another.  One
 * thread.
 */
#ifndef STEKCTL_STORE_H
#define STEKCTL_STORE_H

#include <apr_pools.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

typedef struct store_t store_t;

/* Prepares the store of a URL, "memcached://host[:port]" or "redis://[user@]host[:port][/db]", but
 * sends nothing yet.  Returns NULL, or what is wrong with the URL, in pool.  Copies password (may
 * be NULL). */
const char *store_open(const char *url, const char *object, const char *password, int timeout_ms,
                       apr_pool_t *pool, store_t **pstore);

/* Frees the store and ends its worker.  Ignores NULL. */
void store_close(store_t *store);

/* Begin a call by sending it to the worker; store_finish returns the result. */
void store_begin_read(store_t *store);
void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len);

/* Waits for the call's result until the monotonic time deadline_ms.  *pbytes[*plen] (of a read)
 * belongs to the store until the next call; NULL with *plen > 0: too long to be a ring. */
store_result_e store_finish(store_t *store, apr_int64_t deadline_ms, const unsigned char **pbytes,
                            apr_size_t *plen);

/* Why the last call was refused or got no answer; printable, owned by the store. */
const char *store_why(const store_t *store);

/* From now on, calls are for the object of that name, beside the one that it was opened for: what a URL puts
 * in front of names stays.  0: out of memory. */
int store_select(store_t *store, const char *object);

/* Ends the worker and its connection; the next call starts another. */
void store_rest(store_t *store);

#pragma GCC visibility pop
#endif
