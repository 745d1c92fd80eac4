/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The callbacks (messages.h).  Lengths come from the server, so every one is checked.
 */
#include "messages.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <string.h>

#include "session.h"

#define HASH_BEGIN 2166136261U
#define TICKETS_MAX 16               /* from one connection, */
#define TICKETS_LEN_MAX (128 * 1024) /* and the sum of their lengths */

/* FNV-1a. */
static apr_uint32_t mix(apr_uint32_t hash, const unsigned char *bytes, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * 16777619U;
    }
    return hash;
}

void probe_messages_hello(probe_messages_t *messages, const unsigned char *body, apr_size_t len)
{
    apr_size_t at = 2 + 32, end;

    messages->saw_hello = !probe_schedule_is_retry(body, len);
    if (len < at + 1 || len < at + 1 + body[at] + 5) {
        return;
    }
    at += 1 + (apr_size_t)body[at];
    messages->reply->hello = mix(HASH_BEGIN, body + at, 2);
    at += 3;
    end = at + 2 + ((apr_size_t)body[at] << 8 | body[at + 1]);
    at += 2;
    while (at + 4 <= end && end <= len) {
        unsigned type = (unsigned)body[at] << 8 | body[at + 1];

        if (type == TLSEXT_TYPE_psk) {
            messages->took_ticket = 1;
        }
        messages->is_tls13 |= type == TLSEXT_TYPE_supported_versions;
        messages->reply->hello = mix(messages->reply->hello, body + at, 2);
        at += 4 + ((apr_size_t)body[at + 2] << 8 | body[at + 3]);
    }
}

static void look_at_ticket(probe_messages_t *messages, const unsigned char *body, apr_size_t len)
{
    messages->nonce_len = 0;
    messages->hint_s = 0;
    if (len >= 4) {
        messages->hint_s = (apr_uint32_t)body[0] << 24 | (apr_uint32_t)body[1] << 16
                           | (apr_uint32_t)body[2] << 8 | body[3];
    }
    if (messages->offer->version == TLS1_3_VERSION && len > 9 && len >= 9 + (apr_size_t)body[8]) {
        messages->nonce_len = body[8];
        memcpy(messages->nonce, body + 9, messages->nonce_len);
    }
}

/* The response time runs from the ClientHello, which is sent right after this, to the header of the
 * first record that comes back. */
static void take_time(probe_messages_t *messages, int is_write, int type,
                      const unsigned char *bytes)
{
    if (is_write && type == SSL3_RT_HANDSHAKE && bytes[0] == SSL3_MT_CLIENT_HELLO) {
        messages->sent_at = apr_time_now();
    }
    else if (!is_write && type == SSL3_RT_HEADER && messages->sent_at) {
        messages->reply->first_us = apr_time_now() - messages->sent_at;
    }
}

static void on_message(int is_write, int version, int type, const void *data, size_t len, SSL *ssl,
                       void *arg)
{
    const unsigned char *bytes = data;
    probe_messages_t *messages = arg;

    (void)version;
    (void)ssl;
    if (len == 0) {
        return;
    }
    if (is_write || !messages->reply->first_us) {
        take_time(messages, is_write, type, bytes);
    }
    if (type == SSL3_RT_HANDSHAKE && messages->offer->collect) {
        probe_transcript_add(&messages->transcript, is_write, bytes, len, messages->pool);
    }
    if (is_write) {
        return;
    }
    if (type == SSL3_RT_ALERT && len >= 2 && bytes[0] == SSL3_AL_FATAL) {
        messages->reply->alert = bytes[1];
    }
    /* OpenSSL does not report the ChangeCipherSpec itself, but its record header. */
    if (type == SSL3_RT_HEADER && bytes[0] == SSL3_RT_CHANGE_CIPHER_SPEC
        && messages->offer->version != TLS1_3_VERSION && messages->offer->session
        && !messages->saw_cert) {
        messages->took_ticket = 1;
    }
    if (type != SSL3_RT_HANDSHAKE || len < 4) {
        return;
    }
    if (bytes[0] == SSL3_MT_SERVER_HELLO) {
        probe_messages_hello(messages, bytes + 4, len - 4);
    }
    else if (bytes[0] == SSL3_MT_CERTIFICATE) {
        messages->saw_cert = 1;
    }
    else if (bytes[0] == SSL3_MT_CERTIFICATE_REQUEST) {
        messages->reply->asked_cert = 1;
    }
    else if (bytes[0] == SSL3_MT_NEWSESSION_TICKET) {
        look_at_ticket(messages, bytes + 4, len - 4);
    }
}

static void keep_ticket(probe_messages_t *messages, SSL *ssl, SSL_SESSION *session)
{
    const unsigned char *bytes;
    size_t len;
    probe_ticket_t *ticket;

    SSL_SESSION_get0_ticket(session, &bytes, &len);
    if (len == 0 || messages->reply->tickets->nelts >= TICKETS_MAX
        || messages->tickets_len + len > TICKETS_LEN_MAX) {
        return;
    }
    messages->tickets_len += len;
    ticket = apr_array_push(messages->reply->tickets);
    memset(ticket, 0, sizeof(*ticket));
    ticket->bytes = apr_pmemdup(messages->pool, bytes, len);
    ticket->len = len;
    ticket->is_tls13 = SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION;
    /* As sent: OpenSSL 4.0 limits what it keeps of a TLS 1.3 hint to 7 days. */
    ticket->hint_s = messages->hint_s;
    ticket->secret_len = SSL_SESSION_get_master_key(session, ticket->secret,
                                                    sizeof(ticket->secret));
    if (ticket->is_tls13) {
        memcpy(ticket->nonce, messages->nonce, messages->nonce_len);
        ticket->nonce_len = messages->nonce_len;
        probe_schedule_secrets(ssl, &messages->transcript, ticket);
    }
    ticket->at = apr_time_now();
    ticket->session = probe_session_encode(session, &ticket->session_len, messages->pool);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    probe_messages_t *messages = SSL_get_app_data(ssl);

    if (SSL_SESSION_has_ticket(session)) {
        keep_ticket(messages, ssl, session);
    }
    else if (SSL_SESSION_is_resumable(session)) {
        messages->reply->session = probe_session_encode(session, &messages->reply->session_len,
                                                        messages->pool);
    }
    return 0;
}

void probe_messages_prepare(SSL_CTX *context)
{
    SSL_CTX_sess_set_new_cb(context, on_session);
}

int probe_messages_watch(SSL *ssl, probe_messages_t *messages)
{
    /* The secret of another key exchange could not be computed again.  Without X25519 and X448, as
     * with a FIPS provider, the first list is refused. */
    if (messages->offer->collect && messages->offer->version == TLS1_3_VERSION
        && SSL_set1_groups_list(ssl, "X25519:P-256:P-384:P-521:X448:ffdhe2048:ffdhe3072") != 1) {
        (void)SSL_set1_groups_list(ssl, "P-256:P-384:P-521:ffdhe2048:ffdhe3072");
        ERR_clear_error();
    }
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, messages);
    return SSL_set_app_data(ssl, messages);
}
