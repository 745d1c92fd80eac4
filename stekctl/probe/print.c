/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The findings (print.h).
 */
#include "print.h"

#include <stdio.h>
#include <string.h>

#include "across_print.h"
#include "analysis.h"
#include "backends.h"
#include "json_details.h"
#include "report.h"
#include "stek_version.h"
#include "verdict.h"
#include "words.h"

static int is_finding(const probe_finding_t *finding)
{
    return finding->verdict >= PROBE_WEAK;
}

static const probe_finding_t *finding_n(const probe_host_t *host, int n)
{
    return &APR_ARRAY_IDX(host->findings, n, probe_finding_t);
}

int probe_print_findings_n(const probe_host_t *host)
{
    int i, n = 0;

    for (i = 0; i < host->findings->nelts; i++) {
        n += is_finding(finding_n(host, i));
    }
    return n;
}

/* Prints text indented, wrapped at 78 columns. */
static void print_wrapped(const char *text)
{
    apr_size_t column = 0;

    while (*text) {
        apr_size_t len = strcspn(text, " ");

        if (column == 0 || column + 1 + len > 78) {
            printf("%s         ", column ? "\n" : "");
            column = 9;
        }
        printf(" %.*s", (int)len, text);
        column += 1 + len;
        text += len;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static int has_finding(const probe_host_t *host, probe_test_e test)
{
    int i;

    for (i = 0; i < host->findings->nelts; i++) {
        if (finding_n(host, i)->test == test && is_finding(finding_n(host, i))) {
            return 1;
        }
    }
    return 0;
}

void probe_print_host(const probe_host_t *host, apr_pool_t *pool)
{
    int i, test, version = 0, found_n = probe_print_findings_n(host);

    printf("%s: %s\n", probe_verdict_name(probe_verdict(host)),
           report_path(probe_verdict_text(host, pool), pool));
    for (i = 0; i < host->findings->nelts; i++) {
        const probe_finding_t *finding = finding_n(host, i);

        if (finding->version != version) {
            version = finding->version;
            printf(" %s\n", probe_version_name(version));
        }
        printf("  %-12s  %-10s  %s\n", probe_verdict_name(finding->verdict),
               probe_test_name(finding->test), report_path(finding->text, pool));
    }
    for (test = 0; test < PROBE_TEST_N; test++) {
        if (has_finding(host, (probe_test_e)test)) {
            printf(" %s\n", probe_test_name((probe_test_e)test));
            print_wrapped(probe_test_meaning((probe_test_e)test));
            print_wrapped(probe_test_remedy((probe_test_e)test));
        }
    }
    printf(" %d finding%s, %d connections in %s\n", found_n, found_n == 1 ? "" : "s",
           (int)host->connections_n, report_span(host->took, pool));
}

static void json_findings(json_t *json, const probe_host_t *host, int version, apr_pool_t *pool)
{
    int i;

    json_open(json, "tests", '[');
    for (i = 0; i < host->findings->nelts; i++) {
        const probe_finding_t *finding = finding_n(host, i);

        if (finding->version != version) {
            continue;
        }
        json_open(json, NULL, '{');
        json_string(json, "test", probe_test_name(finding->test));
        json_string(json, "verdict", probe_verdict_name(finding->verdict));
        json_string(json, "text", finding->text);
        if (is_finding(finding)) {
            json_string(json, "meaning", probe_test_meaning(finding->test));
            json_string(json, "remedy", probe_test_remedy(finding->test));
        }
        probe_json_finding(json, finding, host->redacts, pool);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_backends(json_t *json, const probe_version_t *version, apr_pool_t *pool)
{
    int i;

    json_open(json, "backends", '[');
    for (i = 0; i < version->backends->nelts; i++) {
        const probe_backend_t *backend = &APR_ARRAY_IDX(version->backends, i, probe_backend_t);

        json_open(json, NULL, '{');
        json_string(json, "key_name", probe_backend_name(backend, pool));
        json_string(json, "layout", probe_analysis_layout(backend->format.layout));
        json_number(json, "collected", backend->tickets->nelts);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_version(json_t *json, const probe_host_t *host, const probe_version_t *version,
                         apr_pool_t *pool)
{
    const probe_format_t *format = &version->format;
    int has_tickets = version->tickets->nelts > 0;

    json_open(json, NULL, '{');
    json_string(json, "version", probe_version_name(version->version));
    json_number(json, "tickets", version->per_connection);
    json_bool(json, "resumes", version->is_accepted);
    if (version->by_session_id >= 0) {
        json_bool(json, "session_ids", version->by_session_id);
    }
    if (has_tickets) {
        json_count(json, "hint", APR_ARRAY_IDX(version->tickets, 0, probe_ticket_t).hint_s);
        json_string(json, "layout", probe_analysis_layout(format->layout));
        json_count(json, "name_length", format->name_len);
        json_count(json, "least_length", format->len_min);
        json_count(json, "greatest_length", format->len_max);
        json_number(json, "collected", version->tickets->nelts);
        if (format->iv_len) {
            json_count(json, "iv_offset", format->iv_at);
            json_count(json, "iv_length", format->iv_len);
            json_count(json, "text_offset", format->text_at);
            json_count(json, "mac_length", format->mac_len);
        }
        json_backends(json, version, pool);
    }
    json_findings(json, host, version->version, pool);
    json_close(json, '}');
}

static void json_host(json_t *json, const probe_host_t *host, apr_pool_t *pool)
{
    int i;

    json_open(json, NULL, '{');
    json_string(json, "host", host->name);
    json_number(json, "port", host->port);
    json_string(json, "failure", host->failure);
    json_number(json, "planned", host->planned_n);
    json_count(json, "connections", host->connections_n);
    json_span(json, "seconds", host->took);
    probe_json_host(json, host, pool);
    json_open(json, "versions", '[');
    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        if (host->versions[i].is_offered) {
            json_version(json, host, &host->versions[i], pool);
        }
    }
    json_close(json, ']');
    json_close(json, '}');
}

void probe_print_json_line(const probe_host_t *host, apr_pool_t *pool)
{
    json_t json;

    json_begin(&json, stdout);
    json_host(&json, host, pool);
    json_end(&json);
}

void probe_print_json(const probe_host_t *hosts, int n, const probe_options_t *options,
                      probe_across_t *across, apr_pool_t *pool)
{
    int i, findings_n = 0;
    json_t json;

    for (i = 0; i < n; i++) {
        findings_n += probe_print_findings_n(&hosts[i]);
    }
    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_number(&json, "findings", findings_n);
    json_number(&json, "rate", options->per_second);
    json_string(&json, "tool", "stekctl probe");
    json_string(&json, "tool_version", STEK_VERSION);
    json_open(&json, "hosts", '[');
    for (i = 0; i < n; i++) {
        json_host(&json, &hosts[i], pool);
    }
    json_close(&json, ']');
    probe_across_json(&json, across, options->redacts, pool);
    json_close(&json, '}');
    json_end(&json);
}
