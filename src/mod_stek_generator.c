/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's side of rings.  Glue; one thread.
 *
 * Start: storage, then keys; what cannot be kept in a file is kept in memory, with a warning.
 * Later, in the monitor hook: the hook stands in the MPM's maintenance loop, so it tries locks and
 * never waits, does no fsync and works in a pool of its own.  A lock that stays held does not stop
 * rotation: when the prepared keys run low the parent writes without it.  That is safe, since
 * whoever writes merges, and what a late writer overwrites the parent puts back.
 */
#include "mod_stek_generator.h"

#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"
#include <stdio.h>
#include <unistd.h>

#include "mod_stek_live.h"
#include "mod_stek_log.h"
#include "mod_stek_phase.h"
#include "mod_stek_storage.h"
#include "mod_stek_ticket.h"
#include "mod_stek_vhost.h"
#include "stek_mem.h"
#include "stek_time.h"

APLOG_USE_MODULE(stek_rotate);

#define START_LOCK_WAIT apr_time_from_msec(300)
#define REMIND_AFTER apr_time_from_sec(60)

/* What a message is about; where rights are refused, with those that were found. */
static const char *where(apr_status_t rv, const char *culprit, const mod_stek_live_t *live,
                         apr_pool_t *pool)
{
    const char *path = culprit ? culprit : stek_ring_file_name(&live->file);

    return rv == STEK_EPERM || rv == STEK_ESHARED ? stek_path_describe(path, live->file.owner, pool)
                                                  : path;
}

/* Trouble with a ring, or its end: at once when it changes, then once a minute. */
static void report(mod_stek_ring_t *ring, apr_status_t rv, const char *culprit, apr_time_t now,
                   server_rec *s, apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    int keyless = !mod_stek_live_can_issue(live, now);
    /* A ring without a key is another trouble than the same ring with one. */
    apr_status_t status = keyless ? -1 - rv : rv;

    mod_stek_count_look(live->counters, rv, now);
    if (status == APR_SUCCESS) {
        if (live->logged_status != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "STEK2001: ring '%s' is good again",
                         ring->name);
        }
        live->logged_status = APR_SUCCESS;
        return;
    }
    if (status == live->logged_status && now >= live->logged_at
        && now - live->logged_at < REMIND_AFTER) {
        return;
    }
    live->logged_status = status;
    live->logged_at = now;
    if (keyless) {
        ap_log_error(
            APLOG_MARK, APLOG_ERR, 0, s,
            "STEK2002: ring '%s' has no key for now: clients get no tickets%s%s%s%s", ring->name,
            rv == APR_SUCCESS ? "" : ": ", rv == APR_SUCCESS ? "" : where(rv, culprit, live, pool),
            rv == APR_SUCCESS ? "" : ": ", rv == APR_SUCCESS ? "" : mod_stek_status_text(rv, pool));
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK2003: ring '%s': %s: %s; the keys at hand stay in use, tickets are "
                     "issued until %s",
                     ring->name, where(rv, culprit, live, pool), mod_stek_status_text(rv, pool),
                     mod_stek_time_text(stek_schedule_covered_until(live->ring, now), pool));
    }
}

/* Moves a bad ring out of the way, so that a good one can be written.  What is no ring stays. */
static apr_status_t set_aside(mod_stek_ring_t *ring, apr_status_t why, apr_time_t now,
                              const char **pculprit, server_rec *s, apr_pool_t *pool)
{
    const char *aside = NULL;
    apr_status_t rv = stek_ring_file_set_aside(&ring->live->file, now, &aside, pool);

    if (rv == STEK_EFOREIGN) {
        *pculprit = apr_psprintf(pool, "%s %s", ring->path, aside);
    }
    else if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK2004: ring '%s': %s is refused: %s; moved to %s, a new one takes its "
                     "place%s",
                     ring->name, ring->path, mod_stek_status_text(why, pool), aside,
                     why == STEK_ESECRET ? "; check secret=: to have the former keys back, name "
                                           "the former secret there, move that file back, and "
                                           "reload"
                                         : "");
    }
    else if (!APR_STATUS_IS_ENOENT(rv)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "STEK2005: ring '%s': %s is refused: %s; moving it to %s failed", ring->name,
                     ring->path, mod_stek_status_text(why, pool), aside ? aside : "another name");
    }
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

