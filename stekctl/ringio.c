/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings as commands see them (ringio.h).  stekctl; one thread.
 */
#include "ringio.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "stek_admit.h"
#include "stek_claim.h"
#include "stek_error.h"
#include "stek_secret_file.h"

apr_time_t ringio_now(void)
{
    return apr_time_from_sec(apr_time_sec(apr_time_now()));
}

static ctl_exit_e report_secret(ctl_t *ctl, apr_status_t rv, const char *culprit)
{
    const char *found = NULL;
    stek_stamp_t stamp;

    if ((rv == STEK_EPERM || rv == STEK_ESYNTAX || rv == STEK_ETOOBIG)
        && stek_claim_check(&stek_claim_ring, ctl->secret_path, ctl->owner, &found, ctl->pool)
               == APR_SUCCESS
        && stek_file_stamp(ctl->secret_path, &stamp) == APR_SUCCESS && stamp.size > 0) {
        report_line("%s: is a ring, not a secret file; check --secret", ctl->secret_path);
        return CTL_REFUSED;
    }
    switch (rv) {
    case STEK_EWEAK:
        report_line("%s: contains a weak secret; remove it, and create a new one: stekctl secret "
                    "new",
                    ctl->secret_path);
        return CTL_REFUSED;
    case STEK_EFULL:
        report_line("%s: contains more secrets than a file can hold; remove the old ones",
                    ctl->secret_path);
        return CTL_REFUSED;
    default:
        if (APR_STATUS_IS_ENOENT(rv)) {
            report_line(
                "%s: no such secret file; check --secret; if a running httpd uses it, reload "
                "httpd, which then writes it again; a new secret opens no existing ring",
                ctl->secret_path);
            return CTL_IO;
        }
        return report_status(ctl, ctl->secret_path, rv, culprit);
    }
}

ctl_exit_e ringio_secrets(ctl_t *ctl, stek_secrets_t **psecrets)
{
    const char *culprit = NULL;
    apr_status_t rv = stek_secret_file_load(ctl->secret_path, ctl->owner, psecrets, &culprit,
                                            ctl->pool);

    return rv == APR_SUCCESS ? CTL_DONE : report_secret(ctl, rv, culprit);
}

ctl_exit_e ringio_local_secrets(ctl_t *ctl, stek_secrets_t **psecrets)
{
    const char *culprit = NULL;
    apr_status_t rv = stek_secret_file_load_local(ctl->secret_path, ctl->owner, psecrets, &culprit,
                                                  ctl->pool);

    return rv == APR_SUCCESS ? CTL_DONE : report_secret(ctl, rv, culprit);
}

/* The file comes before the secret: what is wrong with it is reported even without a secret. */
apr_status_t ringio_try(ctl_t *ctl, const char *path, int audit, ringio_t *io,
                        const char **pculprit, const char **pfault_path)
{
    unsigned char *sealed = NULL;
    stek_ring_file_t file;
    apr_size_t len = 0;
    apr_status_t rv;

    memset(io, 0, sizeof(*io));
    *pculprit = NULL;
    *pfault_path = path;
    stek_ring_file_init(&file, path, ctl->owner, (gid_t)-1);
    rv = stek_ring_file_read(&file, &sealed, &len, &io->stamp, pculprit, ctl->pool);
    if (rv == APR_SUCCESS) {
        *pfault_path = ctl->secret_path;
        rv = stek_secret_file_load_local(ctl->secret_path, ctl->owner, &io->secrets, pculprit,
                                         ctl->pool);
    }
    if (rv == APR_SUCCESS) {
        *pfault_path = path;
        rv = stek_ring_unseal(sealed, len, io->secrets, audit, &io->ring, &io->secret_i);
        if (rv == STEK_ESECRET) {
            *pculprit = ctl->secret_path;
        }
    }
    free(sealed);
    if (rv != APR_SUCCESS) {
        ringio_release(io);
    }
    return rv;
}

static ctl_exit_e report_no_ring(const char *path)
{
    report_line(
        "%s: no such ring; check --ring; httpd makes its rings when it starts or reloads; to "
        "create one yourself: stekctl new",
        path);
    return CTL_IO;
}

ctl_exit_e ringio_load(ctl_t *ctl, const char *path, int audit, ringio_t *io)
{
    const char *culprit, *fault_path;
    apr_status_t rv = ringio_try(ctl, path, audit, io, &culprit, &fault_path);

    if (rv == APR_SUCCESS) {
        return CTL_DONE;
    }
    if (APR_STATUS_IS_ENOENT(rv) && fault_path == path) {
        return report_no_ring(path);
    }
    return fault_path == path ? report_status(ctl, path, rv, culprit)
                              : report_secret(ctl, rv, culprit);
}

void ringio_release(ringio_t *io)
{
    stek_ring_destroy(io->ring);
    stek_secrets_destroy(io->secrets);
    io->ring = NULL;
    io->secrets = NULL;
}

ctl_exit_e ringio_check_epoch(ctl_t *ctl, apr_uint64_t epoch, apr_time_t now)
{
    apr_status_t rv = stek_admit_epoch(epoch, 0, now);

    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->ring_path, rv, NULL);
}

