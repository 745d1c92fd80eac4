/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's secrets (sync_secrets.h).  stekctl; one thread.
 */
#include "sync_secrets.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monotonic.h"
#include "floor.h"
#include "ratchet.h"
#include "report.h"
#include "ringio.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "stek_secret_file.h"

/* So long a clock that has jumped is doubted, without another host that confirms it. */
#define JUMP_LASTS_MS (60 * 60 * (apr_int64_t)1000)

/* A second day within so long is a clock that goes too fast, or jumps day by day. */
#define DAY_LASTS_MS (12 * JUMP_LASTS_MS)

ctl_exit_e sync_secrets_load_local(sync_host_t *host)
{
    ctl_t *ctl = host->ctl;
    stek_secrets_t *secrets = NULL;
    stek_stamp_t stamp;
    apr_status_t rv = APR_SUCCESS;

    if (host->reader || !APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->secret_path, &stamp))) {
        ctl_exit_e code = ringio_local_secrets(ctl, &secrets);

        if (code == CTL_DONE) {
            stek_secrets_destroy(host->local);
            host->local = secrets;
        }
        return code;
    }
    if (!host->local) {
        rv = stek_secrets_make(0, stek_rng_system, &host->local);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_secret_file_save(
            ctl->secret_path, host->local,
            STEK_FILE_EXCLUSIVE | stek_file_fsync_flag(ctl->secret_path, host->pool), host->pool);
    }
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->secret_path, rv, NULL);
}

/* A copy of the fleet secret, as it is in the file on that day. */
static apr_status_t copy_on(const stek_secrets_t *fleet, apr_int32_t day, stek_secrets_t **pcopy)
{
    stek_secrets_t *copy = stek_mem_alloc(sizeof(*copy));
    apr_int32_t moved = 0;
    apr_status_t rv = APR_ENOMEM;

    if (copy) {
        *copy = *fleet;
        rv = ratchet_move(copy, day - 1, &moved);
    }
    if (rv != APR_SUCCESS) {
        stek_secrets_destroy(copy);
        return rv;
    }
    *pcopy = copy;
    return APR_SUCCESS;
}

/* The secrets that seal in the stores around day.  The ratchet may be waiting, but as far as it can move
 * on, there are such secrets. */
static apr_status_t derive_keys(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    stek_secrets_t *keys[3] = {NULL, NULL, NULL}, *copy = NULL;
    apr_status_t rv = copy_on(fleet, day, &copy);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < 3; i++) {
        rv = ratchet_keys(copy, day - 1 + i, &keys[i]);
        /* Made or advanced by a host whose clock is ahead: yesterday is gone, today is enough. */
        if (i == 0 && rv == STEK_ESECRET) {
            rv = APR_SUCCESS;
        }
    }
    for (i = 0; i < 3; i++) {
        stek_secrets_t **pout = rv == APR_SUCCESS ? &host->keys[i] : &keys[i];

        stek_secrets_destroy(*pout);
        *pout = rv == APR_SUCCESS ? keys[i] : NULL;
    }
    stek_secrets_destroy(copy);
    if (rv == APR_SUCCESS) {
        host->day = day;
        host->keys_day = day;
    }
    return rv;
}

static void report_fleet(ctl_t *ctl, const char *path, apr_status_t rv, const char *culprit)
{
    if (APR_STATUS_IS_ENOENT(rv)) {
        report_line(
            "%s: there is no fleet secret; make one once, 'stekctl --secret PATH secret new "
            "--fleet', and copy it to each host",
            path);
    }
    else if (rv == APR_EINVAL) {
        report_line(
            "%s: its day is more than %d days in the past; check the clock, then copy the file from "
            "a host that is in step",
            path, RATCHET_DAYS_MAX);
    }
    else if (rv == STEK_ESECRET) {
        report_line(
            "%s: its day is ahead of this host's; check the clock, then copy the file from a host that is in "
            "step",
            path);
    }
    else if (rv == STEK_EEMPTY) {
        report_line("%s: holds no secret with a fleet ID; make one with 'stekctl --secret PATH "
                    "secret new --fleet'",
                    path);
    }
    else {
        (void)report_status(ctl, path, rv, culprit);
    }
}

apr_status_t sync_secrets_seal_random(const sync_host_t *host,
                                      unsigned char random[STEK_RING_SALT_RANDOM_LEN])
{
    char machine[64] = "", name[256] = "";
    apr_size_t len = 0;
    const char *text;

    if (host->fleet->day == 0) {
        return stek_rng_system(random, STEK_RING_SALT_RANDOM_LEN);
    }
    /* Containers often have none, but names of their own. */
    (void)stek_file_read("/etc/machine-id", STEK_FILE_RING, host->ctl->owner, machine,
                         sizeof(machine) - 1, &len, NULL, NULL, host->pool);
    machine[len] = '\0';
    (void)gethostname(name, sizeof(name) - 1);
    text = apr_pstrcat(host->pool, "stek sync writer v1\n", machine, "\n", name, "\n",
                       host->ctl->ring_path, NULL);
    if (EVP_Digest(text, strlen(text), random, NULL, EVP_sha256(), NULL) != 1) {
        ERR_clear_error();
        return STEK_ECRYPTO;
    }
    return APR_SUCCESS;
}

