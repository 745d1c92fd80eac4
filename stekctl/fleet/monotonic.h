/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monotonic clock, for timeouts and pauses.  stekctl; any thread.
 */
#ifndef STEKCTL_FLEET_MONOTONIC_H
#define STEKCTL_FLEET_MONOTONIC_H

#include <apr.h>

#pragma GCC visibility push(hidden)

/* Milliseconds since some point in the past. */
apr_int64_t monotonic_ms(void);

#pragma GCC visibility pop
#endif
