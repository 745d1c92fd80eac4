/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl probe: what an attacker would learn from a server's tickets.  Options and the report; the
 * tests are in probe_*.c.
 */
#include <apr_strings.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "model.h"
#include "options.h"
#include "probe.h"
#include "report.h"
#include "stek_time.h"

#define TICKETS_DEFAULT 10
#define TICKETS_MAX 64
#define RATE_DEFAULT 100
#define RATE_MAX 1000
#define TIMEOUT_DEFAULT apr_time_from_sec(5)
#define WATCH_MAX apr_time_from_sec(7 * 86400)
#define HOSTS_MAX 64

/* A decimal number from least to most; -1: not one. */
static int number(const char *text, int least, int most)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    return errno || end == text || *end || value < least || value > most ? -1 : (int)value;
}

static const char *const levels[] = {"quick", "normal", "deep"};

static int set_level(probe_options_t *options, const char *text)
{
    int i;

    for (i = 0; i < 3; i++) {
        if (!strcmp(levels[i], text)) {
            options->level = (probe_level_e)i;
            return 1;
        }
    }
    return 0;
}

static int set_tls(probe_options_t *options, const char *text)
{
    options->has_tls12 = !strcmp(text, "1.2") || !strcmp(text, "1.2,1.3")
                         || !strcmp(text, "1.3,1.2");
    options->has_tls13 = !strcmp(text, "1.3") || !strcmp(text, "1.2,1.3")
                         || !strcmp(text, "1.3,1.2");
    return options->has_tls12 || options->has_tls13;
}

/* As names of hosts are: no blanks, no control characters, nothing beyond ASCII. */
static int is_printable(const char *text)
{
    while ((unsigned char)*text > ' ' && (unsigned char)*text < 0x7f) {
        text++;
    }
    return *text == '\0';
}

static int add_names(probe_options_t *options, const char *text, apr_pool_t *pool)
{
    char *last = NULL, *copy = apr_pstrdup(pool, text), *name;

    if (!is_printable(text)) {
        return 0;
    }
    for (name = apr_strtok(copy, ",", &last); name; name = apr_strtok(NULL, ",", &last)) {
        if (strlen(name) > 255) {
            return 0;
        }
        APR_ARRAY_PUSH(options->names, const char *) = name;
    }
    return options->names->nelts > 0;
}

static int set_watch(probe_options_t *options, const char *text)
{
    return stek_time_parse(text, &options->watch) == APR_SUCCESS
           && options->watch >= apr_time_from_sec(1) && options->watch <= WATCH_MAX;
}

/* HOST, HOST:PORT, [ADDRESS]:PORT, or an IPv6 address without a port. */
static int parse_host(const char *text, probe_host_t *host, apr_pool_t *pool)
{
    const char *colon = strrchr(text, ':'), *end = NULL;

    if (!is_printable(text)) {
        return 0;
    }
    if (*text == '[') {
        end = strchr(++text, ']');
        if (!end || (end[1] && end[1] != ':')) {
            return 0;
        }
        colon = end[1] ? end + 1 : NULL;
    }
    else if (colon && strchr(text, ':') != colon) {
        colon = NULL;
    }
    host->port = colon ? number(colon + 1, 1, 65535) : 443;
    end = end ? end : colon ? colon : text + strlen(text);
    host->name = apr_pstrmemdup(pool, text, (apr_size_t)(end - text));
    return host->port > 0 && *host->name;
}

static int is_finding(const probe_finding_t *finding)
{
    return finding->verdict >= PROBE_WEAK;
}

static const probe_finding_t *finding_n(const probe_host_t *host, int n)
{
    return &APR_ARRAY_IDX(host->findings, n, probe_finding_t);
}

static int count_findings(const probe_host_t *host)
{
    int i, n = 0;

    for (i = 0; i < host->findings->nelts; i++) {
        n += is_finding(finding_n(host, i));
    }
    return n;
}

/* Indented, in lines of 78. */
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

/* Before the first connection.  JSON has it too, but only at the end. */
static void announce(const ctl_t *ctl, const probe_host_t *host, int per_second)
{
    FILE *out = ctl->json ? stderr : stdout;

    if (!ctl->json || isatty(STDERR_FILENO)) {
        fprintf(out, "%s:%d: up to %d connections, %d/s\n", host->name, host->port, host->planned_n,
                per_second);
        fflush(out);
    }
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

static void print_host(const probe_host_t *host, apr_pool_t *pool)
{
    int i, test, version = 0, found_n = count_findings(host);

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

static void json_findings(json_t *json, const probe_host_t *host, int version)
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
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_version(json_t *json, const probe_host_t *host, const probe_version_t *version)
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
    }
    json_findings(json, host, version->version);
    json_close(json, '}');
}

