/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a server, in the clear or by TLS, as drivers use it that do their own reading and writing.
 * One thread, the worker's.
 */
#ifndef STEKCTL_STORE_LINK_H
#define STEKCTL_STORE_LINK_H

#include <openssl/ssl.h>

#include "store_driver.h"

#pragma GCC visibility push(hidden)

typedef struct store_link_t {
    const store_target_t *target;
    const char *host; /* to whom */
    int port;
    int fd;      /* -1: not connected */
    SSL *ssl;    /* NULL: in the clear */
    int greeted; /* its TLS stands */
} store_link_t;

typedef enum store_link_e {
    STORE_LINK_DONE,
    STORE_LINK_LATE,   /* not until the deadline */
    STORE_LINK_CLOSED, /* the server has hung up */
    STORE_LINK_FAILED  /* TLS failed; why is set */
} store_link_e;

/* Connects to host, but sends nothing.  ctx: of TLS; NULL: in the clear.  target, host and ctx must outlive the
 * link.  Takes at most limit_ms once the name is looked up.  0 and why if it does not succeed. */
int store_link_open(store_link_t *link, const store_target_t *target, const char *host, int port,
                    SSL_CTX *ctx, int limit_ms, char why[STORE_WHY_LEN]);

/* The same with each of a list of hosts, "host[:port],...", which it splits, until one lets it in. */
int store_link_open_any(store_link_t *link, const store_target_t *target, char *list, SSL_CTX *ctx,
                        char why[STORE_WHY_LEN]);

/* Both shake hands first, if it is TLS, and give up at the monotonic time deadline_ms. */
store_link_e store_link_send(store_link_t *link, const void *bytes, apr_size_t len,
                             apr_int64_t deadline_ms, char why[STORE_WHY_LEN]);

/* Receives *plen bytes, at least one and at most size, when it is STORE_LINK_DONE. */
store_link_e store_link_receive(store_link_t *link, void *bytes, apr_size_t size, apr_size_t *plen,
                                apr_int64_t deadline_ms, char why[STORE_WHY_LEN]);

/* Ignores a link whose fd is -1. */
void store_link_close(store_link_t *link);

#pragma GCC visibility pop
#endif
