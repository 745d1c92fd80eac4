/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real host behind a cycle (sync_host.h).  Whatever comes from a store is opened, checked and
 * audited here before the cycle sees it; whatever goes to one is sealed here.  stekctl; one thread.
 */
#include "sync_host.h"

#include <apr_strings.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "notify.h"
#include "report.h"
#include "ringio.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "ratchet.h"
#include "stek_ring_file.h"
#include "stek_swap.h"

#define PASSWORD_MAX 1024

/* Connecting, logging in and the call itself: each has the time-out, the whole has this many. */
#define CALLS_MAX 3

/* ---- secrets ---- */

static ctl_exit_e make_directory(ctl_t *ctl)
{
    const char *slash = strrchr(ctl->ring_path, '/');
    const char *dir;

    if (!slash || slash == ctl->ring_path) {
        return CTL_DONE;
    }
    dir = apr_pstrmemdup(ctl->pool, ctl->ring_path, (apr_size_t)(slash - ctl->ring_path));
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return report_status(ctl, dir, errno, NULL);
    }
    return CTL_DONE;
}

/* The local secret: the one that was in use if its file is gone, a new one if there never was
 * any. */
static ctl_exit_e load_local(sync_host_t *host)
{
    ctl_t *ctl = host->ctl;
    stek_secrets_t *secrets = NULL;
    stek_stamp_t stamp;
    apr_status_t rv = APR_SUCCESS;

    if (host->reader || !APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->secret_path, &stamp))) {
        ctl_exit_e code = ringio_secrets(ctl, &secrets);

        if (code == CTL_DONE) {
            stek_secrets_destroy(host->local);
            host->local = secrets;
        }
        return code;
    }
    if (!host->local) {
        rv = stek_secrets_make(0, stek_rng_system, &host->local);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_secret_file_save(ctl->secret_path, host->local,
                                   STEK_FILE_EXCLUSIVE | ringio_fsync_flag(ctl, ctl->secret_path),
                                   host->pool);
    }
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->secret_path, rv, NULL);
}

/* The secrets that seal in the stores around day. */
static apr_status_t derive_keys(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    stek_secrets_t *keys[3] = {NULL, NULL, NULL};
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < 3; i++) {
        rv = ratchet_keys(fleet, day - 1 + i, &keys[i]);
        /* Made or moved on by a host whose clock is ahead: yesterday is gone, today will do. */
        if (i == 0 && rv == STEK_ESECRET) {
            rv = APR_SUCCESS;
        }
    }
    for (i = 0; i < 3; i++) {
        stek_secrets_t **pout = rv == APR_SUCCESS ? &host->keys[i] : &keys[i];

        stek_secrets_destroy(*pout);
        *pout = rv == APR_SUCCESS ? keys[i] : NULL;
    }
    if (rv == APR_SUCCESS) {
        host->day = day;
    }
    return rv;
}

static void report_fleet(sync_host_t *host, apr_status_t rv, const char *culprit)
{
    const char *path = host->options->fleet_secret_path;

    if (APR_STATUS_IS_ENOENT(rv)) {
        report_line(
            "%s: there is no fleet secret; make one once, 'stekctl --secret PATH secret new "
            "--fleet', and copy it to each host",
            path);
    }
    else if (rv == APR_EINVAL) {
        report_line(
            "%s: its day is more than %d days ago; check the clock, then copy the file from "
            "a host that is in step",
            path, RATCHET_DAYS_MAX);
    }
    else if (rv == STEK_ESECRET) {
        report_line(
            "%s: its day is ahead; check the clock, then copy the file from a host that is in "
            "step",
            path);
    }
    else if (rv == STEK_EEMPTY) {
        report_line(
            "%s: holds no secret with a fleet's id; make it by 'stekctl --secret PATH secret "
            "new --fleet'",
            path);
    }
    else {
        (void)report_status(host->ctl, path, rv, culprit);
    }
}

