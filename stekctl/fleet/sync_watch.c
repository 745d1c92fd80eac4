/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching stores (sync_watch.h).  stekctl; one thread.
 */
#include "sync_watch.h"

#include <apr_strings.h>
#include <string.h>

#include "monotonic.h"
#include "report.h"
#include "stek_key.h"

/* A store that has said something is listened to again after. */
#define REST_MS 100
/* After a failure; doubled with each, up to a cycle, or to that if the store refuses. */
#define RETRY_MS 250
#define REFUSED_MS (5 * 60 * 1000)
/* Then another worker looks up the store's name again. */
#define AGE_MAX_MS (15 * 60 * 1000)
/* Of a change that a cycle has read, a watch must have told so soon. */
#define MISSED_MS 1500
/* Cycles in a row in which a store that is watched is not asked. */
#define VOUCHED_MAX 5
/* So many lines are logged at once of one store, and then one every minute. */
#define LINES_MAX 5
#define LINES_PAUSE_MS 60000

static apr_int64_t every_ms(const sync_host_t *host)
{
    return apr_time_as_msec(host->options->every);
}

/* A part of span, at random, so that hosts spread out. */
static apr_int64_t some_of(apr_int64_t span)
{
    unsigned char random = 0;

    (void)stek_rng_system(&random, 1);
    return span * random / 255;
}

/* Whether a line may be logged now. */
static int may_log(sync_watch_t *watch, apr_int64_t now_ms)
{
    if (watch->line_n >= LINES_MAX && now_ms - watch->line_ms < LINES_PAUSE_MS) {
        return 0;
    }
    watch->line_n++;
    watch->line_ms = now_ms;
    return 1;
}

static void end_watch(sync_watch_t *watch)
{
    store_rest(watch->store);
    watch->stands = watch->waits = 0;
    watch->missed_ms = 0;
}

static void fail(const sync_host_t *host, sync_store_t *store, int refused, const char *why,
                 apr_int64_t now_ms)
{
    sync_watch_t *watch = &store->watch;
    apr_int64_t pause = RETRY_MS;
    int stood = watch->stands;

    /* One that ends again at once is no better than one that does not begin. */
    watch->failed_n = watch->stands && now_ms - watch->born_ms > every_ms(host) ? 0
                                                                                : watch->failed_n;
    pause <<= watch->failed_n < 10 ? watch->failed_n : 10;
    pause = refused ? REFUSED_MS : pause < every_ms(host) ? pause : every_ms(host);
    watch->failed_n++;
    end_watch(watch);
    watch->due_ms = now_ms + pause - some_of(pause / 4);
    /* Why a store is silent from the beginning, the log says already. */
    if (!watch->told && (stood || store->answer != SYNC_SILENT) && may_log(watch, now_ms)) {
        report_line(
            "%s: does not push changes: %s; until it does, this host sees them in its next cycle",
            store->url, why);
        watch->told = 1;
    }
}

static void begin(const sync_host_t *host, sync_store_t *store, apr_int64_t now_ms)
{
    sync_watch_t *watch = &store->watch;

    if (store_watch_fd(watch->store) < 0) {
        watch->born_ms = now_ms - some_of(AGE_MAX_MS / 4);
    }
    if (!store_begin_wait(watch->store, store->store, (int)every_ms(host))) {
        watch->due_ms = now_ms + every_ms(host);
        return;
    }
    watch->waits = 1;
    watch->due_ms = INT64_MAX;
    if (store_watch_fd(watch->store) < 0) {
        fail(host, store, 0, "its worker process did not start, or has ended", now_ms);
    }
}

void sync_watch_begin(sync_host_t *host, apr_int64_t now_ms)
{
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];
        sync_watch_t *watch = &store->watch;

        if (!watch->store) {
            continue;
        }
        if (watch->missed_ms > 0 && now_ms >= watch->missed_ms + MISSED_MS) {
            fail(host, store, 0, "it has not pushed one", now_ms);
        }
        if (watch->stands && now_ms - watch->born_ms > AGE_MAX_MS) {
            end_watch(watch);
            watch->due_ms = now_ms;
        }
        if (!watch->waits && now_ms >= watch->due_ms) {
            begin(host, store, now_ms);
        }
    }
}

