/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a ring by the name that it has in httpd's configuration.  stekctl; one thread.
 */
#ifndef STEKCTL_RING_NAME_H
#define STEKCTL_RING_NAME_H

#include "stekctl.h"

#pragma GCC visibility push(hidden)

/* From now on ctl is about the ring NAME.ring beside its ring, and about the secret that belongs to
 * it unless one was given.  CTL_DONE, or the code of what was reported: there is none. */
ctl_exit_e ring_by_name(ctl_t *ctl, const char *name);

#pragma GCC visibility pop
#endif
