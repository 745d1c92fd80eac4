/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log (sync_log.h).
 */
#include "sync_log.h"

#include <apr_strings.h>
#include <string.h>

#include "report.h"
#include "stek_admit.h"
#include "sync_stores.h"

/* Of one store: so many lines at once, and then one a minute.  Reasons leave room for changes of state. */
#define LINES_MAX 10
#define REASONS_MAX 5
#define LINES_PAUSE apr_time_from_sec(60)

static const char *store_state(const sync_store_t *store)
{
    switch (store->answer) {
    case SYNC_SILENT:
        return "silent";
    case SYNC_REFUSED:
        return store->write_failed ? "its object is unusable, and cannot be overwritten"
                                   : "its object is unusable";
    default:
        return store->write_failed  ? "can be read, but not written"
               : store->rolled_back ? "its ring is older than the last revocation"
               : store->overtaken_n >= SYNC_STORES_DISTRUST_N ? "accepts no writes"
               : store->lost_n >= SYNC_STORES_DISTRUST_N      ? "keeps nothing"
                                                              : NULL;
    }
}

/* Why it is in that state, and what sync does about it. */
static const char *consequence(const sync_store_t *store, apr_pool_t *pool)
{
    if (store->answer != SYNC_SILENT && store->answer != SYNC_REFUSED && !store->write_failed) {
        return store->rolled_back
                   ? "it was rolled back or serves old data; sync ignores the revoked keys in it and "
                     "writes the revocation again; if this happens again, check the store"
               : store->overtaken_n < SYNC_STORES_DISTRUST_N
                   ? "it accepts every write, and is empty at the next read, so hosts share nothing "
                     "through it; check its memory limit, and what else deletes objects"
                   : "it reports a conflict on every write: it is faulty, or reads come from a lagging "
                     "replica; sync does not rely on it until a write succeeds; check the store";
    }
    return apr_pstrcat(pool, store->why,
                       store->answer == SYNC_REFUSED && !store->write_failed
                           ? "; overwriting it with this host's ring"
                           : "; continuing with the file ring",
                       NULL);
}

static int is_same(const char *state, const char *other)
{
    return state == other || (state && other && !strcmp(state, other));
}

/* Whether a line may be logged now.  A store that has another state or reason in every cycle does not fill
 * the log. */
static int may_log(sync_store_t *store, unsigned lines_max, apr_time_t now)
{
    apr_interval_time_t quiet = now - store->logged_at;
    apr_int64_t freed_n = quiet < 0 ? 1 : quiet / LINES_PAUSE;

    if (store->logged_n >= lines_max + freed_n) {
        return 0;
    }
    store->logged_n = store->logged_n > freed_n ? store->logged_n - (unsigned)freed_n : 0;
    store->logged_n++;
    store->logged_at = now;
    return 1;
}

/* What was kept out of the log since the last line; "" if nothing was. */
static const char *suppressed(const sync_store_t *store, apr_pool_t *pool)
{
    return store->muted_n == 0
               ? ""
               : apr_psprintf(pool,
                              "; its state keeps changing, and %u change%s not logged; check the "
                              "store, and the network to it",
                              store->muted_n, store->muted_n == 1 ? " was" : "s were");
}

static void log_state(sync_store_t *store, const char *state, apr_time_t now, apr_pool_t *pool)
{
    int changed = !is_same(state, store->logged);

    store->failed_n += state != NULL;
    store->muted_n += changed && !is_same(state, store->last);
    store->last = state;
    if (!changed && (!state || !strcmp(store->why, store->logged_why))) {
        return;
    }
    if (!may_log(store, changed ? LINES_MAX : REASONS_MAX, now)) {
        return;
    }
    store->muted_n -= changed && store->muted_n > 0; /* this one is logged */
    if (!state) {
        report_line("%s: recovered after %u failed cycle%s%s", store->url, store->failed_n,
                    store->failed_n == 1 ? "" : "s", suppressed(store, pool));
    }
    else {
        report_line("%s: %s: %s%s", store->url, state, consequence(store, pool),
                    suppressed(store, pool));
    }
    store->failed_n = state ? store->failed_n : 0;
    store->logged = state;
    store->muted_n = 0;
    apr_cpystrn(store->logged_why, store->why, sizeof(store->logged_why));
}

static void log_store(sync_store_t *store, apr_time_t now, apr_pool_t *pool)
{
    const char *unconfined = store_unconfined(store->store);

    if (unconfined && !store->logged_unconfined) {
        report_line("%s: the process that talks to it runs without %s, which this system does not "
                    "allow; allow it, or trust the store",
                    store->url, unconfined);
    }
    store->logged_unconfined = unconfined != NULL;
    log_state(store, store_state(store), now, pool);
}

