/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests by backend (by_backend.h).
 *
 * If keys are not shared, an offer meets the ticket's backend only now and then, so it is repeated
 * (faces.h).  If a ticket of the backend that is met least resumes every time, keys are shared: one
 * ticket is enough, but each of those that can be told apart has to answer.  Where only the name of
 * the key tells them apart, they may be one server with several names: then every place is altered
 * once, whoever answers, and each has to answer for some of them.
 *
 * Several backends share the connections that the level has for one: what is left after the tests
 * that need few goes into padding, and then into altered tickets.
 */
#include "by_backend.h"

#include <apr_strings.h>
#include <limits.h>
#include <string.h>

#include "backends.h"
#include "budget.h"
#include "examine.h"
#include "faces.h"
#include "tests.h"

#define SHARED_MIN 7   /* one that is met half the time: all of these by chance in less than 1 % */
#define TURNS 3        /* that a ticket is given to meet its backend, if it seems to be alone */
#define AGAIN 2        /* resumptions after the first, if others did not */
#define KEPT_MIN 4     /* tickets that are left for other tests, if possible */
#define ALTERED_MAX 8  /* backends that are tested with offers */
#define PLACES_MIN 8   /* altered tickets that say anything about a backend */
#define PADDING_MIN 6  /* offers of the padding test that say anything about a backend */
#define PADDING_PART 3 /* of the connections that are left, if it finds nothing */
#define PADDING_ENOUGH 90
#define MAC_ENOUGH (PROBE_MAC_MORE + 48) /* every byte of a MAC, and some others */
#define TEXT_NAMES_MAX 3                 /* in a line */

static probe_backend_t *backend_n(const probe_version_t *version, int n)
{
    return &APR_ARRAY_IDX(version->backends, n, probe_backend_t);
}

/* Offers until it has answered, on average. */
static int cost_of(const probe_backend_t *backend)
{
    return backend->cost_n > 1 ? backend->cost_n : 1;
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
    run->cost_n = cost_of(backend);
    run->wanted = run->repeats_n > 1 ? backend->faces : 0;
    run->backend = n;
}

void probe_by_backend_leave(probe_run_t *run, probe_version_t *whole)
{
    run->version = whole;
    run->repeats_n = run->cost_n = 1;
    run->wanted = 0;
    run->backend = -1;
}

/* ---- unaltered tickets ---- */

/* One offer of a ticket that belongs to a backend, with what tells who answers. */
static void ask(probe_run_t *run, probe_ticket_t *ticket, probe_reply_t *reply)
{
    probe_offer_t offer = {.version = run->version->version,
                           .sni = run->name,
                           .session = ticket->session,
                           .session_len = ticket->session_len,
                           .collect = 1};

    ticket->is_offered = 1;
    apr_pool_clear(run->scratch);
    probe_client_connect(run->client, &offer, reply, run->scratch);
}

static probe_ticket_t *last_of(const apr_array_header_t *tickets, int n)
{
    return &APR_ARRAY_IDX(tickets, tickets->nelts - 1 - n, probe_ticket_t);
}

/* Of unaltered tickets that were offered, and the last one that resumed. */
typedef struct tried_t {
    int offers_n, resumed_n;
    int resumed; /* its index; -1: none */
} tried_t;

/* Nonzero: number i resumed. */
static int try_ticket(probe_run_t *run, const probe_version_t *version, int i, tried_t *tried)
{
    probe_reply_t reply;

    ask(run, &APR_ARRAY_IDX(version->tickets, i, probe_ticket_t), &reply);
    tried->offers_n++;
    if (reply.outcome != PROBE_RESUMED) {
        return 0;
    }
    tried->resumed_n++;
    tried->resumed = i;
    return 1;
}

/* The last ticket of so many connections before the last one; -1: there is none. */
static int index_before(const probe_version_t *version, apr_size_t connections_n)
{
    int i = version->tickets->nelts - 1;
    apr_size_t last = APR_ARRAY_IDX(version->tickets, i, probe_ticket_t).connection;

    while (i >= 0
           && APR_ARRAY_IDX(version->tickets, i, probe_ticket_t).connection + connections_n
                  > last) {
        i--;
    }
    return i;
}

/* Tickets that share a name may still come from backends with keys of their own.  A balancer that takes
 * turns brings a ticket to its backend sooner or later, and one of the connection after next, offered
 * right after that, to another.  The one between shows whether some of them make tickets that
 * nobody opens. */
