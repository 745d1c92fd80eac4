/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys to try that the server itself shows: its names, and its certificate as a file begins.
 * stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_SHOWN_KEYS_H
#define STEKCTL_PROBE_SHOWN_KEYS_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* These and the user's own keys, for run->version; in run->pool. */
const probe_own_keys_t *probe_shown_keys(const probe_run_t *run);

#pragma GCC visibility pop
#endif
