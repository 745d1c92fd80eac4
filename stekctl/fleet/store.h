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

#include <apr_errno.h>
#include <apr_pools.h>

#pragma GCC visibility push(hidden)

#define STORE_WHY_LEN 160

typedef enum store_result_e {
    STORE_DONE,    /* read or written */
    STORE_ABSENT,  /* read: there is no object */
    STORE_CHANGED, /* write: another has written since the object was read */
    STORE_REFUSED, /* the server says no */
    STORE_SILENT   /* no connection, no answer in time, or none that makes sense */
} store_result_e;

/* Where the object is. */
typedef struct store_target_t {
    char *host;
    int port;
    char *user;     /* Redis: of its access control list; NULL: none */
    char *password; /* Redis: NULL: none */
    int db;         /* Redis */
    char *object;   /* the key under which the store knows it */
    int timeout_ms; /* of each call */
} store_target_t;

/* Calls run in the worker.  A connection is made when it is needed and given up after any
 * failure.  why gets the reason of a refusal or of silence. */
typedef struct store_driver_t {
    const char *scheme;
    int port;
    int has_db; /* its URLs may name a user and a database */
    void *(*open)(const store_target_t *target);
    /* *pbytes[*plen] is the connection's until the next call; NULL with *plen > 0: too long to
     * be one. */
    store_result_e (*read)(void *conn, const unsigned char **pbytes, apr_size_t *plen,
                           char why[STORE_WHY_LEN]);
    /* Replaces what the last read saw. */
    store_result_e (*write)(void *conn, const unsigned char *bytes, apr_size_t len,
                            char why[STORE_WHY_LEN]);
    void (*close)(void *conn);
} store_driver_t;

extern const store_driver_t store_memcached;
extern const store_driver_t store_redis;

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

/* The worker's whole life, with the socket at STORE_WORKER_FD; returns the exit code. */
#define STORE_WORKER_FD 3
int store_worker(void);

/* Monotonic milliseconds. */
apr_int64_t store_clock_ms(void);

#pragma GCC visibility pop
#endif
