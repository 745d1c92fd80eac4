/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings that were refused (mod_stek_ring_refused.h).  Glue; parent only, one thread.
 */
#include "mod_stek_ring_refused.h"

#include "http_log.h"
#include "apr_strings.h"

#include "mod_stek_live_follow.h"
#include "mod_stek_words.h"
#include "stek_error.h"
#include "stek_ring_aside.h"

APLOG_USE_MODULE(stek_rotate);

/* The monitor hook tries again and again: once for each cause. */
static void log_stuck(const mod_stek_task_t *task, apr_status_t why, apr_status_t rv,
                      const char *aside)
{
    const mod_stek_ring_config_t *ring = task->ring;
    mod_stek_logged_t *logged = mod_stek_live_logged(ring->live);

    if (logged->refused != why || logged->stuck != rv) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, task->server,
                     "STEK2005: ring '%s': httpd refused %s: %s; moving it to %s failed; move it "
                     "yourself, and check the directory's permissions",
                     ring->name, ring->path, mod_stek_error_text(why, task->pool),
                     aside ? aside : "another name");
    }
    logged->refused = why;
    logged->stuck = rv;
}

/* Where httpd still has the ring's keys, as after a reload with a new secret, nothing is lost. */
static const char *what_follows(const mod_stek_task_t *task, apr_status_t why)
{
    if (mod_stek_live_ring(task->ring->live)->key_n > 0) {
        return "will write it again with the keys that it has in memory";
    }
    return why == STEK_ESECRET
               ? "will write a new ring; to get the old keys back, point secret= at the previous "
                 "secret, move the refused file back, and reload"
               : "will write a new ring";
}

apr_status_t mod_stek_ring_set_aside(mod_stek_task_t *task, apr_status_t why)
{
    const mod_stek_ring_config_t *ring = task->ring;
    const char *aside = NULL;
    apr_status_t rv = stek_ring_set_aside(mod_stek_live_file(ring->live), task->now, &aside,
                                          task->pool);

    if (rv == STEK_EFOREIGN) {
        task->culprit = apr_psprintf(task->pool, "%s %s", ring->path, aside);
    }
    else if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2004: ring '%s': httpd refused %s: %s; moved it to %s and %s", ring->name,
                     ring->path, mod_stek_error_text(why, task->pool), aside,
                     what_follows(task, why));
    }
    else if (!APR_STATUS_IS_ENOENT(rv)) {
        log_stuck(task, why, rv, aside);
    }
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}
