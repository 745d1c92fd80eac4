/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says about a ring that has a problem (mod_stek_ring_log.h).  Glue; parent only, one thread.
 */
#include "mod_stek_ring_log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http_log.h"
#include "apr_hash.h"
#include "apr_strings.h"

#include "mod_stek_live_follow.h"
#include "mod_stek_words.h"
#include "stek_owner.h"
#include "stek_schedule.h"

APLOG_USE_MODULE(stek_rotate);

#define REMIND_AFTER apr_time_from_sec(60)

/* The part of the path that should be a directory and is none; NULL if that is not what is wrong. */
static const char *no_dir_of(const char *path, apr_pool_t *pool)
{
    const char *dir = stek_file_dir(path, pool);
    struct stat at;

    while (strchr(dir + 1, '/') && stat(dir, &at) != 0 && errno == ENOTDIR) {
        dir = stek_file_dir(dir, pool);
    }
    return stat(dir, &at) == 0 && !S_ISDIR(at.st_mode) ? dir : NULL;
}

const char *mod_stek_ring_describe(const mod_stek_task_t *task, const char *path, apr_status_t rv)
{
    const char *missing, *no_dir = APR_STATUS_IS_ENOTDIR(rv) ? no_dir_of(path, task->pool) : NULL;

    if (no_dir) {
        return apr_psprintf(task->pool, "%s (%s is no directory; move it away)", path, no_dir);
    }
    if (APR_STATUS_IS_EACCES(rv) && geteuid() == 0 && !task->shut_out) {
        return apr_psprintf(
            task->pool,
            "%s (root is denied this: look in the kernel's log for what AppArmor or SELinux "
            "denied)",
            path);
    }
    if (rv == STEK_EPERM || rv == STEK_ESHARED) {
        return stek_owner_describe(path, mod_stek_live_file(task->ring->live)->owner, task->pool);
    }
    missing = APR_STATUS_IS_ENOENT(rv) ? stek_path_missing_dir(path, task->pool) : NULL;
    return missing
               ? apr_psprintf(task->pool,
                              "%s (directory %s does not exist; to make it: install -d -m 755 %s)",
                              path, missing, stek_file_dir(path, task->pool))
               : path;
}

static const char *culprit_of(const mod_stek_task_t *task, apr_status_t rv)
{
    return mod_stek_ring_describe(
        task,
        task->culprit ? task->culprit : stek_ring_file_name(mod_stek_live_file(task->ring->live)),
        rv);
}

static unsigned text_hash(const char *text)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    return apr_hashfunc_default(text, &len);
}

apr_time_t mod_stek_ring_covered_until(const mod_stek_task_t *task)
{
    return stek_schedule_covered_until(mod_stek_live_ring(task->ring->live), task->now);
}

static const char *remedy(apr_status_t rv, int generate)
{
    return rv == STEK_EMAGIC || rv == STEK_ELENGTH || rv == STEK_ETOOBIG || rv == STEK_EKIND
               ? (generate ? "move it away, and httpd writes a new ring"
                           : "move it away, and check what writes the ring")
           : APR_STATUS_IS_ENOSPC(rv) ? "free some space"
                                      : "fix this";
}

static const char *keyless_remedy(apr_status_t rv, int generate)
{
    return rv == APR_SUCCESS ? "check the clock and, with generate=off, what writes the ring"
           : generate        ? remedy(rv, generate)
                             : "fix this, or check what writes the ring";
}

static void log_problem(const mod_stek_task_t *task, apr_status_t rv, int keyless)
{
    const char *name = task->ring->name;

    if (keyless) {
        ap_log_error(
            APLOG_MARK, APLOG_ERR, 0, task->server,
            "STEK2002: ring '%s' has no current key, so clients get no tickets%s%s%s%s; %s", name,
            rv == APR_SUCCESS ? "" : ": ", rv == APR_SUCCESS ? "" : culprit_of(task, rv),
            rv == APR_SUCCESS ? "" : ": ",
            rv == APR_SUCCESS ? "" : mod_stek_error_text(rv, task->pool),
            keyless_remedy(rv, task->ring->generate));
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2003: ring '%s': %s: %s; existing keys stay in use; tickets can be "
                     "issued until %s; before then, %s",
                     name, culprit_of(task, rv), mod_stek_error_text(rv, task->pool),
                     mod_stek_time_text(mod_stek_ring_covered_until(task), task->pool),
                     remedy(rv, task->ring->generate));
    }
}

/* Logs once that keys are ignored, and again if there are more. */
static void log_left_out(const mod_stek_task_t *task)
{
    mod_stek_logged_t *logged = mod_stek_live_logged(task->ring->live);
    apr_size_t n = mod_stek_live_left_out(task->ring->live);

    if (n > logged->left_out_n) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, task->server,
            "STEK2036: ring '%s': %s: %d key%s ignored: the ring is full (limit %d), or %s too far "
            "in the future; check the clocks of all hosts that write the ring; if they are right, use a "
            "longer interval or a shorter lifetime",
            task->ring->name, stek_ring_file_name(mod_stek_live_file(task->ring->live)), (int)n,
            n == 1 ? "" : "s", STEK_KEYS_MAX, n == 1 ? "it begins" : "they begin");
    }
    logged->left_out_n = n;
}

void mod_stek_ring_log_secret(const mod_stek_task_t *task)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                 "STEK2009: ring '%s': secret %s: %s; the previous secret stays in use; repair the "
                 "file before you stop httpd, or all existing tickets are lost",
                 task->ring->name, mod_stek_ring_describe(task, task->culprit, task->secret_status),
                 mod_stek_error_text(task->secret_status, task->pool));
    mod_stek_live_logged(task->ring->live)->secret_at = task->now;
}

/* The ring works; its secret may be gone. */
static void log_good(const mod_stek_task_t *task, mod_stek_logged_t *logged)
{
    if (task->secret_status != APR_SUCCESS) {
        if (task->now < logged->secret_at || task->now - logged->secret_at >= REMIND_AFTER) {
            mod_stek_ring_log_secret(task);
        }
        return;
    }
    if (logged->status != APR_SUCCESS || logged->secret_at != 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, task->server, "STEK2001: ring '%s' has recovered",
                     task->ring->name);
    }
    logged->status = APR_SUCCESS;
    logged->secret_at = 0;
}

void mod_stek_ring_log_state(const mod_stek_task_t *task, apr_status_t rv)
{
    mod_stek_live_t *live = task->ring->live;
    mod_stek_logged_t *logged = mod_stek_live_logged(live);
    int keyless = !mod_stek_live_can_issue(live, task->now);
    /* A ring without a current key is a different problem from the same ring with one. */
    apr_status_t status = keyless ? -1 - rv : rv;
    unsigned hash;

    mod_stek_count_look(mod_stek_live_counters(live), rv, task->now);
    log_left_out(task);
    if (rv == APR_SUCCESS) {
        logged->refused = APR_SUCCESS;
    }
    if (status == APR_SUCCESS) {
        log_good(task, logged);
        return;
    }
    /* Who has mended the first of two faults is told of the second at once; not of each process that
     * holds the lock. */
    hash = text_hash(rv == APR_SUCCESS || rv == STEK_ELOCKED ? "" : culprit_of(task, rv));
    if (status == logged->status && hash == logged->status_hash && task->now >= logged->status_at
        && task->now - logged->status_at < REMIND_AFTER) {
        return;
    }
    logged->status = status;
    logged->status_hash = hash;
    logged->status_at = task->now;
    log_problem(task, rv, keyless);
}
