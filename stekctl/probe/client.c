/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client (probe_client.h).  Non-blocking sockets under OpenSSL, waited for by poll with what is
 * left of the connection's time, so that a peer that sends a byte a second gains nothing.  The
 * message callback sees what SSL_connect does not tell: whether the server took a ticket before
 * things went wrong, alerts, ticket nonces, requests for a certificate.
 *
 * To change a ticket, the session is encoded and element [10] of its DER, which holds the ticket,
 * is replaced; a changed ticket comes with a random session id, or a session cache could answer for
 * it.
 */
#include "client.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stek_session.h"

#define TICKET_TAG 0xaa /* [10], constructed, of OpenSSL's SSL_SESSION_ASN1 */
#define OCTETS_TAG 0x04
#define FIRST_WAIT apr_time_from_msec(1000) /* for a ticket of TLS 1.3 behind the handshake */
#define NEXT_WAIT apr_time_from_msec(100)   /* for another one */
#define ANSWER_WAIT apr_time_from_sec(2)    /* for an answer in HTTP */
#define ANSWER_MAX 16384                    /* as much of one is read */
#define TICKETS_MAX 16                      /* of one connection */

struct probe_client_t {
    struct addrinfo *addresses, *chosen;
    SSL_CTX *contexts[2]; /* TLS 1.2, 1.3 */
    apr_interval_time_t timeout, gap;
    apr_time_t next_at; /* no connection before */
    apr_time_t end;     /* nor after; 0: no end */
    apr_size_t connections_n;
    int full_left, offers_left;
    int is_mute; /* a request got no answer: no other waits for one */
};

/* One connection, from connect to close. */
typedef struct link_t {
    probe_client_t *client;
    const probe_offer_t *offer;
    probe_reply_t *reply;
    int fd;
    SSL *ssl;
    apr_time_t deadline, sent_at;
    int took_ticket, saw_cert;
    unsigned char nonce[PROBE_NONCE_MAX];
    apr_size_t nonce_len;
    apr_pool_t *pool;
} link_t;

static apr_status_t free_client(void *data)
{
    probe_client_t *client = data;

    SSL_CTX_free(client->contexts[0]);
    SSL_CTX_free(client->contexts[1]);
    if (client->addresses) {
        freeaddrinfo(client->addresses);
    }
    return APR_SUCCESS;
}

/* ---- what the callbacks see ---- */

static void look_at_hello(link_t *link, const unsigned char *body, apr_size_t len)
{
    apr_size_t at = 2 + 32, end;

    if (len < at + 1 || len < at + 1 + body[at] + 5) {
        return;
    }
    at += 1 + (apr_size_t)body[at] + 3;
    end = at + 2 + ((apr_size_t)body[at] << 8 | body[at + 1]);
    at += 2;
    while (at + 4 <= end && end <= len) {
        unsigned type = (unsigned)body[at] << 8 | body[at + 1];

        if (type == TLSEXT_TYPE_psk) {
            link->took_ticket = 1;
        }
        at += 4 + ((apr_size_t)body[at + 2] << 8 | body[at + 3]);
    }
}

static void look_at_ticket(link_t *link, const unsigned char *body, apr_size_t len)
{
    link->nonce_len = 0;
    if (link->offer->version == TLS1_3_VERSION && len > 9 && len >= 9 + (apr_size_t)body[8]) {
        link->nonce_len = body[8];
        memcpy(link->nonce, body + 9, link->nonce_len);
    }
}

/* The answer's time runs from the ClientHello, which goes out right after this, to the head of the
 * first record that comes back. */
static void take_time(link_t *link, int is_write, int type, const unsigned char *bytes)
{
    if (is_write && type == SSL3_RT_HANDSHAKE && bytes[0] == SSL3_MT_CLIENT_HELLO) {
        link->sent_at = apr_time_now();
    }
    else if (!is_write && type == SSL3_RT_HEADER && link->sent_at) {
        link->reply->first_us = apr_time_now() - link->sent_at;
    }
}

