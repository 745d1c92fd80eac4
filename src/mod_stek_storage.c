/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a ring is kept.  Glue; parent only, one thread.
 *
 * The administrator's paths are taken as they are found: whoever else could write there, or could
 * not read what children must, is named.  What is missing is made, for root and httpd's group only.
 */
#include "mod_stek_storage.h"

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

#include "mod_stek_live.h"
#include "mod_stek_log.h"
#include "mod_stek_reach.h"
#include "stek_claim.h"
#include "stek_swap.h"

APLOG_USE_MODULE(stek_rotate);

static gid_t files_group(void)
{
    return geteuid() == 0 ? ap_unixd_config.group_id : (gid_t)-1;
}

apr_status_t mod_stek_storage_check(const stek_ring_file_t *file, const char **pculprit,
                                    apr_pool_t *pool)
{
    apr_status_t rv = stek_ring_file_check(file, pculprit, pool);

    if (rv == STEK_EFOREIGN) {
        *pculprit = apr_psprintf(pool, "%s %s", file->path, *pculprit);
    }
    return rv;
}

static void warn_found(const mod_stek_ring_t *ring, const stek_claim_t *claim, const char *path,
                       server_rec *s, apr_pool_t *pool)
{
    const char *found;
    struct stat st;

    /* A link is in the way of a writer only. */
    if (lstat(path, &st) != 0
        || (S_ISLNK(st.st_mode) && (!ring->generate || claim != &stek_claim_ring))) {
        return;
    }
    /* Whose it is counts later: configtest may run as another user. */
    if (stek_claim_check(claim, path, st.st_uid, &found, pool) == STEK_EFOREIGN) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK1009: StekRing: ring '%s': %s %s: httpd will leave it as it is and keep "
                     "no keys there; name another file, or move it away",
                     ring->name, path, found);
    }
}

/* A ring that the secret does not open would be moved out of the way at a start. */
static void warn_unsealed(const mod_stek_ring_t *ring, server_rec *s, apr_pool_t *pool)
{
    stek_secrets_t *secrets = NULL;
    stek_ring_t *stored = NULL;
    stek_ring_file_t file;
    struct stat of_ring, of_secret;

    if (stat(ring->path, &of_ring) != 0 || stat(ring->secret_path, &of_secret) != 0
        || stek_secret_file_load_local(ring->secret_path, of_secret.st_uid, &secrets, NULL, pool)
               != APR_SUCCESS) {
        return;
    }
    stek_ring_file_init(&file, ring->path, of_ring.st_uid, (gid_t)-1);
    if (stek_ring_file_load(&file, secrets, &stored, NULL, NULL, pool) == STEK_ESECRET) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK1010: StekRing: ring '%s': %s is sealed under a secret that %s does not "
                     "hold: httpd would %s; check file= and secret=",
                     ring->name, ring->path, ring->secret_path,
                     ring->generate ? "move the ring aside and its tickets would end"
                                    : "not use it");
    }
    stek_ring_destroy(stored);
    stek_secrets_destroy(secrets);
}

int mod_stek_storage_configtest(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                                server_rec *s)
{
    int i, n;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);

    (void)pconf;
    (void)plog;
    for (i = 0; ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST && i < n; i++) {
        if (rings[i]->path) {
            warn_found(rings[i], &stek_claim_ring, rings[i]->path, s, ptemp);
        }
        if (rings[i]->path && rings[i]->secret_path) {
            warn_found(rings[i], &stek_claim_secret, rings[i]->secret_path, s, ptemp);
            warn_unsealed(rings[i], s, ptemp);
        }
    }
    return OK;
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

/* Writes the local secret where there is none: the one from before the reload, or a new one. */
static apr_status_t make_secret(mod_stek_ring_t *ring, int flags, server_rec *s, apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    stek_secrets_t *secrets;
    apr_status_t rv = APR_SUCCESS;

    if (!live->secrets) {
        rv = stek_secrets_make(0, stek_rng_system, &secrets);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        mod_stek_live_set_secrets(live, secrets);
    }
    rv = stek_secret_file_save(ring->secret_path, live->secrets,
                               flags | stek_file_fsync_flag(ring->secret_path, pool), pool);
    if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, "STEK2008: ring '%s': wrote its local secret %s",
                     ring->name, ring->secret_path);
    }
    return rv;
}

/* Says what stands at the secret's path if that is no secret file at all. */
static apr_status_t name_foreign(const mod_stek_ring_t *ring, apr_status_t rv,
                                 const char **pculprit, apr_pool_t *pool)
{
    const char *found;

    if ((rv == STEK_ESYNTAX || rv == STEK_ETOOBIG || rv == STEK_EKIND)
        && stek_claim_check(&stek_claim_secret, ring->secret_path, ring->live->file.owner, &found,
                            pool)
               == STEK_EFOREIGN) {
        *pculprit = apr_psprintf(pool, "%s %s", ring->secret_path, found);
        return STEK_EFOREIGN;
    }
    return rv;
}

