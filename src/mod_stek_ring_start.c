/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings at start and reload (mod_stek_ring_start.h).  Glue; parent only, one thread.
 */
#include "mod_stek_ring_start.h"

#include "http_core.h"
#include "http_log.h"
#include <unistd.h>

#include "mod_stek_live_follow.h"
#include "mod_stek_words.h"
#include "mod_stek_phase.h"
#include "mod_stek_ring_log.h"
#include "mod_stek_ring_paths.h"
#include "mod_stek_ring_write.h"
#include "mod_stek_ticket.h"
#include "mod_stek_vhost.h"
#include "stek_mem.h"
#include "stek_time.h"

APLOG_USE_MODULE(stek_rotate);

#define START_LOCK_WAIT apr_time_from_msec(300)

/* Reads the ring, and writes it if we generate. */
static apr_status_t start_with_file(mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    apr_status_t rv = mod_stek_live_refresh(live, task->now, 1, &task->culprit, task->pool);
    int flags = stek_file_fsync_flag(mod_stek_live_file(live)->path, task->pool);

    if (!task->ring->generate || (rv == APR_SUCCESS && !mod_stek_ring_needs_writing(task, rv))) {
        return rv;
    }
    rv = mod_stek_ring_write(task, START_LOCK_WAIT, flags);
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
    return rv == STEK_EFOREIGN ? "; name another file, or move this one out of the way, then reload"
           : rv == STEK_ESHARED ? "; name a directory that only root can write to, then reload"
           : rv == STEK_EFLEET  ? "; point secret= at another file, or leave it out, then reload"
                                : "; fix this, then reload";
}

static apr_status_t start_storage(mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring, *twin;
    apr_status_t rv;

    if (!ring->path || mod_stek_one_process()) {
        return start_in_memory(task);
    }
    twin = mod_stek_ring_paths_twin(ring, task->pool);
    if (twin) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, task->server,
                     "STEK2030: ring '%s': %s is also the file of ring '%s', under another path; "
                     "keeping ring '%s' in memory: its keys survive reloads, but are lost when "
                     "httpd stops; name another file",
                     ring->name, ring->path, twin->name, ring->name);
        return start_in_memory(task);
    }
    rv = mod_stek_ring_paths_open(task);
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
                 "reloads, but are lost when httpd stops%s",
                 ring->name,
                 mod_stek_ring_describe(task, task->culprit ? task->culprit : ring->path, rv),
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
                     "STEK2012: ring '%s': the self-test failed: a ticket sealed for %s cannot be "
                     "decrypted with the audited key, so httpd issues no tickets; look for other "
                     "modules that set ticket callbacks",
                     task->ring->name, mod_stek_server_text(vhost->server, task->pool));
    }
}

static void log_started(const mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    int key_n = (int)mod_stek_live_ring(ring->live)->key_n;

    if (mod_stek_live_can_issue(ring->live, task->now)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, task->server,
                     "STEK2014: ring '%s' (%s): %d key%s, interval %s, lifetime %s, keys prepared "
                     "until %s",
                     ring->name, stek_ring_file_name(mod_stek_live_file(ring->live)), key_n,
                     key_n == 1 ? "" : "s", stek_time_text(ring->params.interval, task->pool),
                     stek_time_text(ring->params.lifetime, task->pool),
                     mod_stek_time_text(mod_stek_ring_covered_until(task), task->pool));
    }
}

void mod_stek_ring_start_log_lost(mod_stek_ring_config_t *ring, server_rec *s, apr_time_t now)
{
    if (now >= ring->lost_at && now - ring->lost_at < apr_time_from_sec(60)) {
        return;
    }
    ring->lost_at = now;
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "STEK2013: ring '%s': not enough memory for its keys, so its virtual hosts issue "
                 "no tickets; free memory, then reload",
                 ring->name);
}

static void start_ring(mod_stek_task_t *task)
{
    mod_stek_ring_config_t *ring = task->ring;
    apr_status_t rv = mod_stek_live_get(ring, &ring->live);

    if (rv != APR_SUCCESS) {
        mod_stek_ring_start_log_lost(ring, task->server, task->now);
        return;
    }
    if (!mod_stek_live_counters(ring->live)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2019: ring '%s': not enough memory for its counters, so its handshakes "
                     "are not counted; free memory, then stop and start httpd",
                     ring->name);
    }
    rv = start_storage(task);
    mod_stek_ring_paths_prepare_jail(task);
    mod_stek_live_publish(ring->live);
    selftest(task);
    mod_stek_ring_log_state(task, rv);
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
                     "STEK2015: the locked-memory limit is %" APR_SIZE_T_FMT " bytes, but the keys "
                     "need %" APR_SIZE_T_FMT ", so they may be swapped out; raise LimitMEMLOCK= or "
                     "ulimit -l, then stop and start httpd",
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
                 "STEK2016: httpd was not started as root, so parent and children run as the same "
                 "user: %s; start httpd as root and set User",
                 any_in_file() ? "they can read the local secret and write rings"
                               : "file permissions do not keep that user's programs away from the "
                                 "parent's keys");
}

void mod_stek_ring_start_all(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s)
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
                         "STEK2034: mpm-itk is loaded; its processes run as root until they know "
                         "the virtual host, and then as that host's user, but always have the keys "
                         "of all rings, so anyone who runs code in one of them has every key");
        }
    }
    mod_stek_live_inherit(1);
    apr_pool_cleanup_register(pconf, NULL, end_of_configuration, apr_pool_cleanup_null);
}
