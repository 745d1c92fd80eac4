/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as a page.  Any thread of a child.
 */
#ifndef MOD_STEK_STATUS_HTML_H
#define MOD_STEK_STATUS_HTML_H

#include "mod_stek_snapshot.h"

#pragma GCC visibility push(hidden)

/* Writes the snapshot to r. */
void mod_stek_status_html(request_rec *r, const mod_stek_snapshot_t *snapshot);

/* Value of the page's Content-Security-Policy; NULL if OpenSSL cannot digest. */
const char *mod_stek_status_csp(apr_pool_t *pool);

#pragma GCC visibility pop
#endif
