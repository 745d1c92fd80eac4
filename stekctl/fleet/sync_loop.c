/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop (sync_loop.h).
 */
#include "sync_loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "announcer.h"
#include "metrics.h"
#include "monotonic.h"
#include "notify.h"
#include "report.h"
#include "ringio.h"
#include "sync_state.h"
#include "sync_log.h"
#include "stek_file.h"
#include "store_url.h"
#include "sync_ring_file.h"
#include "sync_ask_stores.h"
#include "sync_stores.h"
#include "sync_watch.h"

/* Between two cycles, the file ring is looked at so often if the system does not tell of changes. */
#define LOOK_MS 1000
/* After the first cycle in which a store was silent. */
#define RETRY apr_time_from_sec(1)
/* The least time between two cycles, whatever wakes sync. */
#define PAUSE_MS 200
/* So many cycles more than one in every cycle's length do stores wake for, however often they say that something
 * has changed; and for so many at once. */
#define WAKES_EVERY 4
#define WAKES_AT_ONCE 16
/* After what a store says, hosts do not all read it in the same moment. */
#define SPREAD_MS 255
/* And they do not announce while others still read. */
#define ANNOUNCE_SPREAD_MS 2000

typedef struct loop_t {
    sync_host_t host;
    sync_port_t port;
    sync_log_t log;
    announcer_t announcer;
    metrics_t metrics;
    int silent_n; /* cycles in a row in which a store did not answer */
    int ready;
    int ring_fd;             /* inotify of the ring's directory; -1: none */
    apr_int64_t ended_at;    /* monotonic ms: when the last cycle had ended */
    apr_int64_t wake_at;     /* when to begin one because of what a store has said; or INT64_MAX */
    int woken;               /* the cycle began so */
    apr_int64_t announce_at; /* when to announce what the last cycle came to; INT64_MAX: done */
    apr_status_t rv;         /* of the last cycle */
    sync_result_t result;    /* the same */
    apr_int64_t
        wakes_until; /* what the cycles so far that stores wanted would take at the pace they may have */
} loop_t;

/* Nonzero: the store did its part in the last cycle.  What makes it fail is in the log, but for what may still be
 * chance there. */
static int judge_store(sync_host_t *host, int i)
{
    const sync_store_t *store = &host->stores[i];
    const char *url = store_url_shown(store->url, host->pool);

    if (store->answer == SYNC_SILENT || store->answer == SYNC_REFUSED || store->write_failed) {
        return 0;
    }
    if (store->overtaken_n > 0) {
        if (store->overtaken_n < SYNC_STORES_DISTRUST_N) {
            report_line("%s: took no write: other hosts were first each time, or so it says", url);
        }
        return 0;
    }
    if (store->wrote && !sync_ask_stores_kept(host, i)) {
        report_line(
            "%s: has taken the ring, but does not have it any more: it keeps nothing; check its "
            "memory limit, and what else deletes objects",
            url);
        return 0;
    }
    return 1;
}

/* What a cycle came to, for --once. */
static ctl_exit_e judge(loop_t *loop, apr_status_t rv)
{
    int i, good = 1;

    if (rv != APR_SUCCESS || loop->log.keyless) {
        return CTL_IO;
    }
    for (i = 0; i < loop->host.options->store_n; i++) {
        good &= judge_store(&loop->host, i);
    }
    return good ? CTL_DONE : CTL_STORE;
}

/* A part of span, at random. */
static apr_int64_t some_of(apr_int64_t span)
{
    unsigned char random = 0;

    (void)stek_rng_system(&random, 1);
    return span / 255 * random;
}

/* What the last cycle came to, for the other hosts. */
static void announce(loop_t *loop)
{
    loop->announce_at = INT64_MAX;
    announcer_cycle(&loop->announcer, &loop->host, loop->rv, &loop->result, ringio_now());
}

