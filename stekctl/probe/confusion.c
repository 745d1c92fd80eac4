/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unaltered tickets under other names and on other hosts.  Compares what a ticket gets there, in
 * TLS and with an HTTP request, with what a full handshake gets: a session must not get in where a
 * full handshake is refused.  That handshake is made only where a ticket resumed.
 */
#include <apr_strings.h>
#include <openssl/ssl.h>
#include <string.h>

#include "samples.h"
#include "tests.h"

/* One name or host where tickets are offered. */
typedef struct place_t {
    const char *sni;  /* NULL: none */
    const char *host; /* of the request */
    int is_asked;     /* fresh is set: the reply to a full handshake */
    int has_resumed;  /* a ticket did */
    probe_reply_t fresh;
} place_t;

static const char *name_text(const char *name)
{
    return name ? name : "no SNI";
}

/* Responses that refuse the client: nginx sends 400 if the certificate is missing (495 and 496 in
 * its log), mod_ssl sends 421 if the session does not fit the host. */
static int is_refusal(int status)
{
    return status == 400 || status == 403 || status == 421 || (status >= 495 && status <= 497);
}

static int is_grant(int status)
{
    return (status >= 200 && status < 400) || status == 401;
}

/* Reads to the end of the connection, because TLS 1.3 refuses a missing certificate after the
 * handshake. */
static void connect_there(probe_run_t *run, const place_t *place, const probe_ticket_t *ticket,
                          probe_reply_t *reply)
{
    probe_offer_t offer = {
        .version = run->version->version,
        .sni = place->sni,
        .session = ticket ? ticket->session : NULL,
        .session_len = ticket ? ticket->session_len : 0,
        .collect = 1,
        .host = place->host,
    };

    if (ticket) {
        probe_offer_as(run, &offer, reply, run->pool);
    }
    else {
        probe_client_connect(run->client, &offer, reply, run->pool);
    }
}

/* How a full handshake is refused; NULL: it is not. */
static const char *refusal_text(const probe_run_t *run, const probe_reply_t *fresh)
{
    if (fresh->outcome == PROBE_ALERT || (fresh->outcome == PROBE_FULL && fresh->alert >= 0)) {
        return apr_psprintf(run->pool, "is refused with alert %d", fresh->alert);
    }
    return is_refusal(fresh->status) ? apr_psprintf(run->pool, "gets HTTP %d", fresh->status)
                                     : NULL;
}

/* Compares got, the reply to a ticket of from (whose full handshake was own), with the reply to a
 * full handshake at this place. */
static probe_verdict_e compare(probe_run_t *run, const char *from, const probe_reply_t *own,
                               const probe_reply_t *got, const place_t *place)
{
    const probe_reply_t *fresh = &place->fresh;
    const char *refusal = refusal_text(run, fresh), *name = name_text(place->sni);
    const char *how = got->status ? apr_psprintf(run->pool, " and gets HTTP %d", got->status) : "";

    if (refusal && got->is_cut) {
        probe_tell(run, PROBE_TEST_CONFUSION, PROBE_NOTE,
                   "a ticket from %s resumes under %s, where a full handshake %s, but the server "
                   "closes the connection without answering a request",
                   from, name, refusal);
        return PROBE_NOTE;
    }
    if (refusal && (fresh->status ? is_grant(got->status) : own->alert < 0)) {
        probe_tell(run, PROBE_TEST_CONFUSION, PROBE_BROKEN,
                   "a ticket from %s resumes under %s%s, where a full handshake %s", from, name,
                   how, refusal);
        return PROBE_BROKEN;
    }
    if (fresh->asked_cert && !own->asked_cert) {
        probe_tell(run, PROBE_TEST_CONFUSION, PROBE_WEAK,
                   "a ticket from %s resumes under %s%s, where a full handshake asks for a client "
                   "certificate",
                   from, name, how);
        return PROBE_WEAK;
    }
    if (fresh->has_cert && own->has_cert
        && memcmp(fresh->cert_digest, own->cert_digest, sizeof(own->cert_digest)) != 0) {
        probe_tell(run, PROBE_TEST_CONFUSION, PROBE_NOTE,
                   "a ticket from %s resumes under %s, which has another certificate", from, name);
        return PROBE_NOTE;
    }
    return PROBE_OK;
}

