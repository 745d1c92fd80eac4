/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one run of stekctl sync leaves for --status of another: beside the ring, the last success of
 * each store.  One thread.
 */
#ifndef STEKCTL_SYNC_STATE_H
#define STEKCTL_SYNC_STATE_H

#include "sync_host.h"

#pragma GCC visibility push(hidden)

/* Lost if it cannot be written: nothing but the display needs it. */
void sync_state_write(const sync_host_t *host);

/* Into host->stores; what cannot be read, or cannot be a time, is none. */
void sync_state_read(sync_host_t *host);

#pragma GCC visibility pop
#endif