static void try_named(probe_run_t *run, const probe_version_t *version, tried_t *tried)
{
    int last = version->tickets->nelts - 1, early = -1, i;

    /* Level quick has few connections: there, only for what somebody made on their own. */
    if (last >= 2 * KEPT_MIN - 1
        && (run->options->level > PROBE_QUICK
            || backend_n(version, 0)->format.layout == PROBE_LAYOUT_UNKNOWN)) {
        early = index_before(version, 2);
    }
    for (i = 0; i < TURNS && !try_ticket(run, version, early >= 0 ? early : last, tried); i++) {
    }
    if (early >= 0) {
        (void)try_ticket(run, version, last, tried);
        (void)try_ticket(run, version, index_before(version, 1), tried);
    }
}

/* Tickets that have no name may come from several backends: every one of these would open its own
 * only. */
static void try_nameless(probe_run_t *run, const probe_version_t *version, tried_t *tried)
{
    int n = version->tickets->nelts, most = n - KEPT_MIN, i;

    most = most < 1 ? 1 : most > SHARED_MIN ? SHARED_MIN : most;
    for (i = 0; i < n; i++) {
        int is_mixed = tried->resumed_n && tried->resumed_n < i;

        if (i >= most ? tried->resumed_n || i >= TURNS : is_mixed && i > TURNS) {
            return;
        }
        (void)try_ticket(run, version, tried->resumed_n || i >= TURNS ? n - 1 - i : n - 1, tried);
    }
}

/* Nonzero: the ticket that resumed does so again and again, whoever answers. */
static int resumes_again(probe_run_t *run, const probe_version_t *version, tried_t *tried)
{
    int i = 0;

    while (i < AGAIN && try_ticket(run, version, tried->resumed, tried)) {
        i++;
    }
    return i == AGAIN;
}

/* Offers of the ticket that resumed, for an answer. */
static int repeats_of(probe_run_t *run, const probe_version_t *version, tried_t *tried)
{
    if (tried->resumed_n == 0 || tried->resumed_n == tried->offers_n
        || resumes_again(run, version, tried)) {
        return tried->resumed_n > 0;
    }
    return probe_faces_repeats_for((double)tried->resumed_n / tried->offers_n / 2, 1);
}

/* One backend, as far as is known. */
static void try_alone(probe_run_t *run, probe_version_t *version)
{
    probe_backend_t *backend = backend_n(version, 0);
    tried_t tried = {.resumed = -1};

    (backend->is_named ? try_named : try_nameless)(run, version, &tried);
    version->is_accepted = tried.resumed_n > 0;
    version->is_alone = tried.resumed_n == 0 || tried.resumed_n == tried.offers_n;
    backend->repeats_n = backend->cost_n = repeats_of(run, version, &tried);
    backend->tickets = version->tickets;
    if (!version->is_alone) {
        /* Altered ones are made of the first. */
        backend->tickets = apr_array_copy(run->pool, version->tickets);
        APR_ARRAY_IDX(backend->tickets, 0, probe_ticket_t) = APR_ARRAY_IDX(
            version->tickets, tried.resumed, probe_ticket_t);
        APR_ARRAY_IDX(backend->tickets, tried.resumed,
                      probe_ticket_t) = APR_ARRAY_IDX(version->tickets, 0, probe_ticket_t);
    }
}

/* What is known before a ticket of this backend is offered. */
static void expect(const probe_version_t *version, int n, int *prepeats_n)
{
    probe_backend_t *backend = backend_n(version, n);

    backend->faces = backend->is_named ? probe_faces_of_backend(version, n) : 0;
    *prepeats_n = probe_faces_repeats(version, backend->faces, backend->connections_n,
                                      &backend->cost_n);
}

