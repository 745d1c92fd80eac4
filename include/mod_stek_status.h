/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `SetHandler stek-status`, and a section in mod_status.  Any thread of a child.
 */
#ifndef MOD_STEK_STATUS_H
#define MOD_STEK_STATUS_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* handler hook: answers GET with the page, ?format=json or ?format=prometheus. */
int mod_stek_status_handler(request_rec *r);

/* mod_status's hook: flags are AP_STATUS_*. */
int mod_stek_status_section(request_rec *r, int flags);

#pragma GCC visibility pop
#endif
