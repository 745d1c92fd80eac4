/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets as they were given, but elsewhere, later or again: under other names and on other hosts
 * (confusion), while the server's keys rotate, and a second time (reuse).
 */
#include "probe_host.h"

#include <apr_strings.h>
#include <openssl/ssl.h>
#include <string.h>

#include "report.h"

#define WATCH_EVERY_MAX apr_time_from_sec(30)
#define WATCH_LOOKS 120 /* in a watch, if they are not too close or too far apart */
#define HINT_SLACK apr_time_from_sec(5)

static const char *name_text(const char *name)
{
    return name ? name : "no SNI";
}

/* What a full handshake under that name asks for. */
typedef struct demand_t {
    int is_refused, asks_cert, has_cert;
    unsigned char cert_digest[32];
} demand_t;

/* To the end of the connection: TLS 1.3 refuses a missing certificate behind the handshake. */
static void ask_demand(probe_run_t *run, const char *name, demand_t *demand)
{
    probe_offer_t offer = {.version = run->version->version, .sni = name, .collect = 1};
    probe_reply_t reply;

    apr_pool_clear(run->scratch);
    probe_client_connect(run->client, &offer, &reply, run->scratch);
    memset(demand, 0, sizeof(*demand));
    demand->is_refused = reply.outcome == PROBE_ALERT
                         || (reply.outcome == PROBE_FULL && reply.alert >= 0);
    demand->asks_cert = reply.asked_cert;
    demand->has_cert = reply.has_cert;
    memcpy(demand->cert_digest, reply.cert_digest, sizeof(demand->cert_digest));
}

static int is_resumed_under(probe_run_t *run, const probe_ticket_t *ticket, const char *name)
{
    probe_offer_t offer = {
        .version = run->version->version,
        .sni = name,
        .session = ticket->session,
        .session_len = ticket->session_len,
        .collect = 1,
    };
    probe_reply_t reply;

    apr_pool_clear(run->scratch);
    probe_client_connect(run->client, &offer, &reply, run->scratch);
    return reply.outcome == PROBE_RESUMED && reply.alert < 0;
}

/* A ticket from from (its demand: own), offered under name. */
static probe_verdict_e judge(probe_run_t *run, const probe_ticket_t *ticket, const char *from,
                             const demand_t *own, const char *name)
{
    demand_t demand;

    if (!is_resumed_under(run, ticket, name)) {
        return PROBE_OK;
    }
    ask_demand(run, name, &demand);
    if (demand.is_refused && !own->is_refused) {
        probe_note(run, PROBE_TEST_CONFUSION, PROBE_BROKEN,
                   "a ticket of %s resumes with %s, where a full handshake is refused", from,
                   name_text(name));
        return PROBE_BROKEN;
    }
    if (demand.asks_cert && !own->asks_cert) {
        probe_note(run, PROBE_TEST_CONFUSION, PROBE_WEAK,
                   "a ticket of %s resumes with %s, where a full handshake asks for a client "
                   "certificate",
                   from, name_text(name));
        return PROBE_WEAK;
    }
    if (demand.has_cert && own->has_cert
        && memcmp(demand.cert_digest, own->cert_digest, sizeof(demand.cert_digest)) != 0) {
        probe_note(run, PROBE_TEST_CONFUSION, PROBE_NOTE,
                   "a ticket of %s resumes with %s, which has another certificate", from,
                   name_text(name));
        return PROBE_NOTE;
    }
    return PROBE_OK;
}

static const probe_version_t *version_of(const probe_host_t *host, int version)
{
    return &host->versions[version == TLS1_3_VERSION];
}

void probe_test_confusion(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    const probe_ticket_t *ticket = &APR_ARRAY_IDX(run->version->tickets, 0, probe_ticket_t);
    probe_verdict_e worst = PROBE_OK;
    demand_t own;
    int i, tried_n = 0;

    run->test = probe_test_name(PROBE_TEST_CONFUSION);
    probe_progress(run, 0, 0);
    ask_demand(run, run->name, &own);
    /* The names behind the first, then none. */
    for (i = 1; i <= run->options->names->nelts || i == 1; i++) {
        const char *name = i < run->options->names->nelts
                               ? APR_ARRAY_IDX(run->options->names, i, const char *)
                               : NULL;
        probe_verdict_e verdict;

        if (!name && !run->name) {
            continue;
        }
        tried_n++;
        verdict = judge(run, ticket, name_text(run->name), &own, name);
        worst = verdict > worst ? verdict : worst;
    }
    for (i = 0; i < earlier_n; i++) {
        const probe_version_t *theirs = version_of(&earlier[i], run->version->version);
        demand_t none = {0};
        probe_verdict_e verdict;

        if (!theirs->tickets || theirs->tickets->nelts == 0) {
            continue;
        }
        tried_n++;
        verdict = judge(run, &APR_ARRAY_IDX(theirs->tickets, 0, probe_ticket_t),
                        apr_psprintf(run->pool, "%s:%d", earlier[i].name, earlier[i].port), &none,
                        run->name);
        worst = verdict > worst ? verdict : worst;
    }
    if (tried_n == 0) {
        probe_note(run, PROBE_TEST_CONFUSION, PROBE_UNTESTED, "needs names: --sni");
    }
    else if (worst == PROBE_OK) {
        probe_note(run, PROBE_TEST_CONFUSION, PROBE_OK,
                   "offered under %d other name%s, a ticket gives nothing that a full handshake "
                   "would not",
                   tried_n, tried_n == 1 ? "" : "s");
    }
}

