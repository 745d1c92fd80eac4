/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor hook: the parent looks after its rings.  Parent only (in one-process mode: the timer
 * thread), one thread.
 */
#ifndef MOD_STEK_MONITOR_H
#define MOD_STEK_MONITOR_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* About every ten seconds: follows the file, adds and expires keys, writes, and logs what is wrong.
 * Never blocks, and never ends httpd. */
int mod_stek_monitor(apr_pool_t *p, server_rec *s);

#pragma GCC visibility pop
#endif
