/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says about virtual hosts at start: how each issues tickets, and settings that do
 * not do what they seem to.  Parent only, last post_config.
 */
#ifndef MOD_STEK_VHOST_NOTICES_H
#define MOD_STEK_VHOST_NOTICES_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* One line for every vhost, at info. */
void mod_stek_vhost_notices_log(apr_pool_t *ptemp);

/* Logs what the administrator should know about vhosts that share an address, that are left to
 * SSLSessionTicketKeyFile, or that ask for client certificates. */
void mod_stek_vhost_notices_warn(server_rec *main_server, apr_pool_t *ptemp);

#pragma GCC visibility pop
#endif
