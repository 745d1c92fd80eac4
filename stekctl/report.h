/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for people: error lines "stekctl: PATH: what is wrong; what to do", spans and points in
 * time.  No key ever gets here.  One thread.
 */
#ifndef STEKCTL_REPORT_H
#define STEKCTL_REPORT_H

#include <apr_errno.h>
#include <apr_time.h>

#include "stekctl.h"

#pragma GCC visibility push(hidden)

/* Reports rv for path and returns its exit code.  detail (may be NULL): the offending path for
 * STEK_EPERM, the secret file for STEK_ESECRET, "line 3" for syntax, a process for a lock. */
ctl_exit_e report_status(ctl_t *ctl, const char *path, apr_status_t rv, const char *detail);

/* From now on, what is reported is also kept for ctl's JSON (report_finish). */
void report_begin(const ctl_t *ctl);

/* Prints "stekctl: " and one line to standard error, wrapped between words if that is a terminal;
 * control characters become '?'. */
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reports "stekctl: COMMAND: ...; see 'stekctl COMMAND --help'" and returns CTL_USAGE. */
ctl_exit_e report_usage(const ctl_t *ctl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "12min 3s", the two largest units; "0s" for less than a second. */
const char *report_span(apr_interval_time_t span, apr_pool_t *pool);

/* "14:00:00 UTC", or "Nov 22 14:00:00 UTC" if t is not on now's day.  Times for people are in UTC
 * and say so, as on httpd's status page. */
const char *report_time(apr_time_t t, apr_time_t now, apr_pool_t *pool);

/* t in UTC, by strftime's format.  The format, or the column's heading, must name the zone. */
const char *report_strftime(apr_time_t t, const char *format, apr_pool_t *pool);

/* path with '?' in place of control characters, for standard output. */
const char *report_path(const char *path, apr_pool_t *pool);

/* The end of the process: with --json, if there is no other value, prints {"errors":[...],
 * "exit_code":code} unless code is CTL_DONE.  Flushes standard output.  Returns code, or reports and
 * returns CTL_IO if the output failed. */
ctl_exit_e report_finish(ctl_exit_e code);

#pragma GCC visibility pop
#endif
