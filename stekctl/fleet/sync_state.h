/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file beside the ring in which stekctl sync records every store's last success, for --status in
 * another process, and whose revocations are in the floor, for stekctl revoke.  One thread.
 */
#ifndef STEKCTL_SYNC_STATE_H
#define STEKCTL_SYNC_STATE_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Ignores errors, because only what is displayed depends on the file. */
void sync_state_write(const sync_host_t *host);

/* Reads it into host->stores; a time that is missing or invalid counts as never. */
void sync_state_read(sync_host_t *host);

#pragma GCC visibility pop
#endif
