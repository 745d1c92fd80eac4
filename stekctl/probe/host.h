/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A probe of one host.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_HOST_H
#define STEKCTL_PROBE_HOST_H

#include "model.h"

#pragma GCC visibility push(hidden)

/* Probes host, whose name, port and planned_n are set.  Also offers it the tickets of
 * earlier[earlier_n], which have been probed. */
void probe_host(probe_host_t *host, const probe_host_t *earlier, int earlier_n,
                const probe_options_t *options, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
