/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking stores (sync_ask_stores.h).  stekctl; one thread.
 */
#include "sync_ask_stores.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"
#include "monotonic.h"
#include "notify.h"
#include "ratchet.h"
#include "report.h"
#include "stek_admit.h"
#include "stek_error.h"
#include "sync_secrets.h"
#include "sync_stores.h"
#include "sync_watch.h"

/* Connecting, logging in and the call itself may each take the time-out: this many in all. */
#define CALLS_MAX 3

/* For how many cycles in a row an object from the future stays as it is.  For longer if this host's own
 * clock may have run backwards: its floor is from a time when that epoch was all right. */
static unsigned leave_alone_n(const sync_host_t *host, const stek_ring_t *ring, apr_time_t now)
{
    const stek_ring_t *floor = host->floor;

    return floor && floor->written_at > now
                   && stek_admit_epoch(ring->epoch, 0, floor->written_at) == APR_SUCCESS
               ? SYNC_ASK_STORES_BEHIND_N
               : SYNC_STORES_DISTRUST_N;
}

/* A ring whose epoch no clock can have come to.  If it was written in the future, too, this host's clock
 * may be the one that is wrong: then the object stays as it is for a while, so that others who know
 * better can replace it.  Not for ever: nobody may have a clock like that of its writer any more. */
static void refuse_epoch(sync_host_t *host, sync_store_t *store, sync_view_t *view, apr_time_t now)
{
    apr_interval_time_t ahead = view->ring->written_at - now;

    store->is_ahead = ahead > STEK_ADMIT_EPOCH_MARGIN;
    if (store->is_ahead && store->ahead_n < leave_alone_n(host, view->ring, now)) {
        apr_snprintf(store->why, sizeof(store->why),
                     "its epoch and its time are %s ahead of this host's clock; check the clock",
                     report_span(ahead, host->pool));
        view->answer = SYNC_SILENT;
    }
    else {
        (void)stek_strerror(STEK_EEPOCH, store->why, sizeof(store->why));
        view->answer = SYNC_REFUSED;
        view->why = STEK_EEPOCH;
    }
    stek_ring_destroy(view->ring);
    view->ring = NULL;
}

/* Opens an object under the secrets of today, yesterday or tomorrow; *pday: which of them. */
static apr_status_t open_today(const sync_host_t *host, const unsigned char *bytes, apr_size_t len,
                               stek_ring_t **pring, apr_size_t *psecret_i, int *pday)
{
    static const int order[] = {1, 0, 2};
    apr_status_t rv = STEK_ESECRET;
    int i;

    for (i = 0; i < 3 && rv == STEK_ESECRET; i++) {
        *pday = order[i];
        if (host->keys[*pday]) {
            rv = stek_ring_unseal(bytes, len, host->keys[*pday], 1, pring, psecret_i);
        }
    }
    return rv;
}

/* Opens it under the secrets of the days before, as far back as the ratchet has not moved on: then the
 * fleet's day is that one, and this host's clock may be ahead. */
static apr_status_t open_earlier(sync_host_t *host, const unsigned char *bytes, apr_size_t len,
                                 stek_ring_t **pring)
{
    apr_status_t rv = STEK_ESECRET;
    apr_int32_t day;

    for (day = host->day - 2; rv == STEK_ESECRET && host->fleet->day > 0 && day >= host->fleet->day;
         day--) {
        stek_secrets_t *keys = NULL;

        rv = ratchet_keys(host->fleet, day, &keys);
        if (rv == APR_SUCCESS) {
            rv = stek_ring_unseal(bytes, len, keys, 1, pring, NULL);
        }
        stek_secrets_destroy(keys);
        if (rv == APR_SUCCESS) {
            host->fleet_day = day;
        }
    }
    return rv;
}

/* Whether this host has sealed the object itself.  A store may have kept it, and say nothing of other
 * hosts. */
