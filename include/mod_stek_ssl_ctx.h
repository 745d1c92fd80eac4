/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the module on the SSL_CTX of a TLS virtual host: its record, and the callbacks of tickets,
 * handshakes and mod_ssl's session cache.  Parent only.
 */
#ifndef MOD_STEK_SSL_CTX_H
#define MOD_STEK_SSL_CTX_H

#include "mod_ssl_openssl.h"

#pragma GCC visibility push(hidden)

/* mod_ssl's init_server hook. */
int mod_stek_ssl_ctx_install(server_rec *s, apr_pool_t *p, int is_proxy, SSL_CTX *ctx);

/* Last post_config: what vhosts demand of clients whose connection began with another on the
 * address, and that none resumes without a key exchange on its behalf. */
void mod_stek_ssl_ctx_note_neighbours(apr_pool_t *ptemp);

/* Last post_config: notes which groups each vhost accepts that is the first on the address of one
 * that asks for certificates. */
void mod_stek_ssl_ctx_note_groups(apr_pool_t *ptemp);

#pragma GCC visibility pop
#endif
