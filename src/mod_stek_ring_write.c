/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the parent writes a ring (mod_stek_ring_write.h).  Glue; parent only, one thread.
 *
 * A held lock does not stop rotation: when the prepared keys run low, the parent writes without it.
 * That is safe, because every writer merges, and the parent restores what a late writer overwrites, and
 * takes in what it has overwritten itself.
 */
#include "mod_stek_ring_write.h"

#include "http_log.h"
#include "apr_strings.h"

#include "mod_stek_live_follow.h"
#include "mod_stek_words.h"
#include "mod_stek_ring_log.h"
#include "mod_stek_ring_paths.h"
#include "mod_stek_ring_refused.h"
#include "stek_health.h"
#include "stek_ring_aside.h"

APLOG_USE_MODULE(stek_rotate);

/* So often a ring is written in a row. */
#define UNLOCKED_TRIES 3

/* Adds the keys that the schedule asks for and writes the ring.  Keys that cannot be written are
 * dropped: children would not learn of them, and the parent would not notice that they run out. */
static apr_status_t extend_and_save(const mod_stek_task_t *task, int locked, int flags)
{
    const mod_stek_ring_config_t *ring = task->ring;
    const stek_ring_t *from = mod_stek_live_ring(ring->live);
    stek_ring_t *next;
    apr_size_t made_n, key_n;
    apr_uint64_t generation = stek_ring_next_generation(from->generation);
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
    rv = locked ? mod_stek_live_save(ring->live, next, flags, task->pool)
                : mod_stek_live_save_unlocked(ring->live, next, flags, task->now, task->pool);
    if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, task->server,
                     "STEK2006: ring '%s': generation %" APR_UINT64_T_FMT
                     ", %d key%s made, %d in all",
                     ring->name, generation, (int)made_n, made_n == 1 ? "" : "s", (int)key_n);
    }
    return rv;
}

/* Without the lock, again while it has merged in another writer's ring, which the file then lacks. */
static apr_status_t save(const mod_stek_task_t *task, int locked, int flags)
{
    int tries = locked ? 1 : UNLOCKED_TRIES;
    apr_status_t rv;

    do {
        rv = extend_and_save(task, locked, flags);
    } while (rv == APR_SUCCESS && mod_stek_live_is_dirty(task->ring->live) && --tries > 0);
    return rv;
}

/* Nonzero if the existing keys are running out: waiting for a lock must end. */
static int is_urgent(const mod_stek_task_t *task)
{
    return mod_stek_ring_covered_until(task)
           < task->now + stek_schedule_horizon(&task->ring->params) / 2;
}

/* Takes the ring's lock, or continues without it when rotation would have to wait too long. */
static apr_status_t take_lock(mod_stek_task_t *task, apr_interval_time_t wait, stek_lock_t *lock)
{
    const char *path = mod_stek_live_file(task->ring->live)->path;
    pid_t holder = 0;
    apr_status_t rv = stek_lock_take(path, wait, lock, &holder, task->pool);

    if (rv == STEK_EFOREIGN || rv == STEK_EKIND) {
        task->culprit = apr_psprintf(task->pool, "%s.lock is not a lock file", path);
        return STEK_EFOREIGN;
    }
    if (rv == STEK_EPERM) {
        task->culprit = apr_pstrcat(task->pool, path, ".lock", NULL);
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
    apr_status_t rv = mod_stek_ring_paths_read(task);

    if (stek_ring_is_refused(rv)) {
        return mod_stek_live_file(live)->path ? mod_stek_ring_set_aside(task, rv) : APR_SUCCESS;
    }
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

apr_status_t mod_stek_ring_write(mod_stek_task_t *task, apr_interval_time_t lock_wait, int flags)
{
    const stek_ring_file_t *file = mod_stek_live_file(task->ring->live);
    stek_lock_t lock = {-1};
    apr_status_t rv = APR_SUCCESS;

    if (file->path) {
        /* Before anything is created there: the lock, too, is a file. */
        rv = mod_stek_ring_paths_check(file, &task->culprit, task->pool);
        if (rv == APR_SUCCESS) {
            rv = take_lock(task, lock_wait, &lock);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = clear_path(task);
    }
    if (rv == APR_SUCCESS) {
        rv = save(task, !file->path || lock.fd >= 0, flags);
    }
    stek_lock_release(&lock);
    return rv;
}

int mod_stek_ring_needs_writing(const mod_stek_task_t *task, apr_status_t load_status)
{
    const mod_stek_live_t *live = task->ring->live;
    const stek_ring_t *ring = mod_stek_live_ring(live);
    stek_slot_t slot;

    /* A ring from the future is what this clock has left that was ahead: health must not go on to blame
     * a clock that is right. */
    return stek_schedule_missing(ring, &task->ring->params, task->now, &slot)
           || ring->written_at > task->now + STEK_HEALTH_CLOCK_SLACK
           || APR_STATUS_IS_ENOENT(load_status)
           || (load_status == APR_SUCCESS && mod_stek_live_is_dirty(live));
}
