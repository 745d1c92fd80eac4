/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleets, whose hosts share a ring through stores: the command, the day that a new fleet secret gets, and
 * what became of a revocation.  This is all that other folders may include.  One thread.
 */
#ifndef STEKCTL_FLEET_H
#define STEKCTL_FLEET_H

#include "ratchet.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_sync(ctl_t *ctl, int argc, char **argv);

/* After a revocation in the file ring: if sync keeps a floor for it, says whether that has it, and waits a
 * few seconds for a sync that is running. */
void fleet_report_kept(ctl_t *ctl);

/* The stores that this program supports, for people: "memcached, Redis", or "none". */
const char *fleet_store_names(void);

/* What confines the processes that talk to them, for people: "seccomp, Landlock". */
const char *fleet_confinement_names(void);

#pragma GCC visibility pop
#endif
