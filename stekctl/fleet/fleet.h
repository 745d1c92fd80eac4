/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room of fleets, whose hosts share a ring through stores.  All that others may know of it: its
 * command, and the day that a fleet secret begins with.  One thread.
 */
#ifndef STEKCTL_FLEET_H
#define STEKCTL_FLEET_H

#include "ratchet.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_sync(ctl_t *ctl, int argc, char **argv);

/* The stores that this program was built with, for people: "memcached, Redis", or "none". */
const char *fleet_store_names(void);

#pragma GCC visibility pop
#endif
