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

#include "contexts.h"
#include "link.h"
#include "proxy.h"
#include "starttls.h"
#include "wait.h"

struct probe_client_t {
    const probe_host_t *host;
    const probe_options_t *options;
    struct addrinfo *addresses;
    const struct addrinfo *chosen;
    apr_interval_time_t gap;
    apr_time_t next_at; /* no connection before that time */
    apr_time_t end;     /* nor after that; 0: no end */
    apr_size_t connections_n;
    int full_left, offers_left;
    int is_mute; /* not HTTP, or a request got no answer: do not wait for one again */
};

static apr_status_t free_client(void *data)
{
    probe_client_t *client = data;

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
    apr_time_t now;

    probe_wait_until(client->next_at);
    now = apr_time_now();
    /* Do not catch up after a delay. */
    client->next_at = (client->next_at > now - client->gap ? client->next_at : now) + client->gap;
}

static int take_allowance(probe_client_t *client, const probe_offer_t *offer)
{
    int *left = offer->session ? &client->offers_left : &client->full_left;

    return *left > 0 && (*left)-- > 0;
}

/* Connects, up to where TLS begins. */
static int reach(probe_client_t *client, probe_link_t *link)
{
    const probe_host_t *host = client->host;
    const probe_proxy_t *proxy = client->options->proxy;

    if (!probe_link_open(link, client->addresses, &client->chosen)) {
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
    keep_to_rate(client);
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

apr_size_t probe_client_count(const probe_client_t *client)
{
    return client->connections_n;
}

/* The server's addresses, or the proxy's. */
static int resolve(probe_client_t *client, apr_pool_t *pool)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const probe_proxy_t *proxy = client->options->proxy;

    return getaddrinfo(proxy ? proxy->name : client->host->name,
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
    client->gap = APR_USEC_PER_SEC / options->per_second;
    client->is_mute = !host->speaks_http;
    apr_pool_cleanup_register(pool, client, free_client, apr_pool_cleanup_null);
    error = resolve(client, pool);
    if (error) {
        client->addresses = NULL;
        *pwhy = apr_pstrcat(pool, options->proxy ? "the proxy's" : "the",
                            " name does not resolve: ", gai_strerror(error), NULL);
        return APR_EGENERAL;
    }
    *pclient = client;
    return APR_SUCCESS;
}