/* Takes the local secret from its file; makes the file if there is none. */
static apr_status_t load_secret(mod_stek_ring_t *ring, const char **pculprit, server_rec *s,
                                apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    stek_secrets_t *secrets;
    stek_stamp_t stamp = {0};
    apr_status_t rv = stek_secret_file_load_local(ring->secret_path, live->file.owner, &secrets,
                                                  pculprit, pool);

    if (rv == APR_SUCCESS) {
        rv = mod_stek_live_compare_secrets(live, secrets, pool);
        if (rv != APR_SUCCESS) {
            stek_secrets_destroy(secrets);
            return rv;
        }
        live->dirty |= !live->secrets || !stek_secrets_equal(live->secrets, secrets);
        mod_stek_live_set_secrets(live, secrets);
    }
    else if (APR_STATUS_IS_ENOENT(rv) && ring->generate) {
        rv = make_secret(ring, STEK_FILE_EXCLUSIVE, s, pool);
    }
    else if (rv == STEK_EEMPTY && ring->generate && ring->secret_is_default
             && stek_file_stamp(ring->secret_path, &stamp) == APR_SUCCESS && stamp.size == 0) {
        /* A disk that lost power in the middle of a write; somebody's comments are more than that. */
        rv = make_secret(ring, 0, s, pool);
    }
    rv = name_foreign(ring, rv, pculprit, pool);
    if (rv != APR_SUCCESS && !*pculprit) {
        *pculprit = ring->secret_path;
    }
    return rv;
}

/* Who besides root may own the ring and its secret: the parent's user, or the one who owns the
 * secret that the administrator names, as `stekctl sync` under its own user does.  Who has the
 * secret could forge the ring anyway; but a place that others can make for themselves, such as a
 * directory below /tmp, would let anybody be that user, and httpd's own children must not be it. */
static uid_t trusted_owner(const mod_stek_ring_t *ring, apr_pool_t *pool)
{
    struct stat secret;

    if (ring->secret_is_default || !ring->secret_path || geteuid() != 0
        || stat(ring->secret_path, &secret) != 0 || secret.st_uid == ap_unixd_config.user_id
        || stek_path_check_placed(ring->secret_path, secret.st_uid, NULL, pool) != APR_SUCCESS) {
        return geteuid();
    }
    return secret.st_uid;
}

/* Nonzero if there is something at the path that is no ring: a private key is not to be opened to
 * anybody.  What it is is said when it is read. */
static int is_no_ring(const stek_ring_file_t *file, apr_pool_t *pool)
{
    unsigned char *sealed = NULL;
    apr_size_t len;
    apr_status_t rv = stek_ring_file_read(file, &sealed, &len, NULL, NULL, pool);

    free(sealed);
    return rv == STEK_EMAGIC || rv == STEK_ELENGTH || rv == STEK_ETOOBIG || rv == STEK_EKIND;
}

/* Whether children will follow the ring.  Where we write, we can write elsewhere instead; what
 * others write is only theirs to mend. */
static apr_status_t reach(const mod_stek_ring_t *ring, const char **pculprit, server_rec *s,
                          apr_pool_t *pool)
{
    apr_status_t rv = APR_SUCCESS;

    if (geteuid() == 0) {
        rv = mod_stek_reach_check(ring->path, !ring->generate, pculprit, pool);
    }
    if (rv == APR_SUCCESS || ring->generate) {
        return rv;
    }
    if (is_no_ring(&ring->live->file, pool)) {
        *pculprit = NULL;
        return APR_SUCCESS;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "STEK2017: ring '%s': %s: tickets end with the keys that are there now; let User "
                 "or Group in",
                 ring->name, *pculprit);
    *pculprit = NULL;
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

/* Sets the live keyring's file to the configured path; APR_SUCCESS if a ring can be kept there. */
static apr_status_t open_path(mod_stek_ring_t *ring, const char **pculprit, server_rec *s,
                              apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    uid_t owner = trusted_owner(ring, pool);
    /* A ring in memory has a secret that is in no file: no ring is written to a file under it. */
    int has_stored = live->file.path && live->secrets;
    apr_status_t rv = APR_SUCCESS;

    stek_ring_file_close(&live->file);
    stek_ring_file_init(&live->file, ring->path, owner, files_group());
    if (ring->generate) {
        rv = make_directory(ring->path, owner, pculprit, pool);
    }
    if (rv == APR_SUCCESS) {
        *pculprit = NULL;
        rv = ring->generate ? mod_stek_storage_check(&live->file, pculprit, pool)
                            : check_read(ring->path, owner, pculprit, pool);
    }
    if (rv == APR_SUCCESS) {
        rv = reach(ring, pculprit, s, pool);
    }
    if (rv == APR_SUCCESS) {
        rv = load_secret(ring, pculprit, s, pool);
        if (rv != APR_SUCCESS && has_stored) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         "STEK2009: ring '%s': secret %s: %s; the secret from before the reload "
                         "serves on",
                         ring->name, *pculprit, mod_stek_status_text(rv, pool));
            rv = APR_SUCCESS;
        }
    }
    return rv;
}

