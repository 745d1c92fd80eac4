/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl sync's own files: /etc/stek/NAME.conf, and what it keeps for --status.  The first byte
 * chooses which; the file comes from the input.
 */
#include "fuzz.h"

#include <apr_strings.h>
#include <stdarg.h>

#include "fleet/sync_settings_check.h"
#include "fleet/sync_state.h"
#include "report.h"
#include "stek_error.h"
#include "stek_file.h"
#include "stek_schedule.h"
#include "stek_time.h"

static const uint8_t *input;
static size_t input_len;

apr_status_t __wrap_stek_file_read(const char *path, stek_file_kind_e kind, uid_t owner, void *buf,
                                   apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                                   const char **pculprit, apr_pool_t *pool);

apr_status_t __wrap_stek_file_read(const char *path, stek_file_kind_e kind, uid_t owner, void *buf,
                                   apr_size_t buf_size, apr_size_t *plen, stek_stamp_t *stamp,
                                   const char **pculprit, apr_pool_t *pool)
{
    (void)path;
    (void)kind;
    (void)owner;
    (void)stamp;
    (void)pculprit;
    (void)pool;
    if (input_len > buf_size) {
        return STEK_ETOOBIG;
    }
    memcpy(buf, input, input_len);
    *plen = input_len;
    return APR_SUCCESS;
}

/* Reports go nowhere, but are made. */
static void report(const char *format, va_list args)
{
    HOLDS(apr_pvsprintf(fuzz_pool(), format, args));
}

void report_line(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(format, args);
    va_end(args);
}

ctl_exit_e report_usage(const ctl_t *ctl, const char *format, ...)
{
    va_list args;

    (void)ctl;
    va_start(args, format);
    report(format, args);
    va_end(args);
    return CTL_USAGE;
}

ctl_exit_e report_status(ctl_t *ctl, const char *path, apr_status_t rv, const char *detail)
{
    (void)ctl;
    (void)path;
    (void)rv;
    (void)detail;
    return CTL_IO;
}

const char *report_span(apr_interval_time_t span, apr_pool_t *pool)
{
    return stek_time_text(span, pool);
}

const char *report_path(const char *path, apr_pool_t *pool)
{
    (void)pool;
    return path;
}

const char *report_strftime(apr_time_t t, const char *format, apr_pool_t *pool)
{
    (void)t;
    (void)format;
    (void)pool;
    return "";
}

const char *report_time(apr_time_t t, apr_time_t now, apr_pool_t *pool)
{
    (void)t;
    (void)now;
    (void)pool;
    return "";
}

ctl_exit_e report_finish(ctl_exit_e code)
{
    return code;
}

static void configuration(ctl_t *ctl)
{
    sync_settings_t settings;
    int i;

    sync_settings_init(&settings);
    settings.config_path = "conf";
    if (sync_settings_read(ctl, &settings) != CTL_DONE
        || sync_settings_check(ctl, &settings) != CTL_DONE) {
        return;
    }
    HOLDS(settings.options.store_n > 0 && settings.options.store_n <= SYNC_STORES_MAX);
    for (i = 1; i < settings.options.store_n; i++) {
        HOLDS(strcmp(settings.options.urls[i - 1], settings.options.urls[i]) <= 0);
    }
    HOLDS(!stek_schedule_check(&settings.options.rules.params, ctl->pool));
    HOLDS(settings.options.fleet_secret_path && *settings.options.fleet_secret_path);
}

static void kept_state(ctl_t *ctl)
{
    sync_options_t options = {.store_n = 2};
    sync_host_t host = {.ctl = ctl, .options = &options, .pool = ctl->pool};

    host.stores[0].url = "memcached://a";
    host.stores[1].url = "redis://b";
    sync_state_read(&host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ctl_t ctl = {.ring_path = "ring", .secret_path = "secret", .pool = fuzz_pool()};

    if (size == 0) {
        return 0;
    }
    input = data + 1;
    input_len = size - 1;
    if (data[0] & 1) {
        kept_state(&ctl);
    }
    else {
        configuration(&ctl);
    }
    apr_pool_clear(ctl.pool);
    return 0;
}