/* Adds the keys that the schedule wants and writes the ring.  Keys that cannot be written are none:
 * children would not learn of them, and the parent would not see them run dry. */
static apr_status_t extend_and_save(mod_stek_ring_t *ring, apr_time_t now, int flags, server_rec *s,
                                    apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    stek_ring_t *next;
    apr_size_t made_n;
    apr_status_t rv = stek_schedule_extend(live->ring, &ring->params, now, stek_rng_system, &next,
                                           &made_n);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    next->generation = live->ring->generation + 1;
    next->written_at = apr_time_from_sec(apr_time_sec(now));
    next->interval = ring->params.interval;
    next->lifetime = ring->params.lifetime;
    live->dirty = 1;
    rv = stek_ring_file_save(&live->file, next, live->secrets, flags, stek_rng_system, &live->stamp,
                             pool);
    if (rv != APR_SUCCESS) {
        stek_ring_destroy(next);
        return rv;
    }
    live->dirty = 0;
    live->load_status = APR_SUCCESS;
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                 "STEK2006: ring '%s': generation %" APR_UINT64_T_FMT ", %d key%s made, %d in all",
                 ring->name, next->generation, (int)made_n, made_n == 1 ? "" : "s",
                 (int)next->key_n);
    return mod_stek_live_swap(live, next);
}

/* Nonzero if the keys that are there will not last long: waiting for a lock has to end. */
static int is_urgent(const mod_stek_ring_t *ring, apr_time_t now)
{
    return stek_schedule_covered_until(ring->live->ring, now)
           < now + stek_schedule_horizon(&ring->params) / 2;
}

/* Takes the ring's lock, or goes on without it when rotation would have to wait too long. */
static apr_status_t take_lock(mod_stek_ring_t *ring, apr_time_t now, apr_interval_time_t wait,
                              stek_lock_t *lock, const char **pculprit, server_rec *s,
                              apr_pool_t *pool)
{
    const char *path = ring->live->file.path;
    pid_t holder = 0;
    apr_status_t rv = stek_file_lock(path, wait, lock, &holder, pool);

    if (rv == STEK_EFOREIGN || rv == STEK_EKIND) {
        *pculprit = apr_psprintf(pool, "%s.lock is no lock", path);
        return STEK_EFOREIGN;
    }
    if (rv != STEK_ELOCKED) {
        return rv;
    }
    if (!is_urgent(ring, now)) {
        *pculprit = apr_psprintf(pool, "%s.lock (process %d)", path, (int)holder);
        return rv;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "STEK2007: ring '%s': %s.lock is still held by process %d: writing without it, "
                 "since the prepared keys run out",
                 ring->name, path, (int)holder);
    return APR_SUCCESS;
}

/* What stands at the path, before it is written over: APR_SUCCESS if it is merged, missing or moved
 * aside; anything else is no ring, or may be a good one that cannot be read just now. */
