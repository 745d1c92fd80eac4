/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection (link.h).
 */
#include "link.h"

#include <apr_strings.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"
#include "wait.h"

#define FIRST_WAIT apr_time_from_msec(1000) /* for a TLS 1.3 ticket after the handshake */
#define NEXT_WAIT apr_time_from_msec(100)   /* for another one */
#define ANSWER_WAIT apr_time_from_sec(2)    /* for an HTTP response */
#define ANSWER_MAX 16384                    /* bytes of it that are read */
#define TURN_MAX (64 * 1024)                /* bytes that are read until others have their turn */
#define READ_MAX (4 * 1024 * 1024)          /* more than any handshake with its tickets */
#define RECORD_HEAD 5
#define HANDSHAKE_HEAD 4

void probe_link_fail(probe_link_t *link, probe_outcome_e outcome, const char *why)
{
    link->reply->outcome = outcome;
    link->reply->why = why;
}

static int connect_to(probe_link_t *link, const struct addrinfo *address)
{
    int on = 1, error = 0;
    socklen_t error_len = sizeof(error);

    link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd < 0) {
        return errno;
    }
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(link->fd, address->ai_addr, address->ai_addrlen) == 0) {
        return 0;
    }
    error = errno;
    if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (probe_wait(link->fd, POLLOUT, link->deadline)
            && getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0) {
            error = errno;
        }
    }
    if (error) {
        close(link->fd);
        link->fd = -1;
    }
    return error;
}

int probe_link_open(probe_link_t *link, const struct addrinfo *addresses,
                    const struct addrinfo **pchosen)
{
    const struct addrinfo *address = *pchosen ? *pchosen : addresses;
    char text[128] = "no address";
    int error;

    for (; address; address = *pchosen ? NULL : address->ai_next) {
        error = connect_to(link, address);
        if (error == 0) {
            *pchosen = address;
            return 1;
        }
        apr_strerror(APR_FROM_OS_ERROR(error), text, sizeof(text));
    }
    probe_link_fail(link, PROBE_UNREACHABLE,
                    apr_pstrcat(link->pool, "cannot be reached: ", text, NULL));
    return 0;
}

static const char *error_text(probe_link_t *link)
{
    unsigned long error = ERR_peek_last_error();
    const char *text = error ? ERR_reason_error_string(error) : NULL;

    return apr_pstrdup(link->pool, text ? text : "OpenSSL gave no reason");
}

/* Finds out why the handshake failed. */
static void judge_failure(probe_link_t *link, int error)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;

    if (link->messages.took_ticket && link->offer->version != TLS1_3_VERSION) {
        probe_link_fail(link, PROBE_ACCEPTED, "accepted the ticket with a different secret");
    }
    else if (link->offer->session
             && (reason == SSL_R_OLD_SESSION_CIPHER_NOT_RETURNED
                 || reason == SSL_R_CIPHERSUITE_DIGEST_HAS_CHANGED)) {
        probe_link_fail(link, PROBE_ACCEPTED, "accepted the ticket with another cipher suite");
    }
    else if (reason == SSL_R_WRONG_CIPHER_RETURNED) {
        link->reply->is_unoffered = 1;
        probe_link_fail(link, PROBE_CLOSED, "chose a cipher suite that was not offered");
    }
    else if (link->reply->alert >= 0) {
        probe_link_fail(link, PROBE_ALERT,
                        apr_psprintf(link->pool, "alert %d (%s)", link->reply->alert,
                                     SSL_alert_desc_string_long(link->reply->alert)));
    }
    else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST
             || reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_BAD_PROTOCOL_VERSION_NUMBER
             || reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_UNEXPECTED_MESSAGE) {
        probe_link_fail(link, reason == SSL_R_UNSUPPORTED_PROTOCOL ? PROBE_ALERT : PROBE_NOT_TLS,
                        reason == SSL_R_UNSUPPORTED_PROTOCOL
                            ? "answers with an older version of TLS"
                            : "its answer is not TLS");
    }
    else if (error == SSL_ERROR_SYSCALL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        probe_link_fail(link, PROBE_CLOSED, "closed the connection during the handshake");
    }
    else {
        probe_link_fail(link, PROBE_CLIENT, error_text(link));
    }
}

