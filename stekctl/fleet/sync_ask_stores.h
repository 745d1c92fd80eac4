/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a host's stores, and waits for their answers: a store that is late is silent in this cycle.  Whatever comes
 * from a store is opened, checked and audited here before the cycle sees it; whatever goes to one is sealed here.
 * One thread.
 */
#ifndef STEKCTL_SYNC_ASK_STORES_H
#define STEKCTL_SYNC_ASK_STORES_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* How long one call to a store can take. */
apr_interval_time_t sync_ask_stores_call_max(const sync_options_t *options);

/* An object from the future stays as it is for so many cycles if this host's clock may be the wrong one: time
 * enough for NTP to set it after a boot. */
#define SYNC_ASK_STORES_BEHIND_N 30

/* For the port, whose baton is the host. */
void sync_ask_stores_read(void *baton, apr_time_t now, sync_view_t *views);
sync_written_e sync_ask_stores_write(void *baton, int i, const stek_ring_t *ring, apr_time_t now);

/* Nonzero if the store, which has just taken a write, has an object; or if it does not say so now: then the next
 * cycle does. */
int sync_ask_stores_kept(sync_host_t *host, int i);

#pragma GCC visibility pop
#endif
