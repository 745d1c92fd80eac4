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
#include "changes.h"
#include "report.h"
#include "words.h"

#define HINT_SLACK apr_time_from_sec(5)

/* Offers the ticket, and says whether that resumes; -1: there is no answer. */
static int resumes(probe_run_t *run, const probe_ticket_t *ticket)
{
    probe_reply_t reply;

    probe_offer(run, ticket, NULL, &reply);
    if (!probe_is_answer(run, &reply)) {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_UNTESTED, "a connection failed: %s", reply.why);
        return -1;
    }
    return reply.outcome == PROBE_RESUMED;
}

void probe_test_reuse(probe_run_t *run)
{
    const probe_ticket_t *ticket;
    int first, second;

    if (run->version->version != TLS1_3_VERSION) {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_OK, "%s tickets are meant to be reused",
                   probe_version_name(run->version->version));
        return;
    }
    probe_progress(run, 0, 0);
    ticket = probe_fresh_ticket(run);
    if (!ticket) {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_UNTESTED,
                   "every ticket has been offered before; allow more with --tickets");
        return;
    }
    first = resumes(run, ticket);
    second = first < 0 ? -1 : resumes(run, ticket);
    if (second < 0) {
        return;
    }
    if (first && second) {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_NOTE,
                   "a ticket is accepted more than once, as usual: clients that reuse tickets can "
                   "be recognised (RFC 9846, C.4)");
    }
    else if (first || second) {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_OK, "a ticket is accepted once");
    }
    else {
        probe_tell(run, PROBE_TEST_REUSE, PROBE_UNTESTED, "the ticket did not resume");
    }
}

/* ---- rotation ---- */

typedef struct watch_t {
    const probe_ticket_t *first;
    probe_changes_t changes; /* of key names */
    int brought_n;           /* looks that brought a ticket with one */
    int unanswered_n;        /* offers of the first ticket */
    const char *why;         /* of the latest of these */
    apr_time_t begun, changed_at, resumed_at, ended_at, end;
} watch_t;

static void look(probe_run_t *run, watch_t *watch)
{
    apr_time_t now = apr_time_now();
    const probe_ticket_t *ticket;
    probe_reply_t reply;

    apr_pool_clear(run->scratch);
    ticket = probe_get_ticket(run, run->scratch);
    watch->changes.looks_n++;
    if (ticket && watch->changes.name_len && ticket->len >= watch->changes.name_len) {
        watch->brought_n++;
        if (probe_changes_see(&watch->changes, ticket->bytes) && !watch->changed_at) {
            watch->changed_at = now;
        }
    }
    probe_offer(run, watch->first, NULL, &reply);
    if (reply.outcome == PROBE_RESUMED) {
        watch->resumed_at = now;
        watch->ended_at = 0;
    }
    else if (reply.outcome == PROBE_FULL && !reply.is_elsewhere) {
        watch->ended_at = watch->ended_at ? watch->ended_at : now;
    }
    else {
        watch->unanswered_n++;
        watch->why = apr_pstrdup(run->pool, reply.why);
    }
}

static const char *keys_text(const probe_run_t *run, const watch_t *watch, int changes_n)
{
    int begun_n = watch->changes.begun_n, more_n = watch->changes.names_n - begun_n;
    const char *whose = begun_n > 1 ? apr_psprintf(run->pool, " on %d backends or keys", begun_n)
                                    : "";

    if (watch->changes.name_len == 0) {
        return "key name not recognised, so a change of keys would not be seen";
    }
    if (watch->brought_n == 0) {
        return "no more tickets came, so a change of keys would not be seen";
    }
    if (changes_n < 0) {
        return apr_psprintf(run->pool,
                            "%d more key name%s appeared: either keys changed, or other backends "
                            "answered",
                            more_n, more_n == 1 ? "" : "s");
    }
    return changes_n ? apr_psprintf(run->pool, "key name changed %d time%s%s, first after %s",
                                    changes_n, changes_n == 1 ? "" : "s", whose,
                                    report_span(watch->changed_at - watch->begun, run->pool))
                     : apr_psprintf(run->pool, "key name did not change%s", whose);
}

