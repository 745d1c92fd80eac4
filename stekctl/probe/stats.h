/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is one kind of altered ticket answered later than another?  A rank test (Mann, Whitney 1947) on
 * response times: it assumes nothing about their distribution, so the long tails of networks do not
 * matter.  Times are in microseconds.  Pure functions, no math library; stekctl.
 */
#ifndef STEKCTL_PROBE_STATS_H
#define STEKCTL_PROBE_STATS_H

#include <apr.h>

#pragma GCC visibility push(hidden)

#define PROBE_STATS_MAX 1024 /* the most times in both samples together */
#define PROBE_STATS_MIN 50   /* the fewest in each sample */

typedef enum probe_stats_e {
    PROBE_STATS_SAME,     /* no evidence for different distributions */
    PROBE_STATS_DIFFERENT /* probability by chance below one in a million, and a clear shift */
} probe_stats_e;

/* The median; sorts the times.  0 if n is 0. */
apr_int64_t probe_stats_median(apr_int64_t *times, apr_size_t n);

/* Compares a[a_n] with b[b_n], which were taken in random order.  Too few or too many: SAME. */
probe_stats_e probe_stats_compare(const apr_int64_t *a, apr_size_t a_n, const apr_int64_t *b,
                                  apr_size_t b_n);

/* The smallest shift, in microseconds, that would make times[n] DIFFERENT from themselves: what a
 * comparison with samples that spread as these do could have seen.  0: too few times. */
apr_int64_t probe_stats_detectable(const apr_int64_t *times, apr_size_t n);

/* times[groups_n * rounds_n], group by group.  Returns the group whose best time is farthest from
 * the median of all groups' best times: a candidate, not a finding.  groups_n is at most 256. */
apr_size_t probe_stats_outlier(const apr_int64_t *times, apr_size_t groups_n, apr_size_t rounds_n);

#pragma GCC visibility pop
#endif
