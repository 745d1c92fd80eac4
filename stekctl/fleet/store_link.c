/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections (store_link.h).
 */
#include "store_link.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monotonic.h"
#include "store_connect.h"
#include "store_member.h"
#include "store_tls.h"

int store_link_open(store_link_t *link, const store_target_t *target, const char *host, int port,
                    SSL_CTX *ctx, int limit_ms, char why[STORE_WHY_LEN])
{
    store_target_t to = *target;

    to.host = (char *)(apr_uintptr_t)host;
    to.port = port;
    to.timeout_ms = limit_ms;
    memset(link, 0, sizeof(*link));
    link->target = target;
    link->host = host;
    link->port = port;
    link->fd = store_connect(&to, why);
    if (link->fd < 0) {
        return 0;
    }
    link->ssl = ctx ? store_tls_new(ctx, link->fd, host) : NULL;
    if (ctx && !link->ssl) {
        snprintf(why, STORE_WHY_LEN, "out of memory");
        store_link_close(link);
        return 0;
    }
    return 1;
}

int store_link_open_any(store_link_t *link, const store_target_t *target, char *list, SSL_CTX *ctx,
                        char why[STORE_WHY_LEN])
{
    apr_int64_t end_ms = monotonic_ms() + target->timeout_ms;
    int several = strchr(list, ',') != NULL, told = 0;
    char reason[STORE_WHY_LEN] = "";

    while (list) {
        char *host;
        int port = store_member_next(&list, target->port, &host);
        apr_int64_t now = monotonic_ms(), left = end_ms > now ? end_ms - now : 1;

        /* One that drops packets leaves time for the next. */
        if (port > 0
            && store_link_open(link, target, host, port, ctx, (int)(list ? left / 2 + 1 : left),
                               reason)) {
            return 1;
        }
        if (!told && several) {
            snprintf(why, STORE_WHY_LEN, "%.100s:%d: %.130s", host, port, reason);
        }
        else if (!told) {
            snprintf(why, STORE_WHY_LEN, "%s", reason);
        }
        told = 1;
    }
    return 0;
}

void store_link_close(store_link_t *link)
{
    SSL_free(link->ssl);
    link->ssl = NULL;
    if (link->fd >= 0) {
        close(link->fd);
    }
    link->fd = -1;
}

/* ---- bytes ---- */

/* Waits until the socket is ready.  0: too late. */
static int wait_for(int fd, short events, apr_int64_t deadline_ms)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    apr_int64_t left = deadline_ms - monotonic_ms();

    if (left > 0) {
        (void)poll(&pfd, 1, left < 60000 ? (int)left : 60000);
    }
    return left > 0;
}

/* One step in the clear: as store_tls_wait. */
static int step_clear(int fd, ssize_t n, short events, apr_int64_t deadline_ms)
{
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return wait_for(fd, events, deadline_ms) ? 0 : 1;
    }
    return 2;
}

static store_link_e greet(store_link_t *link, apr_int64_t deadline_ms, char *why)
{
    const char *wrong;

    if (link->ssl && !link->greeted) {
        wrong = store_tls_greet(link->ssl, link->target, link->host, deadline_ms, why);
        if (wrong) {
            if (wrong != why) {
                snprintf(why, STORE_WHY_LEN, "%s", wrong);
            }
            return STORE_LINK_FAILED;
        }
        link->greeted = 1;
    }
    return STORE_LINK_DONE;
}

/* Tries once, with at most INT_MAX bytes; what store_tls_wait or step_clear say if it moved none. */
static int step(store_link_t *link, int out, void *bytes, apr_size_t len, apr_int64_t deadline_ms,
                apr_size_t *pmoved)
{
    ssize_t n;

    if (link->ssl) {
        int size = len < INT_MAX ? (int)len : INT_MAX;

        ERR_clear_error();
        n = out ? SSL_write(link->ssl, bytes, size) : SSL_read(link->ssl, bytes, size);
    }
    else {
        n = out ? send(link->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT)
                : recv(link->fd, bytes, len, MSG_DONTWAIT);
    }
    if (n > 0) {
        *pmoved = (apr_size_t)n;
        return 0;
    }
    *pmoved = 0;
    return link->ssl ? store_tls_wait(link->ssl, (int)n, deadline_ms)
                     : step_clear(link->fd, n, out ? POLLOUT : POLLIN, deadline_ms);
}

/* Moves some bytes. */
static store_link_e move(store_link_t *link, int out, void *bytes, apr_size_t len,
                         apr_size_t *pmoved, apr_int64_t deadline_ms, char *why)
{
    store_link_e result = greet(link, deadline_ms, why);

    *pmoved = 0;
    while (result == STORE_LINK_DONE && *pmoved == 0) {
        switch (step(link, out, bytes, len, deadline_ms, pmoved)) {
        case 0:
            break;
        case 1:
            result = STORE_LINK_LATE;
            break;
        case 2:
            result = STORE_LINK_CLOSED;
            break;
        default:
            store_tls_why(link->ssl, link->target, why);
            result = STORE_LINK_FAILED;
            break;
        }
    }
    return result;
}

store_link_e store_link_send(store_link_t *link, const void *bytes, apr_size_t len,
                             apr_int64_t deadline_ms, char why[STORE_WHY_LEN])
{
    store_link_e result = STORE_LINK_DONE;
    char *at = (char *)(apr_uintptr_t)bytes;

    while (len > 0 && result == STORE_LINK_DONE) {
        apr_size_t moved = 0;

        result = move(link, 1, at, len, &moved, deadline_ms, why);
        at += moved;
        len -= moved;
    }
    return result;
}

store_link_e store_link_receive(store_link_t *link, void *bytes, apr_size_t size, apr_size_t *plen,
                                apr_int64_t deadline_ms, char why[STORE_WHY_LEN])
{
    return move(link, 0, bytes, size, plen, deadline_ms, why);
}
