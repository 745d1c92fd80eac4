/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Announcements in the stores: reads and writes their parts, each store by a worker of its own that is
 * there only as long as it is needed.  Whatever does not open counts as empty.  One thread.
 */
#ifndef STEKCTL_ANNOUNCE_STORES_H
#define STEKCTL_ANNOUNCE_STORES_H

#include "announce_set.h"
#include "sync_model.h"

#pragma GCC visibility push(hidden)

typedef struct announce_store_t {
    const char *url;
    store_t *store;
    int skip;              /* not asked: set by the caller */
    store_result_e result; /* of the last call, unless skipped */
    char why[STORE_WHY_LEN];
    apr_int64_t waited_ms; /* for its answers to reads; the caller sets it back */
    announce_set_t set;    /* of a read: empty unless STORE_DONE */
    int refused;           /* what was read does not open */
    int too_large;         /* so large that it was not read, and cannot be replaced */
    unsigned char
        refused_parts[ANNOUNCE_PARTS]; /* the same of each part, when it was gathered last */
    char refused_why[STORE_WHY_LEN];   /* of the last one */
} announce_store_t;

/* Opens them.  Codes of what was reported. */
ctl_exit_e announce_stores_open(sync_host_t *host, const char *const *urls, int n,
                                announce_store_t *stores);
void announce_stores_close(announce_store_t *stores, int n);

/* Ends the workers until the next call. */
void announce_stores_rest(announce_store_t *stores, int n);

/* Reads that part from all stores at once, until the monotonic time deadline_ms.  Sets are in host->pool. */
void announce_stores_read(sync_host_t *host, announce_store_t *stores, int n, int part,
                          apr_int64_t deadline_ms);

/* The same, and what all of them say together, in pool.  A store that fails is skipped from then on; 0 if
 * none answered. */
int announce_stores_gather(sync_host_t *host, announce_store_t *stores, int n, int part,
                           apr_int64_t deadline_ms, apr_time_t now, announce_set_t *set,
                           apr_pool_t *pool);

/* How many parts do not open, of those that were gathered. */
int announce_stores_refused_n(const announce_store_t *store);

/* Writes each store's set, as long as the store still has what was read there. */
void announce_stores_write(sync_host_t *host, announce_store_t *stores, int n, int part,
                           apr_int64_t deadline_ms);

#pragma GCC visibility pop
#endif
