/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Examines a host's recorded tickets again, perhaps with newer lists of keys or a deeper search,
 * without the host.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_OFFLINE_H
#define STEKCTL_PROBE_OFFLINE_H

#include "model.h"

#pragma GCC visibility push(hidden)

/* host is from a recording.  Replaces its findings by those of all tests: tests of tickets are done
 * again, the others are as recorded. */
void probe_offline(probe_host_t *host, const probe_options_t *options, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
