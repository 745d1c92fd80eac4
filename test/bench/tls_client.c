/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections for load (tls_client.h).  A connection goes through: connect, handshake, request,
 * answer until the server ends it.  One thread.
 */
#include "tls_client.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netinet/tcp.h>

#define REQUEST "GET /index.html HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"

int64_t tls_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void take(tls_conn_t *conn, SSL_SESSION *session)
{
    SSL_SESSION_free(conn->ticket->session);
    conn->ticket->session = session;
    conn->ticket->issued_ns = tls_now_ns();
    conn->renewed = 1;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    if (!SSL_SESSION_has_ticket(session)) {
        return 0;
    }
    take(SSL_get_app_data(ssl), session);
    return 1;
}

SSL_CTX *tls_context_new(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx) {
        SSL_CTX_set_min_proto_version(ctx, version);
        SSL_CTX_set_max_proto_version(ctx, version);
        SSL_CTX_set_session_cache_mode(ctx,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_new_cb(ctx, on_session);
        SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    }
    return ctx;
}

static void end(tls_conn_t *conn)
{
    /* A reset leaves no waiting socket behind, on neither side: ports would run out. */
    const struct linger at_once = {1, 0};

    if (conn->ssl) {
        SSL_set_shutdown(conn->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(conn->ssl);
        conn->ssl = NULL;
    }
    if (conn->fd >= 0) {
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(conn->fd);
        conn->fd = -1;
    }
    ERR_clear_error();
}

static tls_step_e failed(tls_conn_t *conn)
{
    end(conn);
    return TLS_FAILED;
}

/* OpenSSL's client gives up a session that a server has once declined: it gets a copy. */
static int offer(tls_conn_t *conn)
{
    SSL_SESSION *copy;
    int ok;

    if (!conn->ticket->session) {
        return 1;
    }
    copy = SSL_SESSION_dup(conn->ticket->session);
    ok = copy && SSL_set_session(conn->ssl, copy);
    SSL_SESSION_free(copy);
    return ok;
}

tls_step_e tls_conn_begin(tls_conn_t *conn, SSL_CTX *ctx, int epoll_fd,
                          const struct sockaddr_in *to, const char *host, tls_ticket_t *ticket)
{
    struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = conn}};
    const int yes = 1;

    memset(conn, 0, sizeof(*conn));
    conn->ticket = ticket;
    conn->began_ns = tls_now_ns();
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    conn->ssl = SSL_new(ctx);
    if (conn->fd < 0 || !conn->ssl || !SSL_set_fd(conn->ssl, conn->fd)
        || !SSL_set_tlsext_host_name(conn->ssl, host) || !SSL_set_app_data(conn->ssl, conn)
        || !offer(conn)) {
        return failed(conn);
    }
    SSL_set_connect_state(conn->ssl);
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    /* Refused or under way: the first event tells. */
    (void)connect(conn->fd, (const struct sockaddr *)to, sizeof(*to));
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0 ? TLS_GOES_ON : failed(conn);
}

/* A ticket that TLS 1.2 renews replaces the session without a call of on_session. */
static void look_for_renewal(tls_conn_t *conn)
{
    const unsigned char *had, *has;
    SSL_SESSION *session;
    size_t had_len, has_len;

    if (!conn->resumed || SSL_version(conn->ssl) >= TLS1_3_VERSION) {
        return;
    }
    session = SSL_get1_session(conn->ssl);
    SSL_SESSION_get0_ticket(conn->ticket->session, &had, &had_len);
    SSL_SESSION_get0_ticket(session, &has, &has_len);
    if (has_len > 0 && (has_len != had_len || memcmp(has, had, has_len) != 0)) {
        take(conn, session);
    }
    else {
        SSL_SESSION_free(session);
    }
}

static int wants_more(const tls_conn_t *conn, int result)
{
    int error = SSL_get_error(conn->ssl, result);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static tls_step_e shake(tls_conn_t *conn)
{
    int result = SSL_do_handshake(conn->ssl);

    if (result == 1) {
        conn->shaken_ns = tls_now_ns();
        conn->resumed = SSL_session_reused(conn->ssl);
        look_for_renewal(conn);
        return TLS_DONE;
    }
    return wants_more(conn, result) ? TLS_GOES_ON : failed(conn);
}

static tls_step_e ask(tls_conn_t *conn)
{
    char request[256];
    int len = snprintf(request, sizeof(request), REQUEST,
                       SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name));

    conn->wrote = 1;
    return SSL_write(conn->ssl, request, len) == len ? TLS_DONE : failed(conn);
}

static tls_step_e read_answer(tls_conn_t *conn)
{
    char bytes[16384];
    int got, error;

    while ((got = SSL_read(conn->ssl, bytes, sizeof(bytes))) > 0) {
        conn->done_ns = tls_now_ns();
    }
    if (wants_more(conn, got)) {
        return TLS_GOES_ON;
    }
    error = SSL_get_error(conn->ssl, got);
    if (error != SSL_ERROR_ZERO_RETURN || !conn->done_ns) {
        return failed(conn);
    }
    end(conn);
    return TLS_DONE;
}

tls_step_e tls_conn_step(tls_conn_t *conn)
{
    tls_step_e step = TLS_DONE;
    socklen_t len = sizeof(int);
    int error = 0;

    if (!conn->connected) {
        if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
            end(conn);
            return TLS_REFUSED;
        }
        conn->connected = 1;
    }
    ERR_clear_error();
    if (!conn->shaken_ns) {
        step = shake(conn);
    }
    if (step == TLS_DONE && !conn->wrote) {
        step = ask(conn);
    }
    return step == TLS_DONE ? read_answer(conn) : step;
}
