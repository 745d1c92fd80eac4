/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleets, whose hosts share a ring through stores: the command, and the day that a new fleet secret
 * gets.  This is all that other folders may include.  One thread.
 */
#ifndef STEKCTL_FLEET_H
#define STEKCTL_FLEET_H

#include "ratchet.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_sync(ctl_t *ctl, int argc, char **argv);

/* The stores that this program supports, for people: "memcached, Redis", or "none"; in pool. */
const char *fleet_store_names(apr_pool_t *pool);

/* What confines the processes that talk to them, for people: "seccomp, Landlock". */
const char *fleet_confinement_names(void);

#pragma GCC visibility pop
#endif
