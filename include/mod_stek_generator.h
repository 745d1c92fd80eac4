/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's side of rings: prepares keys, ends them, writes the file ring, and logs
 * what is wrong.  Parent only (in one-process mode: the timer thread), one thread.
 * Nothing here ends httpd or a reload.
 */
#ifndef MOD_STEK_GENERATOR_H
#define MOD_STEK_GENERATOR_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* Last post_config: secret, ring, audit and self-test of every ring that a TLS vhost uses. */
void mod_stek_generator_start(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s);

/* monitor hook, about every ten seconds: follows the file, adds and expires keys, writes.  Never
 * blocks. */
int mod_stek_generator_monitor(apr_pool_t *p, server_rec *s);

#pragma GCC visibility pop
#endif