/* Whether the ratchet may move on to day for good.  A jump of several days, at once or one by one, may be
 * this host's clock: it waits until another host seals under a key of that day, or until it has lasted. */
static int may_move(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day)
{
    const apr_int32_t days = day - 1 - fleet->day;
    const int is_soon = host->moved_at > 0 && monotonic_ms() - host->moved_at < DAY_LASTS_MS;

    if (days < 1 || (days == 1 && !is_soon) || host->day_confirmed || host->reader) {
        host->jumped_at = 0;
        return 1;
    }
    if (host->jumped_at == 0) {
        host->jumped_at = monotonic_ms();
    }
    return monotonic_ms() - host->jumped_at >= JUMP_LASTS_MS;
}

/* Advances the secrets to yesterday, in the file too. */
static apr_status_t ratchet(sync_host_t *host, stek_secrets_t *fleet, apr_int32_t day)
{
    const char *path = host->options->fleet_secret_path;
    apr_int32_t moved = 0;
    apr_status_t rv = ratchet_move(fleet, day - 1, &moved), saved;

    if (rv == APR_SUCCESS && moved > 0 && !host->reader) {
        host->moved_at = monotonic_ms();
        saved = stek_secret_file_save(path, fleet, stek_file_fsync_flag(path, host->pool),
                                      host->pool);
        if (saved != APR_SUCCESS && saved != host->ratchet_rv) {
            (void)report_status(host->ctl, path, saved, NULL);
            report_line(
                "%s: stays at its old day: what has been recorded since then can be opened with it",
                path);
        }
        host->ratchet_rv = saved;
    }
    return rv;
}

/* One of a host has no fleet ID. */
static apr_status_t load_file(ctl_t *ctl, const char *path, stek_secrets_t **pfleet,
                              const char **pculprit, apr_pool_t *pool)
{
    apr_status_t rv = stek_secret_file_load(path, ctl->owner, pfleet, pculprit, pool);

    if (rv == APR_SUCCESS && !(*pfleet)->has_fleet_id) {
        stek_secrets_destroy(*pfleet);
        *pfleet = NULL;
        rv = STEK_EEMPTY;
    }
    return rv;
}

ctl_exit_e sync_secrets_check_fleet(ctl_t *ctl, const char *path)
{
    stek_secrets_t *fleet = NULL;
    const char *culprit = NULL;
    apr_status_t rv = load_file(ctl, path, &fleet, &culprit, ctl->pool);

    stek_secrets_destroy(fleet);
    if (rv == APR_SUCCESS) {
        return CTL_DONE;
    }
    report_fleet(ctl, path, rv, culprit);
    return APR_STATUS_IS_ENOENT(rv) ? CTL_IO : CTL_REFUSED;
}

apr_status_t sync_secrets_load_fleet(sync_host_t *host, apr_int32_t day)
{
    const char *path = host->options->fleet_secret_path, *culprit = NULL;
    stek_secrets_t *fleet = NULL;
    stek_lock_t lock = {-1};
    apr_status_t rv = load_file(host->ctl, path, &fleet, &culprit, host->pool);

    /* Read it again under the lock: what is replaced must be what was read.  Only a ratchet writes, so
     * only that takes the lock. */
    if (rv == APR_SUCCESS && fleet->day > 0 && fleet->day < day - 1 && !host->reader
        && stek_lock_take(path, RINGIO_LOCK_WAIT, &lock, NULL, host->pool) == APR_SUCCESS) {
        stek_secrets_destroy(fleet);
        fleet = NULL;
        rv = load_file(host->ctl, path, &fleet, &culprit, host->pool);
    }
    if (rv == APR_SUCCESS) {
        floor_open(host, fleet, day);
        if (host->fleet || (fleet->day > 0 && fleet->day < day - 1)) {
            floor_reseal(host, fleet, day);
        }
        if (may_move(host, fleet, day)) {
            rv = ratchet(host, fleet, day);
        }
    }
    if (lock.fd >= 0) {
        stek_lock_release(&lock);
    }
    if (rv == APR_SUCCESS) {
        rv = derive_keys(host, fleet, day);
    }
    if (rv == APR_SUCCESS) {
        stek_secrets_destroy(host->fleet);
        host->fleet = fleet;
        host->out_of_step = 0;
        host->fleet_rv = APR_SUCCESS;
        return APR_SUCCESS;
    }
    if (rv == STEK_ESECRET) {
        host->out_of_step = 1;
    }
    if (rv != host->fleet_rv) {
        report_fleet(host->ctl, path, rv, culprit);
        host->fleet_rv = rv;
    }
    stek_secrets_destroy(fleet);
    return rv;
}
