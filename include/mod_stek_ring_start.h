/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings at start and reload: where each is kept, then its keys; one that cannot be kept in a file
 * stays in memory, with a warning.  Parent only, one thread.  Nothing here ends httpd or a reload.
 */
#ifndef MOD_STEK_RING_START_H
#define MOD_STEK_RING_START_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* Last post_config: secret, ring, audit and self-test of every ring that a TLS vhost uses. */
void mod_stek_ring_start_all(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s);

#pragma GCC visibility pop
#endif
