/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop (loop.h).
 */
#include "loop.h"

#include <signal.h>
#include <time.h>

#include "announcer.h"
#include "metrics.h"
#include "monotonic.h"
#include "notify.h"
#include "report.h"
#include "ringio.h"
#include "state.h"
#include "sync_log.h"
#include "sync_ring_file.h"
#include "sync_stores.h"

/* Between two cycles, the file ring is looked at so often. */
#define LOOK_MS 1000

typedef struct loop_t {
    sync_host_t host;
    sync_port_t port;
    sync_log_t log;
    announcer_t announcer;
    metrics_t metrics;
    int silent_n; /* cycles in a row in which a store did not answer */
    int ready;
} loop_t;

/* What a cycle came to, for --once. */
static ctl_exit_e judge(const loop_t *loop, apr_status_t rv)
{
    int i;

    if (rv != APR_SUCCESS || loop->log.keyless) {
        return CTL_IO;
    }
    for (i = 0; i < loop->host.options->store_n; i++) {
        const sync_store_t *store = &loop->host.stores[i];

        if (store->answer == SYNC_SILENT || store->answer == SYNC_REFUSED || store->write_failed
            || store->overtaken_n > 0) {
            return CTL_STORE;
        }
    }
    return CTL_DONE;
}

/* One cycle, logged. */
static ctl_exit_e run_cycle(loop_t *loop)
{
    const sync_options_t *options = loop->host.options;
    sync_view_t views[SYNC_STORES_MAX];
    sync_result_t result = {0};
    apr_time_t now = ringio_now();
    apr_status_t rv;
    int i, silent = 0;

    sync_host_begin(&loop->host, now);
    for (i = 0; i < options->store_n; i++) {
        loop->host.stores[i].write_failed = 0;
    }
    rv = sync_cycle(&loop->port, &options->rules, stek_rng_system, views, &result);
    sync_stores_note(&loop->host, views, &result);
    sync_log_cycle(&loop->host, &loop->log, rv, &result, now);
    sync_state_write(&loop->host);
    for (i = 0; i < options->store_n; i++) {
        silent += loop->host.stores[i].answer == SYNC_SILENT;
    }
    loop->silent_n = silent || rv != APR_SUCCESS ? loop->silent_n + 1 : 0;
    notify_send("%sWATCHDOG=1\nSTATUS=generation %" APR_UINT64_T_FMT ", %d of %d stores answered%s",
                loop->ready++ ? "" : "READY=1\n", result.generation, result.answered_n,
                options->store_n, rv == APR_SUCCESS ? "" : ", file ring failed");
    announcer_cycle(&loop->announcer, &loop->host, rv, &result, now);
    metrics_cycle(&loop->metrics, &loop->host, &loop->announcer, rv, &result, now);
    return judge(loop, rv);
}

/* The pause before the next cycle: the cycle's length, shortened a little at random so that hosts
 * spread out.  While a store is silent, it starts at an eighth of that and doubles up to the whole.
 * */
static apr_interval_time_t delay(const loop_t *loop)
{
    apr_interval_time_t span = loop->host.options->every;
    unsigned char random = 0;

    if (loop->silent_n > 0 && loop->silent_n < 4) {
        span >>= 4 - loop->silent_n;
    }
    (void)stek_rng_system(&random, 1);
    return span - span / 5 * random / 255;
}

/* Waits for the next cycle.  Returns the signal that came first, or 0. */
static int wait_next(const loop_t *loop, apr_interval_time_t span, const sigset_t *signals)
{
    apr_int64_t now = monotonic_ms(), end = now + apr_time_as_msec(span), fed = now;
    apr_int64_t watchdog = apr_time_as_msec(notify_watchdog()) / 2;

    while (now < end) {
        apr_int64_t left = end - now < LOOK_MS ? end - now : LOOK_MS;
        struct timespec limit = {(time_t)(left / 1000), (long)(left % 1000 * 1000000)};
        int got = sigtimedwait(signals, NULL, &limit);

        if (got > 0) {
            return got;
        }
        now = monotonic_ms();
        if (watchdog > 0 && now - fed >= watchdog) {
            notify_send("WATCHDOG=1");
            fed = now;
        }
        if (sync_ring_file_changed(&loop->host)) {
            break;
        }
    }
    return 0;
}

ctl_exit_e sync_loop_run(ctl_t *ctl, const sync_options_t *options)
{
    loop_t loop = {0};
    sigset_t signals;
    ctl_exit_e code;
    int got = 0;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    code = sync_host_open(ctl, options, &loop.host);
    if (code == CTL_DONE) {
        sync_host_port(&loop.host, &loop.port);
        sync_state_read(&loop.host);
        if (!options->once && !options->floor_path) {
            report_line(
                "no --floor: after a reboot, this host learns of earlier revocations only from "
                "the stores and the other hosts");
        }
        do {
            if (got == SIGHUP) {
                notify_send("RELOADING=1");
                sync_host_reload(&loop.host);
                announcer_close(&loop.announcer);
                notify_send("READY=1");
            }
            code = run_cycle(&loop);
            got = options->once ? SIGTERM : wait_next(&loop, delay(&loop), &signals);
        } while (got == 0 || got == SIGHUP);
        if (!options->once) {
            notify_send("STOPPING=1");
            code = CTL_DONE;
        }
    }
    announcer_close(&loop.announcer);
    sync_host_close(&loop.host);
    return code;
}