/* Memory that is swapped is a disk, too. */
static void warn_swap(const mod_stek_ring_t *ring, server_rec *s, apr_pool_t *pool)
{
    const char *path = NULL;

    if (stek_swap_reaches(ring->path, pool)) {
        path = ring->path;
    }
    else if (stek_swap_reaches(ring->secret_path, pool)) {
        path = ring->secret_path;
    }
    if (path && !ring->live->warned_swap) {
        ring->live->warned_swap = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK2020: ring '%s': %s is on a tmpfs that may be swapped out: whoever gets "
                     "the swap may get old keys; mount it with noswap (Linux 6.4 and later), or "
                     "use encrypted swap or none",
                     ring->name, path);
    }
}

static void warn_disk(mod_stek_ring_t *ring, server_rec *s, apr_pool_t *pool)
{
    const char *path = NULL;

    if (!stek_file_in_memory(ring->path, pool)) {
        path = ring->path;
    }
    else if (!stek_file_in_memory(ring->secret_path, pool)) {
        path = ring->secret_path;
    }
    if (path && !ring->live->warned_disk) {
        ring->live->warned_disk = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK2010: ring '%s': %s is not on a memory file system (tmpfs): who gets "
                     "the disk may get old keys",
                     ring->name, path);
    }
}

apr_status_t mod_stek_storage_open(mod_stek_ring_t *ring, const char **pculprit, server_rec *s,
                                   apr_pool_t *pool)
{
    apr_status_t rv = open_path(ring, pculprit, s, pool);

    if (rv == APR_SUCCESS) {
        warn_disk(ring, s, pool);
        warn_swap(ring, s, pool);
    }
    return rv;
}

const mod_stek_ring_t *mod_stek_storage_twin(const mod_stek_ring_t *ring, apr_pool_t *pool)
{
    int i, n;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);
    struct stat dir, other;

    if (stat(stek_file_dir(ring->path, pool), &dir) != 0) {
        return NULL;
    }
    for (i = 0; i < n; i++) {
        const char *path = rings[i]->live && rings[i] != ring ? rings[i]->live->file.path : NULL;

        if (path && strcmp(stek_file_base(path), stek_file_base(ring->path)) == 0
            && stat(stek_file_dir(path, pool), &other) == 0 && other.st_dev == dir.st_dev
            && other.st_ino == dir.st_ino) {
            return rings[i];
        }
    }
    return NULL;
}

apr_status_t mod_stek_storage_open_memory(mod_stek_ring_t *ring)
{
    mod_stek_live_t *live = ring->live;
    stek_secrets_t *secrets;
    apr_status_t rv = APR_SUCCESS;

    if (live->file.path || live->file.memory_fd < 0) {
        stek_ring_file_close(&live->file);
        rv = stek_ring_file_init_memory(&live->file, geteuid());
    }
    if (rv == APR_SUCCESS && !live->secrets) {
        rv = stek_secrets_make(0, stek_rng_system, &secrets);
        if (rv == APR_SUCCESS) {
            mod_stek_live_set_secrets(live, secrets);
        }
    }
    return rv;
}

void mod_stek_storage_prepare_jail(mod_stek_ring_t *ring, server_rec *s, apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    apr_status_t why, rv;

    if (!ap_unixd_config.chroot_dir || !live->file.path) {
        return;
    }
    live->unpublished = 1;
    live->told_jail = 0;
    rv = stek_ring_file_prepare_jail(&live->file, &why, pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, s,
            "STEK2035: ring '%s': httpd's children cannot follow %s from within ChrootDir "
            "(%s): they keep the keys that they start with, revoked ones too; reload httpd "
            "after each revocation",
            ring->name, ring->path, mod_stek_status_text(rv, pool));
    }
    else if (why != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, s,
            "STEK2031: ring '%s': httpd's children cannot look at %s from within ChrootDir "
            "(%s): the parent tells them of changes, so that a revocation acts up to 10s "
            "later than poll= says",
            ring->name, ring->path, mod_stek_status_text(why, pool));
    }
}

apr_status_t mod_stek_storage_late_secret(mod_stek_ring_t *ring, const char **pculprit,
                                          server_rec *s, apr_pool_t *pool)
{
    apr_status_t rv;

    ring->live->file.owner = trusted_owner(ring, pool);
    rv = load_secret(ring, pculprit, s, pool);
    if (rv == APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_NOTICE, 0, s,
            "STEK2018: ring '%s': its secret %s is there now; children that start from now "
            "on have it, a reload gives it to all",
            ring->name, ring->secret_path);
    }
    return rv;
}
