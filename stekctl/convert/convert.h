/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands for other programs' key files, and how these files are read: all that other folders may
 * include.  One thread.
 */
#ifndef STEKCTL_CONVERT_H
#define STEKCTL_CONVERT_H

#include "keyfile.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

ctl_exit_e cmd_import(ctl_t *ctl, int argc, char **argv);
ctl_exit_e cmd_export(ctl_t *ctl, int argc, char **argv);

#pragma GCC visibility pop
#endif
