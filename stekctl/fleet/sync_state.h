/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file beside the ring in which stekctl sync records every store's last success, for --status in
 * another process; which hosts it has seen in the stores, and whose revocations are in the floor, for
 * stekctl revoke.  One thread.
 */
#ifndef STEKCTL_SYNC_STATE_H
#define STEKCTL_SYNC_STATE_H

#include "known_hosts.h"
#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Ignores errors, because only what is displayed depends on the file. */
void sync_state_write(sync_host_t *host);

/* Reads it into host->stores, where a time that is missing or invalid counts as never, and host->known. */
void sync_state_read(sync_host_t *host);

/* The hosts that the sync of the command's ring has seen, in pool; none if there is no such file. */
apr_array_header_t *sync_state_known(const ctl_t *ctl, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