/* Moves the secrets on to yesterday, in the file too. */
static apr_status_t ratchet(sync_host_t *host, stek_secrets_t *fleet, apr_int32_t day)
{
    const char *path = host->options->fleet_secret_path;
    apr_int32_t moved = 0;
    apr_status_t rv = ratchet_move(fleet, day - 1, &moved), saved;

    if (rv == APR_SUCCESS && moved > 0 && !host->reader) {
        saved = stek_secret_file_save(path, fleet, ringio_fsync_flag(host->ctl, path), host->pool);
        if (saved != APR_SUCCESS && saved != host->ratchet_rv) {
            (void)report_status(host->ctl, path, saved, NULL);
            report_line("%s: stays at its old day: what was recorded since then can be opened with "
                        "it",
                        path);
        }
        host->ratchet_rv = saved;
    }
    return rv;
}

/* Reads the fleet secret and derives what seals on that day. */
static apr_status_t load_fleet(sync_host_t *host, apr_int32_t day)
{
    const char *path = host->options->fleet_secret_path, *culprit = NULL;
    stek_secrets_t *fleet = NULL;
    stek_lock_t lock = {-1};
    apr_status_t rv = stek_secret_file_load(path, host->ctl->owner, &fleet, &culprit, host->pool);

    /* What is replaced is what was read; only a ratchet writes, and a lock needs a place to be. */
    if (rv == APR_SUCCESS && fleet->day > 0 && fleet->day < day - 1 && !host->reader
        && stek_file_lock(path, RINGIO_LOCK_WAIT, &lock, NULL, host->pool) == APR_SUCCESS) {
        stek_secrets_destroy(fleet);
        fleet = NULL;
        rv = stek_secret_file_load(path, host->ctl->owner, &fleet, &culprit, host->pool);
    }
    if (rv == APR_SUCCESS && !fleet->has_fleet_id) {
        rv = STEK_EEMPTY;
    }
    if (rv == APR_SUCCESS) {
        rv = ratchet(host, fleet, day);
    }
    if (lock.fd >= 0) {
        stek_file_unlock(&lock);
    }
    if (rv == APR_SUCCESS) {
        rv = derive_keys(host, fleet, day);
    }
    if (rv == APR_SUCCESS) {
        stek_secrets_destroy(host->fleet);
        host->fleet = fleet;
        return APR_SUCCESS;
    }
    report_fleet(host, rv, culprit);
    stek_secrets_destroy(fleet);
    return rv;
}

/* ---- stores ---- */

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
    rv = stek_file_read(path, STEK_FILE_SECRET, host->ctl->owner, *ppassword, PASSWORD_MAX, &len,
                        NULL, &culprit, host->pool);
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

static ctl_exit_e open_stores(sync_host_t *host)
{
    const sync_options_t *options = host->options;
    const char *object = object_name(host->fleet, host->ctl->pool), *wrong = NULL;
    store_t *opened[SYNC_STORES_MAX] = {NULL};
    char *password = NULL;
    ctl_exit_e code = load_password(host, &password);
    int i;

    for (i = 0; code == CTL_DONE && i < options->store_n; i++) {
        wrong = store_open(options->urls[i], object, password,
                           (int)apr_time_as_msec(options->timeout), host->ctl->pool, &opened[i]);
        if (wrong) {
            code = report_usage(host->ctl, "store '%s': %s", options->urls[i], wrong);
        }
    }
    for (i = 0; i < options->store_n; i++) {
        if (code == CTL_DONE) {
            store_close(host->stores[i].store);
            host->stores[i].store = opened[i];
            host->stores[i].url = options->urls[i];
            host->stores[i].reseal = 1;
        }
        else {
            store_close(opened[i]);
        }
    }
    stek_mem_free(password);
    return code;
}

/* The fleet secret is on a disk anyway. */
static void warn_swap(ctl_t *ctl)
{
    if (stek_swap_reaches(ctl->ring_path, ctl->pool)) {
        report_line("%s: is on a tmpfs that may be swapped out; mount it with noswap (Linux 6.4 "
                    "and later), or use encrypted swap or none",
                    ctl->ring_path);
    }
}

