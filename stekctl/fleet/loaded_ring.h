/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host's httpd has loaded, as its status page says (stek-status, format=prometheus): over plain
 * HTTP, from an address of this machine.  The child that answers speaks for all, since each loads the ring
 * within the poll.  What it says is shown, and decides nothing.  One thread.
 */
#ifndef STEKCTL_LOADED_RING_H
#define STEKCTL_LOADED_RING_H

#include <apr_pools.h>
#include <apr_time.h>

#pragma GCC visibility push(hidden)

typedef struct loaded_ring_t {
    apr_uint64_t epoch, generation;
    apr_uint64_t
        number; /* stek_ring_digest48 of the file that it has loaded; 0: the page does not say */
} loaded_ring_t;

/* NULL, or what is wrong with the URL, "http://ADDRESS[:PORT]/PATH[#RING]", where ADDRESS is a number or
 * localhost, and RING the ring's name in httpd's configuration, or else default.  Constant. */
const char *loaded_ring_check(const char *url);

/* Asks the page of such a URL, for at most limit.  NULL, or why nothing is known; in pool. */
const char *loaded_ring_read(const char *url, apr_interval_time_t limit, loaded_ring_t *status,
                             apr_pool_t *pool);

/* Finds the ring in the page's text.  0: it is not there. */
int loaded_ring_find(const char *text, const char *ring, loaded_ring_t *status, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
