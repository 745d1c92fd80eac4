/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of commands (options.h).  stekctl; one thread.
 */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "stek_ring.h"
#include "stek_time.h"

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

int ctl_option(ctl_t *ctl, int argc, char **argv, const struct option *options)
{
    const char *inexact = options_inexact(argc, argv, options, 0);
    int option;

    if (inexact) {
        report_usage(ctl, "unknown option '%s'", inexact);
        return '?';
    }
    option = getopt_long(argc, argv, ":", options, NULL);

    switch (option) {
    case 'h':
        printf("usage: stekctl [OPTIONS] %s %s\n\n%s", ctl->command->name, ctl->command->arguments,
               ctl->command->help);
        exit(report_finish(CTL_DONE));
    case '?':
        report_usage(ctl, "unknown option '%s'", argv[optind - 1]);
        return '?';
    case ':':
        report_usage(ctl, "option '%s' requires a value", argv[optind - 1]);
        return '?';
    default:
        return option;
    }
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
        text, name, least ? "between " : "", least ? stek_time_text(least, ctl->pool) : "",
        least ? " and " : "up to ", stek_time_text(most, ctl->pool));
}

ctl_exit_e options_ahead(ctl_t *ctl, const char *text, int *pahead)
{
    int n = options_number(text, 0, STEK_KEYS_MAX);

    if (n < 0) {
        return report_usage(ctl, "invalid value '%s' for 'ahead': must be between 0 and %d", text,
                            STEK_KEYS_MAX);
    }
    *pahead = n;
    return CTL_DONE;
}
