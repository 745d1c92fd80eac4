/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests by backend (by_backend.h).
 *
 * If keys are not shared, an offer meets the ticket's backend only now and then, and another one
 * answers as to any unknown ticket.  How many connections of those that collected brought tickets
 * with a key's name tells how often; an offer is then repeated.  If the first ticket resumes every
 * time, keys are shared: every backend answers every offer, and one ticket is enough.
 */
#include "by_backend.h"

#include <apr_strings.h>
#include <string.h>

#include "backends.h"
#include "budget.h"
#include "examine.h"
#include "tests.h"

#define TRIES_ALONE 3  /* one backend, as far as is known */
#define SHARED_MIN 7   /* one that is met half the time: all of these by chance in less than 1 % */
#define REPEATS_MAX 16 /* a backend that is met less often is not tested with altered tickets */
#define ALTERED_MAX 8  /* backends that are */
#define PLACES_MIN 8   /* altered tickets that say anything about a backend */
#define TEXT_NAMES_MAX 3 /* in a line */

static probe_backend_t *backend_n(const probe_version_t *version, int n)
{
    return &APR_ARRAY_IDX(version->backends, n, probe_backend_t);
}

/* Makes view the part of a version that belongs to one backend. */
static void enter(probe_run_t *run, const probe_version_t *whole, int n, probe_version_t *view)
{
    const probe_backend_t *backend = backend_n(whole, n);

    *view = *whole;
    view->tickets = backend->tickets;
    view->format = backend->format;
    run->version = view;
    run->repeats_n = backend->repeats_n > 1 ? backend->repeats_n : 1;
    run->backend = n;
}

static void leave(probe_run_t *run, probe_version_t *whole)
{
    run->version = whole;
    run->repeats_n = 1;
    run->backend = -1;
}

/* ---- unaltered tickets ---- */

/* How often the balancer most likely goes elsewhere before it comes to this backend. */
static int expected_repeats(const probe_version_t *version, const probe_backend_t *backend)
{
    int met_n = backend->connections_n ? backend->connections_n : 1;
    int n = (version->full_n + met_n - 1) / met_n;

    return n < 1 ? 1 : n < REPEATS_MAX ? n : REPEATS_MAX;
}

static int resumes(probe_run_t *run, const probe_ticket_t *ticket)
{
    probe_reply_t reply;

    probe_offer(run, ticket, NULL, &reply);
    return reply.outcome == PROBE_RESUMED;
}

static const probe_ticket_t *last_of(const apr_array_header_t *tickets, int n)
{
    return &APR_ARRAY_IDX(tickets, tickets->nelts - 1 - n, probe_ticket_t);
}

/* One backend, as far as is known: the last tickets.  If only a later one resumes, there may be
 * more. */
static void try_alone(probe_run_t *run, probe_version_t *version)
{
    probe_backend_t *backend = backend_n(version, 0);
    int i;

    for (i = 0; i < version->tickets->nelts && i < TRIES_ALONE && !version->is_accepted; i++) {
        version->is_accepted = resumes(run, last_of(version->tickets, i));
    }
    backend->repeats_n = !version->is_accepted ? 0 : i == 1 || backend->is_named ? 1 : TRIES_ALONE;
}

/* Sets repeats_n of a backend.  Nonzero: its ticket resumes every time. */
static int try_backend(probe_run_t *run, const probe_version_t *version, probe_backend_t *backend,
                       int is_first)
{
    const probe_ticket_t *ticket = last_of(backend->tickets, 0);
    int expected = expected_repeats(version, backend);
    int most = is_first && expected * 2 < SHARED_MIN ? SHARED_MIN : expected * 2;
    int i, found_at = 0, resumed_n = 0;

    for (i = 0; i < most && (resumed_n == 0 || (is_first && resumed_n == i)); i++) {
        if (resumes(run, ticket)) {
            found_at = found_at ? found_at : i + 1;
            resumed_n++;
        }
    }
    backend->repeats_n = resumed_n == 0 ? 0 : found_at > expected ? found_at : expected;
    return i > 0 && resumed_n == i && i == most;
}