static apr_status_t clear_path(mod_stek_ring_t *ring, apr_time_t now, const char **pculprit,
                               server_rec *s, apr_pool_t *pool)
{
    apr_status_t rv = mod_stek_live_refresh(ring->live, now, 0, pculprit, pool);

    if (stek_ring_file_is_refused(rv)) {
        return ring->live->file.path ? set_aside(ring, rv, now, pculprit, s, pool) : APR_SUCCESS;
    }
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

/* Writes the ring under its lock, on top of what other writers have put there. */
static apr_status_t write_ring(mod_stek_ring_t *ring, apr_time_t now, apr_interval_time_t lock_wait,
                               int flags, const char **pculprit, server_rec *s, apr_pool_t *pool)
{
    const stek_ring_file_t *file = &ring->live->file;
    stek_lock_t lock = {-1};
    apr_status_t rv = APR_SUCCESS;

    if (file->path) {
        /* Before anything is made there: the lock, too, is a file. */
        rv = mod_stek_storage_check(file, pculprit, pool);
        if (rv == APR_SUCCESS) {
            rv = take_lock(ring, now, lock_wait, &lock, pculprit, s, pool);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = clear_path(ring, now, pculprit, s, pool);
    }
    if (rv == APR_SUCCESS) {
        rv = extend_and_save(ring, now, flags, s, pool);
    }
    stek_file_unlock(&lock);
    return rv;
}

static int wants_writing(const mod_stek_ring_t *ring, apr_status_t load_status, apr_time_t now)
{
    stek_slot_t slot;

    return stek_schedule_missing(ring->live->ring, &ring->params, now, &slot)
           || APR_STATUS_IS_ENOENT(load_status)
           || (load_status == APR_SUCCESS && ring->live->dirty);
}

/* What children may not log in a handshake. */
static void report_unsealed(mod_stek_ring_t *ring, apr_time_t now, server_rec *s)
{
    mod_stek_live_t *live = ring->live;
    mod_stek_totals_t totals;
    apr_uint64_t n;

    if (now >= live->unsealed_at && now - live->unsealed_at < REMIND_AFTER) {
        return;
    }
    mod_stek_counters_sum(live->counters, &totals);
    n = totals.all[MOD_STEK_UNSEALED] - live->unsealed_n;
    if (n != 0) {
        live->unsealed_n = totals.all[MOD_STEK_UNSEALED];
        live->unsealed_at = now;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK2033: ring '%s': %" APR_UINT64_T_FMT " more tickets could not be sealed, "
                     "although there is a key: clients got none",
                     ring->name, n);
    }
}

/* Children in ChrootDir see what the parent gives them. */
static void serve_jail(mod_stek_ring_t *ring, server_rec *s, apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;

    mod_stek_live_publish(live);
    if (!live->told_jail && stek_ring_file_jail_is_left(&live->file, pool)) {
        live->told_jail = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK2032: ring '%s': the directory of %s was made anew: httpd's children in "
                     "ChrootDir still look at the former one and see no change; reload httpd",
                     ring->name, ring->path);
    }
}

static void tick(mod_stek_ring_t *ring, apr_time_t now, server_rec *s, apr_pool_t *pool)
{
    const char *culprit = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (!ring->live->secrets && ring->live->file.path) {
        rv = mod_stek_storage_late_secret(ring, &culprit, s, pool);
    }
    if (rv == APR_SUCCESS) {
        rv = mod_stek_live_refresh(ring->live, now, 0, &culprit, pool);
    }
    if (ring->generate && ring->live->secrets && wants_writing(ring, rv, now)) {
        if (APR_STATUS_IS_ENOENT(rv)) {
            report(ring, rv, culprit, now, s, pool);
        }
        rv = write_ring(ring, now, 0, 0, &culprit, s, pool);
    }
    report(ring, rv, culprit, now, s, pool);
    report_unsealed(ring, now, s);
    serve_jail(ring, s, pool);
}

int mod_stek_generator_monitor(apr_pool_t *p, server_rec *s)
{
    apr_time_t now = apr_time_now();
    int i, n;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);
    apr_pool_t *pool;

    if (apr_pool_create(&pool, p) != APR_SUCCESS) {
        return DECLINED;
    }
    for (i = 0; i < n; i++) {
        if (rings[i]->live) {
            tick(rings[i], now, s, pool);
        }
    }
    apr_pool_destroy(pool);
    return DECLINED;
}

