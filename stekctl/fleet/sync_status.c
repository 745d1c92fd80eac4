/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status (sync_status.h).
 */
#include "sync_status.h"

#include <apr_strings.h>
#include <stdio.h>

#include "json.h"
#include "report.h"
#include "ringio.h"
#include "sync_state.h"
#include "stek_error.h"
#include "stek_schedule.h"
#include "sync_ring_file.h"
#include "sync_stores.h"

static const char *answer_text(sync_answer_e answer)
{
    static const char *const texts[] = {"silent", "empty", "refused", "good"};

    return texts[answer];
}

typedef struct status_t {
    const sync_host_t *host;
    const stek_ring_t *file_ring; /* with the floor's tombstones; NULL: none */
    const sync_plan_t *plan;
    apr_status_t rv; /* of reading and planning */
    apr_time_t now, covered_until;
    apr_size_t behind_n; /* keys that are in a store but not in the file */
    const char *next[SYNC_STORES_MAX + 2];
    int next_n;
} status_t;

static apr_interval_time_t skew_of(const sync_store_t *store, apr_time_t now)
{
    return store->written_at > now ? store->written_at - now : 0;
}

/* What the file ring would be after the next cycle; NULL: there is none. */
static apr_status_t find_after(const status_t *status, stek_ring_t **pafter)
{
    const stek_ring_t *wanted = status->plan->wanted;

    *pafter = NULL;
    return wanted ? sync_ring_file_merge(wanted, status->file_ring, status->now,
                                         sync_lifetime(&status->host->options->rules), pafter)
                  : APR_SUCCESS;
}

/* Finds out what the next cycle would do. */
static void find_next(status_t *status)
{
    const stek_ring_t *shared = status->plan->shared;
    stek_ring_t *after = NULL;
    apr_size_t i;
    int n;

    status->rv = find_after(status, &after);
    for (i = 0; shared && after && i < shared->key_n; i++) {
        status->behind_n += stek_ring_find(after, shared->keys[i].name)
                            && !(status->file_ring
                                 && stek_ring_find(status->file_ring, shared->keys[i].name));
    }
    if (status->plan->made > 0) {
        status->next[status->next_n++] = apr_psprintf(status->host->pool, "make %d key%s",
                                                      (int)status->plan->made,
                                                      status->plan->made == 1 ? "" : "s");
    }
    for (n = 0; n < status->host->options->store_n; n++) {
        if (status->plan->write[n]) {
            status->next[status->next_n++] = apr_pstrcat(status->host->pool, "write ",
                                                         status->host->stores[n].url, NULL);
        }
    }
    if (after && (!status->file_ring || !stek_ring_equal(status->file_ring, after))) {
        status->next[status->next_n++] = "write the file ring";
    }
    stek_ring_destroy(after);
}

/* Why the file ring is not used, in pool; NULL: it is, or there is none. */
static const char *ring_why(const status_t *status)
{
    char text[160];
    apr_status_t rv = status->host->ring_rv;

    return rv == APR_SUCCESS
               ? NULL
               : apr_pstrdup(status->host->pool, stek_strerror(rv, text, sizeof(text)));
}

static void put_floor(json_t *json, const sync_host_t *host)
{
    if (!host->options->floor_path) {
        json_null(json, "floor");
        return;
    }
    json_open(json, "floor", '{');
    json_string(json, "path", host->options->floor_path);
    json_bool(json, "readable", host->floor != NULL);
    json_count(json, "epoch", host->floor ? host->floor->epoch : 0);
    json_count(json, "tombstones", host->floor ? host->floor->tombstone_n : 0);
    json_time(json, "written_at", host->floor ? host->floor->written_at : 0);
    json_string(json, "why", host->floor_why);
    json_close(json, '}');
}

static void put_store(json_t *json, const sync_store_t *store, apr_time_t now)
{
    int is_bad = store->answer == SYNC_SILENT || store->answer == SYNC_REFUSED;

    json_open(json, NULL, '{');
    json_string(json, "store", store->url);
    json_string(json, "answer", answer_text(store->answer));
    json_string(json, "why", is_bad ? store->why : NULL);
    json_time(json, "last_success", store->last_success);
    if (store->last_success) {
        json_span(json, "lag", now - store->last_success);
    }
    else {
        json_null(json, "lag");
    }
    json_count(json, "generation", store->generation);
    json_time(json, "written_at", store->written_at);
    json_span(json, "skew", skew_of(store, now));
    json_count(json, "cycles_without_write", store->overtaken_n);
    json_bool(json, "rolled_back", store->rolled_back);
    json_close(json, '}');
}

