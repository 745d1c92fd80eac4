/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives that are valid but do nothing, or not what they seem to: said once for each
 * configuration.  Parent only, while it configures.
 */
#ifndef MOD_STEK_CONFIG_NOTICES_H
#define MOD_STEK_CONFIG_NOTICES_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* Rings that two StekRing lines define. */
void mod_stek_config_notices_twice(server_rec *main_server, apr_pool_t *ptemp);

/* Last post_config, after the virtual hosts are known: these, rings that serve no virtual host, and
 * StekUseRing where there is no TLS. */
void mod_stek_config_notices(server_rec *main_server, apr_pool_t *ptemp);

#pragma GCC visibility pop
#endif
