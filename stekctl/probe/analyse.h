/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl probe --analyse: examines a recording.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_ANALYSE_H
#define STEKCTL_PROBE_ANALYSE_H

#include "outputs.h"

#pragma GCC visibility push(hidden)

/* Examines the hosts in the file one after the other; path may be "-": standard input.  Reports
 * errors. */
ctl_exit_e probe_analyse(ctl_t *ctl, const char *path, const probe_options_t *options,
                         probe_outputs_t *outputs);

#pragma GCC visibility pop
#endif