static int is_own(const sync_host_t *host, const unsigned char *bytes, apr_size_t len,
                  const stek_ring_t *ring, const stek_secret_t *secret)
{
    unsigned char random[STEK_RING_SALT_RANDOM_LEN], *sealed = NULL;
    apr_size_t sealed_len = 0;
    int own;

    if (sync_secrets_seal_random(host, random) != APR_SUCCESS
        || stek_ring_seal(ring, secret, random, &sealed, &sealed_len) != APR_SUCCESS) {
        return 1; /* the ratchet waits */
    }
    own = sealed_len == len && !memcmp(sealed, bytes, len);
    free(sealed);
    return own;
}

static void open_object(sync_host_t *host, sync_store_t *store, const unsigned char *bytes,
                        apr_size_t len, apr_time_t now, sync_view_t *view)
{
    apr_size_t secret_i = 0;
    int day = 1;
    apr_status_t rv = bytes ? open_today(host, bytes, len, &view->ring, &secret_i, &day)
                            : STEK_ETOOBIG;

    if (rv == APR_SUCCESS && host->jumped_at > 0 && host->keys_day == host->day
        && !host->day_confirmed) {
        host->day_confirmed = !is_own(host, bytes, len, view->ring,
                                      &host->keys[day]->secrets[secret_i]);
    }
    if (rv == STEK_ESECRET) {
        rv = open_earlier(host, bytes, len, &view->ring);
    }
    if (rv != APR_SUCCESS) {
        view->answer = SYNC_REFUSED;
        view->why = rv;
        (void)stek_strerror(rv, store->why, sizeof(store->why));
        return;
    }
    if (stek_admit_epoch(view->ring->epoch, host->known_epoch, now) != APR_SUCCESS) {
        refuse_epoch(host, store, view, now);
        return;
    }
    view->answer = SYNC_GOOD;
    floor_check_store(host, store, view->ring);
    store->generation = view->ring->generation;
    store->written_at = view->ring->written_at;
    view->old_seal = (secret_i > 0 && store->reseal)
                     || (host->fleet->day > 0 && host->fleet_day == 0 && day == 0);
}

apr_interval_time_t sync_ask_stores_call_max(const sync_options_t *options)
{
    return CALLS_MAX * options->timeout;
}

static apr_int64_t deadline(const sync_host_t *host)
{
    return monotonic_ms() + apr_time_as_msec(sync_ask_stores_call_max(host->options));
}

/* What the other hosts seal, this one cannot open, and the other way round: they would replace each other's
 * objects for as long as it lasts. */
static void read_nothing(sync_host_t *host, sync_view_t *views)
{
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];

        apr_cpystrn(store->why,
                    "not asked: this host's fleet secret is of a later day; copy the file from a "
                    "host that is in step",
                    sizeof(store->why));
        store->generation = 0;
        store->written_at = 0;
        store->rolled_back = 0;
        store->is_ahead = 0;
        store->answer = SYNC_SILENT;
        views[i].answer = SYNC_SILENT;
    }
}

/* Asks the store, unless its watch vouches for what was read last. */
static void begin_read(sync_store_t *store, char mark[STORE_MARK_LEN])
{
    apr_cpystrn(mark, store_mark(store->store), STORE_MARK_LEN);
    store->asked = !sync_watch_vouches(store) || !store_keep(store->store);
    if (store->asked) {
        store_begin_read(store->store);
    }
}

/* What a store has answered, or has not until then. */
static void finish_read(sync_host_t *host, sync_store_t *store, apr_int64_t until, apr_time_t now,
                        sync_view_t *view)
{
    const unsigned char *bytes = NULL;
    apr_size_t len = 0;
    store_result_e result = store_finish(store->store, until, &bytes, &len);

    store->generation = 0;
    store->written_at = 0;
    store->rolled_back = 0;
    store->is_ahead = 0;
    view->answer = SYNC_SILENT;
    view->distrusted = store->overtaken_n >= SYNC_STORES_DISTRUST_N;
    if (result == STORE_DONE) {
        open_object(host, store, bytes, len, now, view);
    }
    else if (result == STORE_ABSENT) {
        view->answer = SYNC_ABSENT;
        store->lost_n += (unsigned)store->wrote;
    }
    else {
        apr_cpystrn(store->why, store_why(store->store), sizeof(store->why));
    }
}

