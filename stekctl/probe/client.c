/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client for one host (client.h): limits how many connections it makes, how often and for how
 * long.  link.c makes the connections.
 */
#include "client.h"

#include <apr_strings.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

struct probe_client_t {
    struct addrinfo *addresses;
    const struct addrinfo *chosen;
    SSL_CTX *contexts[2]; /* TLS 1.2, 1.3 */
    apr_interval_time_t timeout, gap;
    apr_time_t next_at; /* no connection before that time */
    apr_time_t end;     /* nor after that; 0: no end */
    apr_size_t connections_n;
    int full_left, offers_left;
    int is_mute; /* a request got no answer: do not wait for one again */
};

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

static void read_cert(const probe_link_t *link)
{
    X509 *cert = SSL_get0_peer_certificate(link->ssl);
    unsigned int len = sizeof(link->reply->cert_digest);

    if (cert && X509_digest(cert, EVP_sha256(), link->reply->cert_digest, &len) == 1) {
        link->reply->has_cert = 1;
    }
}

static void keep_to_rate(probe_client_t *client)
{
    apr_time_t now = apr_time_now();

    if (client->next_at > now) {
        apr_sleep(client->next_at - now);
        now = apr_time_now();
    }
    /* Do not catch up after a delay. */
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
    probe_link_t link = {.offer = offer, .reply = reply, .fd = -1, .pool = pool};

    memset(reply, 0, sizeof(*reply));
    reply->alert = -1;
    reply->why = "";
    reply->tickets = apr_array_make(pool, 2, sizeof(probe_ticket_t));
    if (client->end && apr_time_now() >= client->end) {
        probe_link_fail(&link, PROBE_TIMEOUT, "the time limit for one host was reached");
        return;
    }
    if (!take_allowance(client, offer)) {
        probe_link_fail(&link, PROBE_SPENT, "the connection limit was reached");
        return;
    }
    keep_to_rate(client);
    link.deadline = apr_time_now() + client->timeout;
    client->connections_n++;
    if (probe_link_open(&link, client->addresses, &client->chosen)
        && probe_link_shake(&link, client->contexts[offer->version == TLS1_3_VERSION])) {
        read_cert(&link);
        if (offer->host && !client->is_mute) {
            client->is_mute = probe_link_request(&link);
        }
        if (offer->collect && offer->version == TLS1_3_VERSION && !reply->status) {
            probe_link_collect(&link);
        }
    }
    probe_link_close(&link);
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

const char *probe_client_address(const probe_client_t *client, apr_pool_t *pool)
{
    char text[NI_MAXHOST];

    if (!client->chosen
        || getnameinfo(client->chosen->ai_addr, client->chosen->ai_addrlen, text, sizeof(text),
                       NULL, 0, NI_NUMERICHOST)
               != 0) {
        return NULL;
    }
    return apr_pstrdup(pool, text);
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
    probe_messages_prepare(context);
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
        *pwhy = "this machine's OpenSSL does not support TLS 1.2 and 1.3";
        return APR_EGENERAL;
    }
    error = getaddrinfo(host, apr_itoa(pool, port), &hints, &client->addresses);
    if (error) {
        client->addresses = NULL;
        *pwhy = apr_pstrcat(pool, "the name does not resolve: ", gai_strerror(error), NULL);
        return APR_EGENERAL;
    }
    *pclient = client;
    return APR_SUCCESS;
}
