/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unaltered tickets, offered later or again: while the server's keys rotate, and a second time
 * (reuse).  For other names and hosts, see confusion.c.
 */
#include "tests.h"

#include <apr_strings.h>
#include <openssl/ssl.h>
#include <string.h>

#include "budget.h"
#include "report.h"
#include "words.h"

#define HINT_SLACK apr_time_from_sec(5)

void probe_test_reuse(probe_run_t *run)
{
    /* Not the first, because earlier tests have offered it. */
    int last = run->version->tickets->nelts - 1;
    const probe_ticket_t *ticket = &APR_ARRAY_IDX(run->version->tickets, last, probe_ticket_t);
    probe_reply_t reply;
    int i, resumed_n = 0;

    if (run->version->version != TLS1_3_VERSION) {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_OK, "%s tickets are meant to be reused",
                   probe_version_name(run->version->version));
        return;
    }
    probe_progress(run, 0, 0);
    for (i = 0; i < 2; i++) {
        probe_offer(run, ticket, NULL, &reply);
        if (!probe_is_answer(run, &reply)) {
            probe_tell(run, PROBE_TEST_REUSE, PROBE_UNTESTED, "a connection failed: %s", reply.why);
            return;
        }
        resumed_n += reply.outcome == PROBE_RESUMED;
    }
    if (resumed_n == 2) {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_NOTE,
                   "a ticket is accepted more than once, as usual: clients that reuse tickets can "
                   "be recognised (RFC 9846, C.4)");
    }
    else {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_OK, "a ticket is accepted once");
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

/* Gets a new ticket; NULL if the server sends none. */
static const probe_ticket_t *get_ticket(probe_run_t *run, apr_pool_t *pool)
{
    probe_offer_t offer = {.version = run->version->version, .sni = run->name, .collect = 1};
    probe_reply_t reply;

    if (run->asks_http) {
        offer.host = probe_host_header(run, run->name, pool);
    }
    probe_client_connect(run->client, &offer, &reply, pool);
    return reply.tickets->nelts ? &APR_ARRAY_IDX(reply.tickets, 0, probe_ticket_t) : NULL;
}

/* Backends have names of their own: one that has been seen before is no new key. */
static int is_known_name(const probe_run_t *run, const watch_t *watch, const probe_ticket_t *ticket)
{
    const apr_array_header_t *backends = run->version->backends;
    int i;

    for (i = 0; i < backends->nelts; i++) {
        const probe_backend_t *backend = &APR_ARRAY_IDX(backends, i, probe_backend_t);

        if (backend->is_named && backend->name_len >= watch->name_len
            && memcmp(ticket->bytes, backend->name, watch->name_len) == 0) {
            return 1;
        }
    }
    return 0;
}

static void look(probe_run_t *run, watch_t *watch)
{
    apr_time_t now = apr_time_now();
    const probe_ticket_t *ticket;
    probe_reply_t reply;

    apr_pool_clear(run->scratch);
    ticket = get_ticket(run, run->scratch);
    if (ticket && ticket->len >= watch->name_len
        && memcmp(ticket->bytes, watch->name, watch->name_len) != 0
        && !is_known_name(run, watch, ticket)) {
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

static void tell_watch(probe_run_t *run, const watch_t *watch)
{
    apr_interval_time_t hint = apr_time_from_sec(watch->first->hint_s);
    apr_interval_time_t resumed = watch->resumed_at - watch->begun;
    int is_early = hint && watch->ended_at && watch->ended_at - watch->begun + HINT_SLACK < hint;
    const char *old = watch->ended_at
                          ? apr_psprintf(run->pool, "the first ticket resumed for %s, %shint %s",
                                         report_span(resumed, run->pool),
                                         is_early ? "less than its " : "",
                                         report_span(hint, run->pool))
                          : "the first ticket resumed to the end";
    const char *keys = watch->name_len == 0 ? "key name not recognised"
                       : watch->changes_n
                           ? apr_psprintf(run->pool, "key name changed %d time%s, first after %s",
                                          watch->changes_n, watch->changes_n == 1 ? "" : "s",
                                          report_span(watch->changed_at - watch->begun, run->pool))
                           : "key name did not change";

    if (hint && resumed > hint + HINT_SLACK) {
        probe_tell(run, PROBE_TEST_ROTATION, PROBE_WEAK,
                   "%s; the first ticket still resumed after %s, beyond its hint of %s", keys,
                   report_span(resumed, run->pool), report_span(hint, run->pool));
    }
    else {
        probe_tell(run, PROBE_TEST_ROTATION,
                   (watch->changes_n || watch->name_len == 0) && !is_early ? PROBE_OK : PROBE_NOTE,
                   "%s; %s", keys, old);
    }
}

void probe_test_rotation(probe_run_t *run)
{
    apr_interval_time_t every = probe_budget_look(run->options);
    watch_t watch = {0};

    if (run->options->watch == 0) {
        probe_tell(run, PROBE_TEST_ROTATION, PROBE_UNTESTED, "requires --watch");
        return;
    }
    probe_client_allow_full(run->client, probe_budget_full(run->options) - run->options->tickets_n);
    watch.first = get_ticket(run, run->pool);
    if (!watch.first) {
        probe_tell(run, PROBE_TEST_ROTATION, PROBE_UNTESTED, "the server sent no ticket");
        return;
    }
    watch.begun = watch.resumed_at = apr_time_now();
    watch.end = watch.begun + run->options->watch;
    watch.name_len = run->version->format.name_len < sizeof(watch.name)
                         ? run->version->format.name_len
                         : sizeof(watch.name);
    memcpy(watch.name, watch.first->bytes,
           watch.name_len < watch.first->len ? watch.name_len : watch.first->len);
    while (apr_time_now() < watch.end) {
        probe_progress(run, (apr_size_t)apr_time_sec(apr_time_now() - watch.begun),
                       (apr_size_t)apr_time_sec(run->options->watch));
        apr_sleep(every < watch.end - apr_time_now() ? every : watch.end - apr_time_now() + 1);
        look(run, &watch);
    }
    tell_watch(run, &watch);
}