/* Keeps what the answer says of the store. */
static void note_answer(sync_store_t *store, sync_answer_e answer, apr_time_t now)
{
    store->answer = answer;
    store->lost_n = answer == SYNC_GOOD ? 0 : store->lost_n;
    store->wrote = 0;
    store->answers[answer]++;
    /* One in the future is of this host's own clock, when that was ahead. */
    if (answer == SYNC_GOOD || answer == SYNC_ABSENT || store->last_success > now) {
        store->last_success = now;
    }
}

void sync_ask_stores_read(void *baton, apr_time_t now, sync_view_t *views)
{
    sync_host_t *host = baton;
    apr_int64_t until = deadline(host);
    char marks[SYNC_STORES_MAX][STORE_MARK_LEN];
    int i;

    notify_send("WATCHDOG=1");
    if (host->out_of_step) {
        read_nothing(host, views);
        return;
    }
    for (i = 0; i < host->options->store_n; i++) {
        begin_read(&host->stores[i], marks[i]);
    }
    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];

        finish_read(host, store, until, now, &views[i]);
        if (store->asked) {
            sync_watch_note_read(store, marks[i]);
        }
        else {
            store->watch.vouched_n++;
        }
        note_answer(store, views[i].answer, now);
    }
}

static apr_status_t seal(const sync_host_t *host, const stek_ring_t *ring,
                         const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                         unsigned char **psealed, apr_size_t *plen)
{
    const stek_secret_t *secret = NULL;
    stek_secrets_t *made = NULL;
    apr_status_t rv = sync_stores_secret(host, &made, &secret);

    if (rv == APR_SUCCESS) {
        rv = stek_ring_seal(ring, secret, random, psealed, plen);
    }
    stek_secrets_destroy(made);
    return rv;
}

sync_written_e sync_ask_stores_write(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
{
    sync_host_t *host = baton;
    sync_store_t *store = &host->stores[i];
    unsigned char random[STEK_RING_SALT_RANDOM_LEN], *sealed = NULL;
    store_result_e result = STORE_SILENT;
    apr_size_t len = 0;
    apr_status_t rv = sync_secrets_seal_random(host, random);

    (void)now;
    notify_send("WATCHDOG=1");
    if (rv == APR_SUCCESS) {
        rv = seal(host, ring, random, &sealed, &len);
    }
    if (rv != APR_SUCCESS) {
        (void)stek_strerror(rv, store->why, sizeof(store->why));
    }
    else {
        store_begin_write(store->store, sealed, len);
        result = store_finish(store->store, deadline(host), NULL, NULL);
    }
    free(sealed);
    store->write_failed = result != STORE_DONE && result != STORE_CHANGED;
    if (store->write_failed && rv == APR_SUCCESS) {
        apr_cpystrn(store->why, store_why(store->store), sizeof(store->why));
    }
    store->conflict_n += result == STORE_CHANGED;
    store->failure_n += (apr_uint64_t)store->write_failed;
    if (result == STORE_DONE) {
        store->wrote = 1;
        store->reseal = 0;
        sync_watch_note_written(store);
        floor_note_written(store, ring);
    }
    return result == STORE_DONE      ? SYNC_WRITTEN
           : result == STORE_CHANGED ? SYNC_CHANGED
                                     : SYNC_FAILED;
}

int sync_ask_stores_kept(sync_host_t *host, int i)
{
    store_t *store = host->stores[i].store;
    const unsigned char *bytes = NULL;
    apr_size_t len = 0;

    store_begin_read(store);
    return store_finish(store, deadline(host), &bytes, &len) != STORE_ABSENT;
}