static ctl_exit_e open_host(ctl_t *ctl, const sync_options_t *options, int reader,
                            sync_host_t *host)
{
    ctl_exit_e code;
    apr_status_t rv;

    memset(host, 0, sizeof(*host));
    host->ctl = ctl;
    host->reader = reader;
    host->options = options;
    if (apr_pool_create(&host->pool, ctl->pool) != APR_SUCCESS) {
        return report_status(ctl, ctl->ring_path, APR_ENOMEM, NULL);
    }
    rv = load_fleet(host, ratchet_day(ringio_now()));
    if (rv != APR_SUCCESS) {
        return APR_STATUS_IS_ENOENT(rv) ? CTL_IO : CTL_REFUSED;
    }
    code = reader ? CTL_DONE : make_directory(ctl);
    if (code == CTL_DONE && !reader) {
        code = ringio_check_place(ctl, ctl->ring_path);
    }
    if (code == CTL_DONE && !reader) {
        code = ringio_claim_ring(ctl);
    }
    if (code == CTL_DONE && !reader) {
        warn_swap(ctl);
    }
    if (code == CTL_DONE) {
        code = load_local(host);
    }
    host->reseal_file = 1;
    return code == CTL_DONE ? open_stores(host) : code;
}

ctl_exit_e sync_host_open(ctl_t *ctl, const sync_options_t *options, sync_host_t *host)
{
    return open_host(ctl, options, 0, host);
}

ctl_exit_e sync_host_open_reader(ctl_t *ctl, const sync_options_t *options, sync_host_t *host)
{
    return open_host(ctl, options, 1, host);
}

void sync_host_reload(sync_host_t *host)
{
    if (load_local(host) == CTL_DONE) {
        host->reseal_file = 1;
    }
    if (load_fleet(host, ratchet_day(ringio_now())) == APR_SUCCESS) {
        (void)open_stores(host);
    }
}

void sync_host_begin(sync_host_t *host, apr_time_t now)
{
    apr_int32_t day = ratchet_day(now);

    apr_pool_clear(host->pool);
    if (day != host->day && host->fleet->day > 0) {
        (void)load_fleet(host, day);
    }
    host->day = day;
}

void sync_host_close(sync_host_t *host)
{
    int i;

    for (i = 0; i < SYNC_STORES_MAX; i++) {
        store_close(host->stores[i].store);
        host->stores[i].store = NULL;
    }
    for (i = 0; i < 3; i++) {
        stek_secrets_destroy(host->keys[i]);
    }
    stek_secrets_destroy(host->fleet);
    stek_secrets_destroy(host->local);
}

/* ---- reading and writing stores ---- */

/* Opens an object under the secrets of today, yesterday or tomorrow. */
static void open_object(sync_host_t *host, sync_store_t *store, const unsigned char *bytes,
                        apr_size_t len, sync_view_t *view)
{
    static const int order[] = {1, 0, 2};
    apr_status_t rv = bytes ? STEK_ESECRET : STEK_ETOOBIG;
    int i, day = 0;

    for (i = 0; i < 3 && rv == STEK_ESECRET; i++) {
        day = order[i];
        if (host->keys[day]) {
            rv = stek_ring_open(bytes, len, host->keys[day], 1, &view->ring);
        }
    }
    if (rv != APR_SUCCESS) {
        view->answer = SYNC_REFUSED;
        view->why = rv;
        (void)stek_strerror(rv, store->why, sizeof(store->why));
        return;
    }
    view->answer = SYNC_GOOD;
    store->has_header = stek_header_read(bytes, len, &store->header) == APR_SUCCESS;
    view->old_seal = store->has_header
                     && memcmp(store->header.secret_id, host->keys[day]->secrets[0].id,
                               STEK_SECRET_ID_LEN)
                            != 0
                     && store->reseal;
    if (host->fleet->day > 0 && day == 0) {
        view->old_seal = 1;
    }
}

static apr_int64_t deadline(const sync_host_t *host)
{
    return clock_ms() + CALLS_MAX * apr_time_as_msec(host->options->timeout);
}

