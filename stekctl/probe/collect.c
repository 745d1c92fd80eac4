/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects tickets (collect.h).
 */
#include "collect.h"

#include <apr_strings.h>
#include <openssl/ssl.h>
#include <string.h>

#include "budget.h"

#define EMPTY_QUICK 4 /* connections without a ticket until the probe gives up */
#define EMPTY_MAX 8

/* Nonzero if the first connection shows that nothing can be tested: give up on the host. */
static int is_hopeless(probe_run_t *run, const probe_reply_t *reply)
{
    switch (reply->outcome) {
    case PROBE_FULL:
        return 0;
    case PROBE_ALERT:
    case PROBE_CLIENT:
        run->version->is_refused = 1;
        /* fall through */
    case PROBE_CLOSED:
        /* Perhaps only with this version. */
        if (!run->host->failure) {
            run->host->failure = apr_pstrdup(run->pool, reply->why);
        }
        return 0;
    default:
        run->host->failure = apr_pstrdup(run->pool, reply->why);
        return 1;
    }
}

/* Full handshakes that other tests may need: one for every other name, and one without a name. */
static int others_n(const probe_run_t *run)
{
    return probe_budget_offers(run->options, 0, PROBE_TEST_CONFUSION);
}

/* How many of --tickets collect tickets: all that other tests do not need, but at least two if
 * possible. */
static int collecting_n(const probe_run_t *run)
{
    int all = run->options->tickets_n;
    int n = all - others_n(run) - (run->version->version != TLS1_3_VERSION);

    return n >= 2 ? n : all < 2 ? all : 2;
}

/* The server requires a client certificate, and TLS 1.2 refuses during the handshake. */
static int is_for_others(const probe_reply_t *reply)
{
    return reply->asked_cert && reply->outcome == PROBE_ALERT;
}

static void keep_visit(probe_run_t *run, const probe_reply_t *reply)
{
    probe_visit_t visit = {.connection = probe_client_count(run->client),
                           .face = {.has_cert = reply->has_cert, .hello = reply->hello}};

    memcpy(visit.face.cert_digest, reply->cert_digest, sizeof(visit.face.cert_digest));
    if (!run->version->visits) {
        run->version->visits = apr_array_make(run->pool, 16, sizeof(visit));
    }
    APR_ARRAY_PUSH(run->version->visits, probe_visit_t) = visit;
}

static void keep(probe_run_t *run, const probe_reply_t *reply, int is_asked)
{
    probe_version_t *version = run->version;
    int i;

    version->is_offered = 1;
    /* Nothing is said about backends by connections on which the server waited for a request. */
    if (reply->outcome == PROBE_FULL
        && !(version->version == TLS1_3_VERSION && !is_asked
             && version->tickets->nelts + reply->tickets->nelts == 0)) {
        version->full_n++;
        version->empty_n += reply->tickets->nelts == 0;
        keep_visit(run, reply);
    }
    version->own = version->own ? version->own : reply;
    for (i = 0; i < reply->tickets->nelts; i++) {
        APR_ARRAY_IDX(reply->tickets, i, probe_ticket_t).connection = probe_client_count(
            run->client);
    }
    if (reply->tickets->nelts > version->per_connection) {
        version->per_connection = reply->tickets->nelts;
    }
    apr_array_cat(version->tickets, reply->tickets);
}

/* Some TLS 1.3 servers send tickets only with a response.  So make a request on the last connection
 * if there is no ticket yet, and on all after a connection without one. */
static int asks_http(const probe_run_t *run, int is_last)
{
    return run->version->version == TLS1_3_VERSION
           && (run->asks_http || (is_last && run->version->tickets->nelts == 0));
}

/* A connection that was not answered in time may be an accident: once more. */
static void connect_first(probe_run_t *run, const probe_offer_t *offer, probe_reply_t *reply)
{
    probe_client_connect(run->client, offer, reply, run->pool);
    if (reply->outcome == PROBE_TIMEOUT && probe_client_full_left(run->client) > 0) {
        run->host->stalled_n++;
        probe_client_connect(run->client, offer, reply, run->pool);
    }
}

int probe_collect_answers(probe_run_t *run)
{
    probe_offer_t offer = {.version = run->version->version, .sni = run->name};
    probe_reply_t reply;

    if (probe_client_full_left(run->client) == 0) {
        return 0;
    }
    apr_pool_clear(run->scratch);
    probe_client_connect(run->client, &offer, &reply, run->scratch);
    return reply.outcome == PROBE_FULL || is_for_others(&reply);
}

int probe_collect(probe_run_t *run)
{
    probe_offer_t offer = {.version = run->version->version, .sni = run->name, .collect = 1};
    const char *host = probe_host_header(run, run->name, run->pool);
    int i, n = collecting_n(run), empty_n = 0;
    int most = run->options->level == PROBE_QUICK ? EMPTY_QUICK : EMPTY_MAX;

    run->test = "tickets";
    probe_client_allow_full(run->client, run->options->tickets_n);
    /* Perhaps only one of several backends gives tickets.  So one connection without says little;
     * and if some had tickets, all are made. */
    for (i = 0; i < n && (empty_n < most || run->version->tickets->nelts > 0); i++) {
        probe_reply_t *reply = apr_palloc(run->pool, sizeof(*reply));

        probe_progress(run, (apr_size_t)i, (apr_size_t)n);
        offer.host = asks_http(run, i == n - 1) ? host : NULL;
        if (i == 0) {
            connect_first(run, &offer, reply);
            if (is_hopeless(run, reply)) {
                return 0;
            }
        }
        else {
            probe_client_connect(run->client, &offer, reply, run->pool);
        }
        if (reply->outcome == PROBE_FULL || is_for_others(reply)) {
            keep(run, reply, offer.host != NULL);
            run->asks_http = reply->tickets->nelts == 0 ? !offer.host : run->asks_http;
        }
        empty_n += reply->outcome != PROBE_FULL || reply->tickets->nelts == 0;
    }
    return 1;
}

void probe_collect_session_id(probe_run_t *run)
{
    probe_offer_t offer = {.version = run->version->version, .sni = run->name, .no_tickets = 1};
    probe_reply_t reply;

    if (run->version->version == TLS1_3_VERSION) {
        return;
    }
    run->version->by_session_id = -1;
    if (probe_client_full_left(run->client) <= others_n(run)) {
        return;
    }
    run->version->by_session_id = 0;
    apr_pool_clear(run->scratch);
    probe_client_connect(run->client, &offer, &reply, run->scratch);
    if (reply.outcome != PROBE_FULL || !reply.session) {
        return;
    }
    offer.session = apr_pmemdup(run->pool, reply.session, reply.session_len);
    offer.session_len = reply.session_len;
    probe_client_connect(run->client, &offer, &reply, run->scratch);
    run->version->by_session_id = reply.outcome == PROBE_RESUMED;
}
