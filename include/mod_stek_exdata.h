/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where SSL_CTXs carry our records: an index for SSL_CTX_get_ex_data.  It is retained over reloads,
 * because OpenSSL never takes one back.
 */
#ifndef MOD_STEK_EXDATA_H
#define MOD_STEK_EXDATA_H

#pragma GCC visibility push(hidden)

/* Index of an SSL_CTX's virtual host (mod_stek_vhost.h); -1 if OpenSSL has none.  Parent, while it
 * configures. */
int mod_stek_exdata_vhost(void);

#pragma GCC visibility pop
#endif
