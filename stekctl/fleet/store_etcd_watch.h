/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd's watch of one key, for store_driver.h.  Runs in a worker of its own; one thread.
 */
#ifndef STEKCTL_STORE_ETCD_WATCH_H
#define STEKCTL_STORE_ETCD_WATCH_H

#include "store_driver.h"

#pragma GCC visibility push(hidden)

extern const store_watch_t store_etcd_watch;

#pragma GCC visibility pop
#endif
