/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's side of rings.  Glue; one thread.
 *
 * At start: storage, then keys; a ring that cannot be stored in a file stays in memory, with a
 * warning.  Later, in the monitor hook: the hook runs in the MPM's maintenance loop, so it tries
 * locks and never waits, does no fsync and works in its own pool.  A held lock does not stop
 * rotation: when the prepared keys run low, the parent writes without it.  That is safe, because
 * every writer merges, and the parent restores what a late writer overwrites.
 */
#include "mod_stek_generator.h"

#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"
#include <stdio.h>
#include <unistd.h>

#include "mod_stek_live_file.h"
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

/* What a message is about; where access is refused, with the owner and mode that were found. */
static const char *describe(const mod_stek_task_t *task, const char *path, apr_status_t rv)
{
    return rv == STEK_EPERM || rv == STEK_ESHARED
               ? stek_path_describe(path, mod_stek_live_file(task->ring->live)->owner, task->pool)
               : path;
}

static const char *culprit_of(const mod_stek_task_t *task, apr_status_t rv)
{
    return describe(task,
                    task->culprit ? task->culprit
                                  : stek_ring_file_name(mod_stek_live_file(task->ring->live)),
                    rv);
}

static apr_time_t covered_until(const mod_stek_task_t *task)
{
    return stek_schedule_covered_until(mod_stek_live_ring(task->ring->live), task->now);
}

static void log_problem(const mod_stek_task_t *task, apr_status_t rv, int keyless)
{
    const char *name = task->ring->name;

    if (keyless) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, task->server,
                     "STEK2002: ring '%s' has no current key, so clients get no tickets%s%s%s%s",
                     name, rv == APR_SUCCESS ? "" : ": ",
                     rv == APR_SUCCESS ? "" : culprit_of(task, rv), rv == APR_SUCCESS ? "" : ": ",
                     rv == APR_SUCCESS ? "" : mod_stek_error_text(rv, task->pool));
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2003: ring '%s': %s: %s; existing keys stay in use; tickets can be "
                     "issued until %s",
                     name, culprit_of(task, rv), mod_stek_error_text(rv, task->pool),
                     mod_stek_time_text(covered_until(task), task->pool));
    }
}

/* Logs a problem with the ring, or its end: at once when it changes, then every minute. */
static void log_state(const mod_stek_task_t *task, apr_status_t rv)
{
    mod_stek_live_t *live = task->ring->live;
    mod_stek_logged_t *logged = mod_stek_live_logged(live);
    int keyless = !mod_stek_live_can_issue(live, task->now);
    /* A ring without a current key is a different problem from the same ring with one. */
    apr_status_t status = keyless ? -1 - rv : rv;

    mod_stek_count_look(mod_stek_live_counters(live), rv, task->now);
    if (status == APR_SUCCESS) {
        if (logged->status != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, task->server,
                         "STEK2001: ring '%s' is good again", task->ring->name);
        }
        logged->status = APR_SUCCESS;
        return;
    }
    if (status == logged->status && task->now >= logged->status_at
        && task->now - logged->status_at < REMIND_AFTER) {
        return;
    }
    logged->status = status;
    logged->status_at = task->now;
    log_problem(task, rv, keyless);
}

/* Moves a bad ring out of the way, so that a good one can be written.  What is no ring stays. */
static apr_status_t set_aside(mod_stek_task_t *task, apr_status_t why)
{
    const mod_stek_ring_config_t *ring = task->ring;
    const char *aside = NULL;
    apr_status_t rv = stek_ring_file_set_aside(mod_stek_live_file(ring->live), task->now, &aside,
                                               task->pool);

    if (rv == STEK_EFOREIGN) {
        task->culprit = apr_psprintf(task->pool, "%s %s", ring->path, aside);
    }
    else if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2004: ring '%s': %s is refused: %s; moved to %s; httpd writes a new "
                     "ring%s",
                     ring->name, ring->path, mod_stek_error_text(why, task->pool), aside,
                     why == STEK_ESECRET ? "; check secret=: to get the previous keys back, name "
                                           "the previous secret there, move that file back, and "
                                           "reload"
                                         : "");
    }
    else if (!APR_STATUS_IS_ENOENT(rv)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, task->server,
                     "STEK2005: ring '%s': %s is refused: %s; moving it to %s failed", ring->name,
                     ring->path, mod_stek_error_text(why, task->pool),
                     aside ? aside : "another name");
    }
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

