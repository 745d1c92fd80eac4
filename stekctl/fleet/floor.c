/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor (floor.h).  stekctl; one thread.
 */
#include "floor.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "ratchet.h"
#include "report.h"
#include "ringio.h"
#include "stek_admit.h"
#include "stek_error.h"
#include "stek_ring_aside.h"
#include "stek_ring_file.h"
#include "stek_ring_merge.h"

static stek_ring_file_t file_of(const sync_host_t *host)
{
    stek_ring_file_t file;

    stek_ring_file_init(&file, host->options->floor_path, host->ctl->owner, (gid_t)-1);
    return file;
}

static apr_status_t open_under(const stek_secrets_t *fleet, apr_int32_t day,
                               const unsigned char *sealed, apr_size_t len, stek_ring_t **pring,
                               apr_size_t *psecret_i)
{
    stek_secrets_t *keys = NULL;
    apr_status_t rv = ratchet_keys(fleet, day, &keys);

    if (rv == APR_SUCCESS) {
        rv = stek_ring_open(sealed, len, keys, 1, pring, psecret_i);
    }
    stek_secrets_destroy(keys);
    return rv;
}

/* It was sealed on a day on which sync ran last: none that the fleet secret has left behind.  Perhaps one
 * to come, if this host's clock was ahead then. */
static apr_status_t load(const sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day,
                         stek_ring_t **pring, apr_size_t *psecret_i, const char **pculprit)
{
    const stek_ring_file_t file = file_of(host);
    unsigned char *sealed = NULL;
    apr_size_t len = 0;
    apr_int32_t d = fleet->day > 0 ? fleet->day : day;
    const apr_int32_t last = fleet->day > 0 ? fleet->day + RATCHET_DAYS_MAX : day;
    apr_status_t rv = stek_ring_file_read(&file, &sealed, &len, NULL, pculprit, host->pool);

    if (rv == APR_SUCCESS) {
        rv = STEK_ESECRET;
        for (; rv == STEK_ESECRET && d <= last; d++) {
            rv = open_under(fleet, d, sealed, len, pring, psecret_i);
        }
    }
    if (rv == APR_SUCCESS && (*pring)->key_n > 0) {
        stek_ring_destroy(*pring);
        *pring = NULL;
        rv = STEK_EMALFORMED;
    }
    free(sealed);
    return rv;
}

/* Moves away what cannot be used, if it is ours. */
static void refuse(sync_host_t *host, apr_status_t why, const char *culprit)
{
    const stek_ring_file_t file = file_of(host);
    const char *detail = NULL;
    char text[160];
    const char *reason = why == STEK_ESECRET ? "sealed under another fleet secret"
                                             : stek_strerror(why, text, sizeof(text));
    apr_status_t rv = stek_ring_file_is_refused(why) && why != STEK_EPERM && !host->reader
                          ? stek_ring_set_aside(&file, ringio_now(), &detail, host->pool)
                          : why;

    if (rv == APR_SUCCESS) {
        report_line("%s: is refused: %s; moved to %s; sync writes a new one from what the ring and "
                    "the stores know; if keys were revoked lately, revoke them again",
                    file.path, reason, detail);
        return;
    }
    (void)report_status(host->ctl, file.path, rv, rv == why ? culprit : detail);
    if (!host->reader) {
        report_line("%s: is not used: a reboot may forget revocations; mend it, then reload sync",
                    file.path);
    }
    host->floor_rv = rv;
    host->floor_off = 1;
    host->floor_why = apr_pstrdup(host->ctl->pool, rv == why ? reason : detail);
}

/* Epoch and tombstones of a ring, in a ring without keys. */
static apr_status_t copy_floor(const stek_ring_t *ring, stek_ring_t **pfloor)
{
    stek_ring_t *floor = NULL;
    apr_status_t rv = stek_ring_create(0, ring->tombstone_n, &floor);
    apr_size_t i;

    for (i = 0; rv == APR_SUCCESS && i < ring->tombstone_n; i++) {
        rv = stek_ring_add_tombstone(floor, &ring->tombstones[i]);
    }
    if (rv != APR_SUCCESS) {
        stek_ring_destroy(floor);
        return rv;
    }
    floor->epoch = ring->epoch;
    floor->interval = ring->interval;
    floor->lifetime = ring->lifetime;
    *pfloor = floor;
    return APR_SUCCESS;
}

static void report_write(sync_host_t *host, apr_status_t rv)
{
    if (rv != APR_SUCCESS && rv != host->floor_rv) {
        (void)report_status(host->ctl, host->options->floor_path, rv, NULL);
        report_line(
            "%s: could not be written; revocations from now on may be forgotten at a reboot",
            host->options->floor_path);
    }
    else if (rv == APR_SUCCESS && host->floor_rv != APR_SUCCESS) {
        report_line("%s: is written again", host->options->floor_path);
    }
    host->floor_rv = rv;
}

/* Writes floor under the secret. */
static void save(sync_host_t *host, const stek_ring_t *floor, const stek_secret_t *secret)
{
    const stek_ring_file_t file = file_of(host);

    report_write(host, stek_ring_file_save_under(&file, floor, secret,
                                                 stek_file_fsync_flag(file.path, host->pool),
                                                 stek_rng_system, NULL, host->pool));
}

static int is_kept(const sync_host_t *host)
{
    return host->options->floor_path && !host->reader && !host->floor_off;
}

