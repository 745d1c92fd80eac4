/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's stores (sync_stores.h).  stekctl; one thread.
 */
#include "sync_stores.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monotonic.h"
#include "floor.h"
#include "notify.h"
#include "ratchet.h"
#include "report.h"
#include "stek_admit.h"
#include "stek_error.h"
#include "stek_file.h"
#include "stek_mem.h"
#include "store_url.h"
#include "sync_secrets.h"
#include "sync_watch.h"

#define PASSWORD_MAX 1024
#define PEM_MAX 65536

/* Connecting, logging in and the call itself may each take the time-out: this many in all. */
#define CALLS_MAX 3

/* Besides root: whose file it may be.  Root who looks at a fleet takes the files that the user of
 * 'stekctl sync' has for it, since root's configuration names them. */
static uid_t login_owner(const sync_host_t *host, const char *path)
{
    struct stat st;

    return host->reader && geteuid() == 0 && stat(path, &st) == 0 ? st.st_uid : host->ctl->owner;
}

/* The first line of the password's file, in locked memory. */
static ctl_exit_e load_password(sync_host_t *host, char **ppassword)
{
    const char *path = host->options->password_path, *culprit = NULL;
    apr_size_t len = 0;
    apr_status_t rv;

    *ppassword = NULL;
    if (!path) {
        return CTL_DONE;
    }
    *ppassword = stek_mem_alloc(PASSWORD_MAX + 1);
    if (!*ppassword) {
        return report_status(host->ctl, path, APR_ENOMEM, NULL);
    }
    rv = stek_file_read(path, STEK_FILE_SECRET, login_owner(host, path), *ppassword, PASSWORD_MAX,
                        &len, NULL, &culprit, host->pool);
    if (rv == APR_SUCCESS) {
        (*ppassword)[len] = '\0';
        (*ppassword)[strcspn(*ppassword, "\r\n")] = '\0';
        rv = **ppassword ? APR_SUCCESS : STEK_EEMPTY;
    }
    if (rv != APR_SUCCESS) {
        stek_mem_free(*ppassword);
        *ppassword = NULL;
        return report_status(host->ctl, path, rv, culprit);
    }
    return CTL_DONE;
}

