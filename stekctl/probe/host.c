/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a probe (probe.h): collect tickets, look at them, then offer changed ones.  The
 * tests that open connections are in probe_mac.c, probe_padding.c and probe_offers.c.
 */
#include "host.h"

#include <apr_strings.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

#include "report.h"
#include "stek_time.h"

#define DISTINCT_MAX 3  /* tickets of different key names whose keys are searched */
#define NAME_COMPARED 4 /* as much of the name tells keys apart */

void probe_note(probe_run_t *run, probe_test_e test, probe_verdict_e verdict, const char *format,
                ...)
{
    probe_finding_t *finding = apr_array_push(run->host->findings);
    va_list args;

    va_start(args, format);
    finding->test = test;
    finding->version = run->version->version;
    finding->verdict = verdict;
    finding->text = apr_pvsprintf(run->pool, format, args);
    va_end(args);
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
    probe_client_connect(run->client, &offer, reply, run->scratch);
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
    return run->is_spent ? "as many connections as the level allows were made"
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

/* ---- collecting ---- */

/* A first connection that says that there is nothing to test here.  1: give up on the host. */
static int is_hopeless(probe_run_t *run, const probe_reply_t *reply)
{
    switch (reply->outcome) {
    case PROBE_FULL:
        return 0;
    case PROBE_ALERT:
    case PROBE_CLOSED:
    case PROBE_CLIENT:
        /* Perhaps only of this version. */
        if (!run->host->failure) {
            run->host->failure = apr_pstrdup(run->pool, reply->why);
        }
        return 0;
    default:
        run->host->failure = apr_pstrdup(run->pool, reply->why);
        return 1;
    }
}

/* Full handshakes that other tests may want: one under each other name, and none. */
static int others_n(const probe_run_t *run)
{
    return probe_budget_offers(run->options, 0, PROBE_TEST_CONFUSION);
}

/* Of --tickets, those that collect: two at least, if there are so many, and what others leave. */
static int collecting_n(const probe_run_t *run)
{
    int all = run->options->tickets_n;
    int n = all - others_n(run) - (run->version->version == TLS1_2_VERSION);

    return n >= 2 ? n : all < 2 ? all : 2;
}

static void collect_session_id(probe_run_t *run)
{
    probe_offer_t offer = {.version = TLS1_2_VERSION, .sni = run->name, .no_tickets = 1};
    probe_reply_t reply;

    if (run->version->version != TLS1_2_VERSION) {
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

/* A client certificate is wanted, and TLS 1.2 refuses in the handshake. */
static int is_for_others(const probe_reply_t *reply)
{
    return reply->asked_cert && reply->outcome == PROBE_ALERT;
}

static void keep(probe_run_t *run, const probe_reply_t *reply)
{
    probe_version_t *version = run->version;

    version->is_offered = 1;
    version->own = version->own ? version->own : reply;
    if (reply->tickets->nelts > version->per_connection) {
        version->per_connection = reply->tickets->nelts;
    }
    apr_array_cat(version->tickets, reply->tickets);
}

/* Some servers of TLS 1.3 give tickets only with an answer: after a connection without one, and on
 * the last, there is a request. */
static int asks_http(const probe_run_t *run, int is_last)
{
    return run->version->version == TLS1_3_VERSION
           && (run->asks_http || (is_last && run->version->tickets->nelts == 0));
}

/* Tickets of some connections; 0: the host is not to be tested at all. */
static int collect(probe_run_t *run)
{
    probe_offer_t offer = {.version = run->version->version, .sni = run->name, .collect = 1};
    const char *host = probe_host_header(run, run->name, run->pool);
    int i, n = collecting_n(run), empty_n = 0;

    run->test = "tickets";
    probe_client_allow_full(run->client, run->options->tickets_n);
    for (i = 0; i < n && empty_n < 2; i++) {
        probe_reply_t *reply = apr_palloc(run->pool, sizeof(*reply));

        probe_progress(run, (apr_size_t)i, (apr_size_t)n);
        offer.host = asks_http(run, i == n - 1) ? host : NULL;
        probe_client_connect(run->client, &offer, reply, run->pool);
        if (i == 0 && is_hopeless(run, reply)) {
            return 0;
        }
        if (reply->outcome == PROBE_FULL || is_for_others(reply)) {
            keep(run, reply);
            run->asks_http = reply->tickets->nelts == 0 ? !offer.host : run->asks_http;
        }
        empty_n += reply->outcome != PROBE_FULL || reply->tickets->nelts == 0;
    }
    return 1;
}

/* ---- what they tell ---- */

static const probe_ticket_t *ticket_n(const probe_version_t *version, int n)
{
    return &APR_ARRAY_IDX(version->tickets, n, probe_ticket_t);
}

static const char *span_text(const probe_run_t *run, apr_uint32_t s)
{
    return s ? report_span(apr_time_from_sec(s), run->pool) : "none";
}

static void report_support(probe_run_t *run)
{
    const probe_version_t *version = run->version;
    const char *by_id = version->by_session_id == 1    ? "; sessions also resume by session id"
                        : version->by_session_id == -1 ? "; resumption by session id was not tried"
                                                       : "";
    const probe_ticket_t *first;
    probe_verdict_e verdict;
    int is_long;

    if (version->tickets->nelts == 0) {
        probe_note(run, PROBE_TEST_SUPPORT, PROBE_OK, "gives no tickets%s%s",
                   version->own->asked_cert && version->own->alert >= 0
                       ? ": refuses clients without a certificate"
                       : "",
                   by_id);
        return;
    }
    first = ticket_n(version, 0);
    is_long = apr_time_from_sec(first->hint_s) > STEK_TIME_MAX;
    verdict = is_long                 ? PROBE_WEAK
              : first->hint_s == 0    ? PROBE_NOTE
              : !version->is_accepted ? PROBE_NOTE
                                      : PROBE_OK;
    probe_note(run, PROBE_TEST_SUPPORT, verdict,
               "%d ticket%s a connection, %s, lifetime hint %s%s%s%s", version->per_connection,
               version->per_connection == 1 ? "" : "s",
               version->format.layout == PROBE_LAYOUT_STATEFUL ? "stateful" : "stateless",
               span_text(run, first->hint_s), is_long ? ", more than 7d" : "",
               version->is_accepted ? "" : ", but a ticket does not resume", by_id);
}

static void report_format(probe_run_t *run)
{
    const probe_format_t *format = &run->version->format;
    const char *sizes = format->len_min == format->len_max
                            ? apr_psprintf(run->pool, "%d bytes", (int)format->len_min)
                            : apr_psprintf(run->pool, "%d to %d bytes", (int)format->len_min,
                                           (int)format->len_max);

    if (format->layout == PROBE_LAYOUT_UNKNOWN) {
        probe_note(run, PROBE_TEST_FORMAT, PROBE_OK,
                   "%s, common prefix of %d, layout not recognised", sizes, (int)format->name_len);
    }
    else if (format->layout == PROBE_LAYOUT_STATEFUL) {
        probe_note(run, PROBE_TEST_FORMAT, PROBE_OK, "%s: a key of the server's session cache",
                   sizes);
    }
    else {
        probe_note(run, PROBE_TEST_FORMAT, PROBE_OK,
                   "%s as %s lays them out: name %d, IV %d, text from %d, MAC %d", sizes,
                   probe_analysis_layout(format->layout), (int)format->name_len,
                   (int)format->iv_len, (int)format->text_at, (int)format->mac_len);
    }
}

/* "00 x 32", or the bytes in hex: the key is publicly known. */
static const char *key_text(const probe_run_t *run, const probe_hit_t *hit)
{
    char text[2 * PROBE_KEY_MAX + 1] = "";
    apr_size_t i;

    for (i = 1; i < hit->key_len && hit->key[i] == hit->key[0]; i++) {
    }
    if (i == hit->key_len) {
        return apr_psprintf(run->pool, "%02x x %d", hit->key[0], (int)hit->key_len);
    }
    for (i = 0; i < hit->key_len; i++) {
        apr_snprintf(text + 2 * i, 3, "%02x", hit->key[i]);
    }
    return apr_pstrdup(run->pool, text);
}

static void report_key(probe_run_t *run, probe_test_e test, const probe_hit_t *hit)
{
    const char *text;

    if (test == PROBE_TEST_CIPHER_KEY) {
        text = apr_psprintf(run->pool, "%s, text from %d",
                            hit->no_iv ? "IV of zeros"
                                       : apr_psprintf(run->pool, "IV at %d", (int)hit->iv_at),
                            (int)hit->text_at);
    }
    else {
        text = apr_psprintf(run->pool, "over the bytes from %d%s", (int)hit->text_at,
                            hit->mac_len < hit->mac_full_len
                                ? apr_psprintf(run->pool, ", truncated to %d", (int)hit->mac_len)
                                : "");
    }
    probe_note(run, test, PROBE_BROKEN, "%s with the key %s (%s)", hit->algorithm,
               key_text(run, hit), text);
}

/* One ticket for each key name, as far as a prefix tells names. */
static int choose_distinct(const probe_version_t *version, const probe_ticket_t **chosen)
{
    int i, j, n = 0;

    for (i = 0; i < version->tickets->nelts && n < DISTINCT_MAX; i++) {
        const probe_ticket_t *ticket = ticket_n(version, i);
        int is_new = 1;

        for (j = 0; j < n && version->format.name_len >= NAME_COMPARED; j++) {
            is_new = is_new && ticket->len >= NAME_COMPARED && chosen[j]->len >= NAME_COMPARED
                     && memcmp(ticket->bytes, chosen[j]->bytes, NAME_COMPARED) != 0;
        }
        if (is_new || n == 0) {
            chosen[n++] = ticket;
        }
    }
    return n;
}

static void search_keys(probe_run_t *run, probe_test_e test)
{
    const probe_ticket_t *chosen[DISTINCT_MAX];
    probe_version_t *version = run->version;
    int n = choose_distinct(version, chosen), i;
    probe_hit_t hit;

    run->test = probe_test_name(test);
    for (i = 0; i < n; i++) {
        probe_progress(run, (apr_size_t)i, (apr_size_t)n);
        if (test == PROBE_TEST_CIPHER_KEY
                ? probe_analysis_cipher_key(chosen[i], &version->format, run->options->level, &hit)
                : probe_analysis_mac_key(chosen[i], &version->format, run->options->level, &hit)) {
            report_key(run, test, &hit);
            return;
        }
    }
    probe_note(run, test, PROBE_OK, "no weak key opens %s", n > 1 ? "the tickets" : "the ticket");
}

static void analyse(probe_run_t *run)
{
    probe_version_t *version = run->version;
    const probe_ticket_t *tickets = ticket_n(version, 0);
    apr_size_t n = (apr_size_t)version->tickets->nelts;
    probe_hit_t hit;
    int is_plain;

    report_format(run);
    is_plain = probe_analysis_plain(tickets, n, &hit);
    if (is_plain) {
        probe_note(run, PROBE_TEST_PLAIN, PROBE_BROKEN, "the session's secret stands in it at %d",
                   (int)hit.text_at);
    }
    else {
        probe_note(run, PROBE_TEST_PLAIN, PROBE_OK, "the secret does not stand in it");
    }
    if (version->format.layout == PROBE_LAYOUT_STATEFUL) {
        probe_note(run, PROBE_TEST_CIPHER_KEY, PROBE_UNTESTED, "stateful: nothing is encrypted");
        probe_note(run, PROBE_TEST_MAC_KEY, PROBE_UNTESTED, "stateful: no MAC");
        probe_note(run, PROBE_TEST_NONCE, PROBE_UNTESTED, "stateful: no IV");
        return;
    }
    search_keys(run, PROBE_TEST_CIPHER_KEY);
    search_keys(run, PROBE_TEST_MAC_KEY);
    if (n < 2 || is_plain) {
        probe_note(run, PROBE_TEST_NONCE, PROBE_UNTESTED, "%s",
                   is_plain ? "nothing is encrypted" : "needs two tickets");
    }
    else if (!probe_analysis_nonce(tickets, n, &version->format, &hit)) {
        probe_note(run, PROBE_TEST_NONCE, PROBE_OK, "no IV and no key stream twice in %d tickets",
                   (int)n);
    }
    else if (hit.proven) {
        probe_note(run, PROBE_TEST_NONCE, PROBE_BROKEN,
                   "tickets %d and %d share a key stream: their XOR holds that of the secrets",
                   (int)hit.first + 1, (int)hit.second + 1);
    }
    else {
        probe_note(run, PROBE_TEST_NONCE, PROBE_WEAK, "tickets %d and %d have the same IV",
                   (int)hit.first + 1, (int)hit.second + 1);
    }
}

/* A ticket as given must resume, or no refusal of a changed one means anything. */
static void try_as_given(probe_run_t *run)
{
    probe_version_t *version = run->version;
    int i;

    for (i = 0; i < version->tickets->nelts && i < 3 && !version->is_accepted; i++) {
        probe_reply_t reply;

        probe_offer(run, ticket_n(version, version->tickets->nelts - 1 - i), NULL, &reply);
        version->is_accepted = reply.outcome == PROBE_RESUMED;
    }
}

/* The tests from first to the one before end. */
static void skip(probe_run_t *run, probe_test_e first, probe_test_e end, const char *why)
{
    int test;

    for (test = (int)first; test < (int)end; test++) {
        probe_note(run, (probe_test_e)test, PROBE_UNTESTED, "%s", why);
    }
}

/* For tickets that cannot be offered, from the test first on: other names may still take them. */
static void probe_confusion_only(probe_run_t *run, probe_test_e first, const char *why,
                                 const probe_host_t *earlier, int earlier_n)
{
    skip(run, first, PROBE_TEST_CONFUSION, why);
    probe_begin(run, PROBE_TEST_CONFUSION, earlier_n);
    probe_test_confusion(run, earlier, earlier_n);
    skip(run, PROBE_TEST_ROTATION, PROBE_TEST_N, why);
}

static void probe_version(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    probe_version_t *version = run->version;

    probe_begin(run, PROBE_TEST_SUPPORT, earlier_n);
    collect_session_id(run);
    if (version->tickets->nelts == 0) {
        report_support(run);
        probe_confusion_only(run, PROBE_TEST_FORMAT, "no tickets", earlier, earlier_n);
        return;
    }
    probe_analysis_format(ticket_n(version, 0), (apr_size_t)version->tickets->nelts,
                          &version->format);
    try_as_given(run);
    report_support(run);
    analyse(run);
    if (!version->is_accepted) {
        probe_confusion_only(run, PROBE_TEST_MAC, "its tickets do not resume", earlier, earlier_n);
        return;
    }
    probe_begin(run, PROBE_TEST_MAC, earlier_n);
    probe_test_mac(run);
    probe_begin(run, PROBE_TEST_PADDING, earlier_n);
    probe_test_padding(run);
    probe_begin(run, PROBE_TEST_CONFUSION, earlier_n);
    probe_test_confusion(run, earlier, earlier_n);
    probe_begin(run, PROBE_TEST_ROTATION, earlier_n);
    probe_test_rotation(run);
    probe_begin(run, PROBE_TEST_REUSE, earlier_n);
    probe_test_reuse(run);
}

static int is_address(const char *name)
{
    unsigned char address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static void probe_versions(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    probe_host_t *host = run->host;
    int i, offered_n = 0;

    for (i = 0; i < 2; i++) {
        probe_version_t *version = &host->versions[i];

        version->version = i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
        version->tickets = apr_array_make(run->pool, 32, sizeof(probe_ticket_t));
        run->version = version;
        if (i == 0 ? !run->options->has_tls12 : !run->options->has_tls13) {
            continue;
        }
        if (!collect(run)) {
            if (offered_n == 0) {
                return;
            }
            break;
        }
        if (version->is_offered) {
            offered_n++;
            probe_version(run, earlier, earlier_n);
        }
    }
    if (offered_n > 0) {
        host->failure = NULL;
    }
    else {
        host->failure = apr_psprintf(run->pool, "offers neither TLS version asked for: %s",
                                     host->failure ? host->failure : "no handshake succeeded");
    }
}

/* More than any server needs that answers at once, and an end for those that do not. */
static apr_interval_time_t time_limit(const probe_options_t *options, int planned_n)
{
    static const int base_s[] = {30, 300, 900};

    return apr_time_from_sec(base_s[options->level] + planned_n / options->per_second)
           + 2 * options->watch;
}

void probe_host(probe_host_t *host, const probe_host_t *earlier, int earlier_n,
                const probe_options_t *options, apr_pool_t *pool)
{
    probe_run_t run = {.host = host, .options = options, .pool = pool};
    apr_time_t begun = apr_time_now();

    host->findings = apr_array_make(pool, 2 * PROBE_TEST_N, sizeof(probe_finding_t));
    if (options->names->nelts > 0) {
        run.name = APR_ARRAY_IDX(options->names, 0, const char *);
    }
    else if (!is_address(host->name)) {
        run.name = host->name;
    }
    apr_pool_create(&run.scratch, pool);
    if (probe_client_create(&run.client, host->name, host->port, options->timeout,
                            options->per_second, &host->failure, pool)
        != APR_SUCCESS) {
        return;
    }
    probe_client_end_at(run.client, begun + time_limit(options, host->planned_n));
    probe_versions(&run, earlier, earlier_n);
    host->connections_n = probe_client_count(run.client);
    host->took = apr_time_now() - begun;
    if (options->shows_progress) {
        fputs("\r\033[K", stderr);
    }
    apr_pool_destroy(run.scratch);
}