static void on_message(int is_write, int version, int type, const void *data, size_t len, SSL *ssl,
                       void *arg)
{
    const unsigned char *bytes = data;
    link_t *link = arg;

    (void)version;
    (void)ssl;
    if (len == 0) {
        return;
    }
    if (is_write || !link->reply->first_us) {
        take_time(link, is_write, type, bytes);
    }
    if (is_write) {
        return;
    }
    if (type == SSL3_RT_ALERT && len >= 2 && bytes[0] == SSL3_AL_FATAL) {
        link->reply->alert = bytes[1];
    }
    /* OpenSSL shows no ChangeCipherSpec itself, but the head of its record. */
    if (type == SSL3_RT_HEADER && bytes[0] == SSL3_RT_CHANGE_CIPHER_SPEC
        && link->offer->version == TLS1_2_VERSION && link->offer->session && !link->saw_cert) {
        link->took_ticket = 1;
    }
    if (type != SSL3_RT_HANDSHAKE || len < 4) {
        return;
    }
    if (bytes[0] == SSL3_MT_SERVER_HELLO) {
        look_at_hello(link, bytes + 4, len - 4);
    }
    else if (bytes[0] == SSL3_MT_CERTIFICATE) {
        link->saw_cert = 1;
    }
    else if (bytes[0] == SSL3_MT_CERTIFICATE_REQUEST) {
        link->reply->asked_cert = 1;
    }
    else if (bytes[0] == SSL3_MT_NEWSESSION_TICKET) {
        look_at_ticket(link, bytes + 4, len - 4);
    }
}

static const unsigned char *encode(SSL_SESSION *session, apr_size_t *plen, apr_pool_t *pool)
{
    int len = i2d_SSL_SESSION(session, NULL);
    unsigned char *der, *at;

    if (len <= 0) {
        return NULL;
    }
    der = at = apr_palloc(pool, (apr_size_t)len);
    *plen = (apr_size_t)i2d_SSL_SESSION(session, &at);
    return der;
}

static void keep_ticket(link_t *link, SSL_SESSION *session)
{
    const unsigned char *bytes;
    size_t len;
    probe_ticket_t *ticket;

    if (link->reply->tickets->nelts >= TICKETS_MAX) {
        return;
    }
    SSL_SESSION_get0_ticket(session, &bytes, &len);
    if (len == 0) {
        return;
    }
    ticket = apr_array_push(link->reply->tickets);
    memset(ticket, 0, sizeof(*ticket));
    ticket->bytes = apr_pmemdup(link->pool, bytes, len);
    ticket->len = len;
    ticket->is_tls13 = SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION;
    ticket->hint_s = (apr_uint32_t)SSL_SESSION_get_ticket_lifetime_hint(session);
    ticket->secret_len = SSL_SESSION_get_master_key(session, ticket->secret,
                                                    sizeof(ticket->secret));
    if (ticket->is_tls13) {
        memcpy(ticket->nonce, link->nonce, link->nonce_len);
        ticket->nonce_len = link->nonce_len;
    }
    ticket->session = encode(session, &ticket->session_len, link->pool);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    link_t *link = SSL_get_app_data(ssl);

    if (SSL_SESSION_has_ticket(session)) {
        keep_ticket(link, session);
    }
    else if (SSL_SESSION_is_resumable(session)) {
        link->reply->session = encode(session, &link->reply->session_len, link->pool);
    }
    return 0;
}

/* ---- sessions with other tickets ---- */

static apr_size_t der_head(unsigned char *out, int tag, apr_size_t len)
{
    apr_size_t n = 0, bytes_n = len < 0x80 ? 0 : len < 0x100 ? 1 : len < 0x10000 ? 2 : 3;

    out[n++] = (unsigned char)tag;
    if (bytes_n == 0) {
        out[n++] = (unsigned char)len;
        return n;
    }
    out[n++] = (unsigned char)(0x80 | bytes_n);
    while (bytes_n-- > 0) {
        out[n++] = (unsigned char)(len >> (8 * bytes_n));
    }
    return n;
}

/* The element at *pat: its value's length, *pat moved to the value.  0 and -1: malformed. */
static int der_enter(const unsigned char *der, apr_size_t end, apr_size_t *pat, apr_size_t *plen)
{
    apr_size_t at = *pat, len, n;

    if (end < 2 || at > end - 2) {
        return -1;
    }
    len = der[at + 1];
    at += 2;
    if (len & 0x80) {
        n = len & 0x7f;
        if (n == 0 || n > 3 || n > end - at) {
            return -1;
        }
        for (len = 0; n > 0; n--) {
            len = len << 8 | der[at++];
        }
    }
    if (len > end - at) {
        return -1;
    }
    *pat = at;
    *plen = len;
    return 0;
}

