/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the steps of a probe share (run.h).
 */
#include "run.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "budget.h"
#include "words.h"

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

void probe_offer_as(probe_run_t *run, const probe_offer_t *offer, probe_reply_t *reply,
                    apr_pool_t *pool)
{
    int i = 0;

    do {
        probe_client_connect(run->client, offer, reply, pool);
    } while (++i < run->repeats_n && reply->outcome == PROBE_FULL);
}

int probe_is_answer(probe_run_t *run, const probe_reply_t *reply)
{
    run->is_spent = reply->outcome == PROBE_SPENT;
    if (run->is_spent) {
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
    run->faults_n = run->is_spent = 0;
    probe_client_allow_offers(run->client, probe_budget_offers(run->options, earlier_n, test));
}

const char *probe_why_ended(const probe_run_t *run)
{
    return run->is_spent ? "the level's connection limit was reached"
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
