/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of commands (options.h).  stekctl; one thread.
 */
#include "options.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "stek_ring.h"
#include "stek_time.h"
#include "suggestion.h"
#include "wrap.h"

#define OPTIONS_MAX 64
#define FIRST_ROW 1000 /* behind all characters */

/* The option that arg names in full; NULL: none. */
static const struct option *exact_option(const char *arg, const struct option *options)
{
    size_t len = strcspn(arg, "=");

    while (options->name && (strncmp(options->name, arg, len) != 0 || options->name[len])) {
        options++;
    }
    return options->name ? options : NULL;
}

const char *options_inexact(int argc, char **argv, const struct option *options, int in_front)
{
    const struct option *option;
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            if (in_front) {
                break;
            }
            continue;
        }
        option = exact_option(argv[i] + 2, options);
        if (!option) {
            return argv[i];
        }
        i += option->has_arg == required_argument && !strchr(argv[i], '=');
    }
    return NULL;
}

static int is_global(const char *arg)
{
    static const char *const names[] = {"--ring", "--secret", "--instance", "--version"};
    apr_size_t len = strcspn(arg, "="), i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == len && !strncmp(arg, names[i], len)) {
            return 1;
        }
    }
    return 0;
}

ctl_exit_e options_unknown(const ctl_t *ctl, const char *arg, const struct option *options)
{
    const char *names[OPTIONS_MAX], *nearest = "";
    apr_size_t n = 0;

    if (is_global(arg)) {
        return report_usage(ctl, "option '%s' must come before the command", arg);
    }

    for (; options->name && n < OPTIONS_MAX; options++) {
        names[n++] = options->name;
    }
    if (strncmp(arg, "--", 2) == 0) {
        const char *word = apr_pstrmemdup(ctl->pool, arg + 2, strcspn(arg + 2, "="));

        nearest = suggestion(word, names, n, "--", ctl->pool);
    }
    return report_usage(ctl, "unknown option '%s'%s", arg, nearest);
}

const char *options_culprit(const ctl_t *ctl, char **argv)
{
    /* Of "-xh", getopt has not yet passed the whole. */
    return argv[optind - 1][0] == '-' && argv[optind - 1][1] == '-'
               ? argv[optind - 1]
               : apr_psprintf(ctl->pool, "-%c", optopt);
}

void options_help(const ctl_command_t *command)
{
    int columns = wrap_columns(STDOUT_FILENO);
    int at = printf("usage: stekctl [OPTIONS] %s ", command->name);

    (void)wrap_words(stdout, command->arguments, at, at, columns);
    puts("\n");
    wrap_help(stdout, command->help, columns);
}

int ctl_option(ctl_t *ctl, int argc, char **argv, const struct option *options)
{
    const char *inexact = options_inexact(argc, argv, options, 0);
    int option;

    if (inexact) {
        options_unknown(ctl, inexact, options);
        return '?';
    }
    option = getopt_long(argc, argv, ":h", options, NULL);

    switch (option) {
    case 'h':
        options_help(ctl->command);
        exit(report_finish(CTL_DONE));
    case '?':
        options_unknown(ctl, options_culprit(ctl, argv), options);
        return '?';
    case ':':
        report_usage(ctl, "option '%s' requires a value", argv[optind - 1]);
        return '?';
    default:
        return option;
    }
}

/* A configuration file has the names without dashes. */
const char *options_shown(const ctl_t *ctl, const char *name)
{
    return ctl->from_file ? name : apr_pstrcat(ctl->pool, "--", name, NULL);
}

int options_number(const char *text, int least, int most)
{
    char *end;
    long n;

    if (*text < '0' || *text > '9') {
        return -1;
    }
    n = strtol(text, &end, 10); /* LONG_MAX if too large */
    return *end || n < least || n > most ? -1 : (int)n;
}

ctl_exit_e options_span(ctl_t *ctl, const char *name, const char *text, apr_interval_time_t least,
                        apr_interval_time_t most, apr_interval_time_t *pspan)
{
    apr_interval_time_t span;

    if (stek_time_parse(text, &span) == APR_SUCCESS && span >= least && span <= most) {
        *pspan = span;
        return CTL_DONE;
    }
    return report_usage(
        ctl, "invalid value '%s' for '%s': must be a number followed by s, min, h or d, %s%s%s%s",
        text, options_shown(ctl, name), least ? "between " : "",
        least ? stek_time_text(least, ctl->pool) : "", least ? " and " : "up to ",
        stek_time_text(most, ctl->pool));
}

ctl_exit_e options_ahead(ctl_t *ctl, const char *text, int *pahead)
{
    int n = options_number(text, 0, STEK_KEYS_MAX);

    if (n < 0) {
        return report_usage(ctl, "invalid value '%s' for '%s': must be between 0 and %d", text,
                            options_shown(ctl, "ahead"), STEK_KEYS_MAX);
    }
    *pahead = n;
    return CTL_DONE;
}

/* ---- tables of options ---- */

void *options_member(void *settings, const option_row_t *row)
{
    return (char *)settings + row->at;
}

ctl_exit_e options_set_text(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    (void)ctl;
    *(const char **)options_member(settings, row) = value;
    return CTL_DONE;
}

ctl_exit_e options_set_path(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    return *value
               ? options_set_text(ctl, settings, row, value)
               : report_usage(ctl, "%s: the path must not be empty", options_shown(ctl, row->name));
}

ctl_exit_e options_set_flag(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    (void)ctl;
    (void)value;
    *(int *)options_member(settings, row) = 1;
    return CTL_DONE;
}

ctl_exit_e options_set_json(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    (void)settings;
    (void)row;
    (void)value;
    ctl->json = 1;
    return CTL_DONE;
}

ctl_exit_e options_set_number(ctl_t *ctl, void *settings, const option_row_t *row,
                              const char *value)
{
    int n = options_number(value, 1, (int)row->most);

    if (n < 0) {
        return report_usage(ctl, "invalid value '%s' for '%s': must be between 1 and %d", value,
                            options_shown(ctl, row->name), (int)row->most);
    }
    *(int *)options_member(settings, row) = n;
    return CTL_DONE;
}

ctl_exit_e options_set_span(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    return options_span(ctl, row->name, value, apr_time_from_sec(1), row->most,
                        options_member(settings, row));
}

ctl_exit_e options_parse(ctl_t *ctl, int argc, char **argv, const option_row_t *rows, int row_n,
                         int kind, option_set_t *set, void *settings)
{
    struct option options[OPTIONS_MAX + 1] = {CTL_OPTION_HELP};
    ctl_exit_e code = CTL_DONE;
    int i, n = 1, option;

    for (i = 0; i < row_n && n < OPTIONS_MAX; i++) {
        if ((rows[i].kind & kind) == kind) {
            options[n].name = rows[i].name;
            options[n].has_arg = rows[i].kind & OPTION_VALUE ? required_argument : no_argument;
            options[n++].val = FIRST_ROW + i;
        }
    }
    while (code == CTL_DONE && (option = ctl_option(ctl, argc, argv, options)) != -1) {
        const option_row_t *row;

        if (option == '?') {
            return CTL_USAGE;
        }
        row = &rows[option - FIRST_ROW];
        code = (set ? set : row->set)(ctl, settings, row, optarg);
    }
    return code;
}
