/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for people: error lines "stekctl: PATH: what is wrong; what to do", spans and points in
 * time. Nothing here ever sees a key.  One thread.
 */
#ifndef STEKCTL_REPORT_H
#define STEKCTL_REPORT_H

#include <apr_errno.h>
#include <apr_time.h>

#include "stekctl.h"

#pragma GCC visibility push(hidden)

/* Reports rv for path and returns the exit code of its class.  detail (may be NULL): the path at
 * fault for STEK_EPERM, the secret file for STEK_ESECRET, "line 3" for syntax, a pid for a lock. */
ctl_exit_e report_status(ctl_t *ctl, const char *path, apr_status_t rv, const char *detail);

/* One line to standard error, behind "stekctl: "; control characters become '?'. */
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and returns CTL_USAGE: "stekctl COMMAND: ...; see stekctl COMMAND --help". */
ctl_exit_e report_usage(const ctl_t *ctl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "12min 3s", the two greatest units; "0s" for less than one. */
const char *report_span(apr_interval_time_t span, apr_pool_t *pool);

/* Local time: "14:00:00", behind the day ("Nov 22 14:00:00") if that is not now's. */
const char *report_time(apr_time_t t, apr_time_t now, apr_pool_t *pool);

/* Local time by strftime's format. */
const char *report_strftime(apr_time_t t, const char *format, apr_pool_t *pool);

/* path with control characters as '?': for standard output. */
const char *report_path(const char *path, apr_pool_t *pool);

/* Flushes standard output: CTL_IO after a report if something could not be written, else code. */
ctl_exit_e report_finish(ctl_exit_e code);

#pragma GCC visibility pop
#endif
