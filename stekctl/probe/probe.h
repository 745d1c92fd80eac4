/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room of the probe: what an attacker would learn from a server's tickets.  All that others may
 * know of it.  One thread.
 */
#ifndef STEKCTL_PROBE_H
#define STEKCTL_PROBE_H

#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_probe(ctl_t *ctl, int argc, char **argv);

#pragma GCC visibility pop
#endif
