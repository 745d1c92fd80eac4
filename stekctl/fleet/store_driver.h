/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind of store, as its worker uses it: where the object is, and how to read and write it.  One
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
    char *user;     /* Redis: from its access control list; NULL: none */
    char *password; /* Redis: NULL: none */
    int db;         /* Redis */
    char *object;   /* its key in the store */
    int timeout_ms; /* for every call */
} store_target_t;

/* The worker makes these calls.  It connects when needed, and closes the connection after any
 * failure. why gets the reason for a refusal, or for having no answer. */
typedef struct store_driver_t {
    const char *scheme;
    int port;
    int has_db; /* its URLs may contain a user and a database */
    void *(*open)(const store_target_t *target);
    /* *pbytes[*plen] belongs to the connection until the next call; NULL with *plen > 0: too long
     * to be a ring. */
    store_result_e (*read)(void *conn, const unsigned char **pbytes, apr_size_t *plen,
                           char why[STORE_WHY_LEN]);
    /* Replaces the object if it is still as last read. */
    store_result_e (*write)(void *conn, const unsigned char *bytes, apr_size_t len,
                            char why[STORE_WHY_LEN]);
    void (*close)(void *conn);
} store_driver_t;

extern const store_driver_t store_memcached;
extern const store_driver_t store_redis;

#pragma GCC visibility pop
#endif
