/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores: one object in memcached, Redis or etcd, read as a whole and written by compare-and-swap.
 * Stores are not trusted, so every store has its own worker process that talks to it: this program,
 * executed again, with no secret except the Redis password, and confined as soon as it is connected
 * (confine.h).  A worker has one connection: after a failure, and now and then anyway, the next call
 * starts another, which looks the store's name up again.  Callers wait for its answer until a deadline;
 * a worker that is too late is killed.  One thread.
 */
#ifndef STEKCTL_STORE_H
#define STEKCTL_STORE_H

#include <apr_pools.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

typedef struct store_t store_t;

/* What stores want to see of this host.  NULL: none. */
typedef struct store_login_t {
    const char *password;
    const char *ca, *cert, *key; /* paths of PEM, for TLS */
} store_login_t;

/* Prepares the store of a URL (store_url.h), but sends nothing yet.  Returns NULL, or what is wrong with the
 * URL, in pool.  Copies login. */
const char *store_open(const char *url, const char *object, const store_login_t *login,
                       int timeout_ms, apr_pool_t *pool, store_t **pstore);

/* Frees the store and ends its worker.  Ignores NULL. */
void store_close(store_t *store);

/* Begin a call by sending it to the worker; store_finish returns the result. */
void store_begin_read(store_t *store);
void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len);

/* Waits for the call's result until the monotonic time deadline_ms.  *pbytes[*plen] (of a read)
 * belongs to the store until the next call; NULL with *plen > 0: too long to be a ring. */
store_result_e store_finish(store_t *store, apr_int64_t deadline_ms, const unsigned char **pbytes,
                            apr_size_t *plen);

/* What this system did not let confine the store's worker; NULL: nothing.  Owned by the store. */
const char *store_unconfined(const store_t *store);

/* Why the last call was refused or got no answer; printable, owned by the store. */
const char *store_why(const store_t *store);

/* From now on, calls are for the object of that name, beside the one that it was opened for: what a URL puts
 * in front of names stays.  0: out of memory. */
int store_select(store_t *store, const char *object);

/* While a result is awaited, urgent(baton) is asked ten times in a second; nonzero ends the wait as a deadline
 * would. */
void store_set_urgent(store_t *store, int (*urgent)(const void *baton), const void *baton);

/* Ends the worker and its connection; the next call starts another. */
void store_rest(store_t *store);

#pragma GCC visibility pop
#endif
