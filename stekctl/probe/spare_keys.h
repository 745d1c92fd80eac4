/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says what became of tickets under guessable keys that make none.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_SPARE_KEYS_H
#define STEKCTL_PROBE_SPARE_KEYS_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* A finding about run->version; spare must last as long as the findings. */
void probe_spare_keys_tell(probe_run_t *run, const probe_spare_t *spare);

#pragma GCC visibility pop
#endif
