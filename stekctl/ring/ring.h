/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands for a ring on this host, its keys and its secret: all that other folders may include.
 * One thread.
 */
#ifndef STEKCTL_RING_H
#define STEKCTL_RING_H

#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_new(ctl_t *ctl, int argc, char **argv);
ctl_exit_e cmd_show(ctl_t *ctl, int argc, char **argv);
ctl_exit_e cmd_rotate(ctl_t *ctl, int argc, char **argv);
ctl_exit_e cmd_revoke(ctl_t *ctl, int argc, char **argv);
ctl_exit_e cmd_audit(ctl_t *ctl, int argc, char **argv);
ctl_exit_e cmd_secret(ctl_t *ctl, int argc, char **argv);

#pragma GCC visibility pop
#endif
