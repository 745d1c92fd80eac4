/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of commands and their values.  Each kind of value is judged here, so that all commands
 * take the same and say the same of a fault.  One thread.
 */
#ifndef STEKCTL_OPTIONS_H
#define STEKCTL_OPTIONS_H

#include <apr_time.h>
#include <getopt.h>

#include "stekctl.h"

#pragma GCC visibility push(hidden)

/* An option that the next getopt_long call of a command found.  Returns its character, -1 behind
 * the last, or '?' after a report (unknown, or without its value).  --help prints the command's
 * help and ends the process. */
int ctl_option(ctl_t *ctl, int argc, char **argv, const struct option *options);

/* The first argument behind argv[0] that begins with "--" and is no option's full name: getopt_long
 * would take its beginning.  in_front: only in front of the first other argument.  NULL: none. */
const char *options_inexact(int argc, char **argv, const struct option *options, int in_front);

/* Longer option lists begin and end alike. */
#define CTL_OPTION_HELP                                                                            \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define CTL_OPTION_END                                                                             \
    {                                                                                              \
        NULL, 0, NULL, 0                                                                           \
    }

/* The decimal number that is all of text, from least (0 or more) to most; -1: there is none. */
int options_number(const char *text, int least, int most);

/* The value of the option name as a span from least to most.  Reports. */
ctl_exit_e options_span(ctl_t *ctl, const char *name, const char *text, apr_interval_time_t least,
                        apr_interval_time_t most, apr_interval_time_t *pspan);

/* The value of --ahead: slots prepared in advance.  Reports. */
ctl_exit_e options_ahead(ctl_t *ctl, const char *text, int *pahead);

#pragma GCC visibility pop
#endif
