/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's file ring (sync_ring_file.h).  stekctl; one thread.
 */
#include "sync_ring_file.h"

#include <stdlib.h>

#include "floor.h"
#include "report.h"
#include "ringio.h"
#include "sync_state.h"
#include "stek_admit.h"
#include "stek_audit.h"
#include "stek_error.h"
#include "stek_health.h"
#include "stek_ring_aside.h"
#include "stek_ring_digest.h"
#include "stek_ring_file.h"
#include "sync_secrets.h"
#include "stek_ring_merge.h"

static stek_ring_file_t file_of(const sync_host_t *host)
{
    stek_ring_file_t file;

    stek_ring_file_init(&file, host->ctl->ring_path, host->ctl->owner, (gid_t)-1);
    return file;
}

/* A ring that others can change is not replaced: an administrator has to find out why. */
static int is_refused(apr_status_t rv)
{
    return stek_ring_is_refused(rv) && rv != STEK_EPERM;
}

/* Loads the file ring; *psecret_i: which of the local secrets sealed it. */
static apr_status_t load(sync_host_t *host, stek_ring_t **pring, apr_size_t *psecret_i)
{
    const stek_ring_file_t file = file_of(host);
    unsigned char *sealed = NULL;
    apr_size_t len = 0;
    apr_status_t rv;

    (void)stek_file_stamp(file.path, &host->ring_stamp);
    rv = stek_ring_file_read(&file, &sealed, &len, NULL, NULL, host->pool);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_unseal(sealed, len, host->local, 1, pring, psecret_i);
    }
    if (rv == STEK_ESECRET && sync_secrets_load_local(host) == CTL_DONE) {
        rv = stek_ring_unseal(sealed, len, host->local, 1, pring, psecret_i);
    }
    free(sealed);
    host->ring_number = rv == APR_SUCCESS ? stek_ring_digest48(*pring) : 0;
    if (rv == APR_SUCCESS) {
        rv = stek_admit_epoch((*pring)->epoch, host->known_epoch, ringio_now());
        if (rv != APR_SUCCESS) {
            stek_ring_destroy(*pring);
            *pring = NULL;
        }
        else if ((*pring)->epoch > host->known_epoch) {
            host->known_epoch = (*pring)->epoch;
        }
    }
    return rv;
}

static void note_kept(sync_host_t *host)
{
    if (floor_is_kept(host)) {
        host->kept_ns = host->ring_stamp.mtime_ns;
    }
}

apr_status_t sync_ring_file_load(void *baton, stek_ring_t **pring)
{
    sync_host_t *host = baton;
    apr_size_t secret_i;
    apr_status_t rv = load(host, pring, &secret_i);

    host->ring_rv = APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
    host->first_stamp = host->ring_stamp;
    host->ring_news = 0;
    if (rv == APR_SUCCESS) {
        floor_check_ring(host, *pring);
        /* A revocation by this host's administrator must not wait for the stores. */
        floor_keep(host, *pring, ringio_now());
        note_kept(host);
        if (host->kept_ns != host->told_ns) {
            sync_state_write(host);
            host->told_ns = host->kept_ns;
        }
    }
    /* A bad ring is replaced when the cycle saves; here it counts as none. */
    if (APR_STATUS_IS_ENOENT(rv) || is_refused(rv)) {
        *pring = NULL;
        rv = APR_SUCCESS;
    }
    return rv == APR_SUCCESS ? floor_add(host, pring, ringio_now()) : rv;
}

/* Moves a bad ring out of the way.  What is not a ring stays, and is reported once. */
static apr_status_t set_aside(sync_host_t *host, apr_status_t why, apr_time_t now)
{
    const stek_ring_file_t file = file_of(host);
    const char *path = file.path, *detail = NULL;
    char text[160];
    apr_status_t rv = stek_ring_set_aside(&file, now, &detail, host->pool);

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

apr_status_t sync_ring_file_merge(const stek_ring_t *ring, const stek_ring_t *before,
                                  apr_time_t now, apr_interval_time_t lifetime,
                                  stek_ring_t **pmerged)
{
    stek_ring_t *merged = NULL;
    apr_status_t rv = stek_ring_merge(ring, before, now, 0, &merged);

    if (rv == APR_SUCCESS) {
        (void)stek_audit_drop_shared(merged);
        stek_ring_drop_ended(merged, now, lifetime);
        *pmerged = merged;
    }
    return rv;
}

static apr_status_t save_locked(sync_host_t *host, const stek_ring_t *ring, apr_time_t now,
                                apr_interval_time_t lifetime, apr_time_t *pcovered_until)
{
    const stek_ring_file_t file = file_of(host);
    const sync_rules_t *rules = &host->options->rules;
    stek_ring_t *before = NULL, *merged = NULL;
    apr_size_t secret_i = 0, later_n = 0;
    apr_status_t rv = load(host, &before, &secret_i);
    int differs;

    /* Somebody has written it while the cycle talked to the stores. */
    host->ring_news = !stek_stamp_equal(&host->ring_stamp, &host->first_stamp);
    if (is_refused(rv)) {
        rv = set_aside(host, rv, now);
    }
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
        return rv;
    }
    if (before) {
        /* The cycle has counted them. */
        later_n = stek_admit_keys(before, rules->generate ? &rules->params : NULL, now);
    }
    rv = sync_ring_file_merge(ring, before, now, lifetime, &merged);
    if (rv == APR_SUCCESS) {
        floor_keep(host, merged, now);
        note_kept(host);
        /* One from the future is of this host's own clock, when that was ahead. */
        differs = !before || later_n > 0 || before->written_at > now + STEK_HEALTH_CLOCK_SLACK
                  || !stek_ring_equal(before, merged);
        if (host->reseal_file && secret_i > 0) {
            secret_i = 0;
            differs = 1;
        }
        merged->written_at = stek_ring_room_time(merged, now);
        if (differs) {
            rv = stek_ring_file_save_under(&file, merged, &host->local->secrets[secret_i],
                                           stek_file_fsync_flag(file.path, host->pool),
                                           stek_rng_system, &host->ring_stamp, host->pool);
            note_kept(host);
        }
    }
    if (rv == APR_SUCCESS) {
        host->reseal_file = 0;
        *pcovered_until = stek_schedule_covered_until(merged, now);
    }
    stek_ring_destroy(merged);
    stek_ring_destroy(before);
    return rv;
}

apr_status_t sync_ring_file_save(void *baton, const stek_ring_t *ring, apr_time_t now,
                                 apr_interval_time_t lifetime, apr_time_t *pcovered_until)
{
    sync_host_t *host = baton;
    const char *path = host->ctl->ring_path;
    stek_lock_t lock;
    apr_status_t rv = stek_path_check_written(path, host->ctl->owner, NULL, host->pool);

    if (rv == APR_SUCCESS) {
        rv = stek_lock_take(path, RINGIO_LOCK_WAIT, &lock, NULL, host->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = save_locked(host, ring, now, lifetime, pcovered_until);
        stek_lock_release(&lock);
    }
    return rv;
}

int sync_ring_file_changed(const void *baton)
{
    const sync_host_t *host = baton;
    stek_stamp_t stamp;

    (void)stek_file_stamp(host->ctl->ring_path, &stamp);
    return host->ring_news || !stek_stamp_equal(&stamp, &host->ring_stamp);
}