static void tell_watch(probe_run_t *run, const watch_t *watch)
{
    apr_interval_time_t hint = apr_time_from_sec(watch->first->hint_s);
    apr_interval_time_t resumed = watch->resumed_at - watch->begun;
    int is_early = hint && watch->ended_at && watch->ended_at - watch->begun + HINT_SLACK < hint;
    int changes_n = watch->brought_n ? probe_changes_count(&watch->changes) : -1;
    const char *keys = keys_text(run, watch, changes_n);
    const char *old = watch->ended_at
                          ? apr_psprintf(run->pool, "the first ticket resumed for %s, %shint %s",
                                         report_span(resumed, run->pool),
                                         is_early ? "less than its " : "",
                                         report_span(hint, run->pool))
                      : watch->unanswered_n
                          ? apr_psprintf(run->pool,
                                         "the first ticket resumed after %s, but %d later offers "
                                         "got no answer (%s)",
                                         report_span(resumed, run->pool), watch->unanswered_n,
                                         watch->why)
                          : "the first ticket resumed to the end";
    int is_unknown = changes_n < 0 || (watch->unanswered_n && !watch->ended_at);

    if (hint && resumed > hint + HINT_SLACK) {
        probe_tell(run, PROBE_TEST_ROTATION, PROBE_WEAK,
                   "%s; the first ticket still resumed after %s, beyond its hint of %s", keys,
                   report_span(resumed, run->pool), report_span(hint, run->pool));
        return;
    }
    probe_tell(run, PROBE_TEST_ROTATION,
               is_early     ? PROBE_NOTE
               : is_unknown ? PROBE_UNTESTED
               : changes_n  ? PROBE_OK
                            : PROBE_NOTE,
               "%s; %s", keys, old);
}

/* Which names are known, and how long they are.  Tickets without one say nothing. */
static void begin_names(const probe_run_t *run, watch_t *watch)
{
    const apr_array_header_t *backends = run->version->backends;
    int i;

    watch->changes.name_len = PROBE_CHANGES_LEN;
    for (i = 0; i < backends->nelts; i++) {
        const probe_backend_t *backend = &APR_ARRAY_IDX(backends, i, probe_backend_t);

        if (!backend->is_named) {
            watch->changes.name_len = 0;
        }
        watch->changes.name_len = backend->name_len < watch->changes.name_len
                                      ? backend->name_len
                                      : watch->changes.name_len;
    }
    for (i = 0; watch->changes.name_len && i < backends->nelts; i++) {
        (void)probe_changes_see(&watch->changes, APR_ARRAY_IDX(backends, i, probe_backend_t).name);
    }
}

void probe_test_rotation(probe_run_t *run)
{
    apr_interval_time_t every = probe_budget_look(run->options);
    watch_t *watch;

    if (run->options->watch == 0) {
        probe_tell(run, PROBE_TEST_ROTATION, PROBE_UNTESTED, "requires --watch");
        return;
    }
    watch = apr_pcalloc(run->pool, sizeof(*watch));
    probe_client_allow_full(run->client, probe_budget_full(run->options) - run->options->tickets_n);
    watch->first = run->version->is_alone ? probe_get_ticket(run, run->pool)
                                          : probe_fresh_ticket(run);
    if (!watch->first) {
        probe_tell(run, PROBE_TEST_ROTATION, PROBE_UNTESTED, "%s",
                   run->version->is_alone ? "the server sent no ticket"
                                          : "no ticket of this backend is left");
        return;
    }
    watch->begun = watch->resumed_at = apr_time_now();
    watch->end = watch->begun + run->options->watch;
    begin_names(run, watch);
    if (run->version->is_alone && watch->changes.name_len
        && watch->first->len >= watch->changes.name_len) {
        watch->changes.looks_n = watch->brought_n = 1;
        watch->changed_at = probe_changes_see(&watch->changes, watch->first->bytes) ? watch->begun
                                                                                    : 0;
    }
    while (apr_time_now() < watch->end) {
        probe_progress(run, (apr_size_t)apr_time_sec(apr_time_now() - watch->begun),
                       (apr_size_t)apr_time_sec(run->options->watch));
        apr_sleep(every < watch->end - apr_time_now() ? every : watch->end - apr_time_now() + 1);
        look(run, watch);
    }
    tell_watch(run, watch);
}
