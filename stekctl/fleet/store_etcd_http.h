/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP to the members of an etcd cluster, with libcurl, over sockets that are connected already: one POST
 * at a time, bounded in time and in what is read.  It opens nothing itself, resolves no name, follows no
 * redirect and uses no proxy.  Runs in the store's worker; one thread.
 */
#ifndef STEKCTL_STORE_ETCD_HTTP_H
#define STEKCTL_STORE_ETCD_HTTP_H

#include "store_driver.h"

#pragma GCC visibility push(hidden)

#define ETCD_MEMBERS_MAX 16

typedef struct etcd_http_t etcd_http_t;

typedef struct etcd_reply_t {
    int status;       /* HTTP's; 0: there is no answer */
    int closed;       /* then: because the connection ended */
    const char *body; /* belongs to the connection until the next post */
    apr_size_t len;
    int too_long; /* body is only its beginning */
} etcd_reply_t;

/* The target's certificates and key are read now, if it is to be TLS.  NULL and why. */
etcd_http_t *etcd_http_open(const store_target_t *target, char why[STORE_WHY_LEN]);
void etcd_http_close(etcd_http_t *http);

/* Takes the socket of the member i, whose name its certificate must have.  0: out of memory; the socket
 * stays the caller's. */
int etcd_http_join(etcd_http_t *http, int i, const char *host, int port, int fd);

/* Posts body to the path of a member that has joined; token may be NULL.  Sets why if there is no answer. */
void etcd_http_post(etcd_http_t *http, int i, const char *path, const char *token, const char *body,
                    int timeout_ms, etcd_reply_t *reply, char why[STORE_WHY_LEN]);

/* Begins a post to a member whose answer comes in lines and does not end; nothing else is posted with this http.
 * 0: out of memory. */
int etcd_http_begin(etcd_http_t *http, int i, const char *path, const char *token,
                    const char *body);

typedef enum etcd_line_e {
    ETCD_LINE, /* reply has a line; too_long: lines before it were dropped, because there were too many */
    ETCD_LINE_NONE, /* none in time */
    ETCD_LINE_END /* the answer has ended: reply is what was left, or has no status, and why is set */
} etcd_line_e;

/* Waits for limit_ms for the next line. */
etcd_line_e etcd_http_line(etcd_http_t *http, int limit_ms, etcd_reply_t *reply,
                           char why[STORE_WHY_LEN]);

/* The cheapest question that HTTP has: whether there is a server.  *pstatus: HTTP's, or 0 and why. */
void etcd_http_greet(etcd_http_t *http, int i, int timeout_ms, int *pstatus,
                     char why[STORE_WHY_LEN]);

#pragma GCC visibility pop
#endif