/* A cycle that takes longer than the tries of an honest one. */
static void log_slow(const sync_host_t *host, sync_log_t *log, const sync_result_t *result)
{
    int slow = result->took > 2 * SYNC_TRIES_TIME;

    if (slow && !log->slow) {
        report_line(
            "%s: a cycle took %s: a store is slow to answer, or this host is busy; find out "
            "which, or lower timeout",
            host->ctl->ring_path, report_span(result->took, host->pool));
    }
    log->slow = slow;
}

/* Whether the file ring could be read and written. */
static void log_file(sync_host_t *host, sync_log_t *log, apr_status_t rv)
{
    if (rv != log->file_rv) {
        if (rv != APR_SUCCESS) {
            (void)report_status(host->ctl, host->ctl->ring_path, rv, NULL);
        }
        else {
            report_line("%s: recovered after %u failed cycle%s", host->ctl->ring_path, log->file_n,
                        log->file_n == 1 ? "" : "s");
        }
        log->file_n = 0;
    }
    log->file_rv = rv;
    log->file_n += rv != APR_SUCCESS;
}

/* Of a cycle that wrote the file ring. */
static void log_keys(const sync_host_t *host, sync_log_t *log, const sync_result_t *result)
{
    if (result->made > 0) {
        report_line("%s: made %d key%s, generation %" APR_UINT64_T_FMT, host->ctl->ring_path,
                    (int)result->made, result->made == 1 ? "" : "s", result->generation);
    }
    if (result->left_out_n > log->left_out_n) {
        const char *begin = result->left_out_n == 1 ? "it begins" : "they begin";

        report_line("%s: %d key%s ignored, because the ring is full or %s too far in the future; "
                    "check the clocks of all hosts",
                    host->ctl->ring_path, (int)result->left_out_n,
                    result->left_out_n == 1 ? "" : "s", begin);
    }
    if (result->doubled_n > log->doubled_n) {
        report_line(
            "%s: %d key%s refused: another key in the ring has the same bytes; only someone "
            "who has the fleet secret can do that, so treat the secret as stolen",
            host->ctl->ring_path, (int)result->doubled_n, result->doubled_n == 1 ? "" : "s");
    }
}

static void log_day(sync_host_t *host)
{
    if (host->fleet_day == host->told_day || host->day_confirmed) {
        return;
    }
    if (host->fleet_day > 0) {
        report_line(
            "%s: check this host's clock: the objects in the stores are from %d days ago. Either "
            "the clock is ahead, or every host that generates keys was down; sync keeps the old "
            "fleet secret until another host moves to the next one, or for one hour",
            host->options->fleet_secret_path, (int)(host->day - host->fleet_day));
    }
    host->told_day = host->fleet_day;
}

/* This host's clock, and others'. */
static void log_clocks(const sync_host_t *host, sync_log_t *log, const sync_result_t *result,
                       apr_time_t now)
{
    int ahead = stek_admit_epoch(host->known_epoch, 0, now) != APR_SUCCESS;

    if (ahead && !log->ahead) {
        report_line(
            "%s: check this host's clock: the ring's epoch is more than a day ahead of it, so other "
            "hosts refuse the ring. If the clock is right, all keys were revoked while it was wrong: "
            "stop sync and httpd, remove the ring, the secret and the floor, and start both again",
            host->ctl->ring_path);
    }
    log->ahead = ahead;
    /* Only above what NTP tolerates, and only when it has grown. */
    if (result->skew > log->skew + apr_time_from_sec(5)) {
        report_line(
            "%s: another host's clock is at least %s ahead of this host's; check both clocks",
            host->ctl->ring_path, report_span(result->skew, host->pool));
        log->skew = result->skew;
    }
}

void sync_log_cycle(sync_host_t *host, sync_log_t *log, apr_status_t rv,
                    const sync_result_t *result, apr_time_t now)
{
    int i, keyless = rv == APR_SUCCESS && result->covered_until <= now;

    for (i = 0; i < host->options->store_n; i++) {
        log_store(&host->stores[i], now, host->pool);
    }
    log_file(host, log, rv);
    if (keyless != log->keyless) {
        report_line("%s: %s", host->ctl->ring_path,
                    keyless
                        ? "there is no current key, so no tickets are issued; bring back a store, "
                          "or a host that generates keys"
                        : "has a current key again");
    }
    log->keyless = keyless;
    if (rv == APR_SUCCESS) {
        log_keys(host, log, result);
    }
    log->left_out_n = result->left_out_n;
    log->doubled_n = result->doubled_n;
    log_day(host);
    log_slow(host, log, result);
    log_clocks(host, log, result, now);
}
