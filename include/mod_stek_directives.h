/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directives: ours, and those of mod_ssl whose values we have to know.  Parent, while it
 * configures; of mod_ssl's directives, .htaccess files may have some too.
 */
#ifndef MOD_STEK_DIRECTIVES_H
#define MOD_STEK_DIRECTIVES_H

#include "httpd.h"
#include "http_config.h"

#pragma GCC visibility push(hidden)

extern const command_rec mod_stek_commands[];

#pragma GCC visibility pop
#endif