unsigned char *probe_client_with_ticket(const unsigned char *session, apr_size_t session_len,
                                        const unsigned char *ticket, apr_size_t ticket_len,
                                        apr_size_t *plen, apr_pool_t *pool)
{
    apr_size_t at = 0, len, end, from, n, body_len, inner_n;
    unsigned char inner[8], outer[8], whole[8], *out;

    if (ticket_len > 0xffff || session_len < 2 || der_enter(session, session_len, &at, &len) != 0) {
        return NULL;
    }
    from = at;
    end = at + len;
    while (at < end && session[at] != TICKET_TAG) {
        if (der_enter(session, end, &at, &len) != 0) {
            return NULL;
        }
        at += len;
    }
    n = at - from;
    if (at >= end || der_enter(session, end, &at, &len) != 0) {
        return NULL;
    }
    at += len;
    inner_n = der_head(inner, OCTETS_TAG, ticket_len);
    len = der_head(outer, TICKET_TAG, inner_n + ticket_len);
    body_len = n + len + inner_n + ticket_len + (end - at);
    out = apr_palloc(pool, sizeof(whole) + body_len);
    *plen = der_head(out, session[0], body_len);
    memcpy(out + *plen, session + from, n);
    memcpy(out + *plen + n, outer, len);
    memcpy(out + *plen + n + len, inner, inner_n);
    memcpy(out + *plen + n + len + inner_n, ticket, ticket_len);
    memcpy(out + *plen + n + len + inner_n + ticket_len, session + at, end - at);
    *plen += body_len;
    return out;
}

static int offer_session(link_t *link)
{
    const probe_offer_t *offer = link->offer;
    const unsigned char *der = offer->session;
    apr_size_t len = offer->session_len;
    SSL_SESSION *session = NULL;
    unsigned char id[32], secret[PROBE_SECRET_MAX];
    size_t secret_len;
    int is_good = 0;

    if (!der) {
        return 1;
    }
    if (offer->ticket) {
        der = probe_client_with_ticket(der, len, offer->ticket, offer->ticket_len, &len,
                                       link->pool);
    }
    session = der ? d2i_SSL_SESSION(NULL, &der, (long)len) : NULL;
    if (session) {
        /* Clients drop a session that they think is over, or from the future: time() may lag behind
         * the clock of APR.  It is the server that is asked. */
        stek_session_set_time(session, apr_time_now() - apr_time_from_sec(1));
        is_good = (!offer->ticket
                   || (RAND_bytes(id, sizeof(id)) == 1
                       && SSL_SESSION_set1_id(session, id, sizeof(id)) == 1))
                  && SSL_set_session(link->ssl, session) == 1;
        if (is_good && offer->wrong_secret) {
            secret_len = SSL_SESSION_get_master_key(session, secret, sizeof(secret));
            secret[0] ^= 1;
            is_good = SSL_SESSION_set1_master_key(session, secret, secret_len) == 1;
            OPENSSL_cleanse(secret, sizeof(secret));
        }
    }
    SSL_SESSION_free(session);
    return is_good;
}

/* ---- one connection ---- */

/* Waits for events on the socket up to the given time.  1: there are some, 0: time is up. */
static int wait_until(link_t *link, short events, apr_time_t until)
{
    struct pollfd one = {link->fd, events, 0};

    for (;;) {
        apr_interval_time_t left = until - apr_time_now();
        struct timespec span = {(time_t)apr_time_sec(left), (long)(apr_time_usec(left) * 1000)};
        int n;

        if (left <= 0) {
            return 0;
        }
        n = ppoll(&one, 1, &span, NULL);
        if (n > 0) {
            return 1;
        }
        if (n < 0 && errno != EINTR) {
            return 0;
        }
    }
}

static void fail(link_t *link, probe_outcome_e outcome, const char *why)
{
    link->reply->outcome = outcome;
    link->reply->why = why;
}

static int connect_to(link_t *link, const struct addrinfo *address)
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
        if (wait_until(link, POLLOUT, link->deadline)
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

/* The address that answered first is kept: all tests shall meet the same server. */
static int open_socket(link_t *link)
{
    probe_client_t *client = link->client;
    struct addrinfo *address = client->chosen ? client->chosen : client->addresses;
    char text[128] = "no address";
    int error;

    for (; address; address = client->chosen ? NULL : address->ai_next) {
        error = connect_to(link, address);
        if (error == 0) {
            client->chosen = address;
            return 1;
        }
        apr_strerror(error, text, sizeof(text));
    }
    fail(link, PROBE_UNREACHABLE, apr_pstrcat(link->pool, "cannot be reached: ", text, NULL));
    return 0;
}

static const char *error_text(link_t *link)
{
    unsigned long error = ERR_peek_last_error();
    const char *text = error ? ERR_reason_error_string(error) : NULL;

    return apr_pstrdup(link->pool, text ? text : "OpenSSL gave no reason");
}

/* Names what ended the handshake. */
static void judge_failure(link_t *link, int error)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;

    if (link->took_ticket && link->offer->version == TLS1_2_VERSION) {
        fail(link, PROBE_ACCEPTED, "took the ticket under another secret");
    }
    else if (link->reply->alert >= 0) {
        fail(link, PROBE_ALERT,
             apr_psprintf(link->pool, "alert %d (%s)", link->reply->alert,
                          SSL_alert_desc_string_long(link->reply->alert)));
    }
    else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST
             || reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_BAD_PROTOCOL_VERSION_NUMBER
             || reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_UNEXPECTED_MESSAGE) {
        fail(link, reason == SSL_R_UNSUPPORTED_PROTOCOL ? PROBE_ALERT : PROBE_NOT_TLS,
             reason == SSL_R_UNSUPPORTED_PROTOCOL ? "answers with an older version of TLS"
                                                  : "does not answer in TLS");
    }
    else if (error == SSL_ERROR_SYSCALL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        fail(link, PROBE_CLOSED, "closed the connection in the handshake");
    }
    else {
        fail(link, PROBE_CLIENT, error_text(link));
    }
}

