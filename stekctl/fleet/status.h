/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl sync --status: how stores and file ring stand, and what a cycle would do.  One thread.
 */
#ifndef STEKCTL_SYNC_STATUS_H
#define STEKCTL_SYNC_STATUS_H

#include "sync_host.h"

#pragma GCC visibility push(hidden)

/* Reads as a cycle does, and writes nothing.  CTL_FINDING: something is not as it should be. */
ctl_exit_e sync_status_show(ctl_t *ctl, const sync_options_t *options);

#pragma GCC visibility pop
#endif
