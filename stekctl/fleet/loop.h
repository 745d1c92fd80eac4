/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl sync at work: cycles, their pace, and the signals that end it or have it read its secrets
 * again.  Main thread.
 */
#ifndef STEKCTL_SYNC_LOOP_H
#define STEKCTL_SYNC_LOOP_H

#include "sync_host.h"

#pragma GCC visibility push(hidden)

/* Runs until SIGTERM or SIGINT, or, with once, for one cycle, whose outcome it returns. */
ctl_exit_e sync_loop_run(ctl_t *ctl, const sync_options_t *options, int once);

#pragma GCC visibility pop
#endif