/* One cycle, logged. */
static ctl_exit_e run_cycle(loop_t *loop)
{
    const sync_options_t *options = loop->host.options;
    sync_view_t views[SYNC_STORES_MAX];
    sync_result_t result = {0};
    apr_time_t now = ringio_now();
    apr_int64_t begun = monotonic_ms();
    apr_status_t rv;
    int i, silent = 0;

    sync_host_begin(&loop->host, now);
    for (i = 0; i < options->store_n; i++) {
        loop->host.stores[i].write_failed = 0;
    }
    rv = sync_cycle(&loop->port, &options->rules, stek_rng_system, views, &result);
    /* A clock that was set meanwhile, or a machine that slept, makes no cycle slow. */
    result.took = apr_time_from_msec(monotonic_ms() - begun);
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
    loop->rv = rv;
    loop->result = result;
    if (loop->woken) {
        loop->announce_at = monotonic_ms() + some_of(ANNOUNCE_SPREAD_MS);
    }
    else {
        announce(loop);
    }
    if (options->once) {
        sync_state_write(&loop->host); /* with the hosts that it has seen */
    }
    metrics_cycle(&loop->metrics, &loop->host, &loop->announcer, rv, &result, now);
    return options->once ? judge(loop, rv) : CTL_DONE;
}

/* The pause before the next cycle: the cycle's length, shortened a little at random so that hosts
 * spread out.  While a store is silent, it starts at a second and doubles up to the whole.
 * */
static apr_interval_time_t delay(const loop_t *loop)
{
    apr_interval_time_t span = loop->host.options->every;

    if (loop->silent_n > 0 && loop->silent_n < 16 && RETRY << (loop->silent_n - 1) < span) {
        span = RETRY << (loop->silent_n - 1);
    }
    return span - some_of(span / 5);
}

/* Tells at once when something in the ring's directory changes, as long as that is the same directory. */
static void watch_ring(loop_t *loop)
{
    const char *dir = stek_file_dir(loop->host.ctl->ring_path, loop->host.pool);

    loop->ring_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (loop->ring_fd >= 0
        && inotify_add_watch(loop->ring_fd, dir,
                             IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE | IN_DELETE_SELF
                                 | IN_MOVE_SELF | IN_ONLYDIR)
               < 0) {
        close(loop->ring_fd);
        loop->ring_fd = -1;
    }
}

