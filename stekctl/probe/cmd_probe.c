/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl probe: shows what an attacker could learn from a server's tickets.  Reads the options and
 * probes one host after the other.
 */
#include <apr_strings.h>
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

static int add_names(probe_options_t *options, const char *text, apr_pool_t *pool)
{
    char *last = NULL, *copy = apr_pstrdup(pool, text), *name;

    if (!probe_target_is_printable(text)) {
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

/* Nonzero: reported an invalid value. */
static int set_option(ctl_t *ctl, command_t *command, int option)
{
    probe_options_t *options = &command->options;
    const char *why = NULL;

    switch (option) {
    case 's':
        return !add_names(options, optarg, ctl->pool)
               && report_usage(ctl, "invalid value '%s' for 'sni': must be host names", optarg);
    case 'n':
        options->tickets_n = options_number(optarg, 1, TICKETS_MAX);
        return options->tickets_n < 0
               && report_usage(ctl, "invalid value '%s' for 'tickets': must be between 1 and %d",
                               optarg, TICKETS_MAX);
    case 'l':
        return !set_level(options, optarg)
               && report_usage(ctl, "invalid level '%s': must be quick, normal or deep", optarg);
    case 'w':
        return options_span(ctl, "watch", optarg, apr_time_from_sec(1), WATCH_MAX, &options->watch);
    case 'r':
        options->per_second = options_number(optarg, 1, RATE_MAX);
        return options->per_second < 0
               && report_usage(ctl, "invalid rate '%s': must be between 1 and %d", optarg,
                               RATE_MAX);
    case 'k':
        options->own = probe_own_keys_read(optarg, &why, ctl->pool);
        return !options->own && report_usage(ctl, "invalid value '%s' for 'keys': %s", optarg, why);
    case 'd':
        options->redacts = 1;
        return 0;
    case 'j':
        ctl->json = 1;
        return 0;
    case 'C':
        command->outputs.csv_path = optarg;
        return 0;
    case 'o':
        command->outputs.collect_path = optarg;
        return 0;
    case 'H':
        command->scan.list_path = optarg;
        return 0;
    case 'R':
        command->scan.resume_path = optarg;
        return 0;
    case 'O':
        command->scan.at_once = options_number(optarg, 1, AT_ONCE_MAX);
        return command->scan.at_once < 0
               && report_usage(ctl, "invalid value '%s' for 'at-once': must be between 1 and %d",
                               optarg, AT_ONCE_MAX);
    case 'T':
        command->scan.per_second = options_number(optarg, 1, TOTAL_RATE_MAX);
        return command->scan.per_second < 0
               && report_usage(ctl, "invalid value '%s' for 'total-rate': must be between 1 and %d",
                               optarg, TOTAL_RATE_MAX);
    case 'A':
        command->analyse_path = optarg;
        return 0;
    default:
        return probe_reach_set(ctl, &command->reach, options, option);
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
        probe_print_json(hosts, n, chosen->per_second, ctl->pool);
    }
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
    static const struct option options[] = {
        {"sni", required_argument, NULL, 's'},
        {"tickets", required_argument, NULL, 'n'},
        {"level", required_argument, NULL, 'l'},
        {"watch", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'r'},
        {"keys", required_argument, NULL, 'k'},
        {"redact", no_argument, NULL, 'd'},
        {"json", no_argument, NULL, 'j'},
        {"csv", required_argument, NULL, 'C'},
        {"collect", required_argument, NULL, 'o'},
        {"analyse", required_argument, NULL, 'A'},
        {"hosts", required_argument, NULL, 'H'},
        {"at-once", required_argument, NULL, 'O'},
        {"total-rate", required_argument, NULL, 'T'},
        {"resume", required_argument, NULL, 'R'},
        PROBE_REACH_OPTIONS,
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    command_t command = {.options = {.has = {0, 0, 1, 1},
                                     .tickets_n = TICKETS_DEFAULT,
                                     .level = PROBE_NORMAL,
                                     .timeout = TIMEOUT_DEFAULT,
                                     .per_second = RATE_DEFAULT},
                         .scan = {.at_once = AT_ONCE_DEFAULT, .per_second = TOTAL_RATE_DEFAULT}};
    ctl_exit_e code;
    int option;

    command.options.names = apr_array_make(ctl->pool, 4, sizeof(const char *));
    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (set_option(ctl, &command, option)) {
            return CTL_USAGE;
        }
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