/* Adds the keys that the schedule asks for and writes the ring.  Keys that cannot be written are
 * dropped: children would not learn of them, and the parent would not notice that they run out. */
static apr_status_t extend_and_save(const mod_stek_task_t *task, int flags)
{
    const mod_stek_ring_config_t *ring = task->ring;
    const stek_ring_t *from = mod_stek_live_ring(ring->live);
    stek_ring_t *next;
    apr_size_t made_n, key_n;
    apr_uint64_t generation = from->generation + 1;
    apr_status_t rv = stek_schedule_extend(from, &ring->params, task->now, stek_rng_system, &next,
                                           &made_n);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    next->generation = generation;
    next->written_at = apr_time_from_sec(apr_time_sec(task->now));
    next->interval = ring->params.interval;
    next->lifetime = ring->params.lifetime;
    key_n = next->key_n;
    rv = mod_stek_live_save(ring->live, next, flags, task->pool);
    if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, task->server,
                     "STEK2006: ring '%s': generation %" APR_UINT64_T_FMT
                     ", %d key%s made, %d in all",
                     ring->name, generation, (int)made_n, made_n == 1 ? "" : "s", (int)key_n);
    }
    return rv;
}

/* Nonzero if the existing keys are running out: waiting for a lock must end. */
static int is_urgent(const mod_stek_task_t *task)
{
    return covered_until(task) < task->now + stek_schedule_horizon(&task->ring->params) / 2;
}

/* Takes the ring's lock, or continues without it when rotation would have to wait too long. */
static apr_status_t take_lock(mod_stek_task_t *task, apr_interval_time_t wait, stek_lock_t *lock)
{
    const char *path = mod_stek_live_file(task->ring->live)->path;
    pid_t holder = 0;
    apr_status_t rv = stek_file_lock(path, wait, lock, &holder, task->pool);

    if (rv == STEK_EFOREIGN || rv == STEK_EKIND) {
        task->culprit = apr_psprintf(task->pool, "%s.lock is no lock", path);
        return STEK_EFOREIGN;
    }
    if (rv != STEK_ELOCKED) {
        return rv;
    }
    if (!is_urgent(task)) {
        task->culprit = apr_psprintf(task->pool, "%s.lock (process %d)", path, (int)holder);
        return rv;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                 "STEK2007: ring '%s': %s.lock is still held by process %d: writing the ring "
                 "without the lock, because the prepared keys are running out",
                 task->ring->name, path, (int)holder);
    return APR_SUCCESS;
}

/* What is at the path, before it is overwritten: APR_SUCCESS if it is merged, missing or moved
 * aside; anything else is no ring, or may be a good one that cannot be read just now. */
