/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl probe: shows what an attacker could learn from a server's tickets.  Reads the options and
 * probes one host after the other.
 */
#include <apr_strings.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analyse.h"
#include "budget.h"
#include "host.h"
#include "options.h"
#include "outputs.h"
#include "own_keys.h"
#include "print.h"
#include "probe.h"
#include "reach_options.h"
#include "report.h"
#include "scan.h"
#include "target.h"

#define TICKETS_DEFAULT 10
#define TICKETS_MAX 1000
#define RATE_DEFAULT 100
#define RATE_MAX 1000
#define TIMEOUT_DEFAULT apr_time_from_sec(5)
#define WATCH_MAX apr_time_from_sec(7 * 86400)
#define HOSTS_MAX 64
#define AT_ONCE_DEFAULT 1000
#define AT_ONCE_MAX 20000
#define TOTAL_RATE_DEFAULT 2000
#define TOTAL_RATE_MAX 100000

/* What the command line says. */
typedef struct command_t {
    probe_reach_t reach;
    probe_options_t options;
    probe_outputs_t outputs;
    probe_scan_options_t scan;
    const char *analyse_path;
} command_t;

static const char *const levels[] = {"quick", "normal", "deep"};

static ctl_exit_e set_level(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    int i;

    for (i = 0; i < 3; i++) {
        if (!strcmp(levels[i], value)) {
            *(probe_level_e *)options_member(settings, row) = (probe_level_e)i;
            return CTL_DONE;
        }
    }
    return report_usage(ctl, "invalid level '%s': must be quick, normal or deep", value);
}

static int add_names(apr_array_header_t *names, const char *text, apr_pool_t *pool)
{
    char *last = NULL, *copy = apr_pstrdup(pool, text), *name;

    if (!probe_target_is_printable(text)) {
        return 0;
    }
    for (name = apr_strtok(copy, ",", &last); name; name = apr_strtok(NULL, ",", &last)) {
        if (strlen(name) > 255) {
            return 0;
        }
        APR_ARRAY_PUSH(names, const char *) = name;
    }
    return names->nelts > 0;
}

static ctl_exit_e set_names(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    return add_names(*(apr_array_header_t **)options_member(settings, row), value, ctl->pool)
               ? CTL_DONE
               : report_usage(ctl, "invalid value '%s' for '--sni': must be host names", value);
}

static ctl_exit_e set_keys(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    probe_options_t *options = &((command_t *)settings)->options;
    const char *why = NULL;

    (void)row;
    options->own = probe_own_keys_read(value, &why, ctl->pool);
    return options->own ? CTL_DONE
                        : report_usage(ctl, "invalid value '%s' for '--keys': %s", value, why);
}

#define AT(member) offsetof(command_t, member)

static const option_row_t rows[] = {
    {"sni", set_names, OPTION_VALUE, AT(options.names), 0},
    {"tickets", options_set_number, OPTION_VALUE, AT(options.tickets_n), TICKETS_MAX},
    {"level", set_level, OPTION_VALUE, AT(options.level), 0},
    {"watch", options_set_span, OPTION_VALUE, AT(options.watch), WATCH_MAX},
    {"rate", options_set_number, OPTION_VALUE, AT(options.per_second), RATE_MAX},
    {"keys", set_keys, OPTION_VALUE, 0, 0},
    {"redact", options_set_flag, 0, AT(options.redacts), 0},
    {"json", options_set_json, 0, 0, 0},
    {"csv", options_set_text, OPTION_VALUE, AT(outputs.csv_path), 0},
    {"collect", options_set_text, OPTION_VALUE, AT(outputs.collect_path), 0},
    {"analyse", options_set_text, OPTION_VALUE, AT(analyse_path), 0},
    {"hosts", options_set_text, OPTION_VALUE, AT(scan.list_path), 0},
    {"at-once", options_set_number, OPTION_VALUE, AT(scan.at_once), AT_ONCE_MAX},
    {"total-rate", options_set_number, OPTION_VALUE, AT(scan.per_second), TOTAL_RATE_MAX},
    {"resume", options_set_text, OPTION_VALUE, AT(scan.resume_path), 0},
    {"starttls", probe_reach_set_starttls, OPTION_VALUE, AT(reach.starttls), 0},
    {"alpn", probe_reach_set_alpn, OPTION_VALUE, AT(reach.hello.alpn), 0},
    {"cert", options_set_text, OPTION_VALUE, AT(reach.hello.cert_path), 0},
    {"key", options_set_text, OPTION_VALUE, AT(reach.hello.key_path), 0},
    {"proxy", probe_reach_set_proxy, OPTION_VALUE, AT(reach.proxy), 0},
    {"tls", probe_reach_set_tls, OPTION_VALUE, AT(options.has), 0},
};

#define ROWS_N ((int)(sizeof(rows) / sizeof(rows[0])))

