/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a command (stekctl.h): apart from main, so that commands link into other programs.
 * stekctl; one thread.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "report.h"
#include "stekctl.h"

int ctl_option(ctl_t *ctl, int argc, char **argv, const struct option *options)
{
    int option = getopt_long(argc, argv, ":", options, NULL);

    switch (option) {
    case 'h':
        printf("usage: stekctl [OPTIONS] %s %s\n\n%s", ctl->command->name, ctl->command->arguments,
               ctl->command->help);
        exit(report_finish(CTL_DONE));
    case '?':
        report_usage(ctl, "unknown option '%s'", argv[optind - 1]);
        return '?';
    case ':':
        report_usage(ctl, "option '%s' wants a value", argv[optind - 1]);
        return '?';
    default:
        return option;
    }
}
