/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which fleet a command means that names none: this machine's.  One thread.
 */
#ifndef STEKCTL_FLEET_CONFIG_H
#define STEKCTL_FLEET_CONFIG_H

#include "sync_settings.h"

#pragma GCC visibility push(hidden)

/* "NAME" or "DIR/FILE" as the path of a configuration, in pool. */
const char *fleet_config_path(const char *name, apr_pool_t *pool);

/* The configuration of the fleet whose ring is at ring_path, by the units' names, or else the only one in
 * /etc/stek.  In pool; NULL: there is none, or one of several. */
const char *fleet_config_find(const char *ring_path, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
