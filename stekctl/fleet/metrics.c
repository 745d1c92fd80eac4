/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of sync (metrics.h).  stekctl; one thread.
 */
#include "metrics.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <string.h>

#include "fleet_view.h"
#include "report.h"
#include "stek_claim.h"
#include "stek_error.h"
#include "stek_escape.h"
#include "stek_file.h"
#include "stek_version.h"
#include "store_url.h"
#include "sync_stores.h"

#define COUNT APR_UINT64_T_FMT
#define SECONDS APR_INT64_T_FMT
#define HEAD "# HELP stek_sync_"

typedef struct text_t {
    apr_array_header_t *pieces; /* of char * */
    apr_pool_t *pool;
    const sync_host_t *host;
    const char *ring; /* the label that all have */
} text_t;

static void put(text_t *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(text_t *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    APR_ARRAY_PUSH(text->pieces, const char *) = apr_pvsprintf(text->pool, format, args);
    va_end(args);
}

static void put_help(text_t *text, const char *metric, const char *type, const char *help)
{
    put(text, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

static void put_one(text_t *text, const char *metric, const char *type, apr_int64_t value,
                    const char *help)
{
    put_help(text, metric, type, help);
    put(text, "%s{ring=\"%s\"} %" SECONDS "\n", metric, text->ring, value);
}

static const char *store_label(const text_t *text, int i)
{
    return stek_escape_label(store_url_shown(text->host->stores[i].url, text->pool), text->pool);
}

/* ---- stores ---- */

static void put_answers(text_t *text)
{
    static const char *const names[] = {"silent", "empty", "refused", "good"};
    const sync_options_t *options = text->host->options;
    int i, answer;

    put_help(text, "stek_sync_store_answers_total", "counter",
             "Answers of a store to reads, by kind.");
    for (i = 0; i < options->store_n; i++) {
        for (answer = 0; answer < 4; answer++) {
            put(text,
                "stek_sync_store_answers_total{ring=\"%s\",store=\"%s\",answer=\"%s\"} %" COUNT
                "\n",
                text->ring, store_label(text, i), names[answer],
                text->host->stores[i].answers[answer]);
        }
    }
}

typedef apr_int64_t of_store_t(const sync_store_t *store);

static apr_int64_t conflicts_of(const sync_store_t *store)
{
    return (apr_int64_t)store->conflict_n;
}

static apr_int64_t failures_of(const sync_store_t *store)
{
    return (apr_int64_t)store->failure_n;
}

static apr_int64_t overtaken_of(const sync_store_t *store)
{
    return store->overtaken_n;
}

static apr_int64_t rolled_back_of(const sync_store_t *store)
{
    return store->rolled_back != 0;
}

static apr_int64_t push_of(const sync_store_t *store)
{
    return store->watch.stands != 0;
}

static apr_int64_t success_of(const sync_store_t *store)
{
    return apr_time_sec(store->last_success);
}

static void put_stores(text_t *text)
{
    static const struct {
        const char *metric, *type, *help;
        of_store_t *value;
    } rows[] = {
        {"stek_sync_store_conflicts_total", "counter",
         "Writes that were not made because another host had written first.", conflicts_of},
        {"stek_sync_store_write_failures_total", "counter", "Writes that failed.", failures_of},
        {"stek_sync_store_cycles_without_write", "gauge",
         "Cycles in a row in which the store took no write, because another was always first.",
         overtaken_of},
        {"stek_sync_store_rolled_back", "gauge",
         "1 if the store's ring is older than the last revocation.", rolled_back_of},
        {"stek_sync_store_push", "gauge",
         "1 if the store says at once when the ring's object changes.", push_of},
        {"stek_sync_store_last_success_timestamp_seconds", "gauge",
         "When the store last gave a usable answer; 0: never.", success_of},
    };
    apr_size_t row;
    int i;

    for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        put_help(text, rows[row].metric, rows[row].type, rows[row].help);
        for (i = 0; i < text->host->options->store_n; i++) {
            put(text, "%s{ring=\"%s\",store=\"%s\"} %" SECONDS "\n", rows[row].metric, text->ring,
                store_label(text, i), rows[row].value(&text->host->stores[i]));
        }
    }
}

/* ---- this host ---- */

static void put_host(text_t *text, const metrics_t *metrics, const announcer_t *announcer,
                     const sync_result_t *result, apr_time_t now)
{
    apr_interval_time_t skew = announcer->self.behind > result->skew ? announcer->self.behind
                                                                     : result->skew;

    put_one(text, "stek_sync_cycles_total", "counter", (apr_int64_t)metrics->cycle_n,
            "Cycles since stekctl sync was started.");
    put_one(text, "stek_sync_cycle_failures_total", "counter", (apr_int64_t)metrics->failed_n,
            "Cycles that could not read or write the file ring.");
    put_one(text, "stek_sync_cycle_timestamp_seconds", "gauge", apr_time_sec(now),
            "When the last cycle began.");
    put_one(text, "stek_sync_agreed_timestamp_seconds", "gauge", apr_time_sec(metrics->agreed),
            "When file ring and all stores last were the same; 0: not since the start.");
    put_one(text, "stek_sync_covered_until_timestamp_seconds", "gauge",
            apr_time_sec(result->covered_until), "Until when existing keys encrypt without a gap.");
    put_one(text, "stek_sync_clock_skew_seconds", "gauge", apr_time_sec(skew),
            "How far this host's clock is behind others, at least.");
    put_one(text, "stek_sync_keys_made_total", "counter", (apr_int64_t)metrics->made_n,
            "Keys that this host has made.");
    put_one(text, "stek_sync_keys_evicted_total", "counter", (apr_int64_t)metrics->left_out_n,
            "Keys that were ignored because the ring is full or they begin too far in the future.");
}

/* ---- the fleet ---- */

static void put_fleet(text_t *text, const announcer_look_t *look)
{
    int trouble;

    put_one(text, "stek_fleet_look_timestamp_seconds", "gauge", apr_time_sec(look->looked_at),
            "When this host last looked at all hosts; 0: not yet. Hosts take turns.");
    if (look->looked_at == 0) {
        return;
    }
    put_one(text, "stek_fleet_hosts", "gauge", (apr_int64_t)look->host_n,
            "Hosts that have announced themselves, including those that are gone.");
    put_one(text, "stek_fleet_rings", "gauge", (apr_int64_t)look->ring_n,
            "Different rings that hosts have; 1 if all agree.");
    put_help(text, "stek_fleet_hosts_in_trouble", "gauge",
             "Hosts in trouble, by kind of trouble, as stekctl fleet shows them.");
    for (trouble = 0; trouble < FLEET_TROUBLES_N; trouble++) {
        put(text, "stek_fleet_hosts_in_trouble{ring=\"%s\",trouble=\"%s\"} %d\n", text->ring,
            fleet_trouble_name((fleet_trouble_e)trouble), (int)look->trouble_n[trouble]);
    }
}

/* ---- the file ---- */

static int is_ours(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    (void)baton;
    return len >= strlen(HEAD) && !memcmp(bytes, HEAD, strlen(HEAD));
}

static const stek_claim_t claim = {"metrics of stekctl sync", sizeof(HEAD) - 1, 0, is_ours, NULL};

static apr_status_t write_file(const sync_host_t *host, const char *text, const char **pdetail)
{
    const stek_file_how_t how = {host->ctl->owner, (uid_t)-1, (gid_t)-1, 0644, 0};
    const char *path = host->options->metrics_path;
    apr_status_t rv = stek_claim_check(&claim, path, host->ctl->owner, pdetail, host->pool);

    return rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv)
               ? stek_file_replace(path, text, strlen(text), &how, host->pool)
               : rv;
}

static void count(metrics_t *metrics, apr_status_t rv, const sync_result_t *result, int agreed,
                  apr_time_t now)
{
    metrics->cycle_n++;
    metrics->failed_n += rv != APR_SUCCESS;
    if (rv == APR_SUCCESS) {
        metrics->made_n += result->made;
        if (result->left_out_n > metrics->left_out_before) {
            metrics->left_out_n += result->left_out_n - metrics->left_out_before;
        }
        metrics->left_out_before = result->left_out_n;
    }
    if (agreed) {
        metrics->agreed = now;
    }
}

void metrics_cycle(metrics_t *metrics, const sync_host_t *host, const announcer_t *announcer,
                   apr_status_t rv, const sync_result_t *result, apr_time_t now)
{
    const char *path = host->options->metrics_path, *detail = NULL;
    text_t text = {NULL, host->pool, host, NULL};
    apr_status_t saved;

    if (!path) {
        return;
    }
    count(metrics, rv, result, sync_stores_agree(host, rv, result), now);
    text.pieces = apr_array_make(host->pool, 64, sizeof(const char *));
    text.ring = stek_escape_label(host->ctl->ring_path, host->pool);
    put_help(&text, "stek_sync_build_info", "gauge", "Version of stekctl.");
    put(&text, "stek_sync_build_info{ring=\"%s\",version=\"" STEK_VERSION "\"} 1\n", text.ring);
    put_answers(&text);
    put_stores(&text);
    put_host(&text, metrics, announcer, result, now);
    put_fleet(&text, &announcer->look);
    saved = write_file(host, apr_array_pstrcat(host->pool, text.pieces, 0), &detail);
    if (saved != APR_SUCCESS && saved != metrics->failed_rv) {
        (void)report_status(host->ctl, path, saved, detail);
    }
    metrics->failed_rv = saved;
}
