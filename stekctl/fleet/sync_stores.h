/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's stores.  Whatever comes from a store is opened, checked and audited here before the cycle
 * sees it; whatever goes to one is sealed here.  One thread.
 */
#ifndef STEKCTL_SYNC_STORES_H
#define STEKCTL_SYNC_STORES_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Reads the password and opens all stores in place of those that are open: all or none.  Codes of what
 * was reported. */
ctl_exit_e sync_stores_open(sync_host_t *host);
void sync_stores_close(sync_host_t *host);

/* Opens the stores of those URLs for another object, all or none, with the same password.  Codes of what
 * was reported. */
ctl_exit_e sync_stores_open_beside(sync_host_t *host, const char *const *urls, int n,
                                   const char *object, store_t **opened);

/* The secret that seals in the stores: the first one of the fleet's day.  *pmade (NULL: none) has it, and
 * is to be destroyed afterwards.  Codes of ratchet_keys. */
apr_status_t sync_stores_secret(const sync_host_t *host, stek_secrets_t **pmade,
                                const stek_secret_t **psecret);

/* How long one call to a store can take. */
apr_interval_time_t sync_stores_call_max(const sync_options_t *options);

/* After a cycle: what its result says of each store. */
void sync_stores_note(sync_host_t *host, const sync_view_t *views, const sync_result_t *result);

/* Notes the rings that sync_plan has refused. */
void sync_stores_note_views(sync_host_t *host, const sync_view_t *views);

/* Nonzero if file ring and all stores are the same after a cycle that came to rv and result. */
int sync_stores_agree(const sync_host_t *host, apr_status_t rv, const sync_result_t *result);

/* Cycles in a row without a write, after which a store decides nothing. */
#define SYNC_STORES_DISTRUST_N 3

/* An object from the future stays as it is for so many cycles if this host's clock may be the wrong one: time
 * enough for NTP to set it after a boot. */
#define SYNC_STORES_BEHIND_N 30

/* For the port, whose baton is the host. */
void sync_stores_read(void *baton, apr_time_t now, sync_view_t *views);
sync_written_e sync_stores_write(void *baton, int i, const stek_ring_t *ring, apr_time_t now);

/* Nonzero if the store, which has just taken a write, has an object; or if it does not say so now: then the next
 * cycle does. */
int sync_stores_kept(sync_host_t *host, int i);

#pragma GCC visibility pop
#endif
