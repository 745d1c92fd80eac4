/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the configuration as a whole (mod_stek_config_check.h).  Glue; parent only, while it
 * configures.
 */
#include "mod_stek_config_check.h"

#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>

#include "mod_stek_config.h"
#include "mod_stek_config_notices.h"
#include "mod_stek_words.h"
#include "stek_claim.h"
#include "stek_nearest.h"
#include "stek_ring_file.h"
#include "stek_secret_file.h"
#include "stek_time.h"

APLOG_USE_MODULE(stek_rotate);

/* "'default'", or "'default' (FILE:LINE)" if a directive defines it; both lines if two do, because
 * either may have the value at fault. */
static const char *ring_text(const mod_stek_ring_config_t *ring, apr_pool_t *pool)
{
    const char *again = ring->again ? mod_stek_place_text(ring->again, pool) : NULL;

    return ring->at ? apr_psprintf(pool, "'%s' (%s%s%s)", ring->name,
                                   mod_stek_place_text(ring->at, pool), again ? " and " : "",
                                   again ? again : "")
                    : apr_psprintf(pool, "'%s'", ring->name);
}

/* Makes the ring's paths absolute; 0 if one cannot be. */
static int resolve_paths(server_rec *s, mod_stek_ring_config_t *ring, apr_pool_t *pconf)
{
    const char *fault = NULL, *path = ring->path, *secret_path = ring->secret_path;

    if (path) {
        ring->path = ap_runtime_dir_relative(pconf, path);
        fault = ring->path ? NULL : "file";
    }
    if (ring->secret_is_default) {
        ring->secret_path = ring->path ? stek_secret_path_beside(ring->path, pconf) : NULL;
    }
    else {
        ring->secret_path = ap_runtime_dir_relative(pconf, secret_path);
        fault = ring->secret_path ? fault : "secret";
    }
    if (fault) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "STEK1008: StekRing: ring %s: %s '%.200s' is not a usable path; use a "
                     "shorter one",
                     ring_text(ring, pconf), fault,
                     strcmp(fault, "file") == 0 ? path : secret_path);
    }
    return !fault;
}

static int same_file(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Nonzero if b is the lock of the ring at a. */
static int is_lock(const char *a, const char *b)
{
    size_t len = a ? strlen(a) : 0;

    return a && b && strncmp(a, b, len) == 0 && strcmp(b + len, ".lock") == 0;
}

/* The path of b's that is the lock of a's ring; NULL: none. */
static const char *lock_taken(const mod_stek_ring_config_t *a, const mod_stek_ring_config_t *b)
{
    return is_lock(a->path, b->path)          ? b->path
           : is_lock(a->path, b->secret_path) ? b->secret_path
                                              : NULL;
}

static const char *rings_text(const mod_stek_ring_config_t *a, const mod_stek_ring_config_t *b,
                              apr_pool_t *pool)
{
    return a == b ? apr_pstrcat(pool, "ring ", ring_text(a, pool), NULL)
                  : apr_psprintf(pool, "rings %s and %s", ring_text(a, pool), ring_text(b, pool));
}

/* Nonzero if ring i shares its file with no ring before it, and with no secret.  Two rings may
 * share a secret. */
static int files_differ(server_rec *s, int i, apr_pool_t *ptemp)
{
    int j, n;
    mod_stek_ring_config_t *const *all = mod_stek_rings(&n);
    const mod_stek_ring_config_t *ring = all[i];

    for (j = 0; j <= i; j++) {
        const char *taken = lock_taken(ring, all[j]);

        taken = taken ? taken : lock_taken(all[j], ring);
        if (taken) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "STEK1011: StekRing: %s is a ring's lock file (%s); name another file",
                         taken, rings_text(all[j], ring, ptemp));
            return 0;
        }
        if (j < i && same_file(ring->path, all[j]->path)) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "STEK1002: StekRing: rings %s and %s use the same file %s; give every "
                         "ring its own file=",
                         ring_text(all[j], ptemp), ring_text(ring, ptemp), ring->path);
            return 0;
        }
        if (same_file(ring->path, all[j]->secret_path)
            || same_file(all[j]->path, ring->secret_path)) {
            ap_log_error(
                APLOG_MARK, APLOG_EMERG, 0, s,
                "STEK1001: StekRing: %s is used both as a ring's file and as a secret (%s); give "
                "each its own path",
                same_file(ring->path, all[j]->secret_path) ? ring->path : all[j]->path,
                rings_text(all[j], ring, ptemp));
            return 0;
        }
    }
    return 1;
}

/* Which values in the fault nobody has written: "; the lifetime of 18h is the default". */
static const char *defaults_text(const mod_stek_ring_config_t *ring, const char *fault,
                                 apr_pool_t *pool)
{
    int interval = ring->interval_is_default && strstr(fault, "interval");
    int lifetime = ring->lifetime_is_default && strstr(fault, "lifetime");

    if (!interval && !lifetime) {
        return "";
    }
    return apr_psprintf(
        pool, "; the %s%s%s is the default", interval ? "interval of " : "lifetime of ",
        stek_time_text(interval ? ring->params.interval : ring->params.lifetime, pool),
        interval && lifetime ? ", like the lifetime," : "");
}