/* Takes connections of the MAC test. */
static void try_all(probe_run_t *run, probe_version_t *version)
{
    int i, n = version->backends->nelts, rare = 0;

    /* Only where a ticket of the backend that is met least resumes every time do all have its key. */
    for (i = 1; i < n; i++) {
        rare = backend_n(version, i)->connections_n < backend_n(version, rare)->connections_n
                   ? i
                   : rare;
    }
    version->is_shared = try_backend(run, version, backend_n(version, rare), 1);
    if (version->is_shared) {
        version->is_accepted = backend_n(version, 0)->repeats_n = 1;
        return;
    }
    version->is_accepted = backend_n(version, rare)->repeats_n > 0;
    for (i = 0; i < n && i < ALTERED_MAX; i++) {
        if (i != rare) {
            (void)try_backend(run, version, backend_n(version, i), 0);
        }
        version->is_accepted |= backend_n(version, i)->repeats_n > 0;
    }
}

void probe_by_backend_try(probe_run_t *run, int earlier_n)
{
    probe_version_t *version = run->version;
    int allowed;

    if (version->backends->nelts == 1 && version->empty_n == 0) {
        try_alone(run, version);
        return;
    }
    probe_begin(run, PROBE_TEST_MAC, earlier_n);
    allowed = probe_client_offers_left(run->client);
    try_all(run, version);
    version->tried_n = allowed - probe_client_offers_left(run->client);
}

void probe_by_backend_enter(probe_run_t *run)
{
    const probe_version_t *whole = run->version;
    probe_version_t *view;
    int i, n = 0;

    for (i = whole->backends->nelts - 1; i >= 0; i--) {
        n = backend_n(whole, i)->repeats_n > 0 ? i : n;
    }
    if (backend_n(whole, n)->repeats_n > 0) {
        view = apr_palloc(run->pool, sizeof(*view));
        enter(run, whole, n, view);
        run->backend = -1;
    }
}

/* ---- findings that are alike ---- */

static probe_finding_t *finding_n(const probe_run_t *run, int n)
{
    return &APR_ARRAY_IDX(run->host->findings, n, probe_finding_t);
}

/* What is found is told for every backend. */
static int is_alike(const probe_finding_t *a, const probe_finding_t *b)
{
    return a->test == b->test && a->verdict == b->verdict && a->verdict < PROBE_WEAK
           && a->is_moot == b->is_moot && !strcmp(a->text, b->text);
}

/* "key name 01, key name 02 and 3 others: ", or "each of 3 backends or keys: " */
static const char *whose_text(const probe_run_t *run, const probe_version_t *version,
                              apr_uint64_t backends)
{
    int i, n = version->backends->nelts, named_n = 0, all_n = 0;
    const char *text = "";

    for (i = 0; i < n; i++) {
        all_n += backends >> i & 1;
    }
    if (all_n == n) {
        return apr_psprintf(run->pool, "each of %d backends or keys: ", n);
    }
    for (i = 0; i < n && named_n < TEXT_NAMES_MAX; i++) {
        if (backends >> i & 1) {
            text = apr_pstrcat(run->pool, text, named_n++ ? ", " : "",
                               probe_backend_text(backend_n(version, i), run->pool), NULL);
        }
    }
    return all_n > named_n ? apr_psprintf(run->pool, "%s and %d others: ", text, all_n - named_n)
                           : apr_pstrcat(run->pool, text, ": ", NULL);
}

/* Sorts the findings from first on by test, joins those that say the same of several backends, and
 * says whose they are. */