/* Printed before the first connection.  JSON contains it as well, but only at the end. */
static void announce(const ctl_t *ctl, const probe_host_t *host, int per_second)
{
    FILE *out = ctl->json ? stderr : stdout;

    if (!ctl->json || isatty(STDERR_FILENO)) {
        fprintf(out, "%s:%d: up to %d connections, %d/s\n", host->name, host->port, host->planned_n,
                per_second);
        fflush(out);
    }
}

static ctl_exit_e probe_all(ctl_t *ctl, command_t *command, probe_host_t *hosts, int n)
{
    const probe_options_t *chosen = &command->options;
    int i;

    for (i = 0; i < n; i++) {
        ctl_exit_e code;

        hosts[i].planned_n = probe_budget_all(chosen, i);
        announce(ctl, &hosts[i], chosen->per_second);
        probe_host(&hosts[i], hosts, i, chosen, ctl->pool);
        code = probe_outputs_add(ctl, &command->outputs, &hosts[i], ctl->pool);
        if (code != CTL_DONE) {
            return code;
        }
    }
    if (ctl->json) {
        probe_print_json(hosts, n, chosen, command->outputs.across, ctl->pool);
    }
    probe_outputs_end(ctl, &command->outputs, chosen->redacts);
    return probe_outputs_code(&command->outputs);
}

/* The hosts of the command line. */
static ctl_exit_e probe_arguments(ctl_t *ctl, command_t *command, int n, char **names)
{
    probe_host_t *hosts;
    ctl_exit_e code;
    int i;

    if (n < 1 || n > HOSTS_MAX) {
        return report_usage(ctl, n < 1 ? "missing host" : "too many hosts");
    }
    hosts = apr_pcalloc(ctl->pool, (apr_size_t)n * sizeof(*hosts));
    for (i = 0; i < n; i++) {
        if (!probe_target_parse(names[i], command->reach.starttls, &hosts[i], ctl->pool)) {
            return report_usage(ctl, "invalid host '%s': must be " PROBE_TARGET_FORMS, names[i]);
        }
    }
    code = probe_reach_prepare(ctl, &command->reach, &command->options);
    if (code == CTL_DONE) {
        code = probe_outputs_open(&command->outputs);
    }
    return code == CTL_DONE ? probe_all(ctl, command, hosts, n) : code;
}

static ctl_exit_e analyse(ctl_t *ctl, command_t *command, int n)
{
    ctl_exit_e code;

    if (n > 0 || command->outputs.collect_path) {
        return report_usage(ctl, "'analyse' connects to no host, and collects nothing");
    }
    command->outputs.prints_lines = ctl->json;
    command->outputs.names_hosts = 1;
    code = probe_outputs_open(&command->outputs);
    return code == CTL_DONE
               ? probe_analyse(ctl, command->analyse_path, &command->options, &command->outputs)
               : code;
}

static ctl_exit_e scan(ctl_t *ctl, command_t *command, int n)
{
    ctl_exit_e code;

    if (n > 0) {
        return report_usage(ctl, "'hosts' takes all hosts from the list");
    }
    if (command->options.level == PROBE_DEEP || command->options.watch) {
        return report_usage(ctl, "'hosts' requires level quick or normal, and no 'watch'");
    }
    command->scan.starttls = command->reach.starttls;
    code = probe_reach_prepare(ctl, &command->reach, &command->options);
    return code == CTL_DONE ? probe_scan(ctl, &command->scan, &command->options, &command->outputs)
                            : code;
}

ctl_exit_e cmd_probe(ctl_t *ctl, int argc, char **argv)
{
    command_t command = {.options = {.has = {0, 0, 1, 1},
                                     .tickets_n = TICKETS_DEFAULT,
                                     .level = PROBE_NORMAL,
                                     .timeout = TIMEOUT_DEFAULT,
                                     .per_second = RATE_DEFAULT},
                         .scan = {.at_once = AT_ONCE_DEFAULT, .per_second = TOTAL_RATE_DEFAULT}};
    ctl_exit_e code;

    command.outputs.across = probe_across_create(ctl->pool);
    command.options.names = apr_array_make(ctl->pool, 4, sizeof(const char *));
    code = options_parse(ctl, argc, argv, rows, ROWS_N, 0, NULL, &command);
    if (code != CTL_DONE) {
        return code;
    }
    command.options.shows_progress = isatty(STDERR_FILENO);
    if (!command.scan.list_path && command.scan.resume_path) {
        return report_usage(ctl, "'resume' requires 'hosts'");
    }
    if (command.scan.list_path && !command.analyse_path) {
        code = scan(ctl, &command, argc - optind);
    }
    else if (command.analyse_path) {
        code = analyse(ctl, &command, argc - optind);
    }
    else {
        code = probe_arguments(ctl, &command, argc - optind, argv + optind);
    }
    probe_outputs_close(&command.outputs);
    return code;
}
