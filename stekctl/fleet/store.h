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

/* From now on, the host of the URL is at that address (NULL: look it up); listed: the URL is one host's of a URL
 * that names several.  0: out of memory. */
int store_set_address(store_t *store, const char *address, int listed);

/* Frees the store and ends its worker.  Ignores NULL. */
void store_close(store_t *store);

/* Begin a call by sending it to the worker; store_finish returns the result. */
void store_begin_read(store_t *store);
void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len);

/* The next store_finish gives what was read or written last, without asking for it.  0: there is nothing
 * to give, so begin to read. */
int store_keep(store_t *store);

/* Waits for the call's result until the monotonic time deadline_ms.  *pbytes[*plen] (of a read)
 * belongs to the store until the next call; NULL with *plen > 0: too long to be a ring. */
store_result_e store_finish(store_t *store, apr_int64_t deadline_ms, const unsigned char **pbytes,
                            apr_size_t *plen);

/* Which state of the object was read or written last; empty: not known.  Owned by the store. */
const char *store_mark(const store_t *store);

/* Waiting for changes, with a store_t that is opened for nothing else. */
typedef enum store_can_watch_e {
    STORE_WATCH_NONE, /* that kind of store says nothing of itself */
    STORE_WATCH_OWN,  /* it says what hosts of this version write */
    STORE_WATCH_ALL   /* it says what anybody writes */
} store_can_watch_e;
store_can_watch_e store_can_watch(const store_t *store);

/* Begins to wait, at the server at which beside has the object.  period_ms: how often to make sure that it is
 * there.  0: that server is not known yet.  Something can be read from store_watch_fd (-1: the worker has ended) when
 * there is something to take. */
int store_begin_wait(store_t *store, const store_t *beside, int period_ms);
int store_watch_fd(const store_t *store);

/* STORE_DONE: from now on nothing is missed; STORE_CHANGED: the object may have changed, and is now in the state of
 * store_mark, if that is not empty.  After both, begin to wait again.  STORE_SAME: there is nothing yet.  Otherwise the
 * watch has ended, and store_why has the reason. */
store_result_e store_take_wait(store_t *store);

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
