/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tickets show (examine.h).
 */
#include "examine.h"

#include <apr_strings.h>
#include <openssl/ssl.h>
#include <string.h>

#include "analysis.h"
#include "report.h"
#include "stek_time.h"
#include "search.h"
#include "words.h"

#define DISTINCT_MAX 3  /* tickets with different key names whose keys are searched for */
#define NAME_COMPARED 4 /* bytes of the name that distinguish keys */

static const probe_ticket_t *ticket_n(const probe_version_t *version, int n)
{
    return &APR_ARRAY_IDX(version->tickets, n, probe_ticket_t);
}

static const char *span_text(const probe_run_t *run, apr_uint32_t s)
{
    return s ? report_span(apr_time_from_sec(s), run->pool) : "none";
}

void probe_examine_support(probe_run_t *run)
{
    const probe_version_t *version = run->version;
    const char *by_id = version->by_session_id == 1    ? "; sessions also resume by session id"
                        : version->by_session_id == -1 ? "; resumption by session id was not tried"
                                                       : "";
    const probe_ticket_t *first;
    probe_verdict_e verdict;
    int is_long;

    if (version->tickets->nelts == 0) {
        probe_tell(run, PROBE_TEST_SUPPORT, PROBE_OK, "gives no tickets%s%s",
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
    probe_tell(run, PROBE_TEST_SUPPORT, verdict,
               "%d ticket%s per connection, %s, lifetime hint %s%s%s%s", version->per_connection,
               version->per_connection == 1 ? "" : "s",
               version->format.layout == PROBE_LAYOUT_STATEFUL ? "stateful" : "stateless",
               span_text(run, first->hint_s), is_long ? ", more than 7d" : "",
               version->is_accepted ? "" : ", but a ticket does not resume", by_id);
}

static void tell_format(probe_run_t *run)
{
    const probe_format_t *format = &run->version->format;
    const char *sizes = format->len_min == format->len_max
                            ? apr_psprintf(run->pool, "%d bytes", (int)format->len_min)
                            : apr_psprintf(run->pool, "%d to %d bytes", (int)format->len_min,
                                           (int)format->len_max);

    if (format->layout == PROBE_LAYOUT_UNKNOWN) {
        probe_tell(run, PROBE_TEST_FORMAT, PROBE_OK,
                   "%s, common prefix of %d bytes, layout not recognised", sizes,
                   (int)format->name_len);
    }
    else if (format->layout == PROBE_LAYOUT_STATEFUL) {
        probe_tell(run, PROBE_TEST_FORMAT, PROBE_OK, "%s: refers to the server's session cache",
                   sizes);
    }
    else {
        probe_tell(run, PROBE_TEST_FORMAT, PROBE_OK,
                   "%s, %s layout: name %d, IV %d, text at %d, MAC %d", sizes,
                   probe_analysis_layout(format->layout), (int)format->name_len,
                   (int)format->iv_len, (int)format->text_at, (int)format->mac_len);
    }
}

/* "00 x 32", or the bytes in hex; they may be shown, because the key is publicly known. */
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

static void tell_key(probe_run_t *run, probe_test_e test, const probe_hit_t *hit)
{
    const char *text;

    if (test == PROBE_TEST_CIPHER_KEY) {
        text = apr_psprintf(run->pool, "%s, text at %d",
                            hit->no_iv ? "all-zero IV"
                                       : apr_psprintf(run->pool, "IV at %d", (int)hit->iv_at),
                            (int)hit->text_at);
    }
    else {
        text = apr_psprintf(run->pool, "over the bytes from offset %d%s", (int)hit->text_at,
                            hit->mac_len < hit->mac_full_len ? apr_psprintf(
                                run->pool, ", truncated to %d bytes", (int)hit->mac_len)
                                                             : "");
    }
    probe_tell(run, test, PROBE_BROKEN, "%s with the key %s (%s)", hit->algorithm,
               key_text(run, hit), text);
}

/* Chooses one ticket for every key name, as far as their prefixes differ. */
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
                ? probe_search_cipher(chosen[i], &version->format, run->options->level, &hit)
                : probe_search_mac(chosen[i], &version->format, run->options->level, &hit)) {
            tell_key(run, test, &hit);
            return;
        }
    }
    probe_tell(run, test, PROBE_OK, "no weak key opens %s", n > 1 ? "the tickets" : "the ticket");
}

static void search_nonces(probe_run_t *run, int is_plain)
{
    const probe_ticket_t *tickets = ticket_n(run->version, 0);
    apr_size_t n = (apr_size_t)run->version->tickets->nelts;
    probe_hit_t hit;

    if (n < 2 || is_plain) {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_UNTESTED, "%s",
                   is_plain ? "nothing is encrypted" : "requires two tickets");
    }
    else if (!probe_analysis_nonce(tickets, n, &run->version->format, &hit)) {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_OK, "no IV or key stream is reused in %d tickets",
                   (int)n);
    }
    else if (hit.proven) {
        probe_tell(
            run, PROBE_TEST_NONCE, PROBE_BROKEN,
            "tickets %d and %d share a key stream: their XOR contains the XOR of the secrets",
            (int)hit.first + 1, (int)hit.second + 1);
    }
    else {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_WEAK, "tickets %d and %d have the same IV",
                   (int)hit.first + 1, (int)hit.second + 1);
    }
}

void probe_examine_tickets(probe_run_t *run)
{
    probe_version_t *version = run->version;
    const probe_ticket_t *tickets = ticket_n(version, 0);
    apr_size_t n = (apr_size_t)version->tickets->nelts;
    probe_hit_t hit;
    int is_plain;

    tell_format(run);
    is_plain = probe_analysis_plain(tickets, n, &hit);
    if (is_plain) {
        probe_tell(run, PROBE_TEST_PLAIN, PROBE_BROKEN,
                   "contains the session's secret, at offset %d", (int)hit.text_at);
    }
    else {
        probe_tell(run, PROBE_TEST_PLAIN, PROBE_OK, "does not contain the secret");
    }
    if (version->format.layout == PROBE_LAYOUT_STATEFUL) {
        probe_tell(run, PROBE_TEST_CIPHER_KEY, PROBE_UNTESTED, "stateful: nothing is encrypted");
        probe_tell(run, PROBE_TEST_MAC_KEY, PROBE_UNTESTED, "stateful: no MAC");
        probe_tell(run, PROBE_TEST_NONCE, PROBE_UNTESTED, "stateful: no IV");
        return;
    }
    search_keys(run, PROBE_TEST_CIPHER_KEY);
    search_keys(run, PROBE_TEST_MAC_KEY);
    search_nonces(run, is_plain);
}
