/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where OpenSSL's objects carry our records: indexes for SSL_CTX_get_ex_data and SSL_get_ex_data.
 * They are retained over reloads, because OpenSSL never takes one back.
 */
#ifndef MOD_STEK_EXDATA_H
#define MOD_STEK_EXDATA_H

#pragma GCC visibility push(hidden)

/* Index of an SSL_CTX's virtual host (mod_stek_vhost.h); -1 if OpenSSL has none.  Parent, while it
 * configures. */
int mod_stek_exdata_vhost(void);

/* Index of an SSL's handshake (mod_stek_handshake.h); -1 if OpenSSL has none.  Any thread. */
int mod_stek_exdata_handshake(void);

#pragma GCC visibility pop
#endif
