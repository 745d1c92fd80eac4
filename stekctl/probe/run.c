/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the steps of a probe share (run.h).
 */
#include "run.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "faces.h"
#include "key_digest.h"
#include "text_ticket.h"
#include "words.h"

#define UNIQUE_LEN 8 /* bytes of a key's name; servers that count their keys have shorter ones */

/* How many times as many offers as should do, before a backend counts as gone. */
#define ELSEWHERE_TIMES 4

probe_finding_t *probe_tell(probe_run_t *run, probe_test_e test, probe_verdict_e verdict,
                            const char *format, ...)
{
    probe_finding_t *finding = apr_array_push(run->host->findings);
    va_list args;

    va_start(args, format);
    memset(finding, 0, sizeof(*finding));
    finding->test = test;
    finding->version = run->version->version;
    finding->verdict = verdict;
    finding->backends = run->backend >= 0 ? APR_UINT64_C(1) << run->backend : 0;
    finding->text = apr_pvsprintf(run->pool, format, args);
    va_end(args);
    return finding;
}

void probe_tell_moot(probe_run_t *run, probe_test_e test, const char *why)
{
    probe_tell(run, test, PROBE_UNTESTED, "%s", why)->is_moot = 1;
}

void probe_tell_forged(probe_finding_t *finding, probe_forged_e forged, const char *text,
                       apr_pool_t *pool)
{
    finding->forged = forged;
    finding->forged_text = text;
    finding->text = apr_pstrcat(pool, finding->text, "; ", text, NULL);
}

const char *probe_tell_key(const probe_run_t *run, const unsigned char *key, apr_size_t len)
{
    return probe_key_text(key, len, run->options->redacts, run->pool);
}

void probe_progress(probe_run_t *run, apr_size_t done, apr_size_t all)
{
    if (!run->options->shows_progress) {
        return;
    }
    fprintf(stderr, "\r\033[K%s: %s, %s", run->host->name,
            probe_version_name(run->version->version), run->test);
    if (all) {
        fprintf(stderr, " %d/%d", (int)done, (int)all);
    }
    fflush(stderr);
}

void probe_offer(probe_run_t *run, const probe_ticket_t *ticket, const unsigned char *bytes,
                 probe_reply_t *reply)
{
    probe_offer_t offer = {
        .version = run->version->version,
        .sni = run->name,
        .session = ticket->session,
        .session_len = ticket->session_len,
        .ticket = bytes,
        .ticket_len = ticket->len,
    };

    apr_pool_clear(run->scratch);
    probe_offer_as(run, &offer, reply, run->scratch);
}

void probe_offer_raw(probe_run_t *run, const probe_ticket_t *ticket, const probe_ticket_t *raw,
                     const unsigned char *bytes, probe_reply_t *reply)
{
    unsigned char *text;

    if (raw == ticket) {
        probe_offer(run, ticket, bytes, reply);
        return;
    }
    text = malloc(ticket->len);
    if (!text) {
        memset(reply, 0, sizeof(*reply));
        reply->outcome = PROBE_CLIENT;
        return;
    }
    probe_text_ticket_encode(ticket, bytes, text);
    probe_offer(run, ticket, text, reply);
    free(text);
}

/* Of several backends that may know a ticket, one may end the connection and another take it. */
static int is_decisive(const probe_run_t *run, const probe_reply_t *reply)
{
    int is_one = (run->wanted & (run->wanted - 1)) == 0;

    return reply->outcome != PROBE_FULL
           && (is_one || (reply->outcome != PROBE_ALERT && reply->outcome != PROBE_CLOSED));
}

void probe_offer_as(probe_run_t *run, const probe_offer_t *offer, probe_reply_t *reply,
                    apr_pool_t *pool)
{
    probe_offer_t asking = *offer;
    probe_reply_t refusal = {.outcome = PROBE_FULL};
    apr_uint64_t met = 0;
    int n, unknown_n = 0, most = run->wanted ? ELSEWHERE_TIMES * run->repeats_n : run->repeats_n;

    /* Whoever makes a full handshake shows a certificate and a key's name. */
    asking.collect |= run->wanted != 0 || run->asks_who;
    for (n = 0; n < most; n++) {
        int face;

        probe_client_connect(run->client, &asking, reply, pool);
        if (is_decisive(run, reply)) {
            return;
        }
        if (reply->outcome != PROBE_FULL) {
            refusal = *reply;
        }
        face = reply->outcome == PROBE_FULL ? probe_faces_of(run->version, reply) : -1;
        met |= face >= 0 ? APR_UINT64_C(1) << face : 0;
        unknown_n += face < 0;
        if (run->wanted && ((met & run->wanted) == run->wanted || unknown_n >= run->repeats_n)) {
            break;
        }
    }
    *reply = refusal.outcome == PROBE_FULL ? *reply : refusal;
    if (run->wanted && n == most) {
        reply->is_elsewhere = 1;
        reply->why = "the balancer did not come back to the ticket's backend";
    }
}

