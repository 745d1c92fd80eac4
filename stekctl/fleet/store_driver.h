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
    char *host; /* a name or an address; host[:port],... if its URL has a list; /path of a socket */
    int port;   /* of hosts that have none in the list; 0: of a socket */
    char *user; /* NULL: none */
    char *password; /* NULL: none */
    int db;         /* Redis */
    char *object;   /* its key in the store; Sentinel: the primary's name */
    int timeout_ms; /* for connecting, and for every call */
    int period_ms;  /* who waits for changes makes sure so often that the server is there */
    char *prefix;   /* etcd, in URLs only: of the object; without slashes around it */
    char *master;   /* Sentinel, in URLs only: the primary's name */
    char *origin;   /* Redis: host[:port],... of the URL, for which certificates may be as well */
    int asking;     /* Redis Cluster: the object is just moving to this node */
    char *address;  /* of the host, which is not looked up; NULL: it is */
    int listed;     /* the host is one of several that the store's URL names */
    int tls;        /* the scheme asks for it */
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
/* What URLs of a kind may or must have. */
#define STORE_URL_USER 0x01   /* may have a user */
#define STORE_URL_DB 0x02     /* may end with the number of a database */
#define STORE_URL_LIST 0x04   /* may name several hosts */
#define STORE_URL_SOCKET 0x08 /* must have the path of a socket, and no host */
#define STORE_URL_PREFIX 0x10 /* must end with the prefix of the object */
#define STORE_URL_MASTER 0x20 /* must have the name of a primary behind the hosts */

/* The worker makes these calls in this order: open, connect, read, any number of reads and writes, close.
 * After STORE_REFUSED and what is listed behind it calls close only; why then has the reason. */
typedef struct store_driver_t {
    const char *scheme;
    const char *name; /* for people */
    int port;
    unsigned url; /* STORE_URL_* */
    int has_tls;
    /* URLs with a user mean this kind.  NULL: no other. */
    const struct store_driver_t *with_user;
    /* STORE_MOVED means a server of this kind.  NULL: it never returns that. */
    const struct store_driver_t *next;
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
    const store_marks_t *marks; /* NULL: none */
    const store_watch_t *watch; /* the same; then there are marks, too */
} store_driver_t;

extern const store_driver_t store_memcached;
extern const store_driver_t store_memcached_unix;
extern const store_driver_t store_memcached_sasl;
extern const store_driver_t store_memcached_sasl_unix;
extern const store_driver_t store_redis;
extern const store_driver_t store_rediss;
extern const store_driver_t store_redis_unix;
extern const store_driver_t store_redis_sentinel;
extern const store_driver_t store_rediss_sentinel;
extern const store_driver_t store_etcd;
extern const store_driver_t store_etcds;

#pragma GCC visibility pop
#endif