void ringio_leave_out(const ctl_t *ctl, stek_ring_t *ring, apr_time_t now, apr_size_t *ptold)
{
    apr_size_t n = stek_admit_keys(ring, NULL, now);

    if (n > (ptold ? *ptold : 0)) {
        report_line(
            "%s: %d key%s ignored: %s more than two weeks from now; check the clocks of all "
            "hosts that write the ring",
            ctl->ring_path, (int)n, n == 1 ? "" : "s", n == 1 ? "it begins" : "they begin");
    }
    if (ptold) {
        *ptold = n;
    }
}

ctl_exit_e ringio_check_place(ctl_t *ctl, const char *path)
{
    const char *culprit = NULL;
    apr_status_t rv = stek_path_check_written(path, ctl->owner, &culprit, ctl->pool);

    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, path, rv, culprit);
}

ctl_exit_e ringio_lock(ctl_t *ctl, const char *path, stek_lock_t *lock)
{
    ctl_exit_e code = ringio_check_place(ctl, path);
    pid_t holder = 0;
    apr_status_t rv;

    if (code != CTL_DONE) {
        return code;
    }
    rv = stek_lock_take(path, RINGIO_LOCK_WAIT, lock, &holder, ctl->pool);
    if (rv == APR_SUCCESS) {
        return CTL_DONE;
    }
    if (rv == STEK_EFOREIGN || rv == STEK_EKIND) {
        return report_status(ctl, apr_pstrcat(ctl->pool, path, ".lock", NULL), STEK_EFOREIGN,
                             "is not a lock file");
    }
    if (rv == STEK_EPERM) {
        return report_status(ctl, apr_pstrcat(ctl->pool, path, ".lock", NULL), rv, NULL);
    }
    return report_status(ctl, path, rv,
                         holder > 0 ? apr_psprintf(ctl->pool, "process %ld", (long)holder) : NULL);
}

ctl_exit_e ringio_check_ring(ctl_t *ctl)
{
    const char *detail = NULL;
    stek_ring_file_t file;
    apr_status_t rv;

    stek_ring_file_init(&file, ctl->ring_path, ctl->owner, (gid_t)-1);
    rv = stek_ring_file_check(&file, &detail, ctl->pool);
    /* A file that cannot be opened is for the read that follows to report. */
    return rv == APR_SUCCESS || APR_STATUS_IS_EACCES(rv)
               ? CTL_DONE
               : report_status(ctl, ctl->ring_path, rv, detail);
}

/* Seals under secret i. */
static apr_status_t save(ctl_t *ctl, const stek_ring_t *ring, const stek_secrets_t *secrets,
                         apr_size_t i)
{
    stek_ring_file_t file;

    stek_ring_file_init(&file, ctl->ring_path, ctl->owner, (gid_t)-1);
    return stek_ring_file_save_under(&file, ring, &secrets->secrets[i],
                                     stek_file_fsync_flag(ctl->ring_path, ctl->pool),
                                     stek_rng_system, NULL, ctl->pool);
}

static ctl_exit_e change_locked(ctl_t *ctl, ringio_change_t *change, void *baton, int first_secret,
                                stek_ring_t **pring)
{
    stek_ring_t *next = NULL;
    ctl_exit_e code;
    apr_status_t rv;
    apr_time_t now;
    ringio_t io;

    code = ringio_load(ctl, ctl->ring_path, 1, &io);
    if (code != CTL_DONE || !io.ring) {
        return code;
    }
    now = ringio_now();
    code = ringio_check_epoch(ctl, io.ring->epoch, now);
    if (code == CTL_DONE) {
        code = change(ctl, &io, now, baton, &next);
    }
    if (code == CTL_DONE && next) {
        ringio_leave_out(ctl, next, now, NULL);
        next->generation = stek_ring_generation_after(io.ring, next->epoch);
        next->written_at = now;
        rv = save(ctl, next, io.secrets, first_secret ? 0 : io.secret_i);
        if (rv != APR_SUCCESS) {
            code = report_status(ctl, ctl->ring_path, rv == STEK_ETOOBIG ? STEK_EFULL : rv, NULL);
        }
    }
    if (code == CTL_DONE && pring) {
        if (!next) {
            next = io.ring;
            io.ring = NULL;
        }
        *pring = next;
        next = NULL;
    }
    stek_ring_destroy(next);
    ringio_release(&io);
    return code;
}

ctl_exit_e ringio_change(ctl_t *ctl, ringio_change_t *change, void *baton, int first_secret,
                         stek_ring_t **pring)
{
    stek_lock_t lock;
    stek_stamp_t stamp;
    ctl_exit_e code;

    /* No lock file beside a ring that does not exist. */
    if (APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->ring_path, &stamp))) {
        return report_no_ring(ctl->ring_path);
    }
    code = ringio_check_ring(ctl);
    if (code == CTL_DONE) {
        code = ringio_lock(ctl, ctl->ring_path, &lock);
    }
    if (code == CTL_DONE) {
        code = change_locked(ctl, change, baton, first_secret, pring);
        stek_lock_release(&lock);
    }
    return code;
}
