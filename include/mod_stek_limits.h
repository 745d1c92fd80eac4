/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long tickets and sessions of a virtual host last, as its directives say or, where they do
 * not, by default.  After check_config; pure functions of the configuration.
 */
#ifndef MOD_STEK_LIMITS_H
#define MOD_STEK_LIMITS_H

#include "mod_stek_config.h"

#pragma GCC visibility push(hidden)

/* How long a ticket lives, and after what time a client must do a full handshake again. */
typedef struct mod_stek_limits_t {
    apr_interval_time_t lifetime; /* whole seconds, at least 1: hint and session timeout */
    apr_interval_time_t max_age;  /* 0: no limit */
} mod_stek_limits_t;

/* The limits of s, for sessions with (client_cert != 0) or without a client certificate.  What
 * is not set explicitly is SSLSessionCacheTimeout, as in stock httpd, for sessions with a
 * certificate, and for all sessions of a vhost that can ask for one. */
mod_stek_limits_t mod_stek_limits_of(const server_rec *s, int client_cert);

/* Nonzero if s asks for client certificates and was told to let sessions last longer than
 * SSLSessionCacheTimeout. */
int mod_stek_limits_outlive_cache(const server_rec *s);

#pragma GCC visibility pop
#endif