static apr_status_t clear_path(mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    apr_status_t rv = mod_stek_live_refresh(live, task->now, 0, &task->culprit, task->pool);

    if (stek_ring_file_is_refused(rv)) {
        return mod_stek_live_file(live)->path ? set_aside(task, rv) : APR_SUCCESS;
    }
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

/* Writes the ring under its lock, on top of what other writers have put there. */
static apr_status_t write_ring(mod_stek_task_t *task, apr_interval_time_t lock_wait, int flags)
{
    const stek_ring_file_t *file = mod_stek_live_file(task->ring->live);
    stek_lock_t lock = {-1};
    apr_status_t rv = APR_SUCCESS;

    if (file->path) {
        /* Before anything is created there: the lock, too, is a file. */
        rv = mod_stek_storage_check(file, &task->culprit, task->pool);
        if (rv == APR_SUCCESS) {
            rv = take_lock(task, lock_wait, &lock);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = clear_path(task);
    }
    if (rv == APR_SUCCESS) {
        rv = extend_and_save(task, flags);
    }
    stek_file_unlock(&lock);
    return rv;
}

static int needs_writing(const mod_stek_task_t *task, apr_status_t load_status)
{
    const mod_stek_live_t *live = task->ring->live;
    stek_slot_t slot;

    return stek_schedule_missing(mod_stek_live_ring(live), &task->ring->params, task->now, &slot)
           || APR_STATUS_IS_ENOENT(load_status)
           || (load_status == APR_SUCCESS && mod_stek_live_is_dirty(live));
}

/* Children in ChrootDir see what the parent gives them. */
static void serve_jail(const mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    mod_stek_logged_t *logged = mod_stek_live_logged(live);

    mod_stek_live_publish(live);
    if (!logged->lost_jail && stek_ring_file_jail_is_left(mod_stek_live_file(live), task->pool)) {
        logged->lost_jail = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2032: ring '%s': the directory of %s was re-created: httpd's children in "
                     "ChrootDir still see the previous one and no change; reload httpd",
                     task->ring->name, task->ring->path);
    }
}

static void tick(mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    apr_status_t rv = APR_SUCCESS;

    if (!mod_stek_live_secrets(live) && mod_stek_live_file(live)->path) {
        rv = mod_stek_storage_late_secret(task);
    }
    if (rv == APR_SUCCESS) {
        rv = mod_stek_live_refresh(live, task->now, 0, &task->culprit, task->pool);
    }
    if (task->ring->generate && mod_stek_live_secrets(live) && needs_writing(task, rv)) {
        if (APR_STATUS_IS_ENOENT(rv)) {
            log_state(task, rv);
        }
        rv = write_ring(task, 0, 0);
    }
    log_state(task, rv);
    serve_jail(task);
}

int mod_stek_generator_monitor(apr_pool_t *p, server_rec *s)
{
    apr_time_t now = apr_time_now();
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);
    apr_pool_t *pool;

    if (apr_pool_create(&pool, p) != APR_SUCCESS) {
        return DECLINED;
    }
    for (i = 0; i < n; i++) {
        if (rings[i]->live) {
            mod_stek_task_t task = {.ring = rings[i], .now = now, .server = s, .pool = pool};

            tick(&task);
        }
    }
    apr_pool_destroy(pool);
    return DECLINED;
}

/* Reads the ring, and writes it if we generate. */
static apr_status_t start_with_file(mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    apr_status_t rv = mod_stek_live_refresh(live, task->now, 1, &task->culprit, task->pool);
    int flags = stek_file_fsync_flag(mod_stek_live_file(live)->path, task->pool);

    if (!task->ring->generate || (rv == APR_SUCCESS && !needs_writing(task, rv))) {
        return rv;
    }
    rv = write_ring(task, START_LOCK_WAIT, flags);
    /* A held lock only prevents writing: the monitor hook tries again. */
    return rv == STEK_ELOCKED ? APR_SUCCESS : rv;
}

static apr_status_t start_in_memory(mod_stek_task_t *task)
{
    apr_status_t rv = mod_stek_live_open_memory(task->ring->live);

    if (rv == APR_SUCCESS) {
        rv = start_with_file(task);
    }
    task->culprit = NULL;
    return rv;
}

/* What to do about a place that keeps no ring, if the status alone does not say it. */
static const char *remedy(apr_status_t rv)
{
    return rv == STEK_EFOREIGN  ? ". Name another file, or move it away, then reload"
           : rv == STEK_ESHARED ? ". Name a directory that only root can write to, then reload"
           : rv == STEK_EFLEET  ? ". Name another secret=, or none, then reload"
                                : "";
}

