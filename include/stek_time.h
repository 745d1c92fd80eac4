/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as administrators write them: digits and a unit, "5s", "30min", "18h", "7d".  Pure.
 */
#ifndef STEK_TIME_H
#define STEK_TIME_H

#include <apr_errno.h>
#include <apr_time.h>
#include <apr_pools.h>

#pragma GCC visibility push(hidden)

/* The longest life of a ticket, and so of a window (RFC 9846, 4.7.1: 604800 seconds). */
#define STEK_TIME_MAX apr_time_from_sec(7 * 24 * 3600)

/* Parses "<digits>(s|min|h|d)", any number of digits. Text without a unit, with spaces, or followed by
 * anything else is STEK_ESYNTAX. Does not judge the size of the value; what does not fit an
 * apr_interval_time_t becomes its greatest whole second. */
apr_status_t stek_time_parse(const char *text, apr_interval_time_t *pspan);

/* Such a text for a span of whole seconds, in the greatest unit that leaves no rest: "90s", "10min", "1h",
 * "7d". In pool. */
const char *stek_time_text(apr_interval_time_t span, apr_pool_t *pool);

/* A span for people, in its two greatest units, rounded down: "12min 3s", "1d"; "0s" for less than
 * a second. gap goes between a number and its unit. In pool. */
const char *stek_time_rough(apr_interval_time_t span, const char *gap, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