static probe_verdict_e judge(probe_run_t *run, const probe_ticket_t *ticket, const char *from,
                             const probe_reply_t *own, place_t *place)
{
    probe_reply_t got;

    connect_there(run, place, ticket, &got);
    if (!probe_is_answer(run, &got)) {
        probe_tell(run, PROBE_TEST_CONFUSION, PROBE_UNTESTED,
                   "a ticket from %s could not be offered under %s: %s", from,
                   name_text(place->sni), got.why);
        return PROBE_UNTESTED;
    }
    if (got.outcome != PROBE_RESUMED || got.alert >= 0 || is_refusal(got.status)) {
        return PROBE_OK;
    }
    place->has_resumed = 1;
    if (!place->is_asked) {
        connect_there(run, place, NULL, &place->fresh);
        place->is_asked = place->fresh.outcome == PROBE_FULL || place->fresh.outcome == PROBE_ALERT;
    }
    if (!place->is_asked) {
        probe_tell(
            run, PROBE_TEST_CONFUSION, PROBE_UNTESTED,
            "a ticket from %s resumes under %s, but there is no full handshake to compare with: %s",
            from, name_text(place->sni),
            place->fresh.outcome == PROBE_SPENT ? "--tickets allows no more" : place->fresh.why);
        return PROBE_UNTESTED;
    }
    return compare(run, from, own, &got, place);
}

/* Offers the first name's ticket under the other names, then without a name: with the second name,
 * or its own, as Host. */
static int try_names(probe_run_t *run, probe_verdict_e *pworst)
{
    probe_ticket_t *ticket = &APR_ARRAY_IDX(run->version->tickets, 0, probe_ticket_t);
    const apr_array_header_t *names = run->options->names;
    int i, tried_n = 0;

    ticket->is_offered |= run->name != NULL;
    for (i = 1; run->name && (i <= names->nelts || i == 1); i++) {
        const char *second = names->nelts > 1 ? APR_ARRAY_IDX(names, 1, const char *) : run->name;
        place_t place = {.sni = i < names->nelts ? APR_ARRAY_IDX(names, i, const char *) : NULL};
        probe_verdict_e verdict;

        place.host = probe_host_header(run, place.sni ? place.sni : second, run->pool);
        verdict = judge(run, ticket, run->name, run->version->own, &place);
        *pworst = verdict > *pworst ? verdict : *pworst;
        tried_n++;
    }
    return tried_n;
}

/* Offers a ticket of another host here. */
static void try_host(probe_run_t *run, const char *other, const probe_ticket_t *ticket,
                     const probe_reply_t *own, place_t *place, probe_verdict_e *pworst)
{
    probe_host_t *host = run->host;
    probe_verdict_e verdict;

    place->has_resumed = 0;
    verdict = judge(run, ticket, other, own, place);
    *pworst = verdict > *pworst ? verdict : *pworst;
    if (place->has_resumed) {
        if (!host->opens) {
            host->opens = apr_array_make(run->pool, 4, sizeof(const char *));
        }
        APR_ARRAY_PUSH(host->opens, const char *) = other;
    }
}

/* Offers tickets from earlier hosts here; of a list, one of a host with the same key name. */
static int try_hosts(probe_run_t *run, const probe_host_t *earlier, int earlier_n,
                     probe_verdict_e *pworst)
{
    place_t place = {.sni = run->name, .host = probe_host_header(run, run->name, run->pool)};
    const probe_sample_t *sample = NULL;
    int i, tried_n = 0;

    for (i = 0; i < earlier_n; i++) {
        const probe_version_t *theirs =
            &earlier[i].versions[PROBE_VERSION_AT(run->version->version)];

        if (theirs->tickets && theirs->tickets->nelts > 0) {
            try_host(run, apr_psprintf(run->pool, "%s:%d", earlier[i].name, earlier[i].port),
                     &APR_ARRAY_IDX(theirs->tickets, 0, probe_ticket_t), theirs->own, &place,
                     pworst);
            tried_n++;
        }
    }
    if (run->options->samples) {
        sample = probe_samples_swap(run->options->samples, run->host, run->version, run->pool);
    }
    if (sample) {
        try_host(run, sample->host, &sample->ticket, &sample->own, &place, pworst);
        tried_n++;
    }
    return tried_n;
}

void probe_test_confusion(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    int has_own = run->version->is_accepted, tried_n;
    probe_verdict_e worst = PROBE_OK;

    probe_progress(run, 0, 0);
    tried_n = (has_own ? try_names(run, &worst) : 0) + try_hosts(run, earlier, earlier_n, &worst);
    if (tried_n == 0) {
        probe_tell(run, PROBE_TEST_CONFUSION, PROBE_UNTESTED,
                   has_own ? "requires names: use --sni"
                           : "no ticket from this host or an earlier one");
    }
    else if (worst == PROBE_OK) {
        probe_tell(run, PROBE_TEST_CONFUSION, PROBE_OK,
                   "under %d other name%s, a ticket gives no access that a full handshake does not",
                   tried_n, tried_n == 1 ? "" : "s");
    }
}
