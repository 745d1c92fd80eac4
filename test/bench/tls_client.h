/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections for load: many at a time in one thread, each with one request, over epoll.  Who
 * connects keeps the ticket; a connection offers a copy of it and hands back the last that came.
 */
#ifndef TLS_CLIENT_H
#define TLS_CLIENT_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdint.h>

/* A client's ticket, NULL or a session that has one, and when it was issued. */
typedef struct tls_ticket_t {
    SSL_SESSION *session;
    int64_t issued_ns; /* tls_now_ns */
} tls_ticket_t;

typedef struct tls_conn_t {
    int fd; /* -1: none is open */
    SSL *ssl;
    tls_ticket_t *ticket; /* the caller's; replaced when a newer one comes */
    int64_t began_ns, shaken_ns, done_ns;
    int connected, wrote; /* how far it is */
    int resumed, renewed; /* results: a ticket was accepted, one came */
} tls_conn_t;

typedef enum tls_step_e { TLS_GOES_ON, TLS_DONE, TLS_FAILED, TLS_REFUSED } tls_step_e;

/* A context for one version, TLS1_2_VERSION or TLS1_3_VERSION, that trusts anyone; or NULL. */
SSL_CTX *tls_context_new(int version);

/* Begins a connection; its events come with data.ptr = conn.  ticket: offered if it holds one.
 * TLS_GOES_ON or TLS_FAILED. */
tls_step_e tls_conn_begin(tls_conn_t *conn, SSL_CTX *ctx, int epoll_fd,
                          const struct sockaddr_in *to, const char *host, tls_ticket_t *ticket);

/* Goes on after an event.  All but TLS_GOES_ON end the connection; TLS_REFUSED: nobody listens. */
tls_step_e tls_conn_step(tls_conn_t *conn);

int64_t tls_now_ns(void);

#endif
