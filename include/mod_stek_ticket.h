/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's ticket callbacks.  A ticket is laid out as RFC 5077, section 4 recommends and OpenSSL
 * has it: key name 16 | IV 16 | AES-256-CBC | HMAC-SHA256 32.  The callbacks run in every
 * handshake, in any thread of a child: they allocate from no pool, read no file and log nothing
 * above debug.
 */
#ifndef MOD_STEK_TICKET_H
#define MOD_STEK_TICKET_H

#include "mod_stek_vhost.h"

#pragma GCC visibility push(hidden)

/* post_config, before mod_ssl's: fetches the ciphers once for all handshakes, and makes this
 * process's initialisation vectors; they are released with pconf.  APR_ENOMEM, STEK_ECRYPTO. */
apr_status_t mod_stek_ticket_setup(apr_pool_t *pconf);

/* Puts the callbacks on an SSL_CTX; keys == 0 leaves the key callback that mod_ssl has set.  0 if
 * OpenSSL refuses. */
int mod_stek_ticket_install(SSL_CTX *ctx, int keys);

/* The start-up self-test of a vhost's ring: seals a ticket through the key callback itself and
 * opens it with its own HMAC and AES over the bytes that were audited; if the ring has no current
 * key, those of a key made for the test.  Turns issuing on, or off: STEK_ECRYPTO. */
apr_status_t mod_stek_ticket_selftest(mod_stek_vhost_t *vhost);

#pragma GCC visibility pop
#endif
