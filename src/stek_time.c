/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans of time from and to text.  Digits and one of four units, nothing else: no default unit, so
 * that "3600" can't be taken for minutes by one reader and for seconds by another.  Core; no state,
 * so any thread and any phase.
 */
#include "stek_time.h"

#include <apr_strings.h>
#include <string.h>

#include "stek_error.h"

static const struct {
    const char *name;
    apr_int64_t s;
} units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};

#define UNITS_N (sizeof(units) / sizeof(units[0]))

apr_status_t stek_time_parse(const char *text, apr_interval_time_t *pspan)
{
    const apr_int64_t s_max = APR_INT64_MAX / APR_USEC_PER_SEC;
    apr_int64_t value = 0;
    int digits_n = 0;
    apr_size_t i;

    for (; *text >= '0' && *text <= '9'; text++) {
        digits_n++;
        /* Ten times that, in days, still fits. */
        value = value > s_max ? value : value * 10 + (*text - '0');
    }
    if (digits_n == 0) {
        return STEK_ESYNTAX;
    }
    for (i = 0; i < UNITS_N; i++) {
        if (strcmp(text, units[i].name) == 0) {
            value *= units[i].s;
            /* "999999999d" does not fit: for comparisons, the greatest span serves as well. */
            *pspan = apr_time_from_sec(value < s_max ? value : s_max);
            return APR_SUCCESS;
        }
    }
    return STEK_ESYNTAX;
}

const char *stek_time_text(apr_interval_time_t span, apr_pool_t *pool)
{
    apr_int64_t span_s = apr_time_sec(span);
    apr_size_t i = 0;

    while (i < UNITS_N - 1 && (span_s == 0 || span_s % units[i].s != 0)) {
        i++;
    }
    return apr_psprintf(pool, "%" APR_INT64_T_FMT "%s", span_s / units[i].s, units[i].name);
}

const char *stek_time_rough(apr_interval_time_t span, const char *gap, apr_pool_t *pool)
{
    apr_int64_t span_s = span < 0 ? 0 : apr_time_sec(span), less;
    const char *text;
    apr_size_t i = 0;

    while (i < UNITS_N - 1 && span_s < units[i].s) {
        i++;
    }
    text = apr_psprintf(pool, "%" APR_INT64_T_FMT "%s%s", span_s / units[i].s, gap, units[i].name);
    less = i < UNITS_N - 1 ? span_s % units[i].s / units[i + 1].s : 0;
    if (less == 0) {
        return text;
    }
    return apr_psprintf(pool, "%s %" APR_INT64_T_FMT "%s%s", text, less, gap, units[i + 1].name);
}