/* Reads the ring, and writes it if we generate. */
static apr_status_t start_with_file(mod_stek_ring_t *ring, apr_time_t now, const char **pculprit,
                                    server_rec *s, apr_pool_t *pool)
{
    apr_status_t rv = mod_stek_live_refresh(ring->live, now, 1, pculprit, pool);
    int flags = stek_file_fsync_flag(ring->live->file.path, pool);

    if (!ring->generate || (rv == APR_SUCCESS && !wants_writing(ring, rv, now))) {
        return rv;
    }
    rv = write_ring(ring, now, START_LOCK_WAIT, flags, pculprit, s, pool);
    /* Whoever holds the lock only keeps us from writing: the monitor hook tries again. */
    return rv == STEK_ELOCKED ? APR_SUCCESS : rv;
}

static apr_status_t start_in_memory(mod_stek_ring_t *ring, apr_time_t now, server_rec *s,
                                    apr_pool_t *pool)
{
    const char *culprit;
    apr_status_t rv = mod_stek_storage_open_memory(ring);

    return rv == APR_SUCCESS ? start_with_file(ring, now, &culprit, s, pool) : rv;
}

/* What to do about a place that keeps no ring, where the status alone does not say it. */
static const char *remedy(apr_status_t rv)
{
    return rv == STEK_EFOREIGN  ? ". Name another file, or move it away, then reload"
           : rv == STEK_ESHARED ? ". Name a directory that only root can write to, then reload"
           : rv == STEK_EFLEET  ? ". Name another secret=, or none, then reload"
                                : "";
}

static apr_status_t start_storage(mod_stek_ring_t *ring, apr_time_t now, const char **pculprit,
                                  server_rec *s, apr_pool_t *pool)
{
    const mod_stek_ring_t *twin;
    apr_status_t rv;

    if (!ring->path || mod_stek_one_process()) {
        return start_in_memory(ring, now, s, pool);
    }
    twin = mod_stek_storage_twin(ring, pool);
    if (twin) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK2030: ring '%s': %s is the file of ring '%s' by another path: keeping "
                     "ring '%s' in memory, so that no key gets into both; give it its own file",
                     ring->name, ring->path, twin->name, ring->name);
        return start_in_memory(ring, now, s, pool);
    }
    rv = mod_stek_storage_open(ring, pculprit, s, pool);
    if (rv == APR_SUCCESS) {
        rv = start_with_file(ring, now, pculprit, s, pool);
        /* A disk that is full just now: there are keys, and the monitor hook tries again.  What is
         * no ring stays where it is, and children would go on without one. */
        if (rv != STEK_EFOREIGN && stek_ring_current(ring->live->ring, now)) {
            return rv;
        }
    }
    if (rv == APR_SUCCESS || !ring->generate) {
        return rv;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "STEK2011: ring '%s': %s: %s; keeping the ring in memory: its keys survive "
                 "reloads, but not a stop%s",
                 ring->name, where(rv, *pculprit ? *pculprit : ring->path, ring->live, pool),
                 mod_stek_status_text(rv, pool), remedy(rv));
    *pculprit = NULL;
    return start_in_memory(ring, now, s, pool);
}

/* The first vhost in the configuration that the ring serves. */
static const mod_stek_vhost_t *vhost_of_ring(const mod_stek_ring_t *ring)
{
    int i, n;
    mod_stek_vhost_t *const *vhosts = mod_stek_vhosts(&n);

    for (i = n - 1; i >= 0; i--) {
        if (vhosts[i]->ring == ring) {
            return vhosts[i];
        }
    }
    return NULL;
}

static void selftest(mod_stek_ring_t *ring, server_rec *s, apr_pool_t *pool)
{
    const mod_stek_vhost_t *vhost = vhost_of_ring(ring);

    if (vhost && mod_stek_ticket_selftest(vhost) == STEK_ECRYPTO) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK2012: ring '%s': the self-test failed: a ticket sealed for %s does not "
                     "open under the audited key; no tickets are issued",
                     ring->name, mod_stek_server_text(vhost->server, pool));
    }
}

