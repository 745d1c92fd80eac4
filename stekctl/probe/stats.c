/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rank test (stats.h): U, its mean a*b/2 and its variance, corrected for ties.  It compares
 * squares, so it needs no square root.  A shift is clear if a time of one sample exceeds a time of
 * the other in 70 % of all pairs; below that, jitter is the better explanation.
 */
#include "stats.h"

#include <stdlib.h>
#include <string.h>

#define Z_SQUARED 26.0 /* two-sided probability of 3.4e-7 */
#define CLEAR 0.70
#define GROUPS_MAX 256
#define SHIFT_MAX (APR_INT64_C(1) << 32)

typedef struct timed_t {
    apr_int64_t us;
    int is_a;
} timed_t;

static int by_time(const void *left, const void *right)
{
    apr_int64_t a = *(const apr_int64_t *)left, b = *(const apr_int64_t *)right;

    return (a > b) - (a < b);
}

static int by_timed(const void *left, const void *right)
{
    return by_time(&((const timed_t *)left)->us, &((const timed_t *)right)->us);
}

apr_int64_t probe_stats_median(apr_int64_t *times, apr_size_t n)
{
    if (n == 0) {
        return 0;
    }
    qsort(times, n, sizeof(*times), by_time);
    return n & 1 ? times[n / 2] : times[n / 2 - 1] + (times[n / 2] - times[n / 2 - 1]) / 2;
}

probe_stats_e probe_stats_compare(const apr_int64_t *a, apr_size_t a_n, const apr_int64_t *b,
                                  apr_size_t b_n)
{
    timed_t all[PROBE_STATS_MAX];
    apr_size_t n = a_n + b_n, i, j, k;
    double ranks = 0, ties = 0, u, mean, variance, share;

    if (a_n < PROBE_STATS_MIN || b_n < PROBE_STATS_MIN || n > PROBE_STATS_MAX) {
        return PROBE_STATS_SAME;
    }
    for (i = 0; i < n; i++) {
        all[i].is_a = i < a_n;
        all[i].us = i < a_n ? a[i] : b[i - a_n];
    }
    qsort(all, n, sizeof(all[0]), by_timed);
    for (i = 0; i < n; i = j) {
        double tied;

        for (j = i + 1; j < n && all[j].us == all[i].us; j++) {
        }
        tied = (double)(j - i);
        ties += tied * tied * tied - tied;
        for (k = i; k < j; k++) {
            ranks += all[k].is_a ? (double)(i + 1 + j) / 2 : 0;
        }
    }
    u = ranks - (double)a_n * (double)(a_n + 1) / 2;
    mean = (double)a_n * (double)b_n / 2;
    variance = mean / 6 * ((double)(n + 1) - ties / ((double)n * (double)(n - 1)));
    share = u / (2 * mean);
    if (variance <= 0 || (share < CLEAR && share > 1 - CLEAR)) {
        return PROBE_STATS_SAME;
    }
    return (u - mean) * (u - mean) > Z_SQUARED * variance ? PROBE_STATS_DIFFERENT
                                                          : PROBE_STATS_SAME;
}

apr_int64_t probe_stats_detectable(const apr_int64_t *times, apr_size_t n)
{
    apr_int64_t shifted[PROBE_STATS_MAX], low = 0, high = SHIFT_MAX;
    apr_size_t i;

    if (n < PROBE_STATS_MIN || 2 * n > PROBE_STATS_MAX) {
        return 0;
    }
    while (high - low > 1) {
        apr_int64_t middle = low + (high - low) / 2;

        for (i = 0; i < n; i++) {
            shifted[i] = times[i] + middle;
        }
        if (probe_stats_compare(shifted, n, times, n) == PROBE_STATS_DIFFERENT) {
            high = middle;
        }
        else {
            low = middle;
        }
    }
    return high;
}

apr_size_t probe_stats_outlier(const apr_int64_t *times, apr_size_t groups_n, apr_size_t rounds_n)
{
    apr_int64_t best[GROUPS_MAX], sorted[GROUPS_MAX], median, farthest = -1;
    apr_size_t i, j, found = 0;

    if (groups_n == 0 || groups_n > GROUPS_MAX || rounds_n == 0) {
        return 0;
    }
    for (i = 0; i < groups_n; i++) {
        best[i] = times[i * rounds_n];
        for (j = 1; j < rounds_n; j++) {
            if (times[i * rounds_n + j] < best[i]) {
                best[i] = times[i * rounds_n + j];
            }
        }
    }
    memcpy(sorted, best, groups_n * sizeof(best[0]));
    median = probe_stats_median(sorted, groups_n);
    for (i = 0; i < groups_n; i++) {
        apr_int64_t away = best[i] > median ? best[i] - median : median - best[i];

        if (away > farthest) {
            farthest = away;
            found = i;
        }
    }
    return found;
}
