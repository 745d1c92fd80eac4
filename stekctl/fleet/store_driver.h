/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind of store is to its worker: where its object is, and how it is read and written.  One
 * thread, the worker's.
 */
#ifndef STEKCTL_STORE_DRIVER_H
#define STEKCTL_STORE_DRIVER_H

#include <apr.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

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

#pragma GCC visibility pop
#endif