/* Nonzero: go on. */
static int step(link_t *link, int result, apr_time_t until)
{
    int error = SSL_get_error(link->ssl, result);

    return (error == SSL_ERROR_WANT_READ && wait_until(link, POLLIN, until))
           || (error == SSL_ERROR_WANT_WRITE && wait_until(link, POLLOUT, until));
}

static int shake_hands(link_t *link)
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
        error = SSL_get_error(link->ssl, result);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            judge_failure(link, error);
            return 0;
        }
        if (!step(link, result, link->deadline)) {
            fail(link, PROBE_TIMEOUT, "did not finish the handshake in time");
            return 0;
        }
    }
}

static int is_over(link_t *link, int result)
{
    int error = SSL_get_error(link->ssl, result);

    return error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
}

/* Reads and reads on, for up to first_wait, after tickets for a shorter time.  answer (NULL: what
 * comes is dropped) has room for ANSWER_MAX bytes and a zero. */
static void read_on(link_t *link, apr_interval_time_t first_wait, char *answer)
{
    apr_time_t last = apr_time_now() + first_wait;
    apr_size_t len = 0;
    char bytes[4096];

    last = last < link->deadline ? last : link->deadline;
    for (;;) {
        apr_time_t until = answer || !link->reply->tickets->nelts ? last
                                                                  : apr_time_now() + NEXT_WAIT;
        apr_size_t room = answer ? ANSWER_MAX - len : sizeof(bytes);
        int result;

        ERR_clear_error();
        result = SSL_read(link->ssl, answer ? answer + len : bytes, (int)room);
        if (result > 0 && answer) {
            len += (apr_size_t)result;
            answer[len] = '\0';
            link->reply->status = probe_client_status(answer);
            if (link->reply->status || len == ANSWER_MAX) {
                return;
            }
        }
        if (apr_time_now() > last
            || (result <= 0 && !step(link, result, until < last ? until : last))) {
            link->reply->is_cut |= answer && len == 0 && result <= 0 && is_over(link, result);
            return;
        }
    }
}

/* Tickets of TLS 1.3 follow the handshake.  A server that is told that the client closes sends what
 * it has and closes too, so that there is little to wait for. */
static void collect(link_t *link)
{
    (void)SSL_shutdown(link->ssl);
    read_on(link, FIRST_WAIT, NULL);
}

int probe_client_status(const char *answer)
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

static void request(link_t *link)
{
    char *text = apr_psprintf(link->pool,
                              "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: stekctl-probe\r\n"
                              "Accept: */*\r\nConnection: close\r\n\r\n",
                              link->offer->host);

    if (SSL_write(link->ssl, text, (int)strlen(text)) > 0) {
        char *answer = apr_palloc(link->pool, ANSWER_MAX + 1);

        *answer = '\0';
        read_on(link, ANSWER_WAIT, answer);
        link->client->is_mute = !*answer && !link->reply->is_cut && link->reply->alert < 0;
    }
}

static void read_cert(link_t *link)
{
    X509 *cert = SSL_get0_peer_certificate(link->ssl);
    unsigned int len = sizeof(link->reply->cert_digest);

    if (cert && X509_digest(cert, EVP_sha256(), link->reply->cert_digest, &len) == 1) {
        link->reply->has_cert = 1;
    }
}

