/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets of a list's hosts, one for every key name, to be offered to others that show the same
 * name.  At most a few thousand.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_SAMPLES_H
#define STEKCTL_PROBE_SAMPLES_H

#include "model.h"

#pragma GCC visibility push(hidden)

typedef struct probe_samples_t probe_samples_t;

typedef struct probe_sample_t {
    const char *host; /* "www.example.org:443" */
    probe_ticket_t ticket;
    probe_reply_t own; /* to that host's full handshake: what confusion.c compares */
} probe_sample_t;

/* Ends with pool.  NULL: out of memory. */
probe_samples_t *probe_samples_create(apr_pool_t *pool);

/* A copy in pool of a ticket that another host gave under the name of one of this version's keys;
 * NULL: there is none.  Keeps a ticket of this one, unless a fresh one is there. */
const probe_sample_t *probe_samples_swap(probe_samples_t *samples, const probe_host_t *host,
                                         const probe_version_t *version, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
