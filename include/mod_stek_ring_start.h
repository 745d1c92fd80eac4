/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings at start and reload: where each is kept, then its keys; one that cannot be kept in a file
 * stays in memory, with a warning.  Parent only, one thread.  Nothing here ends httpd or a reload.
 */
#ifndef MOD_STEK_RING_START_H
#define MOD_STEK_RING_START_H

#include "httpd.h"

#include "mod_stek_config.h"

#pragma GCC visibility push(hidden)

/* Last post_config: secret, ring, audit and self-test of every ring that a TLS vhost uses. */
void mod_stek_ring_start_all(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s);

/* STEK2013: a ring that found no memory for its keys at the start; now, and again once a minute. */
void mod_stek_ring_start_log_lost(mod_stek_ring_config_t *ring, server_rec *s, apr_time_t now);

#pragma GCC visibility pop
#endif