/* Nonzero: continue. */
static int step(probe_link_t *link, int result, apr_time_t until)
{
    int error = SSL_get_error(link->ssl, result);

    link->turn_len = 0;
    if (apr_time_now() >= until) {
        return 0;
    }
    return (error == SSL_ERROR_WANT_READ && probe_wait(link->fd, POLLIN, until))
           || (error == SSL_ERROR_WANT_WRITE && probe_wait(link->fd, POLLOUT, until));
}

static int shake_hands(probe_link_t *link)
{
    int result, error;

    for (;;) {
        ERR_clear_error();
        errno = 0;
        result = SSL_connect(link->ssl);
        if (result == 1) {
            link->reply->outcome = SSL_session_reused(link->ssl) ? PROBE_RESUMED : PROBE_FULL;
            return 1;
        }
        if (link->is_ignored) {
            link->reply->outcome = PROBE_FULL;
            return 0;
        }
        error = SSL_get_error(link->ssl, result);
        if (link->read_len >= READ_MAX) {
            probe_link_fail(link, PROBE_NOT_TLS, "sends without end");
            return 0;
        }
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            judge_failure(link, error);
            return 0;
        }
        if (!step(link, result, link->deadline)) {
            probe_link_fail(link, PROBE_TIMEOUT, "took too long to complete the handshake");
            return 0;
        }
    }
}

/* Nonzero: what follows is the full handshake of a server that ignores the ticket.  In TLS 1.3 its
 * hello says so; before, the certificate that comes instead of the end of a short handshake. */
static int ignores_ticket(const probe_link_t *link)
{
    unsigned char head[RECORD_HEAD + 1];

    if (!link->messages.saw_hello || link->messages.took_ticket) {
        return 0;
    }
    return link->offer->version == TLS1_3_VERSION
           || (recv(link->fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT) == sizeof(head)
               && head[0] == SSL3_RT_HANDSHAKE && head[RECORD_HEAD] == SSL3_MT_CERTIFICATE);
}

/* Nonzero: these bytes, from the beginning of a record on, are the whole hello of a server that ignores
 * the ticket in TLS 1.3.  OpenSSL would go on to derive the connection's keys from it. */
static int is_refusal(probe_link_t *link, const unsigned char *bytes, apr_size_t len)
{
    apr_size_t message_len;

    if (link->offer->version != TLS1_3_VERSION || link->messages.saw_hello || len < HANDSHAKE_HEAD
        || bytes[0] != SSL3_MT_SERVER_HELLO) {
        return 0;
    }
    message_len = (apr_size_t)bytes[1] << 16 | (apr_size_t)bytes[2] << 8 | bytes[3];
    if (message_len > len - HANDSHAKE_HEAD) {
        return 0;
    }
    probe_messages_hello(&link->messages, bytes + HANDSHAKE_HEAD, message_len);
    return link->messages.is_tls13 && ignores_ticket(link);
}

/* An altered ticket that is ignored costs the server and the probe no more than it has to: that are
 * most offers of a probe, and certificates most of the work. */
static int stops_early(const probe_link_t *link)
{
    return link->offer->ticket && !link->offer->collect && !link->offer->host
           && !link->offer->wrong_secret;
}

/* Before and after a record, or its head, is read: stops there if there is nothing left to learn.
 * OpenSSL itself goes on as long as there is something to read, such as requests for another
 * handshake, which it skips, or tickets: it has to stop for the deadline, and for other hosts. */
static long on_read(BIO *bio, int what, const char *data, size_t len, int one, long two, int result,
                    size_t *pread) /* NOLINT(readability-non-const-parameter): OpenSSL's type */
{
    probe_link_t *link = (probe_link_t *)(void *)BIO_get_callback_arg(bio);

    (void)one;
    (void)two;
    if (what == (BIO_CB_READ | BIO_CB_RETURN) && result > 0) {
        link->turn_len += *pread;
        link->read_len += *pread;
    }
    if (what == BIO_CB_READ && link->read_len >= READ_MAX) {
        BIO_clear_retry_flags(bio);
        return -1;
    }
    if (what == BIO_CB_READ && link->turn_len >= TURN_MAX) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (stops_early(link)
        && ((what == BIO_CB_READ && len == RECORD_HEAD && ignores_ticket(link))
            || (what == (BIO_CB_READ | BIO_CB_RETURN) && result > 0
                && is_refusal(link, (const unsigned char *)data, *pread)))) {
        link->is_ignored = 1;
        BIO_set_retry_read(bio);
        return -1;
    }
    return result;
}

