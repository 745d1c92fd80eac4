/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files with which stekctl sync logs in at stores: whether its user will be able to use them.  One thread.
 */
#ifndef STEKCTL_LOGIN_FILES_H
#define STEKCTL_LOGIN_FILES_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Reports each of password, CA, certificate and key that cannot be used: its path, its owner and mode as they are
 * and as they should be.  The first code of what was reported. */
ctl_exit_e login_files_check(ctl_t *ctl, const sync_options_t *options);

#pragma GCC visibility pop
#endif
