/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl sync --status: the state of stores and file ring, and what a cycle would do.  One thread.
 */
#ifndef STEKCTL_SYNC_STATUS_H
#define STEKCTL_SYNC_STATUS_H

#include "sync_host.h"

#pragma GCC visibility push(hidden)

/* Reads like a cycle, but writes nothing.  CTL_FINDING if anything is wrong. */
ctl_exit_e sync_status_show(ctl_t *ctl, const sync_options_t *options);

#pragma GCC visibility pop
#endif
