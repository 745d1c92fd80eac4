/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor hook: the parent looks after its rings (mod_stek_monitor.h).  Glue; one thread.
 *
 * The hook runs in the MPM's maintenance loop, so it tries locks and never waits, does no fsync and
 * works in its own pool.
 */
#include "mod_stek_monitor.h"

#include "http_log.h"

#include "mod_stek_live_follow.h"
#include "mod_stek_ring_log.h"
#include "mod_stek_ring_paths.h"
#include "mod_stek_ring_start.h"
#include "mod_stek_ring_write.h"

APLOG_USE_MODULE(stek_rotate);

/* Children in ChrootDir see what the parent gives them. */
static void serve_jail(const mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    mod_stek_logged_t *logged = mod_stek_live_logged(live);

    mod_stek_live_publish(live);
    if (!logged->lost_jail && stek_ring_file_jail_is_left(mod_stek_live_file(live), task->pool)) {
        logged->lost_jail = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2032: ring '%s': the directory of %s was re-created; httpd's children in "
                     "ChrootDir still see the previous one, so they miss changes; reload httpd",
                     task->ring->name, task->ring->path);
    }
}

static void tick(mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    apr_status_t rv = APR_SUCCESS;

    if (!mod_stek_live_secrets(live) && mod_stek_live_file(live)->path) {
        rv = mod_stek_ring_paths_late_secret(task);
    }
    if (rv == APR_SUCCESS) {
        rv = mod_stek_ring_paths_read(task);
    }
    if (task->ring->generate && mod_stek_live_secrets(live)
        && mod_stek_ring_needs_writing(task, rv)) {
        /* Once: while it cannot be written, either, the reason for that is the news. */
        if (APR_STATUS_IS_ENOENT(rv) && mod_stek_live_logged(live)->status == APR_SUCCESS) {
            mod_stek_ring_log_state(task, rv);
        }
        rv = mod_stek_ring_write(task, 0, 0);
    }
    if (rv == APR_SUCCESS) {
        mod_stek_ring_paths_keep_secret(task);
    }
    mod_stek_ring_log_state(task, rv);
    serve_jail(task);
}

int mod_stek_monitor(apr_pool_t *p, server_rec *s)
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
        else if (rings[i]->lost_at) {
            mod_stek_ring_start_log_lost(rings[i], s, now);
        }
    }
    apr_pool_destroy(pool);
    return DECLINED;
}