int probe_clean_left(const probe_run_t *run)
{
    int left = run->clean_end - (int)probe_client_count(run->client);

    return left > 0 ? left : 0;
}

const char *probe_deeper_text(const probe_run_t *run)
{
    return run->options->level == PROBE_QUICK    ? "; level normal has more"
           : run->options->level == PROBE_NORMAL ? "; level deep has more"
                                                 : "";
}

void probe_want_each(probe_run_t *run, int is_on)
{
    apr_uint64_t faces = is_on ? probe_faces_often(run->version) : 0;

    run->wanted = (faces & (faces - 1)) ? faces : 0;
    run->repeats_n = run->cost_n = 1;
    if (run->wanted) {
        run->repeats_n = probe_faces_repeats(run->version, run->wanted, 1, &run->cost_n);
    }
}

const probe_ticket_t *probe_get_ticket(probe_run_t *run, apr_pool_t *pool)
{
    probe_offer_t offer = {.version = run->version->version, .sni = run->name, .collect = 1};
    probe_reply_t reply;

    if (run->asks_http) {
        offer.host = probe_host_header(run, run->name, pool);
    }
    probe_client_connect(run->client, &offer, &reply, pool);
    return reply.tickets->nelts ? &APR_ARRAY_IDX(reply.tickets, 0, probe_ticket_t) : NULL;
}

const probe_ticket_t *probe_fresh_ticket(probe_run_t *run)
{
    int i;

    /* Not the first if possible, because altered ones are made of it. */
    for (i = run->version->tickets->nelts - 1; i >= 0; i--) {
        probe_ticket_t *ticket = &APR_ARRAY_IDX(run->version->tickets, i, probe_ticket_t);

        if (!ticket->is_offered) {
            ticket->is_offered = 1;
            return ticket;
        }
    }
    /* Among several backends, another one may make it. */
    return run->version->is_alone ? probe_get_ticket(run, run->pool) : NULL;
}

/* Nonzero: one of the version's tickets has the same layout and key name. */
static int has_name(const probe_version_t *version, const probe_format_t *format,
                    const probe_ticket_t *ticket)
{
    int i;

    for (i = 0; version->format.layout == format->layout && i < version->tickets->nelts; i++) {
        const probe_ticket_t *other = &APR_ARRAY_IDX(version->tickets, i, probe_ticket_t);

        if (other->len >= format->name_len
            && memcmp(other->bytes, ticket->bytes, format->name_len) == 0) {
            return 1;
        }
    }
    return 0;
}

int probe_was_clean(const probe_run_t *run, probe_test_e test, const probe_ticket_t *ticket)
{
    const probe_format_t *format = &run->version->format;
    const probe_version_t *earlier = run->host->versions;
    int is_named = 0, is_clean = 0, i;

    if (format->layout == PROBE_LAYOUT_UNKNOWN || format->name_len < UNIQUE_LEN
        || format->name_len > ticket->len) {
        return 0;
    }
    for (i = 0; i < PROBE_VERSIONS_N && earlier[i].version < run->version->version; i++) {
        is_named |= has_name(&earlier[i], format, ticket);
    }
    for (i = 0; i < run->host->findings->nelts; i++) {
        const probe_finding_t *finding = &APR_ARRAY_IDX(run->host->findings, i, probe_finding_t);

        if (finding->test == test && finding->version < run->version->version) {
            is_clean = finding->verdict == PROBE_OK;
            if (!is_clean) {
                return 0;
            }
        }
    }
    return is_named && is_clean;
}

int probe_is_answer(probe_run_t *run, const probe_reply_t *reply)
{
    run->is_spent = reply->outcome == PROBE_SPENT;
    run->is_lost = reply->is_elsewhere;
    if (run->is_spent || run->is_lost) {
        run->faults_n = PROBE_FAULTS_MAX;
        return 0;
    }
    if (reply->outcome == PROBE_UNREACHABLE || reply->outcome == PROBE_TIMEOUT
        || reply->outcome == PROBE_CLIENT || reply->outcome == PROBE_NOT_TLS) {
        run->faults_n++;
        return 0;
    }
    run->faults_n = 0;
    return 1;
}

void probe_begin(probe_run_t *run, probe_test_e test, int earlier_n)
{
    run->test = probe_test_name(test);
    run->faults_n = run->is_spent = run->is_lost = 0;
    probe_client_allow_offers(run->client, probe_budget_offers(run->options, earlier_n, test));
}

const char *probe_why_ended(const probe_run_t *run)
{
    return run->is_spent  ? "the level's connection limit was reached"
           : run->is_lost ? "the balancer did not come back to this backend"
                          : "too many connections failed";
}

const char *probe_host_header(const probe_run_t *run, const char *name, apr_pool_t *pool)
{
    const char *host = name ? name
                       : strchr(run->host->name, ':')
                           ? apr_pstrcat(pool, "[", run->host->name, "]", NULL)
                           : run->host->name;

    return run->host->port == 443 ? host : apr_psprintf(pool, "%s:%d", host, run->host->port);
}