static void print_json(const status_t *status)
{
    const sync_host_t *host = status->host;
    const stek_ring_t *ring = status->file_ring;
    json_t json;
    int i;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_string(&json, "ring", host->ctl->ring_path);
    json_bool(&json, "readable", status->rv == APR_SUCCESS && ring);
    json_string(&json, "why", ring_why(status));
    json_count(&json, "generation", ring ? ring->generation : 0);
    json_count(&json, "epoch", ring ? ring->epoch : 0);
    json_count(&json, "keys", ring ? ring->key_n : 0);
    json_time(&json, "covered_until", status->covered_until);
    json_count(&json, "keys_behind", status->behind_n);
    json_count(&json, "keys_left_out", status->plan->left_out_n);
    json_bool(&json, "generate", host->options->rules.generate);
    put_floor(&json, host);
    json_open(&json, "stores", '[');
    for (i = 0; i < host->options->store_n; i++) {
        put_store(&json, &host->stores[i], status->now);
    }
    json_close(&json, ']');
    json_open(&json, "next", '[');
    for (i = 0; i < status->next_n; i++) {
        json_string(&json, NULL, status->next[i]);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

static void print_floor(const status_t *status)
{
    const sync_host_t *host = status->host;
    const stek_ring_t *floor = host->floor;

    if (!host->options->floor_path) {
        puts("no floor: revocations are forgotten when the ring is lost");
    }
    else if (floor) {
        printf("%s: floor: epoch %" APR_UINT64_T_FMT ", %d revoked key%s, written %s\n",
               report_path(host->options->floor_path, host->pool), floor->epoch,
               (int)floor->tombstone_n, floor->tombstone_n == 1 ? "" : "s",
               report_time(floor->written_at, status->now, host->pool));
    }
    else {
        printf("%s: %s%s\n", report_path(host->options->floor_path, host->pool),
               host->floor_why ? "floor refused: " : "no floor yet",
               host->floor_why ? host->floor_why : "");
    }
}

static void print_text(const status_t *status)
{
    const sync_host_t *host = status->host;
    const stek_ring_t *ring = status->file_ring;
    apr_pool_t *pool = host->pool;
    int i;

    if (ring) {
        printf("%s: generation %" APR_UINT64_T_FMT ", %d keys, tickets can be issued until %s\n",
               report_path(host->ctl->ring_path, pool), ring->generation, (int)ring->key_n,
               report_time(status->covered_until, status->now, pool));
    }
    else {
        const char *why = ring_why(status);

        printf("%s: %s%s\n", report_path(host->ctl->ring_path, pool),
               why ? "damaged, or not this host's: " : "no ring", why ? why : "");
    }
    print_floor(status);
    for (i = 0; i < host->options->store_n; i++) {
        const sync_store_t *store = &host->stores[i];

        printf("%s: %s", report_path(store->url, pool), answer_text(store->answer));
        if (store->answer == SYNC_SILENT || store->answer == SYNC_REFUSED) {
            printf(" (%s)", store->why);
        }
        if (store->written_at) {
            printf(", generation %" APR_UINT64_T_FMT, store->generation);
        }
        if (store->overtaken_n > 0) {
            printf(", accepted no write in %u cycle%s: it reported a conflict each time",
                   store->overtaken_n, store->overtaken_n == 1 ? "" : "s");
        }
        if (store->rolled_back) {
            printf(", older than the last revocation");
        }
        if (skew_of(store, status->now) > 0) {
            printf(", written %s ahead of this host's clock",
                   report_span(skew_of(store, status->now), pool));
        }
        printf(", last success %s%s\n",
               store->last_success ? report_span(status->now - store->last_success, pool) : "never",
               store->last_success ? " ago" : "");
    }
    printf("next: ");
    for (i = 0; i < status->next_n; i++) {
        printf("%s%s", i ? ", " : "", status->next[i]);
    }
    puts(status->next_n ? "" : "nothing");
}

/* Reads file ring and stores, and plans.  Nonzero: all stores are good.  What is read shall not change when a store
 * last succeeded. */
static int read_all(status_t *status, sync_host_t *host, sync_view_t *views, stek_ring_t **pring,
                    sync_plan_t *plan)
{
    const sync_options_t *options = host->options;
    apr_time_t last[SYNC_STORES_MAX] = {0};
    sync_port_t port;
    int i, good = 1;

    sync_host_port(host, &port);
    for (i = 0; i < options->store_n; i++) {
        last[i] = host->stores[i].last_success;
    }
    status->rv = port.load(port.baton, pring);
    port.read(port.baton, status->now, views);
    if (status->rv == APR_SUCCESS) {
        status->rv = sync_plan(*pring, views, options->store_n, &options->rules, status->now,
                               stek_rng_system, plan);
        sync_stores_note_views(host, views);
    }
    for (i = 0; i < options->store_n; i++) {
        host->stores[i].last_success = last[i];
        good = good && host->stores[i].answer == SYNC_GOOD && !host->stores[i].rolled_back
               && host->stores[i].overtaken_n < SYNC_STORES_DISTRUST_N;
    }
    return good;
}

ctl_exit_e sync_status_show(ctl_t *ctl, const sync_options_t *options)
{
    sync_view_t views[SYNC_STORES_MAX] = {{0}};
    apr_time_t now = ringio_now();
    stek_ring_t *file_ring = NULL;
    sync_plan_t plan = {0};
    sync_host_t host;
    status_t status = {.host = &host, .plan = &plan, .now = now};
    ctl_exit_e code = sync_host_open_reader(ctl, options, &host);
    int good;

    if (code != CTL_DONE) {
        sync_host_close(&host);
        return code;
    }
    sync_state_read(&host);
    good = read_all(&status, &host, views, &file_ring, &plan);
    /* Without a file, load makes a ring of the floor alone: no host has written that. */
    status.file_ring = file_ring && file_ring->generation > 0 ? file_ring : NULL;
    status.covered_until = file_ring ? stek_schedule_covered_until(file_ring, now) : now;
    if (status.rv == APR_SUCCESS) {
        find_next(&status);
    }
    if (status.rv != APR_SUCCESS) {
        (void)report_status(ctl, ctl->ring_path, status.rv, NULL);
    }
    if (ctl->json) {
        print_json(&status);
    }
    else {
        print_text(&status);
    }
    good = good && !host.floor_why && status.rv == APR_SUCCESS && status.covered_until > now;
    sync_plan_release(&plan);
    sync_views_release(views, options->store_n);
    stek_ring_destroy(file_ring);
    sync_host_close(&host);
    return good ? CTL_DONE : CTL_FINDING;
}
