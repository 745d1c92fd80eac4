/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings from the collected tickets alone.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_EXAMINE_H
#define STEKCTL_PROBE_EXAMINE_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* Whether run->version gives tickets, and for how long. */
void probe_examine_support(probe_run_t *run);

/* Layout, plain secrets, weak keys, repeated nonces.  run->version has tickets. */
void probe_examine_tickets(probe_run_t *run);

/* What only tickets of several backends show together: one IV or key stream.  run->version has
 * several, and finds nothing if that is known already. */
void probe_examine_across(probe_run_t *run);

#pragma GCC visibility pop
#endif
