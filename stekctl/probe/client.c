/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client for one host (client.h): limits how many connections it makes, how often and for how
 * long.  link.c makes the connections.
 */
#include "client.h"

#include <apr_strings.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>

#include "contexts.h"
#include "link.h"
#include "pace.h"
#include "proxy.h"
#include "starttls.h"
#include "wait.h"

#define DISTANCE_MAX apr_time_from_msec(500)

struct probe_client_t {
    const probe_host_t *host;
    const probe_options_t *options;
    struct addrinfo *addresses;
    const struct addrinfo *chosen;
    probe_pace_t *pace, own_pace;
    apr_time_t end; /* no connection after that; 0: no end */
    int has_connected;
    apr_size_t connections_n;
    int full_left, offers_left;
    int is_mute; /* not HTTP, or a request got no answer: do not wait for one again */
};

static apr_status_t free_client(void *data)
{
    probe_client_t *client = data;

    if (client->options->paces && client->pace) {
        probe_paces_leave(client->options->paces, client->pace);
    }
    if (client->addresses) {
        probe_wait_free_names(client->addresses);
    }
    return APR_SUCCESS;
}

static void read_cert(const probe_link_t *link)
{
    X509 *cert = SSL_get0_peer_certificate(link->ssl);
    unsigned int len = sizeof(link->reply->cert_digest), sha1_len = sizeof(link->reply->cert_sha1);
    unsigned char *der = NULL;
    int der_len = cert ? i2d_X509(cert, &der) : 0;

    if (der_len >= PROBE_CERT_HEAD
        && X509_digest(cert, EVP_sha256(), link->reply->cert_digest, &len) == 1
        && X509_digest(cert, EVP_sha1(), link->reply->cert_sha1, &sha1_len) == 1) {
        memcpy(link->reply->cert_head, der, PROBE_CERT_HEAD);
        link->reply->has_cert = 1;
    }
    OPENSSL_free(der);
}

static int take_allowance(probe_client_t *client, const probe_offer_t *offer)
{
    int *left = offer->session && !offer->drops_session ? &client->offers_left : &client->full_left;

    return *left > 0 && (*left)-- > 0;
}

/* A handshake takes about four times as long as a connection: far hosts get more time. */
static void allow_for_distance(probe_client_t *client, apr_interval_time_t took)
{
    apr_interval_time_t limit = client->end - apr_time_now(), more;

    more = (took < DISTANCE_MAX ? took : DISTANCE_MAX) * 4 * client->host->planned_n;
    if (client->end && limit > 0) {
        client->end += more < 4 * limit ? more : 4 * limit;
    }
}

/* Connects, up to where TLS begins. */
static int reach(probe_client_t *client, probe_link_t *link)
{
    const probe_host_t *host = client->host;
    const probe_proxy_t *proxy = client->options->proxy;

    apr_time_t begun = apr_time_now();
    int is_open = probe_link_open(link, client->addresses, &client->chosen);

    if (is_open && !client->has_connected) {
        client->has_connected = 1;
        allow_for_distance(client, apr_time_now() - begun);
    }
    if (!is_open) {
        if (proxy) {
            link->reply->why = apr_pstrcat(link->pool, "the proxy ", link->reply->why, NULL);
        }
        return 0;
    }
    return probe_proxy_connect(link, proxy, host->name, host->port)
           && probe_starttls(link, host->starttls);
}

/* A server that has chosen h2, or none of HTTP, would not understand a request. */
static int speaks_http1(const SSL *ssl)
{
    const unsigned char *protocol;
    unsigned int len;

    SSL_get0_alpn_selected(ssl, &protocol, &len);
    return len == 0 || (len >= 6 && memcmp(protocol, "http/1", 6) == 0);
}

void probe_client_connect(probe_client_t *client, const probe_offer_t *offer, probe_reply_t *reply,
                          apr_pool_t *pool)
{
    probe_link_t link = {
        .offer = offer, .reply = reply, .fd = -1, .path = client->host->path, .pool = pool};

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
    probe_pace_keep(client->pace, client->options->paces);
    link.deadline = apr_time_now() + client->options->timeout;
    client->connections_n++;
    if (reach(client, &link)
        && probe_link_shake(&link,
                            client->options->contexts->of[PROBE_VERSION_AT(offer->version)])) {
        read_cert(&link);
        if (offer->host && !client->is_mute && speaks_http1(link.ssl)) {
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

int probe_client_offers_left(const probe_client_t *client)
{
    return client->offers_left;
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

/* Whatever the port. */
static probe_pace_t *enter_address(probe_paces_t *paces, const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;

    return address->sa_family == AF_INET
               ? probe_paces_enter(paces, &four->sin_addr, sizeof(four->sin_addr))
               : probe_paces_enter(paces, &six->sin6_addr, sizeof(six->sin6_addr));
}

/* The server's addresses, or the proxy's. */
static int resolve(probe_client_t *client, apr_pool_t *pool)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const probe_proxy_t *proxy = client->options->proxy;

    return probe_wait_for_name(proxy ? proxy->name : client->host->name,
                               apr_itoa(pool, proxy ? proxy->port : client->host->port), &hints,
                               &client->addresses);
}

apr_status_t probe_client_create(probe_client_t **pclient, const probe_host_t *host,
                                 const probe_options_t *options, const char **pwhy,
                                 apr_pool_t *pool)
{
    probe_client_t *client = apr_pcalloc(pool, sizeof(*client));
    int error;

    client->host = host;
    client->options = options;
    client->is_mute = !host->speaks_http;
    apr_pool_cleanup_register(pool, client, free_client, apr_pool_cleanup_null);
    error = resolve(client, pool);
    if (error) {
        client->addresses = NULL;
        *pwhy = apr_pstrcat(pool, options->proxy ? "the proxy's" : "the",
                            " name does not resolve: ", gai_strerror(error), NULL);
        return APR_EGENERAL;
    }
    client->own_pace.gap = APR_USEC_PER_SEC / options->per_second;
    client->pace = &client->own_pace;
    if (options->paces) {
        client->pace = options->proxy
                           ? probe_paces_enter(options->paces, host->name, strlen(host->name))
                           : enter_address(options->paces, client->addresses->ai_addr);
    }
    *pclient = client;
    return APR_SUCCESS;
}
