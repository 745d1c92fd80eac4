/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that no directive shows by itself: rings that share a file, a ring that is not defined, a
 * lifetime that does not fit.  Parent only, while it configures.
 */
#ifndef MOD_STEK_CONFIG_CHECK_H
#define MOD_STEK_CONFIG_CHECK_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* check_config: also makes the paths of rings absolute.  OK, or HTTP_INTERNAL_SERVER_ERROR with the
 * fault logged. */
int mod_stek_config_check_settings(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                                   server_rec *s);

/* check_config, after mod_stek_config_check_settings: in configtest, warns of files at the paths of
 * rings and secrets that httpd will not use as such.  OK. */
int mod_stek_config_check_files(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                                server_rec *s);

#pragma GCC visibility pop
#endif
