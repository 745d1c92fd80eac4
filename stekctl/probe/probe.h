/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe, which shows what an attacker could learn from a server's tickets: all that other
 * folders may include.  One thread.
 */
#ifndef STEKCTL_PROBE_H
#define STEKCTL_PROBE_H

#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_probe(ctl_t *ctl, int argc, char **argv);

/* What runs 'probe --hosts', for --version. */
const char *probe_loop_name(void);

#pragma GCC visibility pop
#endif
