/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleets, whose hosts share a ring through stores: the commands, the day that a new fleet secret gets, what
 * became of a revocation, and waiting for all hosts.  This is all that other folders may include.  One thread.
 */
#ifndef STEKCTL_FLEET_H
#define STEKCTL_FLEET_H

#include "ratchet.h"
#include "stek_ring.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_sync(ctl_t *ctl, int argc, char **argv);
ctl_exit_e cmd_fleet(ctl_t *ctl, int argc, char **argv);

/* After a revocation in the file ring: if sync keeps a floor for it, says whether that has it, and waits a
 * few seconds for a sync that is running. */
void fleet_report_kept(ctl_t *ctl);

/* rotate --wait and revoke --wait: until all hosts of the fleet have applied the change. */
typedef struct fleet_wait_t {
    int wanted;               /* --wait */
    apr_interval_time_t time; /* the longest */
    const char *fleet;        /* --fleet: a configuration's name or path; NULL: this machine's */
    const char *secret_path;  /* --fleet-secret; NULL: as for sync */
} fleet_wait_t;

#define FLEET_WAIT_OPTIONS                                                                         \
    {"wait", optional_argument, NULL, 'w'}, {"fleet", required_argument, NULL, 'f'},               \
    {                                                                                              \
        "fleet-secret", required_argument, NULL, 's'                                               \
    }

/* Takes one of these options; wait starts zeroed.  CTL_USAGE is reported. */
ctl_exit_e fleet_wait_option(ctl_t *ctl, int option, const char *value, fleet_wait_t *wait);

/* Before anything is changed: whether there is a fleet to wait for.  CTL_DONE, also if it is not wanted,
 * or the code of what was reported. */
ctl_exit_e fleet_wait_check(ctl_t *ctl, fleet_wait_t *wait);

/* After the change that made the file ring what it is: until all hosts that have announced themselves hold
 * this ring, or a later state of it.  ring: as it was changed to; epoch not 0: that epoch is enough.
 * CTL_DONE, or CTL_BEHIND when it has named those that have not; CTL_STORE if no store answers. */
ctl_exit_e fleet_wait_run(ctl_t *ctl, const fleet_wait_t *wait, const stek_ring_t *ring,
                          apr_uint64_t epoch);

/* The stores that this program supports, for people: "memcached, Redis", or "none"; in pool. */
const char *fleet_store_names(apr_pool_t *pool);

/* What confines the processes that talk to them, for people: "seccomp, Landlock". */
const char *fleet_confinement_names(void);

#pragma GCC visibility pop
#endif