static apr_status_t start_storage(mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring, *twin;
    apr_status_t rv;

    if (!ring->path || mod_stek_one_process()) {
        return start_in_memory(task);
    }
    twin = mod_stek_storage_twin(ring, task->pool);
    if (twin) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, task->server,
                     "STEK2030: ring '%s': %s is the file of ring '%s' by another path: keeping "
                     "ring '%s' in memory, so that no key gets into both; give it its own file",
                     ring->name, ring->path, twin->name, ring->name);
        return start_in_memory(task);
    }
    rv = mod_stek_storage_open(task);
    if (rv == APR_SUCCESS) {
        rv = start_with_file(task);
        /* A disk that is full just now: there are keys, and the monitor hook tries again.  What is
         * no ring stays where it is, and children would continue without one. */
        if (rv != STEK_EFOREIGN && stek_ring_current(mod_stek_live_ring(ring->live), task->now)) {
            return rv;
        }
    }
    if (rv == APR_SUCCESS || !ring->generate) {
        return rv;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                 "STEK2011: ring '%s': %s: %s; keeping the ring in memory: its keys survive "
                 "reloads, but not a stop%s",
                 ring->name, describe(task, task->culprit ? task->culprit : ring->path, rv),
                 mod_stek_error_text(rv, task->pool), remedy(rv));
    return start_in_memory(task);
}

/* The first vhost in the configuration that the ring serves. */
static mod_stek_vhost_t *vhost_of_ring(const mod_stek_ring_config_t *ring)
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

static void selftest(const mod_stek_task_t *task)
{
    mod_stek_vhost_t *vhost = vhost_of_ring(task->ring);

    if (vhost && mod_stek_ticket_selftest(vhost) == STEK_ECRYPTO) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, task->server,
                     "STEK2012: ring '%s': the self-test failed: a ticket sealed for %s does not "
                     "open under the audited key; no tickets are issued",
                     task->ring->name, mod_stek_server_text(vhost->server, task->pool));
    }
}

static void log_started(const mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;

    if (mod_stek_live_can_issue(ring->live, task->now)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, task->server,
                     "STEK2014: ring '%s' (%s): %d keys, interval %s, lifetime %s, prepared "
                     "until %s",
                     ring->name, stek_ring_file_name(mod_stek_live_file(ring->live)),
                     (int)mod_stek_live_ring(ring->live)->key_n,
                     stek_time_text(ring->params.interval, task->pool),
                     stek_time_text(ring->params.lifetime, task->pool),
                     mod_stek_time_text(covered_until(task), task->pool));
    }
}

static void start_ring(mod_stek_task_t *task)
{
    mod_stek_ring_config_t *ring = task->ring;
    apr_status_t rv = mod_stek_live_get(ring, &ring->live);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, task->server,
                     "STEK2013: ring '%s': not enough memory for its keys: its virtual hosts' "
                     "ticket keys do not rotate",
                     ring->name);
        return;
    }
    if (!mod_stek_live_counters(ring->live)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2019: ring '%s': not enough memory for counters: nothing is counted",
                     ring->name);
    }
    rv = start_storage(task);
    mod_stek_storage_prepare_jail(task);
    mod_stek_live_publish(ring->live);
    selftest(task);
    log_state(task, rv);
    log_started(task);
}

/* What children may lock is a limit of User's; root has none. */
static void compare_lock_limit(server_rec *s)
{
    apr_size_t need = 0, limit = stek_mem_lock_limit();
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->live) {
            const stek_secrets_t *secrets = mod_stek_live_secrets(rings[i]->live);

            /* Both copies exist while one replaces the other, each as large as it will get. */
            need += 2 * stek_schedule_keys_n(&rings[i]->params) * STEK_RING_KEY_LEN;
            need += secrets ? stek_mem_size(secrets) : 0;
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
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->live && mod_stek_live_file(rings[i]->live)->path) {
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
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->used) {
            mod_stek_task_t task = {
                .ring = rings[i], .now = apr_time_now(), .server = s, .pool = ptemp};

            start_ring(&task);
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
                         "STEK2034: mpm-itk is loaded: its processes run as root until they know "
                         "the virtual host, and then as that host's user, with the keys of all "
                         "rings: anyone who runs code in one of them has all keys");
        }
    }
    mod_stek_live_inherit(1);
    apr_pool_cleanup_register(pconf, NULL, end_of_configuration, apr_pool_cleanup_null);
}
