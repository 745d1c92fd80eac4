/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words that messages share.  A message begins with a stable tag, "STEK1001: ", under which the
 * manual says what to do.  1xxx: directives; 2xxx: rings and secrets in the parent; 3xxx: virtual
 * hosts; 4xxx: handshakes and children (debug).
 */
#ifndef MOD_STEK_WORDS_H
#define MOD_STEK_WORDS_H

#include "httpd.h"
#include "http_config.h"
#include "stek_error.h"

#pragma GCC visibility push(hidden)

/* "example.org:443 (/etc/apache2/sites-enabled/a.conf:12)", in pool. */
const char *mod_stek_server_text(const server_rec *s, apr_pool_t *pool);

/* "/etc/apache2/mods-enabled/stek_rotate.conf:3", in pool. */
const char *mod_stek_place_text(const ap_directive_t *at, apr_pool_t *pool);

/* "2026-11-21 20:00:05 UTC", in pool. */
const char *mod_stek_time_text(apr_time_t t, apr_pool_t *pool);

/* stek_strerror in pool. */
const char *mod_stek_error_text(apr_status_t rv, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