void floor_reseal(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    stek_secrets_t *keys = NULL;

    if (!is_kept(host) || !host->floor) {
        return;
    }
    if (ratchet_keys(fleet, day, &keys) == APR_SUCCESS) {
        save(host, host->floor, &keys->secrets[0]);
    }
    stek_secrets_destroy(keys);
}

void floor_retry(sync_host_t *host)
{
    if (host->floor_off) {
        host->floor_off = 0;
        host->floor_read = 0;
        host->floor_why = NULL;
    }
}

void floor_open(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    const char *culprit = NULL;
    apr_size_t secret_i = 0;
    apr_status_t rv;

    if (!host->options->floor_path || host->floor_read) {
        return;
    }
    host->floor_read = 1;
    rv = load(host, fleet, day, &host->floor, &secret_i, &culprit);
    if (rv == APR_SUCCESS) {
        if (host->known_epoch < host->floor->epoch) {
            host->known_epoch = host->floor->epoch;
        }
        stek_ring_destroy(host->first_floor);
        host->first_floor = NULL;
        rv = stek_ring_merge(host->floor, NULL, ringio_now(), 0, &host->first_floor);
    }
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
        refuse(host, rv, culprit);
    }
    if (secret_i > 0) {
        floor_reseal(host, fleet, day);
    }
}

apr_status_t floor_add(const sync_host_t *host, stek_ring_t **pring, apr_time_t now)
{
    stek_ring_t *merged = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (host->floor) {
        rv = *pring ? stek_ring_merge(*pring, host->floor, now, 0, &merged)
                    : stek_ring_merge(host->floor, NULL, now, 0, &merged);
    }
    if (rv == APR_SUCCESS && merged) {
        stek_ring_destroy(*pring);
        *pring = merged;
    }
    return rv;
}

/* A revocation of all by this host, while its clock was ahead: the other hosts refuse that epoch. */
static void report_ahead(sync_host_t *host, apr_uint64_t epoch, apr_time_t now)
{
    int ahead = stek_admit_epoch(epoch, 0, now) != APR_SUCCESS;

    if (ahead && !host->floor_ahead) {
        report_line("%s: its epoch is more than a day ahead of this host's clock, so the other "
                    "hosts refuse this host's ring; check the clock; if it is right, stop sync and "
                    "httpd, remove this file, the ring and its secret, and start both again",
                    host->options->floor_path);
    }
    host->floor_ahead = ahead;
}

/* Somebody may have removed the file. */
static int is_gone(const sync_host_t *host)
{
    stek_stamp_t stamp;

    return APR_STATUS_IS_ENOENT(stek_file_stamp(host->options->floor_path, &stamp));
}

void floor_keep(sync_host_t *host, const stek_ring_t *ring, apr_time_t now)
{
    stek_ring_t *fresh = NULL, *merged = NULL;
    apr_status_t rv;

    if (!is_kept(host)) {
        return;
    }
    report_ahead(host, ring->epoch, now);
    rv = copy_floor(ring, &fresh);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_merge(fresh, host->floor, now, 0, &merged);
    }
    if (rv != APR_SUCCESS) {
        report_write(host, rv);
    }
    else if (!host->floor || host->floor_rv != APR_SUCCESS || !stek_ring_equal(merged, host->floor)
             || is_gone(host)) {
        merged->written_at = now;
        save(host, merged, &host->keys[1]->secrets[0]);
        stek_ring_destroy(host->floor);
        host->floor = merged;
        merged = NULL;
    }
    stek_ring_destroy(merged);
    stek_ring_destroy(fresh);
}

/* Nonzero if ring lacks a revocation that floor, which may be NULL, has. */
static int is_below(const stek_ring_t *ring, const stek_ring_t *floor)
{
    apr_size_t i;

    if (!floor) {
        return 0;
    }
    for (i = 0; ring->epoch >= floor->epoch && i < floor->tombstone_n; i++) {
        if (stek_ring_find(ring, floor->tombstones[i].name)) {
            return 1;
        }
    }
    return ring->epoch < floor->epoch;
}

void floor_note_written(sync_store_t *store, const stek_ring_t *ring)
{
    stek_ring_t *fresh = NULL;

    /* If memory is short, the next read or write may succeed. */
    if (copy_floor(ring, &fresh) == APR_SUCCESS) {
        stek_ring_destroy(store->level);
        store->level = fresh;
    }
}

void floor_check_store(const sync_host_t *host, sync_store_t *store, const stek_ring_t *ring)
{
    store->rolled_back = is_below(ring, store->level ? store->level : host->first_floor);
    if (!store->rolled_back) {
        floor_note_written(store, ring);
    }
}

void floor_check_ring(sync_host_t *host, const stek_ring_t *ring)
{
    int older = is_below(ring, host->floor);

    if (older && !host->ring_is_older && !host->reader) {
        report_line(
            "%s: is older than the last revocation, which %s has kept; its revoked keys are "
            "refused, and a good ring takes its place",
            host->ctl->ring_path, host->options->floor_path);
    }
    host->ring_is_older = older;
}

void floor_close(sync_host_t *host)
{
    int i;

    for (i = 0; i < SYNC_STORES_MAX; i++) {
        stek_ring_destroy(host->stores[i].level);
        host->stores[i].level = NULL;
    }
    stek_ring_destroy(host->floor);
    stek_ring_destroy(host->first_floor);
    host->floor = NULL;
    host->first_floor = NULL;
}