static int prepare(probe_link_t *link, SSL_CTX *context)
{
    const probe_offer_t *offer = link->offer;

    link->messages.offer = offer;
    link->messages.reply = link->reply;
    link->messages.pool = link->pool;
    link->ssl = SSL_new(context);
    if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1
        || !probe_messages_watch(link->ssl, &link->messages)) {
        return 0;
    }
    BIO_set_callback_arg(SSL_get_rbio(link->ssl), (char *)link);
    BIO_set_callback_ex(SSL_get_rbio(link->ssl), on_read);
    if (offer->no_tickets) {
        (void)SSL_set_options(link->ssl, SSL_OP_NO_TICKET);
    }
    return (!offer->sni || SSL_set_tlsext_host_name(link->ssl, offer->sni) == 1)
           && probe_session_offer(link->ssl, offer, link->pool);
}

int probe_link_shake(probe_link_t *link, SSL_CTX *context)
{
    ERR_clear_error();
    if (!prepare(link, context)) {
        probe_link_fail(link, PROBE_CLIENT, error_text(link));
        return 0;
    }
    return shake_hands(link);
}

static int is_over(probe_link_t *link, int result)
{
    int error = SSL_get_error(link->ssl, result);

    return error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
}

/* The status of an HTTP/1 response, after interim ones; 0: headers incomplete, or not HTTP. */
static int status_of(const char *answer)
{
    for (;;) {
        const char *end = strstr(answer, "\r\n\r\n");
        int i, status = 0;

        if (strncmp(answer, "HTTP/1.", 7) != 0 || !answer[7] || answer[8] != ' ' || !end) {
            return 0;
        }
        for (i = 9; i < 12 && answer[i] >= '0' && answer[i] <= '9'; i++) {
            status = status * 10 + (answer[i] - '0');
        }
        if (i != 12 || status < 100) {
            return 0;
        }
        if (status >= 200) {
            return status;
        }
        answer = end + 4;
    }
}

/* Keeps reading for up to first_wait, or for a shorter time once tickets have come.  answer (NULL:
 * drop what comes) has room for ANSWER_MAX bytes and a NUL. */
static void read_on(probe_link_t *link, apr_interval_time_t first_wait, char *answer)
{
    apr_time_t last = apr_time_now() + first_wait;
    apr_size_t len = 0;
    char bytes[4096];

    last = last < link->deadline ? last : link->deadline;
    for (;;) {
        apr_time_t until = answer || !link->reply->tickets->nelts ? last
                                                                  : apr_time_now() + NEXT_WAIT;
        apr_size_t room = answer ? ANSWER_MAX - len : sizeof(bytes);
        int result, ends;

        ERR_clear_error();
        result = SSL_read(link->ssl, answer ? answer + len : bytes, (int)room);
        if (result > 0 && answer) {
            len += (apr_size_t)result;
            answer[len] = '\0';
            link->reply->status = status_of(answer);
            if (link->reply->status || len == ANSWER_MAX) {
                return;
            }
        }
        /* Before waiting: others may leave errors meanwhile. */
        ends = result <= 0 && is_over(link, result);
        if (apr_time_now() > last
            || (result <= 0 && !step(link, result, until < last ? until : last))) {
            link->reply->is_cut |= answer && len == 0 && ends;
            return;
        }
    }
}

/* After a close_notify, a server sends what it has and closes, so the wait is short. */
void probe_link_collect(probe_link_t *link)
{
    (void)SSL_shutdown(link->ssl);
    read_on(link, FIRST_WAIT, NULL);
}

int probe_link_request(probe_link_t *link)
{
    char *answer, *text = apr_psprintf(link->pool,
                                       "GET %s HTTP/1.1\r\nHost: %s\r\n"
                                       "User-Agent: stekctl-probe\r\n"
                                       "Accept: */*\r\nConnection: close\r\n\r\n",
                                       link->path, link->offer->host);

    if (SSL_write(link->ssl, text, (int)strlen(text)) <= 0) {
        return 0;
    }
    answer = apr_palloc(link->pool, ANSWER_MAX + 1);
    *answer = '\0';
    read_on(link, ANSWER_WAIT, answer);
    return !*answer && !link->reply->is_cut && link->reply->alert < 0;
}

void probe_link_close(probe_link_t *link)
{
    if (link->ssl && SSL_is_init_finished(link->ssl)) {
        (void)SSL_shutdown(link->ssl);
    }
    SSL_free(link->ssl);
    ERR_clear_error();
    if (link->fd >= 0) {
        close(link->fd);
    }
}
