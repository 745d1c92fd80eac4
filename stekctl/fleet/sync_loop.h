/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl sync while it runs: its cycles, the pauses between them, and the signals that stop it or
 * make it re-read its secrets.  Main thread.
 */
#ifndef STEKCTL_SYNC_LOOP_H
#define STEKCTL_SYNC_LOOP_H

#include "sync_host.h"

#pragma GCC visibility push(hidden)

/* Runs until SIGTERM or SIGINT, or one cycle if options->once; then it returns that cycle's result. */
ctl_exit_e sync_loop_run(ctl_t *ctl, const sync_options_t *options);

#pragma GCC visibility pop
#endif
