/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of stekctl sync that are each allowed, but do not fit together: times that leave hosts
 * without keys, a store that is named twice, a fleet secret that serves two rings.  One thread.
 */
#ifndef STEKCTL_SYNC_SETTINGS_CHECK_H
#define STEKCTL_SYNC_SETTINGS_CHECK_H

#include "sync_settings.h"

#pragma GCC visibility push(hidden)

/* Completes the paths in ctl and settings, and reports what does not fit, with the numbers. */
ctl_exit_e sync_settings_check(ctl_t *ctl, sync_settings_t *settings);

/* Only completes them: for commands that read what a fleet's stores hold. */
ctl_exit_e sync_settings_complete(ctl_t *ctl, sync_settings_t *settings);

/* --check: opens the secrets as well, looks at the files for the stores, and prints what follows from the
 * settings.  Writes nothing and connects to no store. */
ctl_exit_e sync_settings_show(ctl_t *ctl, const sync_settings_t *settings);

#pragma GCC visibility pop
#endif
