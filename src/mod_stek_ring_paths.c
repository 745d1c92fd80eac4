/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a ring is kept.  Glue; parent only, one thread.
 *
 * The administrator's paths are used as they are: if others can write there, or children cannot
 * read what they must, the log names the path.  What is missing is created, for root and httpd's
 * group only.
 */
#include "mod_stek_ring_paths.h"

#include "http_core.h"
#include "http_log.h"
#include "unixd.h"
#include "apr_strings.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mod_stek_live_follow.h"
#include "mod_stek_words.h"
#include "mod_stek_reach.h"
#include "mod_stek_ring_log.h"
#include "stek_claim.h"
#include "stek_secret_file.h"
#include "stek_swappable.h"

APLOG_USE_MODULE(stek_rotate);

static gid_t files_group(void)
{
    return geteuid() == 0 ? ap_unixd_config.group_id : (gid_t)-1;
}

apr_status_t mod_stek_ring_paths_check(const stek_ring_file_t *file, const char **pculprit,
                                       apr_pool_t *pool)
{
    apr_status_t rv = stek_ring_file_check(file, pculprit, pool);

    if (rv == STEK_EFOREIGN) {
        *pculprit = apr_psprintf(pool, "%s %s", file->path, *pculprit);
    }
    return rv;
}

/* The directory of the ring: made, when it is missing, so that only root and httpd's group look in.
 * By descriptor: a name that was good a moment ago may by now be somebody's link. */
static apr_status_t make_directory(const char *path, uid_t owner, const char **pculprit,
                                   apr_pool_t *pool)
{
    const char *dir = stek_file_dir(path, pool);
    apr_status_t rv = stek_file_check_dirs(dir, owner, pculprit, pool);
    int fd;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *pculprit = dir;
    if (mkdir(dir, 0750) != 0) {
        return errno == EEXIST ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
    }
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if ((files_group() != (gid_t)-1 && fchown(fd, (uid_t)-1, files_group()) != 0)
        || fchmod(fd, 0750) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
    }
    close(fd);
    return rv;
}

/* Writes the missing local secret: the one from before the reload, or a new one. */
static apr_status_t make_secret(const mod_stek_task_t *task, int flags)
{
    const mod_stek_ring_config_t *ring = task->ring;
    apr_status_t rv = mod_stek_live_make_secrets(ring->live);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = stek_secret_file_save(ring->secret_path, mod_stek_live_secrets(ring->live),
                               flags | stek_file_fsync_flag(ring->secret_path, task->pool),
                               task->pool);
    if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, task->server,
                     "STEK2008: ring '%s': wrote its local secret %s", ring->name,
                     ring->secret_path);
    }
    return rv;
}

/* Names what is at the secret's path if that is no secret file at all. */
static apr_status_t name_foreign(mod_stek_task_t *task, apr_status_t rv)
{
    const char *path = task->ring->secret_path, *found;

    if ((rv == STEK_ESYNTAX || rv == STEK_ETOOBIG || rv == STEK_EKIND)
        && stek_claim_check(&stek_claim_secret, path, mod_stek_live_file(task->ring->live)->owner,
                            &found, task->pool)
               == STEK_EFOREIGN) {
        task->culprit = apr_psprintf(task->pool, "%s %s", path, found);
        return STEK_EFOREIGN;
    }
    return rv;
}