apr_int64_t sync_watch_due(const sync_host_t *host)
{
    apr_int64_t due = INT64_MAX;
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        const sync_watch_t *watch = &host->stores[i].watch;
        apr_int64_t at = watch->missed_ms > 0 ? watch->missed_ms + MISSED_MS : INT64_MAX;

        if (watch->store && !watch->waits && watch->due_ms < at) {
            at = watch->due_ms;
        }
        due = at < due ? at : due;
    }
    return due;
}

void sync_watch_poll(const sync_host_t *host, struct pollfd fds[SYNC_STORES_MAX])
{
    int i;

    for (i = 0; i < SYNC_STORES_MAX; i++) {
        const sync_watch_t *watch = &host->stores[i].watch;

        fds[i].fd = watch->store && watch->waits ? store_watch_fd(watch->store) : -1;
        fds[i].events = POLLIN;
        fds[i].revents = 0;
    }
}

static void note_stands(sync_store_t *store, apr_int64_t now_ms)
{
    sync_watch_t *watch = &store->watch;

    watch->stands = 1;
    watch->waits = 0;
    watch->due_ms = now_ms;
    watch->rung = 1;
    if (watch->told) {
        report_line("%s: pushes changes again", store->url);
    }
    watch->told = 0;
}

/* What this host has read or written itself is no news. */
static int note_change(sync_store_t *store, apr_int64_t now_ms)
{
    sync_watch_t *watch = &store->watch;
    const char *mark = store_mark(watch->store);
    int is_news = !*mark || strcmp(mark, store_mark(store->store)) != 0;

    watch->waits = 0;
    watch->due_ms = now_ms + REST_MS;
    /* Own writes do not make up for it. */
    watch->missed_ms = is_news || !strcmp(mark, watch->missed) ? 0 : watch->missed_ms;
    watch->rung |= is_news;
    return is_news;
}

static int take(const sync_host_t *host, sync_store_t *store, apr_int64_t now_ms)
{
    store_t *from = store->watch.store;
    store_result_e result = store_take_wait(from);

    switch (result) {
    case STORE_SAME:
        return 0;
    case STORE_DONE:
        note_stands(store, now_ms);
        return 1;
    case STORE_CHANGED:
        return note_change(store, now_ms);
    default:
        fail(host, store, result == STORE_REFUSED, store_why(from), now_ms);
        return 0;
    }
}

int sync_watch_take(sync_host_t *host, const struct pollfd fds[SYNC_STORES_MAX], apr_int64_t now_ms)
{
    int i, wake = 0;

    for (i = 0; i < host->options->store_n; i++) {
        if (fds[i].fd >= 0 && fds[i].revents) {
            wake |= take(host, &host->stores[i], now_ms);
        }
    }
    return wake;
}

int sync_watch_vouches(const sync_store_t *store)
{
    const sync_watch_t *watch = &store->watch;

    return watch->store && watch->stands && !watch->rung && watch->vouched_n < VOUCHED_MAX
           && store_can_watch(watch->store) == STORE_WATCH_ALL && store->answer == SYNC_GOOD;
}

void sync_watch_note_read(sync_store_t *store, const char *before)
{
    sync_watch_t *watch = &store->watch;

    if (watch->stands && !watch->rung && watch->missed_ms == 0 && *before
        && *store_mark(store->store) && strcmp(before, store_mark(store->store)) != 0) {
        watch->missed_ms = monotonic_ms();
        apr_cpystrn(watch->missed, store_mark(store->store), sizeof(watch->missed));
    }
    watch->rung = 0;
    watch->vouched_n = 0;
}

void sync_watch_note_written(sync_store_t *store)
{
    const char *why = store_why(store->store);

    if (*why && !store->watch.told_mute) {
        report_line(
            "%s: accepts this host's writes, but does not push them to the other hosts, which see "
            "them in their next cycle: %s",
            store->url, why);
    }
    store->watch.told_mute = *why != '\0';
}

void sync_watch_close(sync_host_t *host)
{
    int i;

    for (i = 0; i < SYNC_STORES_MAX; i++) {
        store_close(host->stores[i].watch.store);
        memset(&host->stores[i].watch, 0, sizeof(host->stores[i].watch));
    }
}