static void port_read(void *baton, apr_time_t now, sync_view_t *views)
{
    sync_host_t *host = baton;
    apr_int64_t until = deadline(host);
    int i;

    notify_send("WATCHDOG=1");
    for (i = 0; i < host->options->store_n; i++) {
        store_begin_read(host->stores[i].store);
    }
    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];
        const unsigned char *bytes = NULL;
        apr_size_t len = 0;
        store_result_e result = store_finish(store->store, until, &bytes, &len);

        store->has_header = 0;
        views[i].answer = SYNC_SILENT;
        if (result == STORE_DONE) {
            open_object(host, store, bytes, len, &views[i]);
        }
        else if (result == STORE_ABSENT) {
            views[i].answer = SYNC_ABSENT;
        }
        else {
            apr_cpystrn(store->why, store_why(store->store), sizeof(store->why));
        }
        store->answer = views[i].answer;
        if (store->answer == SYNC_GOOD || store->answer == SYNC_ABSENT) {
            store->last_success = now;
        }
    }
}

static sync_written_e port_write(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
{
    sync_host_t *host = baton;
    sync_store_t *store = &host->stores[i];
    unsigned char random[STEK_RING_SALT_RANDOM_LEN], *sealed = NULL;
    store_result_e result = STORE_SILENT;
    apr_size_t len = 0;
    apr_status_t rv = stek_rng_system(random, sizeof(random));

    (void)now;
    if (rv == APR_SUCCESS) {
        rv = stek_ring_seal(ring, host->keys[1], random, &sealed, &len);
    }
    if (rv != APR_SUCCESS) {
        (void)stek_strerror(rv, store->why, sizeof(store->why));
    }
    else {
        store_begin_write(store->store, sealed, len);
        result = store_finish(store->store, deadline(host), NULL, NULL);
        apr_cpystrn(store->why, store_why(store->store), sizeof(store->why));
    }
    free(sealed);
    store->write_failed = result != STORE_DONE && result != STORE_CHANGED;
    if (result == STORE_DONE) {
        store->reseal = 0;
    }
    return result == STORE_DONE      ? SYNC_WRITTEN
           : result == STORE_CHANGED ? SYNC_CHANGED
                                     : SYNC_FAILED;
}

/* ---- the file ring ---- */

/* A ring that others can change is not replaced: somebody has to look. */
static int is_refused(apr_status_t rv)
{
    return stek_ring_file_is_refused(rv) && rv != STEK_EPERM;
}

/* Reads the file ring; *psecret_i: which of the local secrets sealed it. */
static apr_status_t read_file(sync_host_t *host, stek_ring_t **pring, apr_size_t *psecret_i)
{
    ctl_t *ctl = host->ctl;
    unsigned char *sealed = malloc(STEK_RING_BYTES_MAX);
    const char *culprit = NULL;
    apr_size_t len = 0, i;
    stek_header_t header;
    apr_status_t rv = APR_ENOMEM;

    *psecret_i = 0;
    if (sealed) {
        rv = stek_file_read(ctl->ring_path, STEK_FILE_RING, ctl->owner, sealed, STEK_RING_BYTES_MAX,
                            &len, NULL, &culprit, host->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_open(sealed, len, host->local, 1, pring);
    }
    if (rv == STEK_ESECRET && load_local(host) == CTL_DONE) {
        rv = stek_ring_open(sealed, len, host->local, 1, pring);
    }
    if (rv == APR_SUCCESS && stek_header_read(sealed, len, &header) == APR_SUCCESS) {
        for (i = 0; i < host->local->n; i++) {
            if (!memcmp(host->local->secrets[i].id, header.secret_id, STEK_SECRET_ID_LEN)) {
                *psecret_i = i;
            }
        }
    }
    free(sealed);
    return rv;
}

static apr_status_t port_load(void *baton, stek_ring_t **pring)
{
    apr_size_t secret_i;
    apr_status_t rv = read_file(baton, pring, &secret_i);

    /* A ring that is no good is replaced when the cycle saves; here it counts as none. */
    if (APR_STATUS_IS_ENOENT(rv) || is_refused(rv)) {
        *pring = NULL;
        return APR_SUCCESS;
    }
    return rv;
}

/* Writes ring, sealed under local secret i. */
static apr_status_t write_file(sync_host_t *host, const stek_ring_t *ring, apr_size_t secret_i)
{
    ctl_t *ctl = host->ctl;
    stek_secrets_t *ordered = stek_mem_alloc(sizeof(*ordered));
    stek_ring_file_t file;
    apr_status_t rv;

    if (!ordered) {
        return APR_ENOMEM;
    }
    *ordered = *host->local;
    ordered->secrets[0] = host->local->secrets[secret_i];
    ordered->secrets[secret_i] = host->local->secrets[0];
    stek_ring_file_init(&file, ctl->ring_path, ctl->owner, (gid_t)-1);
    rv = stek_ring_file_save(&file, ring, ordered, ringio_fsync_flag(ctl, ctl->ring_path),
                             stek_rng_system, NULL, host->pool);
    stek_mem_free(ordered);
    return rv;
}

/* Moves a bad ring out of the way.  What is no ring stays, and is told once. */
static apr_status_t set_aside(sync_host_t *host, apr_status_t why, apr_time_t now)
{
    const char *path = host->ctl->ring_path, *detail = NULL;
    stek_ring_file_t file;
    char text[160];
    apr_status_t rv;

    stek_ring_file_init(&file, path, host->ctl->owner, (gid_t)-1);
    rv = stek_ring_file_set_aside(&file, now, &detail, host->pool);
    if (rv == APR_SUCCESS) {
        report_line("%s: is refused: %s; moved to %s, a good one takes its place", path,
                    stek_strerror(why, text, sizeof(text)), detail);
    }
    else if (rv == STEK_EFOREIGN && host->aside_rv != rv) {
        (void)report_status(host->ctl, path, rv, detail);
    }
    host->aside_rv = rv;
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

static apr_status_t save_locked(sync_host_t *host, const stek_ring_t *ring, apr_time_t now,
                                apr_interval_time_t lifetime)
{
    stek_ring_t *before = NULL, *merged = NULL;
    apr_size_t secret_i = 0;
    apr_status_t rv = read_file(host, &before, &secret_i);
    int differs;

    if (is_refused(rv)) {
        rv = set_aside(host, rv, now);
    }
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
        return rv;
    }
    rv = stek_ring_merge(ring, before, now, lifetime, &merged);
    if (rv == APR_SUCCESS) {
        differs = !before || !stek_ring_equal(before, merged);
        if (host->reseal_file && secret_i > 0) {
            secret_i = 0;
            differs = 1;
        }
        merged->written_at = now;
        if (differs) {
            rv = write_file(host, merged, secret_i);
        }
    }
    if (rv == APR_SUCCESS) {
        host->reseal_file = 0;
    }
    stek_ring_destroy(merged);
    stek_ring_destroy(before);
    return rv;
}

static apr_status_t port_save(void *baton, const stek_ring_t *ring, apr_time_t now,
                              apr_interval_time_t lifetime)
{
    sync_host_t *host = baton;
    const char *path = host->ctl->ring_path;
    stek_lock_t lock;
    apr_status_t rv = stek_path_check_written(path, host->ctl->owner, NULL, host->pool);

    if (rv == APR_SUCCESS) {
        rv = stek_file_lock(path, RINGIO_LOCK_WAIT, &lock, NULL, host->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = save_locked(host, ring, now, lifetime);
        stek_file_unlock(&lock);
    }
    return rv;
}

static void port_pause(void *baton, int try_n)
{
    unsigned char random = 0;

    (void)baton;
    (void)stek_rng_system(&random, 1);
    /* 1 to 64 ms, then twice that, and so on: whoever came second is not second again. */
    apr_sleep(apr_time_from_msec((1 + random % 64) * (1 << (try_n < 5 ? try_n - 1 : 4))));
}

void sync_host_port(sync_host_t *host, sync_port_t *port)
{
    port->baton = host;
    port->store_n = host->options->store_n;
    port->read = port_read;
    port->write = port_write;
    port->load = port_load;
    port->save = port_save;
    port->pause = port_pause;
}
