/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that mod_ssl keeps in SSLSessionCache: of virtual hosts whose tickets are ours, only
 * those go in that may be resumed, and only those come out that a ticket would open as well.
 * mod_ssl's own functions do the keeping; a session of a stock host has no policy and is not
 * taken.  Parent, in init_server; then any thread of a child.
 */
#ifndef MOD_STEK_CACHE_H
#define MOD_STEK_CACHE_H

#include "mod_stek_vhost.h"

#pragma GCC visibility push(hidden)

/* init_server: puts ours before mod_ssl's functions, where it has any. */
void mod_stek_cache_install(mod_stek_vhost_t *vhost);

#pragma GCC visibility pop
#endif