/* Sets repeats_n of a backend, or why.  Nonzero: its ticket resumes every time. */
static int try_backend(probe_run_t *run, const probe_version_t *version, int n, int is_first)
{
    probe_backend_t *backend = backend_n(version, n);
    probe_ticket_t *ticket = last_of(backend->tickets, 0);
    int repeats_n, most, i, resumed_n = 0;

    expect(version, n, &repeats_n);
    most = is_first && repeats_n < SHARED_MIN ? SHARED_MIN : repeats_n;
    for (i = 0; i < most && (resumed_n == 0 || (is_first && resumed_n == i)); i++) {
        probe_reply_t reply;
        int face;

        ask(run, ticket, &reply);
        if (reply.outcome == PROBE_SPENT) {
            break;
        }
        resumed_n += reply.outcome == PROBE_RESUMED;
        face = reply.outcome == PROBE_FULL ? probe_faces_of(version, &reply) : -1;
        /* It looks like the ticket's backend, and does not know the ticket: so looks do not tell. */
        if (resumed_n == 0 && face >= 0 && (backend->faces >> face & 1)) {
            backend->faces = 0;
            backend->cost_n = repeats_n;
        }
    }
    if (resumed_n == 0) {
        backend->why = i == most ? "its tickets do not resume"
                                 : "the level has too few connections to meet its backend";
    }
    else if (repeats_n > PROBE_REPEATS_MAX) {
        backend->why = "its backend is met too rarely";
    }
    else {
        backend->repeats_n = repeats_n;
    }
    return i > 0 && resumed_n == i && i == most;
}

/* Every backend opens every ticket: each that can be told apart has to answer. */
static void share(probe_version_t *version)
{
    probe_backend_t *backend = backend_n(version, 0);

    version->is_accepted = version->is_shared = 1;
    version->is_sampled = probe_faces_are_alike(version) && probe_faces_often(version) != 0;
    backend->faces = version->is_sampled ? 0 : probe_faces_all(version);
    backend->repeats_n = backend->cost_n = 1;
    if (backend->faces) {
        backend->repeats_n = probe_faces_repeats(version, backend->faces, 1, &backend->cost_n);
    }
    backend->repeats_n = backend->repeats_n < PROBE_REPEATS_MAX ? backend->repeats_n
                                                                : PROBE_REPEATS_MAX;
}

static void try_all(probe_run_t *run, probe_version_t *version)
{
    int i, n = version->backends->nelts, rare = 0;

    /* Only where a ticket of the backend that is met least resumes every time do all have its key. */
    for (i = 1; i < n; i++) {
        rare = backend_n(version, i)->connections_n < backend_n(version, rare)->connections_n
                   ? i
                   : rare;
    }
    if (try_backend(run, version, rare, 1)) {
        share(version);
        return;
    }
    for (i = 0; i < n; i++) {
        if (i >= ALTERED_MAX && i != rare) {
            backend_n(version, i)->why = "there are too many backends";
        }
        else if (i != rare) {
            (void)try_backend(run, version, i, 0);
        }
        version->is_accepted |= backend_n(version, i)->repeats_n > 0;
    }
}

static const probe_test_e pooled[] = {PROBE_TEST_MAC, PROBE_TEST_PADDING, PROBE_TEST_REUSE,
                                      PROBE_TEST_CHANGE, PROBE_TEST_EXPIRY};

static int is_steady(const probe_version_t *version)
{
    int i;

    for (i = 0; i < version->backends->nelts; i++) {
        if (backend_n(version, i)->repeats_n != 1) {
            return 0;
        }
    }
    return version->is_accepted && (version->is_alone || version->is_shared);
}

void probe_by_backend_try(probe_run_t *run, int earlier_n)
{
    probe_version_t *version = run->version;
    apr_size_t i;

    probe_faces_find(version, run->pool);
    if (version->backends->nelts == 1 && version->faces->nelts <= 1) {
        try_alone(run, version);
    }
    for (i = 0; i < sizeof(pooled) / sizeof(pooled[0]); i++) {
        version->pool_n += probe_budget_offers(run->options, earlier_n, pooled[i]);
    }
    if (version->backends->nelts > 1 || version->faces->nelts > 1) {
        probe_begin(run, PROBE_TEST_MAC, earlier_n);
        probe_client_allow_offers(run->client, version->pool_n);
        try_all(run, version);
        version->pool_n = probe_client_offers_left(run->client);
        run->servers_n += version->is_shared ? 0 : version->backends->nelts - 1;
        run->clean_end = probe_budget_clean(run->options, earlier_n, run->servers_n);
    }
    version->is_steady = is_steady(version);
}

const char *probe_by_backend_why(const probe_version_t *version)
{
    const char *why = backend_n(version, 0)->why;

    return why ? why : "its tickets do not resume";
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
    probe_by_backend_leave(run, whole);
    probe_examine_across(run);
    join(run, first);
}