static void join(probe_run_t *run, int first)
{
    apr_array_header_t *findings = run->host->findings;
    probe_finding_t *all = apr_pmemdup(run->pool, finding_n(run, first),
                                       (apr_size_t)(findings->nelts - first) * sizeof(*all));
    int test, i, j, n = findings->nelts - first;

    findings->nelts = first;
    for (test = 0; test < PROBE_TEST_N; test++) {
        int begin = findings->nelts;

        for (i = 0; i < n; i++) {
            if ((int)all[i].test != test) {
                continue;
            }
            for (j = begin; j < findings->nelts && !is_alike(&all[i], finding_n(run, j)); j++) {
            }
            if (j == findings->nelts) {
                APR_ARRAY_PUSH(findings, probe_finding_t) = all[i];
            }
            else {
                finding_n(run, j)->backends |= all[i].backends;
                finding_n(run, j)->tickets_n += all[i].tickets_n;
            }
        }
    }
    for (i = first; i < findings->nelts; i++) {
        probe_finding_t *finding = finding_n(run, i);

        if (run->version->backends->nelts == 1) {
            finding->backends = 0; /* beside others without tickets */
        }
        if (finding->backends) {
            finding->text = apr_pstrcat(run->pool, whose_text(run, run->version, finding->backends),
                                        finding->text, NULL);
        }
    }
}

/* ---- tests ---- */

void probe_by_backend_examine(probe_run_t *run)
{
    probe_version_t *whole = run->version, view;
    int i, n = whole->backends->nelts, first = run->host->findings->nelts;

    if (n == 1) {
        probe_examine_tickets(run);
        return;
    }
    for (i = 0; i < n; i++) {
        enter(run, whole, i, &view);
        probe_examine_tickets(run);
    }
    leave(run, whole);
    probe_examine_across(run);
    join(run, first);
}

/* A share of the test's connections.  Returns for how many offers it is enough. */
static int begin_share(probe_run_t *run, probe_test_e test, int earlier_n, int of_n)
{
    int all;

    probe_begin(run, test, earlier_n);
    all = probe_client_offers_left(run->client);
    all -= test == PROBE_TEST_MAC ? run->version->tried_n : 0;
    all = all > 0 && of_n > 0 ? all / of_n : 0;
    probe_client_allow_offers(run->client, all);
    return all / run->repeats_n;
}

static void alter(probe_run_t *run, int earlier_n, int of_n)
{
    const probe_backend_t *backend = backend_n(run->version, run->backend);

    if (backend->repeats_n == 0) {
        const char *why = run->backend < ALTERED_MAX
                              ? "its tickets do not resume"
                              : "there are too many backends for altered tickets";

        probe_tell(run, PROBE_TEST_MAC, PROBE_UNTESTED, "%s", why);
        probe_tell(run, PROBE_TEST_PADDING, PROBE_UNTESTED, "%s", why);
        return;
    }
    if (begin_share(run, PROBE_TEST_MAC, earlier_n, of_n) < PROBE_MAC_MORE + PLACES_MIN) {
        probe_tell(run, PROBE_TEST_MAC, PROBE_UNTESTED,
                   "one in about %d connections comes to this backend, for which the level has too "
                   "few",
                   backend->repeats_n);
    }
    else {
        probe_test_mac(run);
    }
    (void)begin_share(run, PROBE_TEST_PADDING, earlier_n, of_n);
    probe_test_padding(run);
}

void probe_by_backend_alter(probe_run_t *run, int earlier_n)
{
    probe_version_t *whole = run->version, view;
    int i, n = whole->backends->nelts, first = run->host->findings->nelts, of_n = 0;

    if (whole->is_shared || (n == 1 && backend_n(whole, 0)->repeats_n == 1)) {
        enter(run, whole, 0, &view);
        run->backend = -1;
        (void)begin_share(run, PROBE_TEST_MAC, earlier_n, 1);
        probe_test_mac(run);
        probe_begin(run, PROBE_TEST_PADDING, earlier_n);
        probe_test_padding(run);
        leave(run, whole);
        return;
    }
    for (i = 0; i < n; i++) {
        of_n += backend_n(whole, i)->repeats_n > 0;
    }
    for (i = 0; i < n; i++) {
        enter(run, whole, i, &view);
        alter(run, earlier_n, of_n);
    }
    leave(run, whole);
    join(run, first);
}
