/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's stores: opening and closing them, and what a cycle finds out about each.  What they are asked is in
 * sync_ask_stores.h.  One thread.
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

/* After a cycle: what its result says of each store. */
void sync_stores_note(sync_host_t *host, const sync_view_t *views, const sync_result_t *result);

/* Notes the rings that sync_plan has refused. */
void sync_stores_note_views(sync_host_t *host, const sync_view_t *views);

/* Nonzero if file ring and all stores are the same after a cycle that came to rv and result. */
int sync_stores_agree(const sync_host_t *host, apr_status_t rv, const sync_result_t *result);

/* Cycles in a row without a write, after which a store decides nothing. */
#define SYNC_STORES_DISTRUST_N 3

#pragma GCC visibility pop
#endif
