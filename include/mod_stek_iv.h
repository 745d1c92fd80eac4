/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The initialisation vectors (stek_iv.h) of this process, whichever process it is: vectors are never
 * shared with a parent, a sibling or a fork.  Glue.
 */
#ifndef MOD_STEK_IV_H
#define MOD_STEK_IV_H

#include "httpd.h"
#include "stek_iv.h"

#pragma GCC visibility push(hidden)

/* post_config: makes the parent's; they are wiped with pconf.  APR_ENOMEM, STEK_ECRYPTO. */
apr_status_t mod_stek_iv_setup(apr_pool_t *pconf);

/* child_init: makes this child's own, or logs that it issues no tickets. */
void mod_stek_iv_child_init(apr_pool_t *pchild, server_rec *s);

/* The next vector.  Any thread.  0 if there is none. */
int mod_stek_iv_next(apr_time_t now, unsigned char iv[STEK_IV_LEN]);

#pragma GCC visibility pop
#endif