/* Whether the stores' workers will be able to read it, and nobody can change it, or read a key. */
static ctl_exit_e check_pem(sync_host_t *host, const char *path, stek_file_kind_e kind)
{
    const char *culprit = NULL;
    apr_size_t len = 0;
    apr_status_t rv = APR_ENOMEM;
    char *text;

    if (!path) {
        return CTL_DONE;
    }
    text = stek_mem_alloc(PEM_MAX);
    if (text) {
        rv = stek_file_read(path, kind, login_owner(host, path), text, PEM_MAX, &len, NULL,
                            &culprit, host->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = len > 0 ? APR_SUCCESS : STEK_EEMPTY;
    }
    stek_mem_free(text);
    return rv == APR_SUCCESS ? CTL_DONE : report_status(host->ctl, path, rv, culprit);
}

/* *ppassword is in locked memory, also after a failure. */
static ctl_exit_e load_login(sync_host_t *host, char **ppassword, store_login_t *login)
{
    const sync_options_t *options = host->options;
    ctl_exit_e code = load_password(host, ppassword);

    if (code == CTL_DONE) {
        code = check_pem(host, options->ca_path, STEK_FILE_RING);
    }
    if (code == CTL_DONE) {
        code = check_pem(host, options->cert_path,
                         options->key_path ? STEK_FILE_RING : STEK_FILE_SECRET);
    }
    if (code == CTL_DONE) {
        code = check_pem(host, options->key_path, STEK_FILE_SECRET);
    }
    login->password = *ppassword;
    login->ca = options->ca_path;
    login->cert = options->cert_path;
    login->key = options->key_path;
    return code;
}

/* The key under which stores know this fleet's object. */
static const char *object_name(const stek_secrets_t *fleet, apr_pool_t *pool)
{
    char *name = apr_palloc(pool, 5 + 2 * STEK_FLEET_ID_LEN + 1);
    int i;

    memcpy(name, "stek:", 5);
    for (i = 0; i < STEK_FLEET_ID_LEN; i++) {
        snprintf(name + 5 + (apr_size_t)2 * i, 3, "%02x", fleet->fleet_id[i]);
    }
    return name;
}

ctl_exit_e sync_stores_open_beside(sync_host_t *host, const char *const *urls, int n,
                                   const char *object, store_t **opened)
{
    const sync_options_t *options = host->options;
    store_login_t login = {0};
    char *password = NULL;
    ctl_exit_e code = load_login(host, &password, &login);
    int i, opened_n = 0;

    for (i = 0; code == CTL_DONE && i < n; i++) {
        const char *wrong = store_open(urls[i], object, &login,
                                       (int)apr_time_as_msec(options->timeout), host->ctl->pool,
                                       &opened[i]);

        if (wrong) {
            code = report_usage(host->ctl, "store '%s': %s", store_url_shown(urls[i], host->pool),
                                wrong);
        }
        opened_n += !wrong;
    }
    while (code != CTL_DONE && opened_n > 0) {
        store_close(opened[--opened_n]);
    }
    stek_mem_free(password);
    return code;
}

/* A second worker for each store that says what changes. */
static ctl_exit_e open_watches(sync_host_t *host)
{
    const sync_options_t *options = host->options;
    store_t *opened[SYNC_STORES_MAX] = {NULL};
    ctl_exit_e code = sync_stores_open_beside(host, options->urls, options->store_n,
                                              object_name(host->fleet, host->ctl->pool), opened);
    int i;

    sync_watch_close(host);
    for (i = 0; code == CTL_DONE && i < options->store_n; i++) {
        if (store_can_watch(opened[i]) == STORE_WATCH_NONE) {
            store_close(opened[i]);
        }
        else {
            host->stores[i].watch.store = opened[i];
        }
    }
    return code;
}

ctl_exit_e sync_stores_open(sync_host_t *host)
{
    const sync_options_t *options = host->options;
    store_t *opened[SYNC_STORES_MAX] = {NULL};
    ctl_exit_e code = sync_stores_open_beside(host, options->urls, options->store_n,
                                              object_name(host->fleet, host->ctl->pool), opened);
    int i;

    for (i = 0; code == CTL_DONE && i < options->store_n; i++) {
        store_close(host->stores[i].store);
        host->stores[i].store = opened[i];
        host->stores[i].url = options->urls[i];
        host->stores[i].reseal = 1;
    }
    return code == CTL_DONE && !host->once && !host->reader ? open_watches(host) : code;
}

void sync_stores_close(sync_host_t *host)
{
    int i;

    sync_watch_close(host);
    for (i = 0; i < SYNC_STORES_MAX; i++) {
        store_close(host->stores[i].store);
        host->stores[i].store = NULL;
    }
}

/* For how many cycles in a row an object from the future stays as it is.  For longer if this host's own
 * clock may have run backwards: its floor is from a time when that epoch was all right. */
static unsigned leave_alone_n(const sync_host_t *host, const stek_ring_t *ring, apr_time_t now)
{
    const stek_ring_t *floor = host->floor;

    return floor && floor->written_at > now
                   && stek_admit_epoch(ring->epoch, 0, floor->written_at) == APR_SUCCESS
               ? SYNC_STORES_BEHIND_N
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

apr_interval_time_t sync_stores_call_max(const sync_options_t *options)
{
    return CALLS_MAX * options->timeout;
}

static apr_int64_t deadline(const sync_host_t *host)
{
    return monotonic_ms() + apr_time_as_msec(sync_stores_call_max(host->options));
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

void sync_stores_read(void *baton, apr_time_t now, sync_view_t *views)
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

apr_status_t sync_stores_secret(const sync_host_t *host, stek_secrets_t **pmade,
                                const stek_secret_t **psecret)
{
    apr_status_t rv = APR_SUCCESS;

    *pmade = NULL;
    if (host->fleet_day > 0 && !host->day_confirmed) {
        rv = ratchet_keys(host->fleet, host->fleet_day, pmade);
    }
    if (rv == APR_SUCCESS) {
        *psecret = &(*pmade ? *pmade : host->keys[1])->secrets[0];
    }
    return rv;
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

sync_written_e sync_stores_write(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
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

int sync_stores_kept(sync_host_t *host, int i)
{
    store_t *store = host->stores[i].store;
    const unsigned char *bytes = NULL;
    apr_size_t len = 0;

    store_begin_read(store);
    return store_finish(store, deadline(host), &bytes, &len) != STORE_ABSENT;
}

void sync_stores_note_views(sync_host_t *host, const sync_view_t *views)
{
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];

        if (views[i].why == STEK_EFULL && views[i].answer == SYNC_REFUSED) {
            store->answer = SYNC_REFUSED;
            apr_cpystrn(
                store->why,
                "its ring holds more revocations than fit, so somebody who has the fleet secret made "
                "them up; roll that secret, then run 'stekctl revoke --all'",
                sizeof(store->why));
        }
    }
}

void sync_stores_note(sync_host_t *host, const sync_view_t *views, const sync_result_t *result)
{
    int i;

    sync_stores_note_views(host, views);
    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];

        store->overtaken_n = result->overtaken[i] ? store->overtaken_n + 1 : 0;
        store->ahead_n = store->is_ahead ? store->ahead_n + 1 : 0;
    }
}

int sync_stores_agree(const sync_host_t *host, apr_status_t rv, const sync_result_t *result)
{
    int i;

    for (i = 0; rv == APR_SUCCESS && i < host->options->store_n; i++) {
        if (host->stores[i].answer == SYNC_SILENT || host->stores[i].write_failed
            || result->overtaken[i] || host->stores[i].lost_n > 0) {
            return 0;
        }
    }
    return rv == APR_SUCCESS;
}