/* What it says is not needed, only that it says something. */
static void drain_ring(loop_t *loop)
{
    char events[4096] __attribute__((aligned(8)));
    const apr_uint32_t lost = IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF;
    int gone = 0;
    ssize_t n;

    while ((n = read(loop->ring_fd, events, sizeof(events))) > 0) {
        ssize_t at = 0;

        while (at + (ssize_t)sizeof(struct inotify_event) <= n) {
            const struct inotify_event *event = (const void *)(events + at);

            gone |= (event->mask & lost) != 0;
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    if (gone) {
        close(loop->ring_fd);
        loop->ring_fd = -1;
    }
}

/* ---- when the next cycle begins ---- */

static apr_int64_t wake_span(const loop_t *loop)
{
    apr_int64_t span = apr_time_as_msec(loop->host.options->every) / WAKES_EVERY;

    return span > PAUSE_MS ? span : PAUSE_MS;
}

/* A store has said that something changes. */
static void wake(loop_t *loop, apr_int64_t now)
{
    apr_int64_t earliest = loop->wakes_until - WAKES_AT_ONCE * wake_span(loop);

    if (loop->wake_at != INT64_MAX) {
        return;
    }
    loop->wake_at = now + some_of(SPREAD_MS);
    loop->wake_at = loop->wake_at > earliest ? loop->wake_at : earliest;
}

/* A cycle has ended that began because a store had said something. */
static void count_wake(loop_t *loop, apr_int64_t now)
{
    if (loop->wakes_until < now) {
        loop->wakes_until = now;
    }
    loop->wakes_until += wake_span(loop);
}

/* When the next cycle is to begin, unless something happens. */
static apr_int64_t next_begin(loop_t *loop, apr_int64_t end)
{
    apr_int64_t at = loop->wake_at < end ? loop->wake_at : end;

    if (sync_ring_file_changed(&loop->host)) {
        at = 0;
    }
    return at > loop->ended_at + PAUSE_MS ? at : loop->ended_at + PAUSE_MS;
}

/* For how long to wait at most. */
static int patience(const loop_t *loop, apr_int64_t begin, apr_int64_t now)
{
    apr_int64_t watchdog = apr_time_as_msec(notify_watchdog()) / 2;
    apr_int64_t due = sync_watch_due(&loop->host), left = begin - now;

    due = loop->announce_at < due ? loop->announce_at : due;
    left = due - now < left ? due - now : left;
    left = watchdog > 0 && watchdog < left ? watchdog : left;
    left = loop->ring_fd < 0 && left > LOOK_MS ? LOOK_MS : left;
    return left > 0 ? (int)left : 0;
}

/* Something waits to be taken. */
static int is_called(void *baton)
{
    loop_t *loop = baton;
    struct pollfd fds[SYNC_STORES_MAX];

    sync_watch_poll(&loop->host, fds);
    return poll(fds, SYNC_STORES_MAX, 0) > 0;
}

/* Waits for what happens first.  Returns the signal if it is one, or 0. */
static int wait_once(loop_t *loop, int signal_fd, int limit_ms)
{
    struct pollfd fds[2 + SYNC_STORES_MAX] = {{.fd = signal_fd, .events = POLLIN},
                                              {.fd = loop->ring_fd, .events = POLLIN}};
    struct signalfd_siginfo info;

    sync_watch_poll(&loop->host, fds + 2);
    if (poll(fds, 2 + SYNC_STORES_MAX, limit_ms) <= 0) {
        return 0;
    }
    if (fds[0].revents && read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        return (int)info.ssi_signo;
    }
    if (fds[1].revents) {
        drain_ring(loop);
    }
    if (sync_watch_take(&loop->host, fds + 2, monotonic_ms())) {
        wake(loop, monotonic_ms());
    }
    return 0;
}

/* Waits for the next cycle.  Returns the signal that came first, or 0. */
static int wait_next(loop_t *loop, int signal_fd)
{
    apr_int64_t now = monotonic_ms(), end = now + apr_time_as_msec(delay(loop)), fed = now, begin;
    apr_int64_t watchdog = apr_time_as_msec(notify_watchdog()) / 2;

    if (loop->ring_fd < 0) {
        watch_ring(loop);
    }
    loop->ended_at = now;
    loop->wake_at = INT64_MAX;
    for (;;) {
        int got;

        sync_watch_begin(&loop->host, now);
        begin = next_begin(loop, end);
        got = wait_once(loop, signal_fd, patience(loop, begin, now));
        now = monotonic_ms();
        if (got > 0) {
            return got;
        }
        if (now >= next_begin(loop, end)) {
            break;
        }
        if (now >= loop->announce_at) {
            announce(loop);
            now = monotonic_ms();
        }
        if (watchdog > 0 && now - fed >= watchdog) {
            notify_send("WATCHDOG=1");
            fed = now;
        }
    }
    loop->woken = now >= loop->wake_at;
    if (loop->woken) {
        count_wake(loop, now);
    }
    return 0;
}

ctl_exit_e sync_loop_run(ctl_t *ctl, const sync_options_t *options)
{
    loop_t loop = {.ring_fd = -1, .announce_at = INT64_MAX, .announcer.is_called = is_called};
    sigset_t signals;
    ctl_exit_e code;
    int got = 0, signal_fd;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    loop.announcer.baton = &loop;
    signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signal_fd < 0) {
        return report_status(ctl, "signalfd", APR_FROM_OS_ERROR(errno), NULL);
    }
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
            got = options->once ? SIGTERM : wait_next(&loop, signal_fd);
        } while (got == 0 || got == SIGHUP);
        if (!options->once) {
            notify_send("STOPPING=1");
            code = CTL_DONE;
        }
    }
    announcer_close(&loop.announcer);
    sync_host_close(&loop.host);
    if (loop.ring_fd >= 0) {
        close(loop.ring_fd);
    }
    close(signal_fd);
    return code;
}