/* Loads the local secret from its file; creates the file if there is none. */
static apr_status_t load_secret(mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    stek_secrets_t *secrets;
    stek_stamp_t stamp = {0};
    apr_status_t rv = stek_secret_file_load_local(ring->secret_path,
                                                  mod_stek_live_file(ring->live)->owner, &secrets,
                                                  &task->culprit, task->pool);

    if (rv == APR_SUCCESS) {
        rv = mod_stek_live_take_secrets(ring->live, secrets, task->pool);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    else if (APR_STATUS_IS_ENOENT(rv) && ring->generate) {
        rv = make_secret(task, STEK_FILE_EXCLUSIVE);
    }
    else if (rv == STEK_EEMPTY && ring->generate && ring->secret_is_default
             && stek_file_stamp(ring->secret_path, &stamp) == APR_SUCCESS && stamp.size == 0) {
        /* A disk that lost power in the middle of a write; a file with comments is not empty. */
        rv = make_secret(task, 0);
    }
    rv = name_foreign(task, rv);
    if (rv != APR_SUCCESS && !task->culprit) {
        task->culprit = ring->secret_path;
    }
    return rv;
}

/* The user who may own the ring and its secret besides root: the parent's, or the owner of the
 * secret that the administrator names, as with `stekctl sync` under its own user.  Anyone who
 * has the secret could forge the ring anyway; but in a place that others can create, such as a
 * directory below /tmp, anybody could be that user, and httpd's own children must not be it. */
static uid_t trusted_owner(const mod_stek_ring_config_t *ring, apr_pool_t *pool)
{
    struct stat secret;

    if (ring->secret_is_default || !ring->secret_path || geteuid() != 0
        || stat(ring->secret_path, &secret) != 0 || secret.st_uid == ap_unixd_config.user_id
        || stek_path_check_placed(ring->secret_path, secret.st_uid, NULL, pool) != APR_SUCCESS) {
        return geteuid();
    }
    return secret.st_uid;
}

/* Nonzero if the path holds something that is not a ring: nobody is to be told to open a private
 * key to others.  What it is, is logged when it is read. */
static int is_no_ring(const stek_ring_file_t *file, apr_pool_t *pool)
{
    unsigned char *sealed = NULL;
    apr_size_t len;
    apr_status_t rv = stek_ring_file_read(file, &sealed, &len, NULL, NULL, pool);

    free(sealed);
    return rv == STEK_EMAGIC || rv == STEK_ELENGTH || rv == STEK_ETOOBIG || rv == STEK_EKIND;
}

/* Whether children will follow the ring.  A ring that we write can go elsewhere instead; only its
 * writer can fix one that others write. */
static apr_status_t reach(mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    apr_status_t rv = APR_SUCCESS;

    if (geteuid() == 0) {
        rv = mod_stek_reach_check(ring->path, !ring->generate, &task->culprit, task->pool);
    }
    if (rv == APR_SUCCESS || ring->generate) {
        task->shut_out = rv != APR_SUCCESS;
        return rv;
    }
    if (is_no_ring(mod_stek_live_file(ring->live), task->pool)) {
        task->culprit = NULL;
        return APR_SUCCESS;
    }
    ap_log_error(
        APLOG_MARK, APLOG_WARNING, 0, task->server,
        "STEK2017: ring '%s': %s; no tickets will be issued once the existing keys run out; "
        "give httpd's User or Group access, then reload",
        ring->name, task->culprit);
    task->culprit = NULL;
    return APR_SUCCESS;
}

/* Whether the directories that path is in are trusted; not where a link at path itself leads, since
 * each read follows and checks it. */
static apr_status_t check_read(const char *path, uid_t owner, const char **pculprit,
                               apr_pool_t *pool)
{
    return stek_file_check_dirs(apr_pstrcat(pool, stek_file_dir(path, pool), "/.", NULL), owner,
                                pculprit, pool);
}

/* As check_read. Whose directory it may be, only the secret tells: where that is missing, the directory
 * is not at fault, and to give it to root would stop whoever is to write there. */
static apr_status_t check_written_elsewhere(mod_stek_task_t *task, uid_t owner)
{
    const mod_stek_ring_config_t *ring = task->ring;
    apr_status_t rv = check_read(ring->path, owner, &task->culprit, task->pool);
    struct stat secret;

    if (rv == STEK_EPERM && stat(ring->secret_path, &secret) != 0 && errno == ENOENT) {
        task->culprit = ring->secret_path;
        return APR_FROM_OS_ERROR(ENOENT);
    }
    return rv;
}

/* Sets the live keyring's file to the configured path; APR_SUCCESS if a ring can be kept there. */
static apr_status_t open_path(mod_stek_task_t *task)
{
    mod_stek_ring_config_t *ring = task->ring;
    uid_t owner = trusted_owner(ring, task->pool);
    /* The secret of a ring in memory is in no file: no ring is written to a file under it. */
    int has_stored = mod_stek_live_file(ring->live)->path && mod_stek_live_secrets(ring->live);
    apr_status_t rv = APR_SUCCESS;

    mod_stek_live_open_path(ring->live, owner, files_group());
    if (ring->generate) {
        rv = make_directory(ring->path, owner, &task->culprit, task->pool);
    }
    if (rv == APR_SUCCESS) {
        task->culprit = NULL;
        rv = ring->generate ? mod_stek_ring_paths_check(mod_stek_live_file(ring->live),
                                                        &task->culprit, task->pool)
                            : check_written_elsewhere(task, owner);
    }
    if (rv == APR_SUCCESS) {
        rv = reach(task);
    }
    if (rv == APR_SUCCESS) {
        rv = load_secret(task);
        if (rv != APR_SUCCESS && has_stored) {
            task->secret_status = rv;
            mod_stek_ring_log_secret(task);
            rv = APR_SUCCESS;
        }
    }
    return rv;
}

/* Memory that is swapped is a disk, too. */
static void warn_swap(const mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    mod_stek_logged_t *logged = mod_stek_live_logged(ring->live);
    const char *path = NULL;

    if (stek_swappable_file(ring->path, task->pool)) {
        path = ring->path;
    }
    else if (stek_swappable_file(ring->secret_path, task->pool)) {
        path = ring->secret_path;
    }
    if (path && !logged->swap) {
        logged->swap = 1;
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, task->server,
            "STEK2020: ring '%s': %s is on a tmpfs that may be swapped out: anyone who can read "
            "the swap space may find old keys; mount it with noswap (Linux 6.4 and later), or use "
            "encrypted swap or none",
            ring->name, path);
    }
}

