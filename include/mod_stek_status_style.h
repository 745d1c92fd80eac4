/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The style sheet of the status page.  It stands in the page; the policy in the page's header
 * allows it, by its digest, and nothing else.  Any thread of a child.
 */
#ifndef MOD_STEK_STATUS_STYLE_H
#define MOD_STEK_STATUS_STYLE_H

#include "apr_pools.h"

#pragma GCC visibility push(hidden)

extern const char mod_stek_status_css[];

/* Value of the page's Content-Security-Policy; NULL if OpenSSL cannot digest. */
const char *mod_stek_status_csp(apr_pool_t *pool);

#pragma GCC visibility pop
#endif