static void print_json(const probe_host_t *hosts, int n, int per_second)
{
    int i, j, findings_n = 0;
    json_t json;

    for (i = 0; i < n; i++) {
        findings_n += count_findings(&hosts[i]);
    }
    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_number(&json, "findings", findings_n);
    json_number(&json, "rate", per_second);
    json_open(&json, "hosts", '[');
    for (i = 0; i < n; i++) {
        json_open(&json, NULL, '{');
        json_string(&json, "host", hosts[i].name);
        json_number(&json, "port", hosts[i].port);
        json_string(&json, "failure", hosts[i].failure);
        json_number(&json, "planned", hosts[i].planned_n);
        json_count(&json, "connections", hosts[i].connections_n);
        json_span(&json, "seconds", hosts[i].took);
        json_open(&json, "versions", '[');
        for (j = 0; j < 2; j++) {
            if (hosts[i].versions[j].is_offered) {
                json_version(&json, &hosts[i], &hosts[i].versions[j]);
            }
        }
        json_close(&json, ']');
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

/* Nonzero: a value that is not allowed was reported. */
static int set_option(ctl_t *ctl, probe_options_t *options, int option)
{
    switch (option) {
    case 's':
        return !add_names(options, optarg, ctl->pool)
               && report_usage(ctl, "sni '%s': must be names", optarg);
    case 't':
        return !set_tls(options, optarg)
               && report_usage(ctl, "tls '%s': must be 1.2, 1.3 or 1.2,1.3", optarg);
    case 'n':
        options->tickets_n = number(optarg, 1, TICKETS_MAX);
        return options->tickets_n < 0
               && report_usage(ctl, "tickets '%s': must be between 1 and %d", optarg, TICKETS_MAX);
    case 'l':
        return !set_level(options, optarg)
               && report_usage(ctl, "level '%s': must be quick, normal or deep", optarg);
    case 'w':
        return !set_watch(options, optarg)
               && report_usage(ctl, "watch '%s': must be between 1s and 7d", optarg);
    case 'r':
        options->per_second = number(optarg, 1, RATE_MAX);
        return options->per_second < 0
               && report_usage(ctl, "rate '%s': must be between 1 and %d", optarg, RATE_MAX);
    case 'j':
        ctl->json = 1;
        return 0;
    default:
        return 1;
    }
}

static ctl_exit_e probe_all(ctl_t *ctl, probe_host_t *hosts, int n, const probe_options_t *chosen)
{
    ctl_exit_e code = CTL_DONE;
    int i;

    for (i = 0; i < n; i++) {
        hosts[i].planned_n = probe_budget_all(chosen, i);
        announce(ctl, &hosts[i], chosen->per_second);
        probe_host(&hosts[i], hosts, i, chosen, ctl->pool);
        if (hosts[i].failure) {
            report_line("%s:%d: %s; nothing was tested", hosts[i].name, hosts[i].port,
                        hosts[i].failure);
            code = CTL_IO;
        }
        else {
            code = code == CTL_DONE && count_findings(&hosts[i]) ? CTL_FINDING : code;
            if (!ctl->json) {
                print_host(&hosts[i], ctl->pool);
            }
        }
    }
    return code;
}

ctl_exit_e cmd_probe(ctl_t *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"sni", required_argument, NULL, 's'},
        {"tls", required_argument, NULL, 't'},
        {"tickets", required_argument, NULL, 'n'},
        {"level", required_argument, NULL, 'l'},
        {"watch", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    probe_options_t chosen = {.has_tls12 = 1,
                              .has_tls13 = 1,
                              .tickets_n = TICKETS_DEFAULT,
                              .level = PROBE_NORMAL,
                              .timeout = TIMEOUT_DEFAULT,
                              .per_second = RATE_DEFAULT};
    ctl_exit_e code;
    probe_host_t *hosts;
    int option, i, n;

    chosen.names = apr_array_make(ctl->pool, 4, sizeof(const char *));
    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (set_option(ctl, &chosen, option)) {
            return CTL_USAGE;
        }
    }
    n = argc - optind;
    if (n < 1 || n > HOSTS_MAX) {
        return report_usage(ctl, n < 1 ? "a host is wanted" : "too many hosts");
    }
    hosts = apr_pcalloc(ctl->pool, (apr_size_t)n * sizeof(*hosts));
    for (i = 0; i < n; i++) {
        if (!parse_host(argv[optind + i], &hosts[i], ctl->pool)) {
            return report_usage(ctl, "host '%s': must be HOST or HOST:PORT", argv[optind + i]);
        }
    }
    chosen.shows_progress = isatty(STDERR_FILENO);
    code = probe_all(ctl, hosts, n, &chosen);
    if (ctl->json) {
        print_json(hosts, n, chosen.per_second);
    }
    return code;
}
