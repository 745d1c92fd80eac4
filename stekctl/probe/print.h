/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a probe found, for people and as JSON.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_PRINT_H
#define STEKCTL_PROBE_PRINT_H

#include <apr_pools.h>

#include "across.h"
#include "model.h"

#pragma GCC visibility push(hidden)

/* The number of findings that are weak or broken. */
int probe_print_findings_n(const probe_host_t *host);

/* Prints one host, as soon as it has been probed, the verdict first. */
void probe_print_host(const probe_host_t *host, apr_pool_t *pool);

/* Prints one host as a line of JSON, as it would be in the array of hosts. */
void probe_print_json_line(const probe_host_t *host, apr_pool_t *pool);

/* Prints hosts[n], and what they have in common, as one value. */
void probe_print_json(const probe_host_t *hosts, int n, const probe_options_t *options,
                      probe_across_t *across, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