static int rings_valid(server_rec *s, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    int i, n, valid = 1;
    mod_stek_ring_config_t *const *all = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        const char *fault = stek_schedule_check(&all[i]->params, ptemp);

        if (fault) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "STEK1003: StekRing: ring %s: %s%s",
                         ring_text(all[i], ptemp), fault, defaults_text(all[i], fault, ptemp));
            valid = 0;
        }
        if (!all[i]->path && !all[i]->generate) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "STEK1007: StekRing: ring %s: generate=off and file=memory cannot be "
                         "combined: nothing could write the ring; use file=PATH or generate=on",
                         ring_text(all[i], ptemp));
            valid = 0;
        }
        valid = resolve_paths(s, all[i], pconf) && valid;
    }
    for (i = 0; valid && i < n; i++) {
        valid = files_differ(s, i, ptemp);
    }
    return valid;
}

/* The defined ring that was probably meant, in brackets. */
static const char *nearest_ring(const char *name, apr_pool_t *pool)
{
    int i, n;
    mod_stek_ring_config_t *const *all = mod_stek_rings(&n);
    const char **names = apr_palloc(pool, ((apr_size_t)n + 1) * sizeof(*names)), *nearest;

    for (i = 0; i < n; i++) {
        names[i] = all[i]->name;
    }
    nearest = stek_nearest(name, names, (apr_size_t)n);
    return nearest ? apr_psprintf(pool, " (did you mean '%s'?)", nearest) : "";
}

static int server_valid(const server_rec *s, apr_pool_t *ptemp)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    const mod_stek_ring_config_t *ring = mod_stek_server_ring(s);

    if (!ring) {
        ap_log_error(
            APLOG_MARK, APLOG_EMERG, 0, s,
            "STEK1004: StekUseRing (%s): ring '%s', used by %s, is not defined%s; define it "
            "with 'StekRing %s' in the main server's configuration",
            mod_stek_place_text(config->ring_name_at, ptemp), config->ring_name,
            mod_stek_server_text(s, ptemp), nearest_ring(config->ring_name, ptemp),
            config->ring_name);
        return 0;
    }
    if (config->ticket_lifetime > ring->params.lifetime) {
        ap_log_error(
            APLOG_MARK, APLOG_EMERG, 0, s,
            "STEK1005: StekTicketLifetime (%s): '%s' in %s: must be at most %s, the %slifetime "
            "of its ring %s",
            mod_stek_place_text(config->ticket_lifetime_at, ptemp),
            stek_time_text(config->ticket_lifetime, ptemp), mod_stek_server_text(s, ptemp),
            stek_time_text(ring->params.lifetime, ptemp),
            ring->lifetime_is_default ? "default " : "", ring_text(ring, ptemp));
        return 0;
    }
    return 1;
}

int mod_stek_config_check_settings(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                                   server_rec *s)
{
    int valid;

    (void)plog;
    if (OpenSSL_version_num() < 0x30000000UL) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "STEK1006: mod_stek_rotate requires OpenSSL 3.0 or later, but httpd uses %s",
                     OpenSSL_version(OPENSSL_VERSION));
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    valid = rings_valid(s, pconf, ptemp);
    for (; s; s = s->next) {
        valid = server_valid(s, ptemp) && valid;
    }
    return valid ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

static void warn_found(const mod_stek_ring_config_t *ring, const stek_claim_t *claim,
                       const char *path, server_rec *s, apr_pool_t *pool)
{
    const char *found;
    struct stat st;

    /* A link stops only a writer. */
    if (lstat(path, &st) != 0
        || (S_ISLNK(st.st_mode) && (!ring->generate || claim != &stek_claim_ring))) {
        return;
    }
    /* Its owner matters later: configtest may run as another user. */
    if (stek_claim_check(claim, path, st.st_uid, &found, pool) == STEK_EFOREIGN) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "STEK1009: StekRing: ring '%s': %s %s: httpd will not change it and will keep "
                     "no keys there; name another file, or move this one out of the way",
                     ring->name, path, found);
    }
}

/* A ring that the secret does not open would be moved out of the way at a start. */
static void warn_unsealed(const mod_stek_ring_config_t *ring, server_rec *s, apr_pool_t *pool)
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
                     "STEK1010: StekRing: ring '%s': %s is sealed with a secret that is not in %s: "
                     "httpd would %s; check file= and secret=",
                     ring->name, ring->path, ring->secret_path,
                     ring->generate
                         ? "move the ring aside, and existing tickets would stop working, unless "
                           "this is a reload and only the contents of the secret file are new"
                         : "not use it");
    }
    stek_ring_destroy(stored);
    stek_secrets_destroy(secrets);
}

int mod_stek_config_check_files(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                                server_rec *s)
{
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    (void)pconf;
    (void)plog;
    if (ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_CONFIG_TEST) {
        return OK;
    }
    mod_stek_config_notices_twice(s, ptemp);
    for (i = 0; i < n; i++) {
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
