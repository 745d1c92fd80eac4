/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What simulated hosts say (report.h): it becomes a part of the story, and the checks look for the
 * command that helps.  One thread.
 */
#include "sim.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <string.h>

#include "report.h"
#include "stek_error.h"

/* Takes the simulator's own part out of every path. */
static void shorten(char *text)
{
    apr_size_t len = strlen(sim_dir);
    char *at = text;

    while ((at = strstr(at, sim_dir)) != NULL) {
        memmove(at, at + len, strlen(at + len) + 1);
    }
}

/* A store that changes all the time does not fill the log: ten lines at once, then one a minute. */
static void count_line(sim_host_t *host, const char *text)
{
    int64_t now_ms = sim_clock(host) / 1000, minutes;
    unsigned store = strncmp(text, "sim://", 6) == 0 ? (unsigned)(text[6] - '0') : SIM_STORES_MAX;

    if (store >= SIM_STORES_MAX) {
        return;
    }
    if (host->told.from_ms == 0 || host->told.error_ms != host->error_ms) {
        memset(&host->told, 0, sizeof(host->told));
        host->told.from_ms = now_ms;
        host->told.error_ms = host->error_ms;
    }
    minutes = (now_ms - host->told.from_ms) / 60000;
    if (++host->told.lines[store] > 11 + minutes) {
        sim_fail("log", "host %d logs %lld lines about store %u in %lld minutes", sim_number(host),
                 (long long)host->told.lines[store], store, (long long)minutes);
    }
}

static void hear(char *text)
{
    if (!sim_host) {
        return;
    }
    count_line(sim_host, text);
    if (strstr(text, "copy the file from")) {
        sim_host->behind = 1;
    }
    if (strstr(text, "more than a day ahead")) {
        sim_host->stuck = 1;
    }
    if (sim->story) {
        shorten(text);
        sim_say("    host %d says: %s", sim_number(sim_host), text);
    }
}

void report_line(const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hear(text);
}

ctl_exit_e report_usage(const ctl_t *ctl, const char *format, ...)
{
    char text[2048];
    va_list args;

    (void)ctl;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hear(text);
    return CTL_USAGE;
}

ctl_exit_e report_status(ctl_t *ctl, const char *path, apr_status_t rv, const char *detail)
{
    char text[256];

    (void)ctl;
    report_line("%s: %s%s%s", path, stek_strerror(rv, text, sizeof(text)), detail ? ": " : "",
                detail ? detail : "");
    return rv >= STEK_STATUS_START && rv < STEK_STATUS_END ? CTL_REFUSED : CTL_IO;
}

const char *report_span(apr_interval_time_t span, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_TIME_T_FMT " s", apr_time_sec(span));
}

const char *report_time(apr_time_t t, apr_time_t now, apr_pool_t *pool)
{
    (void)now;
    return apr_psprintf(pool, "%" APR_TIME_T_FMT, apr_time_sec(t));
}

const char *report_strftime(apr_time_t t, const char *format, apr_pool_t *pool)
{
    (void)format;
    return report_time(t, t, pool);
}

const char *report_path(const char *path, apr_pool_t *pool)
{
    (void)pool;
    return path;
}

ctl_exit_e report_finish(ctl_exit_e code)
{
    return code;
}