static void warn_disk(const mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    mod_stek_logged_t *logged = mod_stek_live_logged(ring->live);
    const char *path = NULL;

    if (!stek_file_in_memory(ring->path, task->pool)) {
        path = ring->path;
    }
    else if (!stek_file_in_memory(ring->secret_path, task->pool)) {
        path = ring->secret_path;
    }
    if (path && !logged->disk) {
        logged->disk = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2010: ring '%s': %s is not on a memory file system (tmpfs): anyone who "
                     "gets the disk may find old keys; move it to a tmpfs",
                     ring->name, path);
    }
}

apr_status_t mod_stek_ring_paths_open(mod_stek_task_t *task)
{
    apr_status_t rv = open_path(task);

    if (rv == APR_SUCCESS) {
        warn_disk(task);
        warn_swap(task);
    }
    return rv;
}

const mod_stek_ring_config_t *mod_stek_ring_paths_twin(const mod_stek_ring_config_t *ring,
                                                       apr_pool_t *pool)
{
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);
    struct stat dir, other;

    if (stat(stek_file_dir(ring->path, pool), &dir) != 0) {
        return NULL;
    }
    for (i = 0; i < n; i++) {
        const char *path = rings[i]->live && rings[i] != ring
                               ? mod_stek_live_file(rings[i]->live)->path
                               : NULL;

        if (path && strcmp(stek_file_base(path), stek_file_base(ring->path)) == 0
            && stat(stek_file_dir(path, pool), &other) == 0 && other.st_dev == dir.st_dev
            && other.st_ino == dir.st_ino) {
            return rings[i];
        }
    }
    return NULL;
}

void mod_stek_ring_paths_prepare_jail(const mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    apr_status_t why, rv;

    if (!ap_unixd_config.chroot_dir || !mod_stek_live_file(ring->live)->path) {
        return;
    }
    mod_stek_live_logged(ring->live)->lost_jail = 0;
    rv = mod_stek_live_prepare_jail(ring->live, &why, task->pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, task->server,
            "STEK2035: ring '%s': httpd's children in ChrootDir cannot see changes to %s (%s): "
            "they keep the keys that they start with, even revoked ones; reload httpd after every "
            "revocation",
            ring->name, ring->path, mod_stek_error_text(rv, task->pool));
    }
    else if (why != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->server,
                     "STEK2031: ring '%s': httpd's children in ChrootDir cannot see %s (%s): the "
                     "parent passes changes on, so a revocation takes effect up to 10s later than "
                     "poll= says",
                     ring->name, ring->path,
                     why == STEK_EFOREIGN
                         ? "its directory contains other files; give the ring its own directory"
                         : mod_stek_error_text(why, task->pool));
    }
}

apr_status_t mod_stek_ring_paths_late_secret(mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    apr_status_t rv;

    mod_stek_live_set_owner(ring->live, trusted_owner(ring, task->pool));
    rv = load_secret(task);
    if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, task->server,
                     "STEK2018: ring '%s': its secret %s has appeared; only new children have it; "
                     "reload httpd, so that all children have it",
                     ring->name, ring->secret_path);
    }
    return rv;
}

void mod_stek_ring_paths_keep_secret(mod_stek_task_t *task)
{
    const mod_stek_ring_config_t *ring = task->ring;
    stek_secrets_t *secrets = NULL;
    struct stat secret;

    if (!mod_stek_live_file(ring->live)->path || !mod_stek_live_secrets(ring->live)) {
        return;
    }
    if (stat(ring->secret_path, &secret) != 0 && errno == ENOENT) {
        task->secret_status = load_secret(task);
    }
    else if (mod_stek_live_logged(ring->live)->secret_at != 0) {
        task->secret_status = name_foreign(
            task,
            stek_secret_file_load_local(ring->secret_path, mod_stek_live_file(ring->live)->owner,
                                        &secrets, &task->culprit, task->pool));
        task->culprit = task->culprit ? task->culprit : ring->secret_path;
        stek_secrets_destroy(secrets);
    }
}

apr_status_t mod_stek_ring_paths_read(mod_stek_task_t *task)
{
    mod_stek_live_t *live = task->ring->live;
    apr_status_t rv = mod_stek_live_refresh(live, task->now, 0, &task->culprit, task->pool), why;

    if (rv != STEK_ESECRET || !mod_stek_live_file(live)->path) {
        return rv;
    }
    why = load_secret(task);
    if (why != APR_SUCCESS) {
        task->culprit = apr_psprintf(task->pool, "%s (secret %s: %s)", task->ring->path,
                                     mod_stek_ring_describe(task, task->culprit, why),
                                     mod_stek_error_text(why, task->pool));
        return rv;
    }
    if (mod_stek_live_refresh(live, task->now, 1, &task->culprit, task->pool) != APR_SUCCESS) {
        return rv;
    }
    ap_log_error(
        APLOG_MARK, APLOG_NOTICE, 0, task->server,
        "STEK2037: ring '%s': sealed with a new secret, now in %s; httpd's parent uses that "
        "secret, but running children cannot open the ring: reload httpd",
        task->ring->name, task->ring->secret_path);
    return APR_SUCCESS;
}