void probe_test_reuse(probe_run_t *run)
{
    /* Not the first: it has been offered by the tests before. */
    int last = run->version->tickets->nelts - 1;
    const probe_ticket_t *ticket = &APR_ARRAY_IDX(run->version->tickets, last, probe_ticket_t);
    probe_reply_t reply;
    int i, resumed_n = 0;

    run->test = probe_test_name(PROBE_TEST_REUSE);
    if (run->version->version != TLS1_3_VERSION) {
        probe_note(run, PROBE_TEST_REUSE, PROBE_OK, "tickets of TLS 1.2 are made to be reused");
        return;
    }
    probe_progress(run, 0, 0);
    for (i = 0; i < 2; i++) {
        probe_offer(run, ticket, NULL, &reply);
        resumed_n += reply.outcome == PROBE_RESUMED;
    }
    if (resumed_n == 2) {
        probe_note(run, PROBE_TEST_REUSE, PROBE_NOTE,
                   "a ticket is taken more than once, as is usual: clients that reuse tickets can "
                   "be recognised (RFC 8446, C.4)");
    }
    else {
        probe_note(run, PROBE_TEST_REUSE, PROBE_OK, "a ticket is taken once");
    }
}

/* ---- rotation ---- */

typedef struct watch_t {
    const probe_ticket_t *first;
    apr_size_t name_len;
    unsigned char name[16];
    apr_time_t begun, changed_at, resumed_at, ended_at, end;
    int changes_n;
} watch_t;

static void look(probe_run_t *run, watch_t *watch)
{
    probe_offer_t offer = {.version = run->version->version, .sni = run->name, .collect = 1};
    apr_time_t now = apr_time_now();
    const probe_ticket_t *ticket;
    probe_reply_t reply;

    apr_pool_clear(run->scratch);
    probe_client_connect(run->client, &offer, &reply, run->scratch);
    ticket = reply.tickets->nelts ? &APR_ARRAY_IDX(reply.tickets, 0, probe_ticket_t) : NULL;
    if (ticket && ticket->len >= watch->name_len
        && memcmp(ticket->bytes, watch->name, watch->name_len) != 0) {
        memcpy(watch->name, ticket->bytes, watch->name_len);
        watch->changed_at = watch->changes_n++ ? watch->changed_at : now;
    }
    probe_offer(run, watch->first, NULL, &reply);
    if (reply.outcome == PROBE_RESUMED) {
        watch->resumed_at = now;
        watch->ended_at = 0;
    }
    else if (reply.outcome == PROBE_FULL && !watch->ended_at) {
        watch->ended_at = now;
    }
}

static void report_watch(probe_run_t *run, const watch_t *watch)
{
    apr_interval_time_t hint = apr_time_from_sec(watch->first->hint_s);
    apr_interval_time_t resumed = watch->resumed_at - watch->begun;
    const char *old = watch->ended_at
                          ? apr_psprintf(run->pool, "the first ticket resumed for %s, hint %s",
                                         report_span(resumed, run->pool),
                                         report_span(hint, run->pool))
                          : "the first ticket resumed to the end";
    const char *keys = watch->name_len == 0 ? "key name not recognised"
                       : watch->changes_n
                           ? apr_psprintf(run->pool, "key name changed %d time%s, first after %s",
                                          watch->changes_n, watch->changes_n == 1 ? "" : "s",
                                          report_span(watch->changed_at - watch->begun, run->pool))
                           : "key name did not change";

    if (hint && resumed > hint + HINT_SLACK) {
        probe_note(run, PROBE_TEST_ROTATION, PROBE_WEAK,
                   "%s; the first ticket resumed %s after its issue, past its hint of %s", keys,
                   report_span(resumed, run->pool), report_span(hint, run->pool));
    }
    else {
        probe_note(run, PROBE_TEST_ROTATION,
                   watch->changes_n || watch->name_len == 0 ? PROBE_OK : PROBE_NOTE, "%s; %s", keys,
                   old);
    }
}

void probe_test_rotation(probe_run_t *run)
{
    apr_interval_time_t every = run->options->watch / WATCH_LOOKS;
    watch_t watch = {0};
    probe_offer_t offer = {.version = run->version->version, .sni = run->name, .collect = 1};
    probe_reply_t reply;

    run->test = probe_test_name(PROBE_TEST_ROTATION);
    if (run->options->watch == 0) {
        probe_note(run, PROBE_TEST_ROTATION, PROBE_UNTESTED, "wants --watch");
        return;
    }
    probe_client_connect(run->client, &offer, &reply, run->pool);
    if (reply.tickets->nelts == 0) {
        probe_note(run, PROBE_TEST_ROTATION, PROBE_UNTESTED, "no ticket came");
        return;
    }
    watch.first = &APR_ARRAY_IDX(reply.tickets, 0, probe_ticket_t);
    watch.begun = watch.resumed_at = apr_time_now();
    watch.end = watch.begun + run->options->watch;
    watch.name_len = run->version->format.name_len < sizeof(watch.name)
                         ? run->version->format.name_len
                         : sizeof(watch.name);
    memcpy(watch.name, watch.first->bytes,
           watch.name_len < watch.first->len ? watch.name_len : watch.first->len);
    every = every < apr_time_from_sec(1) ? apr_time_from_sec(1) : every;
    every = every > WATCH_EVERY_MAX ? WATCH_EVERY_MAX : every;
    while (apr_time_now() < watch.end) {
        probe_progress(run, (apr_size_t)apr_time_sec(apr_time_now() - watch.begun),
                       (apr_size_t)apr_time_sec(run->options->watch));
        apr_sleep(every < watch.end - apr_time_now() ? every : watch.end - apr_time_now() + 1);
        look(run, &watch);
    }
    report_watch(run, &watch);
}