/* The costs of all backends that are tested, from one on. */
static int costs_from(const probe_version_t *whole, int first)
{
    int n = whole->is_shared ? 1 : whole->backends->nelts, cost_n = 0, i;

    for (i = first; i < n; i++) {
        cost_n += backend_n(whole, i)->repeats_n > 0 ? cost_of(backend_n(whole, i)) : 0;
    }
    return cost_n;
}

/* Makes a test with a part of the offers that are left, and, while it finds nothing, of the
 * connections: by this backend's cost_n beside that of the others that have not been tested yet. */
static void make_pooled(probe_run_t *run, probe_version_t *whole, probe_test_e test,
                        void (*make)(probe_run_t *run), int others_cost_n)
{
    int cost_n = run->cost_n + others_cost_n;
    int allowed = whole->pool_n * run->cost_n / cost_n, clean_end = run->clean_end;
    int count = (int)probe_client_count(run->client), part = 1;

    /* It needs many only where it finds something, and has to leave some for altered tickets. */
    if (test == PROBE_TEST_PADDING) {
        int others = others_cost_n * PADDING_ENOUGH + costs_from(whole, 0) * MAC_ENOUGH;

        allowed = whole->pool_n - others > allowed / 2 ? whole->pool_n - others : allowed / 2;
        part = whole->is_sampled ? 2 : PADDING_PART;
    }
    probe_begin(run, test, 0);
    probe_client_allow_offers(run->client, allowed);
    if (clean_end != INT_MAX) {
        run->clean_end = count + (clean_end - count) * run->cost_n / cost_n / part;
    }
    make(run);
    /* What stood out was looked at, and takes nothing from the tests that follow. */
    if (clean_end != INT_MAX && (int)probe_client_count(run->client) > run->clean_end) {
        clean_end += (int)probe_client_count(run->client) - run->clean_end;
    }
    run->clean_end = clean_end;
    whole->pool_n -= allowed - probe_client_offers_left(run->client);
}

/* Nonzero, and said: the offers that are left do not reach this backend least_n times. */
static int is_met_too_rarely(probe_run_t *run, probe_test_e test, int least_n)
{
    int clean = probe_clean_left(run), offers = probe_client_offers_left(run->client);

    if ((clean < offers ? clean : offers) / run->cost_n >= least_n) {
        return 0;
    }
    probe_tell(run, test, PROBE_UNTESTED,
               "only about one answer in %d comes from this backend, and the level has too few "
               "connections to wait for it%s",
               run->cost_n, probe_deeper_text(run));
    return 1;
}

static void alter(probe_run_t *run)
{
    if (run->version->format.layout != PROBE_LAYOUT_STATEFUL
        && is_met_too_rarely(run, PROBE_TEST_MAC, PROBE_MAC_MORE + PLACES_MIN)) {
        return;
    }
    probe_test_mac(run);
}

static void pad(probe_run_t *run)
{
    if (run->options->level != PROBE_QUICK && run->version->format.layout != PROBE_LAYOUT_STATEFUL
        && is_met_too_rarely(run, PROBE_TEST_PADDING, PADDING_MIN)) {
        return;
    }
    probe_test_padding(run);
}

static void (*const makers[PROBE_TEST_N])(probe_run_t *run) = {
    [PROBE_TEST_MAC] = alter,
    [PROBE_TEST_PADDING] = pad,
    [PROBE_TEST_REUSE] = probe_test_reuse,
    [PROBE_TEST_CHANGE] = probe_test_change,
    [PROBE_TEST_EXPIRY] = probe_test_expiry,
};

/* A backend that is not named stands for all of them: what is good on one says nothing about the
 * others. */
static void doubt(const probe_run_t *run, int first)
{
    int i;

    for (i = first; i < run->host->findings->nelts; i++) {
        probe_finding_t *finding = finding_n(run, i);

        if (finding->verdict < PROBE_UNTESTED) {
            finding->verdict = PROBE_UNTESTED;
            finding->text = apr_pstrcat(
                run->pool, finding->text,
                ", by one of several backends, which no key name tells apart", NULL);
        }
    }
}

/* The backends of a version that is sampled which were met once: nothing makes sure that they
 * answer. */
