/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hosts this one has seen in the stores, and when each last spoke.  A store that was emptied does not know its
 * hosts until they speak again; meanwhile, who waits for all of them knows from here that there are more.  Pure
 * functions of the list and the time; one thread.
 */
#ifndef STEKCTL_KNOWN_HOSTS_H
#define STEKCTL_KNOWN_HOSTS_H

#include <apr_tables.h>

#include "announce_set.h"

#pragma GCC visibility push(hidden)

/* Those that spoke last are kept. */
#define KNOWN_HOSTS_MAX 2048

typedef struct known_host_t {
    char name[ANNOUNCE_NAME_MAX + 1];
    apr_time_t seen; /* when it last spoke */
} known_host_t;

/* An empty list, of known_host_t. */
apr_array_header_t *known_hosts_make(apr_pool_t *pool);

/* Adds one; ignores what cannot be a name. */
void known_hosts_add(apr_array_header_t *known, const char *name, apr_time_t seen);

/* When the host last spoke; 0: it is not in the list. */
apr_time_t known_hosts_seen(const apr_array_header_t *known, const char *name);

/* Takes in what the stores say, with its marks, and drops hosts that are to be forgotten.  What is older than what was
 * seen changes nothing. */
void known_hosts_update(apr_array_header_t *known, const announce_set_t *set, apr_time_t now);

/* Those of which the set, with its marks, has neither an announcement nor a mark from after they last spoke, and that
 * are not over; in pool. */
apr_array_header_t *known_hosts_missing(const apr_array_header_t *known, const announce_set_t *set,
                                        apr_time_t now, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
