/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of commands and their values.  Every kind of value is checked here, so all commands
 * accept the same values and report the same errors.  One thread.
 */
#ifndef STEKCTL_OPTIONS_H
#define STEKCTL_OPTIONS_H

#include <apr_time.h>
#include <getopt.h>

#include "stekctl.h"

#pragma GCC visibility push(hidden)

/* The command's next option, by getopt_long.  Returns its character, -1 after the last one, or '?'
 * after reporting an unknown option or a missing value.  --help and -h print the command's help
 * and exit. */
int ctl_option(ctl_t *ctl, int argc, char **argv, const struct option *options);

/* Reports an unknown option, and which one may have been meant.  Returns CTL_USAGE. */
ctl_exit_e options_unknown(const ctl_t *ctl, const char *arg, const struct option *options);

/* The option at which getopt_long stopped with '?'. */
const char *options_culprit(const ctl_t *ctl, char **argv);

/* The first argument after argv[0] that begins with "--" and is not the full name of an option:
 * getopt_long would accept an abbreviation.  in_front: only before the first other argument.
 * NULL: none. */
const char *options_inexact(int argc, char **argv, const struct option *options, int in_front);

/* Prints a command's help. */
void options_help(const ctl_command_t *command);

/* Every option list ends with these two. */
#define CTL_OPTION_HELP                                                                            \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define CTL_OPTION_END                                                                             \
    {                                                                                              \
        NULL, 0, NULL, 0                                                                           \
    }

/* The option name as it is written where it is read: "--every", or in a configuration file "every". */
const char *options_shown(const ctl_t *ctl, const char *name);

/* text as a decimal number from least (0 or more) to most; -1 if it is anything else. */
int options_number(const char *text, int least, int most);

/* The value of the option name as a span from least to most.  Reports errors. */
ctl_exit_e options_span(ctl_t *ctl, const char *name, const char *text, apr_interval_time_t least,
                        apr_interval_time_t most, apr_interval_time_t *pspan);

/* The value of --ahead: slots to prepare in advance.  Reports errors. */
ctl_exit_e options_ahead(ctl_t *ctl, const char *text, int *pahead);

/* ---- tables of options ---- */

typedef struct option_row_t option_row_t;

/* Sets an option in settings; value (NULL: the option has none) outlives them.  Reports errors. */
typedef ctl_exit_e option_set_t(ctl_t *ctl, void *settings, const option_row_t *row,
                                const char *value);

struct option_row_t {
    const char *name;
    option_set_t *set;
    int kind;         /* OPTION_VALUE, and what the command adds */
    apr_size_t at;    /* where in the settings */
    apr_int64_t most; /* the greatest number or span */
};

#define OPTION_VALUE 1 /* it has a value */

/* What a row sets. */
void *options_member(void *settings, const option_row_t *row);

option_set_t options_set_text;   /* const char * */
option_set_t options_set_path;   /* the same, but not empty */
option_set_t options_set_flag;   /* int, to 1 */
option_set_t options_set_json;   /* what the command prints */
option_set_t options_set_number; /* int, from 1 */
option_set_t options_set_span;   /* apr_interval_time_t, from 1s */

/* Hands all options of the command to set (NULL: to the row's own).  Takes only rows that have all bits of
 * kind.  Reports errors. */
ctl_exit_e options_parse(ctl_t *ctl, int argc, char **argv, const option_row_t *rows, int row_n,
                         int kind, option_set_t *set, void *settings);

#pragma GCC visibility pop
#endif
