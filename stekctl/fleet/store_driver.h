/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind of store, as its worker uses it: where the object is, and how to read and write it.  A worker has
 * one connection; it is confined as soon as this stands, and ends with it.  One thread, the worker's.
 */
#ifndef STEKCTL_STORE_DRIVER_H
#define STEKCTL_STORE_DRIVER_H

#include <apr.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

/* What is longer is not read: a ring has half a MiB at most, and somebody's mistake seldom more. */
#define STORE_READ_MAX_MIB 4
#define STORE_READ_MAX (STORE_READ_MAX_MIB * 1024 * 1024)

/* Where the object is. */
typedef struct store_target_t {
    char *host;     /* etcd: host[:port],... */
    int port;       /* etcd: of hosts that have none in the list */
    char *user;     /* Redis: from its access control list; etcd; NULL: none */
    char *password; /* Redis, etcd: NULL: none */
    int db;         /* Redis */
    char *object;   /* its key in the store */
    int timeout_ms; /* for connecting, and for every call */
    int period_ms;  /* who waits for changes makes sure so often that the server is there */
    char *prefix;   /* etcd, in URLs only: of the object; without slashes around it */
    char *ca;       /* TLS: a file of PEM; NULL: the system's */
    char *cert;     /* the same: of this host; NULL: none */
    char *key;      /* the same; NULL: in the certificate's file */
} store_target_t;

/* Of stores that can say cheaply whether an object has changed.  A mark names a state of the object. */
typedef struct store_marks_t {
    /* Of the object as it was read or written last. */
    void (*get)(const void *conn, char mark[STORE_MARK_LEN]);
    /* As if the object of that mark had been read: what the next write replaces. */
    void (*set)(void *conn, const char *mark);
    /* STORE_SAME, STORE_CHANGED (or absent), or a failure, as of a read. */
    store_result_e (*compare)(void *conn, const char *mark, char why[STORE_WHY_LEN]);
} store_marks_t;

/* Of stores that say when an object changes.  A worker of its own waits for it; the order of calls is as below,
 * with wait in place of read and write. */
typedef struct store_watch_t {
    void *(*open)(const store_target_t *target);
    store_result_e (*connect)(void *conn, char why[STORE_WHY_LEN]);
    /* The first call: STORE_DONE as soon as no change can be missed from now on.  Later calls: STORE_CHANGED once
     * something has changed since the one before; mark: its last known state, or empty.  Takes no more than is
     * needed for that from a server that never stops. */
    store_result_e (*wait)(void *conn, char mark[STORE_MARK_LEN], char why[STORE_WHY_LEN]);
    void (*close)(void *conn);
    /* Every change by whomever is told, so that as long as it is quiet, the object need not be asked for in each
     * cycle. */
    int tells_all;
} store_watch_t;

/* The worker makes these calls in this order: open, connect, read, any number of reads and writes, close.
 * After STORE_REFUSED, STORE_SILENT or STORE_LOST it calls close only; why then has the reason. */
typedef struct store_driver_t {
    const char *scheme;
    const char *name; /* for people */
    int port;
    int has_db; /* its URLs may contain a user and a database */
    void *(*open)(const store_target_t *target);
    /* Connects, but parses nothing that the server sends.  The worker can do much less afterwards: whatever
     * needs a name, a file, a new descriptor or a thread is done here.  STORE_DONE or STORE_SILENT. */
    store_result_e (*connect)(void *conn, char why[STORE_WHY_LEN]);
    /* Logs in, if it has not yet.  *pbytes[*plen] belongs to the connection until the next call; NULL with
     * *plen > 0: too long to be a ring. */
    store_result_e (*read)(void *conn, const unsigned char **pbytes, apr_size_t *plen,
                           char why[STORE_WHY_LEN]);
    /* Replaces the object if it is still as last read. */
    store_result_e (*write)(void *conn, const unsigned char *bytes, apr_size_t len,
                            char why[STORE_WHY_LEN]);
    void (*close)(void *conn);
    int has_prefix; /* its URLs have a list of hosts, and end with the prefix of the object */
    int has_tls;    /* it speaks TLS */
    const store_marks_t *marks; /* NULL: none */
    const store_watch_t *watch; /* the same; then there are marks, too */
} store_driver_t;

extern const store_driver_t store_memcached;
extern const store_driver_t store_redis;
extern const store_driver_t store_etcd;
extern const store_driver_t store_etcds;

#pragma GCC visibility pop
#endif
