/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a server's answer, looked at before a client library reads it: libraries keep little of
 * an answer that they do not understand, and so nobody could say who it was that answered.  One thread, the
 * worker's.
 */
#ifndef STEKCTL_STORE_PEEK_H
#define STEKCTL_STORE_PEEK_H

#include <apr.h>

#pragma GCC visibility push(hidden)

#define STORE_PEEK_MAX 127

typedef enum store_peek_e {
    STORE_PEEK_SAID,   /* it said something */
    STORE_PEEK_LATE,   /* nothing until the deadline */
    STORE_PEEK_CLOSED, /* it closed the connection instead */
    STORE_PEEK_BLIND   /* there is no telling */
} store_peek_e;

typedef struct store_peek_t {
    store_peek_e how;
    apr_size_t len;
    char said[STORE_PEEK_MAX
              + 1]; /* its first line, or as much as there is; NUL-terminated, without NULs */
} store_peek_t;

/* Waits until a line has arrived, STORE_PEEK_MAX bytes, or all that ever will; until the monotonic time
 * deadline_ms.  Takes nothing from the socket, which is connected, or -1. */
void store_peek(int fd, apr_int64_t deadline_ms, store_peek_t *peek);

/* The same of what has been taken from a socket: its first line. */
void store_peek_keep(const char *bytes, apr_size_t len, store_peek_t *peek);

#pragma GCC visibility pop
#endif
