/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives: what the administrator asks for.  Records are written while the configuration is read
 * and checked, by the parent's only thread, and are read-only afterwards.  They live in pconf.
 */
#ifndef MOD_STEK_CONFIG_H
#define MOD_STEK_CONFIG_H

#include "httpd.h"
#include "http_config.h"
#include "mod_stek_policy.h"
#include "stek_schedule.h"

#pragma GCC visibility push(hidden)

extern module AP_MODULE_DECLARE_DATA stek_rotate_module __attribute__((visibility("default")));

#define MOD_STEK_UNSET (-1)

/* A ring as configured. */
typedef struct mod_stek_ring_t {
    const char *name;
    const char *path;        /* file ring; NULL: anonymous memory */
    const char *secret_path; /* local secret; NULL: made in memory */
    int secret_is_default;   /* secret= was not given */
    stek_params_t params;
    int generate; /* the parent makes keys */
    apr_interval_time_t poll;
    int used;                     /* by a TLS vhost: set in init_server */
    struct mod_stek_live_t *live; /* set in the last post_config; NULL: not used */
} mod_stek_ring_t;

/*
 * What a server or virtual host asks for.  One line a field: type, member, unset.  A vhost's unset
 * field takes the main server's value.
 */
#define MOD_STEK_SERVER_FIELDS(X)                                                                  \
    X(const char *, ring_name, NULL)                        /* StekUseRing */                      \
    X(int, rotate, MOD_STEK_UNSET)                          /* StekRotate, as written */           \
    X(int, tickets, MOD_STEK_UNSET)                         /* StekTickets, as written */          \
    X(int, binding, MOD_STEK_UNSET)                         /* StekBinding: policy */              \
    X(apr_interval_time_t, ticket_lifetime, MOD_STEK_UNSET) /* StekTicketLifetime */               \
    X(apr_interval_time_t, max_session_age, MOD_STEK_UNSET) /* StekMaxSessionAge; 0: off */        \
    X(const char *, ticket_key_file, NULL)                  /* SSLSessionTicketKeyFile */          \
    X(int, ssl_tickets, MOD_STEK_UNSET)                     /* SSLSessionTickets */                \
    X(apr_interval_time_t, cache_timeout, MOD_STEK_UNSET)   /* SSLSessionCacheTimeout */

typedef struct mod_stek_server_t {
#define MOD_STEK_FIELD(type, member, unset) type member;
    MOD_STEK_SERVER_FIELDS(MOD_STEK_FIELD)
#undef MOD_STEK_FIELD
    mod_stek_policy_t *policy; /* what clients have to show; merged rule by rule */
} mod_stek_server_t;

extern const command_rec mod_stek_commands[];

void *mod_stek_server_create(apr_pool_t *p, server_rec *s);
void *mod_stek_server_merge(apr_pool_t *p, void *base, void *add);

/* pre_config: forgets the rings of the former configuration; `default` exists from here on. */
int mod_stek_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

/* check_config: faults between directives.  OK, or HTTP_INTERNAL_SERVER_ERROR with the fault
 * logged. */
int mod_stek_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

const mod_stek_server_t *mod_stek_server_get(const server_rec *s);

/* All rings of the configuration: n pointers. */
mod_stek_ring_t *const *mod_stek_rings(int *n);

/* The ring that serves s; never NULL after check_config. */
mod_stek_ring_t *mod_stek_server_ring(const server_rec *s);

/* Nonzero if this module makes the tickets of s: StekRotate, or its default beside
 * SSLSessionTicketKeyFile. */
int mod_stek_server_rotates(const server_rec *s);

/* How long a ticket lives, and after what time a client must do a full handshake again. */
typedef struct mod_stek_limits_t {
    apr_interval_time_t lifetime; /* whole seconds, at least 1: hint and session timeout */
    apr_interval_time_t max_age;  /* 0: no limit */
} mod_stek_limits_t;

/* The limits of s, for sessions with (client_cert != 0) or without a client certificate.  What
 * is not set explicitly is SSLSessionCacheTimeout, as in stock httpd, for sessions with a
 * certificate, and for all sessions of a vhost that can ask for one. */
mod_stek_limits_t mod_stek_server_limits(const server_rec *s, int client_cert);

/* Nonzero if s asks for client certificates and was told to let sessions last longer than
 * SSLSessionCacheTimeout. */
int mod_stek_server_outlives_cache(const server_rec *s);

/* Whether mod_ssl is in this server. */
int mod_stek_have_ssl(void);

#pragma GCC visibility pop
#endif