static void start_ring(mod_stek_ring_t *ring, server_rec *s, apr_pool_t *pool)
{
    apr_time_t now = apr_time_now();
    const char *culprit = NULL;
    apr_time_t next;
    apr_status_t rv = mod_stek_live_get(ring, &ring->live);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "STEK2013: ring '%s': no memory for its keys: its virtual hosts' tickets "
                     "are not rotated",
                     ring->name);
        return;
    }
    if (!ring->live->counters) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK2019: ring '%s': no memory for counters: nothing is counted", ring->name);
    }
    ring->live->lifetime = ring->params.lifetime;
    rv = start_storage(ring, now, &culprit, s, pool);
    mod_stek_storage_prepare_jail(ring, s, pool);
    mod_stek_live_publish(ring->live);
    selftest(ring, s, pool);
    report(ring, rv, culprit, now, s, pool);
    next = stek_schedule_covered_until(ring->live->ring, now);
    if (mod_stek_live_can_issue(ring->live, now)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "STEK2014: ring '%s' (%s): %d keys, interval %s, lifetime %s, prepared "
                     "until %s",
                     ring->name, stek_ring_file_name(&ring->live->file),
                     (int)ring->live->ring->key_n, stek_time_text(ring->params.interval, pool),
                     stek_time_text(ring->params.lifetime, pool), mod_stek_time_text(next, pool));
    }
}

/* What children may lock is a limit of User's; root has none. */
static void compare_lock_limit(server_rec *s)
{
    apr_size_t need = 0, limit = stek_mem_lock_limit();
    int i, n;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->live) {
            /* Two at a time while one takes the other's place, each as large as it will get. */
            need += 2 * stek_schedule_keys_n(&rings[i]->params) * STEK_RING_KEY_LEN;
            need += rings[i]->live->secrets ? stek_mem_size(rings[i]->live->secrets) : 0;
        }
    }
    if (need > limit) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK2015: the limit of locked memory is %" APR_SIZE_T_FMT " bytes, the "
                     "keys need %" APR_SIZE_T_FMT ": keys may reach swap; raise LimitMEMLOCK= or "
                     "ulimit -l",
                     limit, need);
    }
}

static apr_status_t end_of_configuration(void *data)
{
    (void)data;
    /* Until the next last post_config, other modules may fork. */
    mod_stek_live_inherit(0);
    mod_stek_live_hand_over();
    return APR_SUCCESS;
}

/* Nonzero if a ring that is in use is kept in a file, and so has a secret in one. */
static int any_in_file(void)
{
    int i, n;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->live && rings[i]->live->file.path) {
            return 1;
        }
    }
    return 0;
}

static void tell_not_root(server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                 "STEK2016: httpd was not started by root, so its children run as the same user "
                 "as the parent: %s; start httpd as root and set User",
                 any_in_file() ? "they can read the local secret and write rings"
                               : "no file rights keep that user's programs from the parent's keys");
}

void mod_stek_generator_start(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s)
{
    int i, n, used_n = 0;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->used) {
            start_ring(rings[i], s, ptemp);
            used_n++;
        }
    }
    mod_stek_live_sweep();
    if (used_n > 0) {
        compare_lock_limit(s);
        if (geteuid() != 0 && ap_state_query(AP_SQ_CONFIG_GEN) <= 1) {
            tell_not_root(s);
        }
        if (ap_find_linked_module("mpm_itk.c") && ap_state_query(AP_SQ_CONFIG_GEN) <= 1) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "STEK2034: mpm-itk is loaded: its processes are root's until they know "
                         "the virtual host, and then that host's user's, with the keys of all "
                         "rings: whoever runs code in one of them has them all");
        }
    }
    mod_stek_live_inherit(1);
    apr_pool_cleanup_register(pconf, NULL, end_of_configuration, apr_pool_cleanup_null);
}
