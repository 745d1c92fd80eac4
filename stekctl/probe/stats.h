/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is one kind of changed ticket answered later than another?  A rank test (Mann, Whitney 1947) on
 * response times: it asks nothing of their distribution, so that the long tails of networks do not
 * matter.  Times in microseconds.  Pure functions, no floating-point library; stekctl.
 */
#ifndef STEKCTL_PROBE_STATS_H
#define STEKCTL_PROBE_STATS_H

#include <apr.h>

#pragma GCC visibility push(hidden)

#define PROBE_STATS_MAX 1024 /* most times in the two samples together */
#define PROBE_STATS_MIN 50   /* least in each for an answer */

typedef enum probe_stats_e {
    PROBE_STATS_SAME,     /* nothing to be said against one distribution */
    PROBE_STATS_DIFFERENT /* a chance below one in a million, and a clear shift */
} probe_stats_e;

/* The median; sorts the times.  0 if n is 0. */
apr_int64_t probe_stats_median(apr_int64_t *times, apr_size_t n);

/* Compares a[a_n] with b[b_n], taken in an order that chance decided.  Too few or too many:
 * SAME. */
probe_stats_e probe_stats_compare(const apr_int64_t *a, apr_size_t a_n, const apr_int64_t *b,
                                  apr_size_t b_n);

/* times[groups_n * rounds_n], group by group.  The group whose best time lies farthest from the
 * median of all groups' best: where to look closer, not a finding.  groups_n at most 256. */
apr_size_t probe_stats_outlier(const apr_int64_t *times, apr_size_t groups_n, apr_size_t rounds_n);

#pragma GCC visibility pop
#endif
