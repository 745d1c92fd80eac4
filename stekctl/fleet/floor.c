/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor (floor.h).  stekctl; one thread.
 */
#include "floor.h"

#include <apr_strings.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ratchet.h"
#include "report.h"
#include "ringio.h"
#include "stek_admit.h"
#include "stek_claim.h"
#include "stek_error.h"
#include "stek_ring_aside.h"
#include "stek_ring_file.h"
#include "stek_ring_merge.h"

#define IN_USE "another sync, which is running, uses it; give each its own --floor"

/* So many floors that were moved aside are looked at. */
#define REFUSED_MAX 32

static stek_ring_file_t file_at(const sync_host_t *host, const char *path)
{
    stek_ring_file_t file;

    stek_ring_file_init(&file, path, host->ctl->owner, (gid_t)-1);
    return file;
}

static stek_ring_file_t file_of(const sync_host_t *host)
{
    return file_at(host, host->options->floor_path);
}

/* Opens the file and locks it, without waiting.  -1: somebody else holds it, or it cannot be opened. */
static int open_locked(const char *path, int how)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0 && flock(fd, how | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void let_go(sync_host_t *host)
{
    if (host->floor_fd > 0) {
        close(host->floor_fd);
    }
    host->floor_fd = 0;
}

/* Holds the file that was read or written last, so that others see that a sync works with it. */
static void hold(sync_host_t *host)
{
    if (host->reader) {
        return;
    }
    let_go(host);
    host->floor_fd = open_locked(host->options->floor_path, LOCK_SH);
}

int floor_is_held(const char *path)
{
    int fd = open_locked(path, LOCK_EX);

    if (fd >= 0) {
        close(fd);
    }
    return fd < 0;
}

/* Nonzero if ring, which may be NULL, has every revocation of floor. */
static int covers(const stek_ring_t *ring, const stek_ring_t *floor, apr_time_t now)
{
    apr_size_t i;

    if (!ring || ring->epoch != floor->epoch) {
        return ring && ring->epoch > floor->epoch;
    }
    for (i = 0; i < floor->tombstone_n; i++) {
        if (stek_tombstone_holds(&floor->tombstones[i], now)
            && !stek_ring_find_tombstone(ring, floor->tombstones[i].name)) {
            return 0;
        }
    }
    return 1;
}

/* Adds the revocations of other, a ring without keys.  APR_ENOMEM. */
static apr_status_t take_in(sync_host_t *host, const stek_ring_t *other, apr_time_t now)
{
    apr_status_t rv = stek_ring_merge_into(&host->floor, other, now, 0);

    if (rv == APR_SUCCESS && host->known_epoch < host->floor->epoch) {
        host->known_epoch = host->floor->epoch;
    }
    return rv;
}

static apr_status_t open_under(const stek_secrets_t *fleet, apr_int32_t day,
                               const unsigned char *sealed, apr_size_t len, stek_ring_t **pring,
                               apr_size_t *psecret_i)
{
    stek_secrets_t *keys = NULL;
    apr_status_t rv = ratchet_keys(fleet, day, &keys);

    if (rv == APR_SUCCESS) {
        rv = stek_ring_unseal(sealed, len, keys, 1, pring, psecret_i);
    }
    stek_secrets_destroy(keys);
    return rv;
}

/* It was sealed on a day on which sync ran last: none that the fleet secret has left behind.  Perhaps one
 * to come, if this host's clock was ahead then. */
static apr_status_t load(const sync_host_t *host, const stek_ring_file_t *file,
                         const stek_secrets_t *fleet, apr_int32_t day, stek_ring_t **pring,
                         apr_size_t *psecret_i, const char **pculprit)
{
    unsigned char *sealed = NULL;
    apr_size_t len = 0;
    apr_int32_t d = fleet->day > 0 ? fleet->day : day;
    const apr_int32_t last = fleet->day > 0 ? fleet->day + RATCHET_DAYS_MAX : day;
    apr_status_t rv = stek_ring_file_read(file, &sealed, &len, NULL, pculprit, host->pool);

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

/* It is looked at again in every cycle, and reported again only for another reason. */
static void leave_alone(sync_host_t *host, apr_status_t rv, const char *detail, const char *why)
{
    if (!host->floor_off || rv != host->floor_rv) {
        (void)report_status(host->ctl, host->options->floor_path, rv, detail);
        if (!host->reader) {
            report_line("%s: is not used: a reboot may forget revocations; fix this, and sync uses "
                        "it again in the next cycle",
                        host->options->floor_path);
        }
        host->floor_why = apr_pstrdup(host->ctl->pool, why);
    }
    host->floor_rv = rv;
    host->floor_off = 1;
}

/* Moves away what cannot be used, if it is ours. */
static void refuse(sync_host_t *host, apr_status_t why, const char *culprit)
{
    const stek_ring_file_t file = file_of(host);
    const char *detail = NULL;
    char text[160];
    const char *reason = why == STEK_ESECRET ? "sealed under another fleet secret"
                                             : stek_strerror(why, text, sizeof(text));
    apr_status_t rv;

    let_go(host);
    if (why == STEK_ESECRET && !host->reader && floor_is_held(file.path)) {
        leave_alone(host, STEK_EFOREIGN, IN_USE, IN_USE);
        return;
    }
    rv = stek_ring_is_refused(why) && why != STEK_EPERM && !host->reader
             ? stek_ring_set_aside_as(&stek_claim_floor, &file, ringio_now(), &detail, host->pool)
             : why;

    if (rv == APR_SUCCESS) {
        host->floor_off = 0;
        host->floor_why = NULL;
        report_line("%s: is refused: %s; moved to %s; sync writes a new one from what %s%s",
                    file.path, reason, detail,
                    host->floor ? "it has in memory" : "the ring and the stores know",
                    host->floor ? "" : "; if keys were revoked lately, revoke them again");
        return;
    }
    leave_alone(host, rv, rv == why ? culprit : detail, rv == why ? reason : detail);
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

/* Writes the floor under the secret. */
static void save(sync_host_t *host, const stek_secret_t *secret)
{
    const stek_ring_file_t file = file_of(host);
    apr_status_t rv;

    host->floor->generation = STEK_RING_FLOOR;
    rv = stek_ring_file_save_under(&file, host->floor, secret,
                                   stek_file_fsync_flag(file.path, host->pool), stek_rng_system,
                                   &host->floor_stamp, host->pool);
    host->floor->generation = 0;
    report_write(host, rv);
    host->floor_differs = rv != APR_SUCCESS;
    if (rv == APR_SUCCESS) {
        hold(host);
    }
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
        save(host, &keys->secrets[0]);
    }
    stek_secrets_destroy(keys);
}

/* What was read is good.  While sync runs, it may be older than what sync has written. */
static apr_status_t accept_floor(sync_host_t *host, const stek_ring_t *ring, apr_time_t now)
{
    if (host->floor && !covers(ring, host->floor, now)) {
        report_line(
            "%s: lacks revocations that sync has written there: somebody replaced it, or it "
            "came back from a backup; it is written again",
            host->options->floor_path);
        host->floor_differs = 1;
    }
    host->floor_differs |= host->floor_off;
    host->floor_off = 0;
    host->floor_why = NULL;
    if (!host->first_floor) {
        apr_status_t rv = stek_ring_merge(ring, NULL, now, 0, &host->first_floor);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return take_in(host, ring, now);
}

/* Reads the file unless it is as sync has read or written it last. */
static void look(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    const stek_ring_file_t file = file_of(host);
    stek_ring_t *ring = NULL;
    const char *culprit = NULL;
    apr_size_t secret_i = 0;
    stek_stamp_t stamp = {0};
    apr_status_t rv = stek_file_stamp(file.path, &stamp);

    if (rv == APR_SUCCESS && !host->floor_off && stek_stamp_equal(&stamp, &host->floor_stamp)) {
        return;
    }
    rv = load(host, &file, fleet, day, &ring, &secret_i, &culprit);
    if (rv == APR_SUCCESS) {
        rv = accept_floor(host, ring, ringio_now());
    }
    if (rv == APR_SUCCESS) {
        /* Of before it was read: what has replaced it since then is read in the next cycle. */
        host->floor_stamp = stamp;
        host->floor_differs |= secret_i > 0;
        hold(host);
    }
    else if (APR_STATUS_IS_ENOENT(rv)) {
        host->floor_off = 0;
        host->floor_why = NULL;
        host->floor_differs = 1;
    }
    else {
        refuse(host, rv, culprit);
        host->floor_differs = 1;
    }
    stek_ring_destroy(ring);
}

/* The revocations of a floor that was moved aside, if it opens: its fleet secret may be back. */
static void take_refused(sync_host_t *host, const char *path, const stek_secrets_t *fleet,
                         apr_int32_t day)
{
    const stek_ring_file_t file = file_at(host, path);
    const apr_time_t now = ringio_now();
    const char *culprit = NULL;
    stek_ring_t *ring = NULL;
    apr_size_t secret_i = 0;

    /* An epoch that the other hosts refuse stays away: emergency.md had the floor removed for it. */
    if (load(host, &file, fleet, day, &ring, &secret_i, &culprit) == APR_SUCCESS
        && stek_admit_epoch(ring->epoch, 0, now) == APR_SUCCESS && !covers(host->floor, ring, now)
        && take_in(host, ring, now) == APR_SUCCESS) {
        report_line("%s: holds revocations that the floor lacks; they are taken in again", path);
        host->floor_differs = 1;
    }
    stek_ring_destroy(ring);
}

static void scan_refused(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    const char *floor_path = host->options->floor_path;
    const char *directory = stek_file_dir(floor_path, host->pool);
    const char *slash = strrchr(floor_path, '/');
    const char *prefix = apr_pstrcat(host->pool, slash ? slash + 1 : floor_path, ".refused-", NULL);
    DIR *dir = opendir(directory);
    struct dirent *entry;
    int n = 0;

    while (dir && n < REFUSED_MAX && (entry = readdir(dir)) != NULL) {
        if (!strncmp(entry->d_name, prefix, strlen(prefix))) {
            take_refused(host, apr_pstrcat(host->pool, directory, "/", entry->d_name, NULL), fleet,
                         day);
            n++;
        }
    }
    if (dir) {
        closedir(dir);
    }
}

void floor_retry(sync_host_t *host)
{
    host->floor_scanned = 0;
    if (host->floor_off) {
        host->floor_rv = APR_SUCCESS;
    }
}

void floor_open(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    if (!host->options->floor_path) {
        return;
    }
    look(host, fleet, day);
    if (!host->floor_scanned) {
        scan_refused(host, fleet, day);
        host->floor_scanned = 1;
    }
}

apr_status_t floor_add(const sync_host_t *host, stek_ring_t **pring, apr_time_t now)
{
    if (!host->floor || (*pring && covers(*pring, host->floor, now))) {
        return APR_SUCCESS;
    }
    return stek_ring_merge_into(pring, host->floor, now, 0);
}

int floor_is_kept(const sync_host_t *host)
{
    return is_kept(host) && host->floor && !host->floor_differs;
}

void floor_keep(sync_host_t *host, const stek_ring_t *ring, apr_time_t now)
{
    stek_ring_t *fresh = NULL, *merged = NULL;
    apr_status_t rv;

    floor_open(host, host->fleet, host->day);
    if (!is_kept(host)) {
        return;
    }
    rv = copy_floor(ring, &fresh);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_merge(fresh, host->floor, now, 0, &merged);
    }
    if (rv != APR_SUCCESS) {
        report_write(host, rv);
    }
    else if (!host->floor || host->floor_differs || !stek_ring_equal(merged, host->floor)) {
        merged->written_at = now;
        stek_ring_destroy(host->floor);
        host->floor = merged;
        merged = NULL;
        save(host, &host->keys[1]->secrets[0]);
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
            "%s: is an old copy, which lacks revocations that are recorded in %s; sync ignores the "
            "revoked keys in it and replaces it",
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
    let_go(host);
    stek_ring_destroy(host->floor);
    stek_ring_destroy(host->first_floor);
    host->floor = NULL;
    host->first_floor = NULL;
}
