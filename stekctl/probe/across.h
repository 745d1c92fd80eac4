/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts of one run have in common: key names, keys that were found, tickets of one that resume
 * at another.  Remembers their names and 40 bytes for each of these, up to a limit.  stekctl; one
 * thread.
 */
#ifndef STEKCTL_PROBE_ACROSS_H
#define STEKCTL_PROBE_ACROSS_H

#include "json.h"
#include "model.h"

#pragma GCC visibility push(hidden)

typedef struct probe_across_t probe_across_t;

/* Ends with pool. */
probe_across_t *probe_across_create(apr_pool_t *pool);

/* Adds a host that has been probed. */
void probe_across_add(probe_across_t *across, const probe_host_t *host);

typedef enum probe_common_e {
    PROBE_COMMON_NAME,   /* of a key */
    PROBE_COMMON_KEY,    /* that was found */
    PROBE_COMMON_TICKETS /* those of one host resume at another */
} probe_common_e;

#define PROBE_COMMON_MAX 32 /* bytes; of longer ones the SHA-256 */

/* Hosts that have something in common. */
typedef struct probe_group_t {
    probe_common_e kind;
    int layout; /* of tickets with that key name: probe_layout_e */
    const unsigned char *bytes;
    apr_size_t len;
    int is_digest;
    int hosts_n;
    const char *const *hosts; /* "www.example.org:443" */
} probe_group_t;

/* Calls tell for every group; it keeps nothing of it.  Returns how many there are. */
int probe_across_groups(probe_across_t *across,
                        void (*tell)(const probe_group_t *group, void *data), void *data);

/* How many names and keys were too many to be compared. */
apr_size_t probe_across_left_out(const probe_across_t *across);

/* Whether this layout has key names that are long enough to be compared. */
int probe_across_is_comparable(const probe_backend_t *backend);

#pragma GCC visibility pop
#endif
