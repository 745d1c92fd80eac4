/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS to a store: whom to trust, who this host is, and for whom the server's certificate must be.  What is
 * in files is read before the worker is confined; what the server sends is parsed afterwards.  One thread,
 * the worker's.
 */
#ifndef STEKCTL_STORE_TLS_H
#define STEKCTL_STORE_TLS_H

#include <openssl/ssl.h>

#include "store_driver.h"

#pragma GCC visibility push(hidden)

/* Loads the target's authorities, certificate and key.  NULL and why. */
SSL_CTX *store_tls_load(const store_target_t *target, char why[STORE_WHY_LEN]);

/* The client's end of a connection over a socket that does not block, to this host, whose name is sent
 * (SNI).  Sends nothing yet.  NULL: out of memory. */
SSL *store_tls_new(SSL_CTX *ctx, int fd, const char *host);

/* Shakes hands until the monotonic time deadline_ms, and checks whose certificate it is: that of host, or of
 * one in the target's origin.  NULL, or why not, in why or constant. */
const char *store_tls_greet(SSL *ssl, const store_target_t *target, const char *host,
                            apr_int64_t deadline_ms, char why[STORE_WHY_LEN]);

/* After a call that returned n <= 0: waits until it can be repeated.  0: it can; 1: not until the monotonic
 * time deadline_ms; 2: the server has hung up; 3: TLS failed. */
int store_tls_wait(SSL *ssl, int n, apr_int64_t deadline_ms);

/* Why TLS failed: from OpenSSL's error queue, which it empties. */
void store_tls_why(SSL *ssl, const store_target_t *target, char why[STORE_WHY_LEN]);

#pragma GCC visibility pop
#endif