static int prepare(link_t *link)
{
    const probe_offer_t *offer = link->offer;

    link->ssl = SSL_new(link->client->contexts[offer->version == TLS1_3_VERSION]);
    if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1
        || SSL_set_app_data(link->ssl, link) != 1) {
        return 0;
    }
    SSL_set_msg_callback(link->ssl, on_message);
    SSL_set_msg_callback_arg(link->ssl, link);
    if (offer->no_tickets) {
        (void)SSL_set_options(link->ssl, SSL_OP_NO_TICKET);
    }
    return (!offer->sni || SSL_set_tlsext_host_name(link->ssl, offer->sni) == 1)
           && offer_session(link);
}

static void keep_to_rate(probe_client_t *client)
{
    apr_time_t now = apr_time_now();

    if (client->next_at > now) {
        apr_sleep(client->next_at - now);
        now = apr_time_now();
    }
    /* What was missed is not made up for. */
    client->next_at = (client->next_at > now - client->gap ? client->next_at : now) + client->gap;
}

static int take_allowance(probe_client_t *client, const probe_offer_t *offer)
{
    int *left = offer->session ? &client->offers_left : &client->full_left;

    return *left > 0 && (*left)-- > 0;
}

void probe_client_connect(probe_client_t *client, const probe_offer_t *offer, probe_reply_t *reply,
                          apr_pool_t *pool)
{
    link_t link = {.client = client, .offer = offer, .reply = reply, .fd = -1, .pool = pool};

    memset(reply, 0, sizeof(*reply));
    reply->alert = -1;
    reply->why = "";
    reply->tickets = apr_array_make(pool, 2, sizeof(probe_ticket_t));
    if (client->end && apr_time_now() >= client->end) {
        fail(&link, PROBE_TIMEOUT, "the time for one host is used up");
        return;
    }
    if (!take_allowance(client, offer)) {
        fail(&link, PROBE_SPENT, "as many connections as are allowed were made");
        return;
    }
    keep_to_rate(client);
    link.deadline = apr_time_now() + client->timeout;
    client->connections_n++;
    if (!open_socket(&link)) {
        return;
    }
    ERR_clear_error();
    if (!prepare(&link)) {
        fail(&link, PROBE_CLIENT, error_text(&link));
    }
    else if (shake_hands(&link)) {
        read_cert(&link);
        if (offer->host && !client->is_mute) {
            request(&link);
        }
        if (offer->collect && offer->version == TLS1_3_VERSION && !reply->status) {
            collect(&link);
        }
        (void)SSL_shutdown(link.ssl);
    }
    SSL_free(link.ssl);
    ERR_clear_error();
    close(link.fd);
}

void probe_client_end_at(probe_client_t *client, apr_time_t end)
{
    client->end = end;
}

void probe_client_allow_full(probe_client_t *client, int n)
{
    client->full_left = n;
}

void probe_client_allow_offers(probe_client_t *client, int n)
{
    client->offers_left = n;
}

int probe_client_full_left(const probe_client_t *client)
{
    return client->full_left;
}

apr_size_t probe_client_count(const probe_client_t *client)
{
    return client->connections_n;
}

static SSL_CTX *make_context(int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (!context) {
        return NULL;
    }
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    /* Old servers have neither secure renegotiation nor extended master secrets. */
    (void)SSL_CTX_set_options(context, SSL_OP_LEGACY_SERVER_CONNECT);
    if (SSL_CTX_set_min_proto_version(context, version) != 1
        || SSL_CTX_set_max_proto_version(context, version) != 1
        || SSL_CTX_set_cipher_list(context, "ALL:!aNULL:!eNULL:!PSK:!SRP") != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

apr_status_t probe_client_create(probe_client_t **pclient, const char *host, int port,
                                 apr_interval_time_t timeout, int per_second, const char **pwhy,
                                 apr_pool_t *pool)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    probe_client_t *client = apr_pcalloc(pool, sizeof(*client));
    int error;

    client->timeout = timeout;
    client->gap = APR_USEC_PER_SEC / per_second;
    apr_pool_cleanup_register(pool, client, free_client, apr_pool_cleanup_null);
    client->contexts[0] = make_context(TLS1_2_VERSION);
    client->contexts[1] = make_context(TLS1_3_VERSION);
    if (!client->contexts[0] || !client->contexts[1]) {
        ERR_clear_error();
        *pwhy = "this machine's OpenSSL does not do TLS 1.2 and 1.3";
        return APR_EGENERAL;
    }
    error = getaddrinfo(host, apr_itoa(pool, port), &hints, &client->addresses);
    if (error) {
        client->addresses = NULL;
        *pwhy = apr_pstrcat(pool, "its name does not resolve: ", gai_strerror(error), NULL);
        return APR_EGENERAL;
    }
    *pclient = client;
    return APR_SUCCESS;
}
