/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings as commands see them: read with all checks, changed under the lock, over the core's
 * stek_ring_file.h.  A changed ring is sealed under the secret that sealed it before: httpd's
 * children learn of a new first secret only at a reload, and could not open the ring until then.
 * One thread.
 */
#ifndef STEKCTL_RINGIO_H
#define STEKCTL_RINGIO_H

#include "stek_file.h"
#include "stek_ring_file.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

#define RINGIO_LOCK_WAIT apr_time_from_sec(10)

typedef struct ringio_t {
    stek_ring_t *ring;
    stek_secrets_t *secrets;
    apr_size_t secret_i; /* of secrets: the one that sealed it */
    stek_stamp_t stamp;
} ringio_t;

/* Now, in whole seconds. */
apr_time_t ringio_now(void);

/* Reads the secret file.  CTL_DONE, or the code of what was reported. */
ctl_exit_e ringio_secrets(ctl_t *ctl, stek_secrets_t **psecrets);

/* The same of a secret that seals file rings: a fleet's is refused. */
ctl_exit_e ringio_local_secrets(ctl_t *ctl, stek_secrets_t **psecrets);

/* Reads secret file and ring; audit as stek_ring_unseal.  On CTL_DONE the caller releases io. */
ctl_exit_e ringio_load(ctl_t *ctl, const char *path, int audit, ringio_t *io);
void ringio_release(ringio_t *io);

/* The same without a report, for callers that try again and again.  *pculprit: detail for
 * report_status. */
apr_status_t ringio_try(ctl_t *ctl, const char *path, int audit, ringio_t *io,
                        const char **pculprit, const char **pfault_path);

/* Whether httpd accepts that epoch (stek_admit_epoch).  CTL_DONE, or the code of what was
 * reported. */
ctl_exit_e ringio_check_epoch(ctl_t *ctl, apr_uint64_t epoch, apr_time_t now);

/* Drops from a ring that was accepted the keys that begin too late (stek_admit_keys), and reports how
 * many if there are more than *ptold, which it updates (NULL: reports always). */
void ringio_leave_out(const ctl_t *ctl, stek_ring_t *ring, apr_time_t now, apr_size_t *ptold);

/* Makes the next state of io->ring as *pring (NULL: nothing to change); reports what it refuses. */
typedef ctl_exit_e ringio_change_t(ctl_t *ctl, const ringio_t *io, apr_time_t now, void *baton,
                                   stek_ring_t **pring);

/* Lock, load, change, save with the next generation, unlock.  A ring whose epoch is too far ahead is
 * refused; keys that begin too late do not get into the next state.  first_secret != 0: seals under the
 * first secret, whatever sealed it before.  *pring (may be NULL) is what is now in the file. */
ctl_exit_e ringio_change(ctl_t *ctl, ringio_change_t *change, void *baton, int first_secret,
                         stek_ring_t **pring);

/* Whether only trusted users can make and replace files beside path.  CTL_DONE, or the code of what
 * was reported. */
ctl_exit_e ringio_check_place(ctl_t *ctl, const char *path);

/* The same for --ring; and whether it is a ring, good or bad, or nothing. */
ctl_exit_e ringio_check_ring(ctl_t *ctl);

/* The lock of path, waited for up to RINGIO_LOCK_WAIT. */
ctl_exit_e ringio_lock(ctl_t *ctl, const char *path, stek_lock_t *lock);

#pragma GCC visibility pop
#endif