static apr_uint64_t met_once(const probe_version_t *version)
{
    apr_uint64_t faces = probe_faces_often(version), often = 0;
    int i;

    for (i = 0; i < version->faces->nelts; i++) {
        if (faces >> i & 1) {
            often |= APR_UINT64_C(1) << APR_ARRAY_IDX(version->faces, i, probe_face_t).backend;
        }
    }
    return ~often & ~APR_UINT64_C(0) >> (64 - version->backends->nelts);
}

/* What was found good holds for those that were met. */
static void tell_unmet(probe_run_t *run, const probe_version_t *whole, probe_test_e test, int first)
{
    apr_uint64_t all = ~APR_UINT64_C(0) >> (64 - whole->backends->nelts);
    int i;

    for (i = first; i < run->host->findings->nelts; i++) {
        probe_finding_t *finding = finding_n(run, i);

        finding->backends = finding->verdict < PROBE_WEAK && run->unmet ? all & ~run->unmet : 0;
    }
    for (i = 0; i < whole->backends->nelts; i++) {
        if (run->unmet >> i & 1) {
            run->backend = i;
            probe_tell(
                run, test, PROBE_UNTESTED,
                "too few answers came with this key name, whose tickets those who answered open, "
                "too%s",
                probe_deeper_text(run));
        }
    }
}

/* For one test, with every backend. */
static void make_for_all(probe_run_t *run, probe_test_e test)
{
    probe_version_t *whole = run->version, view;
    int i, n = whole->is_shared ? 1 : whole->backends->nelts;

    for (i = 0; i < n; i++) {
        int first = run->host->findings->nelts;

        enter(run, whole, i, &view);
        run->backend = whole->is_shared ? -1 : i;
        run->unmet = whole->is_sampled ? met_once(whole) : 0;
        if (backend_n(whole, i)->repeats_n == 0) {
            probe_tell(run, test, PROBE_UNTESTED, "%s", backend_n(whole, i)->why);
        }
        else {
            make_pooled(run, whole, test, makers[test], costs_from(whole, i + 1));
        }
        if (!backend_n(whole, i)->faces && !whole->is_shared) {
            doubt(run, first);
        }
        if (whole->is_sampled && (test == PROBE_TEST_MAC || test == PROBE_TEST_PADDING)) {
            tell_unmet(run, whole, test, first);
        }
        probe_by_backend_leave(run, whole);
    }
}

/* With one backend's tickets; the others remain untested. */
static void make_for_one(probe_run_t *run, probe_test_e test, int earlier_n,
                         void (*make)(probe_run_t *run, const probe_host_t *earlier, int earlier_n),
                         const probe_host_t *earlier)
{
    probe_version_t *whole = run->version, *view = apr_palloc(run->pool, sizeof(*view));
    int i, n = 0, own;

    for (i = whole->backends->nelts - 1; i >= 0; i--) {
        n = backend_n(whole, i)->repeats_n > 0 ? i : n;
    }
    enter(run, whole, n, view);
    run->backend = whole->is_shared || whole->backends->nelts == 1 ? -1 : n;
    probe_begin(run, test, earlier_n);
    own = probe_client_offers_left(run->client);
    probe_client_allow_offers(run->client, own + whole->pool_n);
    make(run, earlier, earlier_n);
    if (probe_client_offers_left(run->client) < whole->pool_n) {
        whole->pool_n = probe_client_offers_left(run->client);
    }
    for (i = 0; i < whole->backends->nelts && run->backend >= 0; i++) {
        if (i != n) {
            run->backend = i;
            probe_tell(run, test, PROBE_UNTESTED, "only the tickets of another backend were tried");
        }
    }
    probe_by_backend_leave(run, whole);
}

static void watch(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    (void)earlier;
    (void)earlier_n;
    probe_test_rotation(run);
}

void probe_by_backend_test(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    int first = run->host->findings->nelts;

    make_for_one(run, PROBE_TEST_CONFUSION, earlier_n, probe_test_confusion, earlier);
    make_for_all(run, PROBE_TEST_EXPIRY);
    make_for_all(run, PROBE_TEST_CHANGE);
    make_for_all(run, PROBE_TEST_REUSE);
    make_for_all(run, PROBE_TEST_PADDING);
    make_for_all(run, PROBE_TEST_MAC);
    if (run->options->watch) {
        make_for_one(run, PROBE_TEST_ROTATION, earlier_n, watch, earlier);
    }
    else {
        probe_test_rotation(run);
    }
    join(run, first);
}
