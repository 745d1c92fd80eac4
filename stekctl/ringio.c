/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings as commands see them (ringio.h).  stekctl; one thread.
 */
#include "ringio.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "stek_ring_file.h"

apr_time_t ringio_now(void)
{
    return apr_time_from_sec(apr_time_sec(apr_time_now()));
}

int ringio_fsync_flag(ctl_t *ctl, const char *path)
{
    return stek_file_in_memory(path, ctl->pool) ? 0 : STEK_FILE_FSYNC;
}

static ctl_exit_e report_secret(ctl_t *ctl, apr_status_t rv, const char *culprit)
{
    switch (rv) {
    case STEK_EWEAK:
        report_line("%s: holds a weak secret; make a new one: stekctl secret new",
                    ctl->secret_path);
        return CTL_REFUSED;
    case STEK_EFULL:
        report_line("%s: holds more secrets than a file may; drop the old ones", ctl->secret_path);
        return CTL_REFUSED;
    default:
        if (APR_STATUS_IS_ENOENT(rv)) {
            report_line("%s: there is no secret file; name it by --secret, or make one: "
                        "stekctl secret new",
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

static apr_status_t unseal(const unsigned char *sealed, apr_size_t len, int audit, ringio_t *io)
{
    apr_status_t rv = stek_ring_open(sealed, len, io->secrets, audit, &io->ring);
    apr_size_t i;

    for (i = 0; rv == APR_SUCCESS && i < io->secrets->n; i++) {
        if (!memcmp(io->secrets->secrets[i].id, io->header.secret_id, STEK_SECRET_ID_LEN)) {
            io->secret_i = i;
        }
    }
    return rv;
}

/* The file comes before the secret: what is wrong with it is said even where there is no secret. */
apr_status_t ringio_try(ctl_t *ctl, const char *path, int audit, ringio_t *io,
                        const char **pculprit, const char **pfault_path)
{
    unsigned char *sealed = malloc(STEK_RING_BYTES_MAX);
    apr_size_t len = 0;
    apr_status_t rv = APR_ENOMEM;

    memset(io, 0, sizeof(*io));
    *pculprit = NULL;
    *pfault_path = path;
    if (sealed) {
        rv = stek_file_read(path, STEK_FILE_RING, ctl->owner, sealed, STEK_RING_BYTES_MAX, &len,
                            &io->stamp, pculprit, ctl->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_header_read(sealed, len, &io->header);
    }
    if (rv == APR_SUCCESS) {
        *pfault_path = ctl->secret_path;
        rv = stek_secret_file_load(ctl->secret_path, ctl->owner, &io->secrets, pculprit, ctl->pool);
    }
    if (rv == APR_SUCCESS) {
        *pfault_path = path;
        rv = unseal(sealed, len, audit, io);
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

ctl_exit_e ringio_load(ctl_t *ctl, const char *path, int audit, ringio_t *io)
{
    const char *culprit, *fault_path;
    apr_status_t rv = ringio_try(ctl, path, audit, io, &culprit, &fault_path);

    if (rv == APR_SUCCESS) {
        return CTL_DONE;
    }
    if (APR_STATUS_IS_ENOENT(rv) && fault_path == path) {
        report_line("%s: there is no ring; name it by --ring, or make one: stekctl new", path);
        return CTL_IO;
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
    rv = stek_file_lock(path, RINGIO_LOCK_WAIT, lock, &holder, ctl->pool);
    if (rv == APR_SUCCESS) {
        return CTL_DONE;
    }
    if (rv == STEK_EFOREIGN || rv == STEK_EKIND) {
        return report_status(ctl, apr_pstrcat(ctl->pool, path, ".lock", NULL), STEK_EFOREIGN,
                             "is no lock");
    }
    return report_status(ctl, path, rv,
                         holder > 0 ? apr_psprintf(ctl->pool, "process %ld", (long)holder) : NULL);
}

ctl_exit_e ringio_claim_ring(ctl_t *ctl)
{
    const char *found = NULL;
    stek_ring_file_t file;
    apr_status_t rv;

    stek_ring_file_init(&file, ctl->ring_path, ctl->owner, (gid_t)-1);
    rv = stek_ring_file_claim(&file, &found, ctl->pool);
    return rv == STEK_EFOREIGN ? report_status(ctl, ctl->ring_path, rv, found) : CTL_DONE;
}

/* Seals under secret i: a copy of the set in which it is the first. */
static apr_status_t save(ctl_t *ctl, const stek_ring_t *ring, const stek_secrets_t *secrets,
                         apr_size_t i)
{
    stek_secrets_t *ordered = stek_mem_alloc(sizeof(*ordered));
    stek_ring_file_t file;
    struct stat st;
    apr_status_t rv;

    if (!ordered) {
        return APR_ENOMEM;
    }
    *ordered = *secrets;
    ordered->secrets[0] = secrets->secrets[i];
    ordered->secrets[i] = secrets->secrets[0];
    /* The group stays: httpd has chosen it so that its children can read the file. */
    stek_ring_file_init(&file, ctl->ring_path, ctl->owner,
                        stat(ctl->ring_path, &st) == 0 ? st.st_gid : (gid_t)-1);
    rv = stek_ring_file_save(&file, ring, ordered, ringio_fsync_flag(ctl, ctl->ring_path),
                             stek_rng_system, NULL, ctl->pool);
    stek_mem_free(ordered);
    return rv;
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
    if (code != CTL_DONE) {
        return code;
    }
    now = ringio_now();
    code = change(ctl, &io, now, baton, &next);
    if (code == CTL_DONE && next) {
        next->generation = io.ring->generation + 1;
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

    /* No lock file beside a ring that is not there. */
    if (APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->ring_path, &stamp))) {
        report_line("%s: there is no ring; name it by --ring, or make one: stekctl new",
                    ctl->ring_path);
        return CTL_IO;
    }
    code = ringio_claim_ring(ctl);
    if (code == CTL_DONE) {
        code = ringio_lock(ctl, ctl->ring_path, &lock);
    }
    if (code == CTL_DONE) {
        code = change_locked(ctl, change, baton, first_secret, pring);
        stek_file_unlock(&lock);
    }
    return code;
}
