/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: what the administrator asks for, as records that the directives' handlers
 * write (mod_stek_directives.h).  They are written while the configuration is read and checked, by
 * the parent's only thread, and are read-only afterwards.  They live in pconf.
 */
#ifndef MOD_STEK_CONFIG_H
#define MOD_STEK_CONFIG_H

#include "httpd.h"
#include "http_config.h"
#include "mod_stek_policy_digest.h"
#include "stek_schedule.h"

#pragma GCC visibility push(hidden)

extern module AP_MODULE_DECLARE_DATA stek_rotate_module __attribute__((visibility("default")));

#define MOD_STEK_UNSET (-1)

/* StekTickets, as written. */
enum { MOD_STEK_TICKETS_OFF, MOD_STEK_TICKETS_ON, MOD_STEK_TICKETS_TLS13 };

/* How many tickets a client gets in TLS 1.3. */
#define MOD_STEK_TICKETS_MAX 16
typedef struct mod_stek_ticket_count_t {
    int full;    /* after a full handshake, */
    int resumed; /* and after a resumed one, if the client does not ask for a number; */
    int max;     /* the most that it can ask for (RFC 9149); 0: asking changes nothing */
} mod_stek_ticket_count_t;

/* A ring as configured. */
typedef struct mod_stek_ring_config_t {
    const char *name;
    const char *path;                             /* file ring; NULL: anonymous memory */
    const char *secret_path;                      /* local secret; NULL: made in memory */
    int secret_is_default;                        /* secret= was not given */
    const ap_directive_t *at;                     /* the first StekRing of that name; NULL: none */
    const ap_directive_t *again;                  /* the second; NULL: none */
    int interval_is_default, lifetime_is_default; /* not given, either */
    stek_params_t params;
    int generate; /* the parent makes keys */
    apr_interval_time_t poll;
    int used;           /* by a TLS vhost: set in init_server */
    apr_time_t lost_at; /* when STEK2013 was logged last; 0: there is memory for its keys */
    struct mod_stek_live_t *live; /* set in the last post_config; NULL: not used */
} mod_stek_ring_config_t;

/*
 * What a server or virtual host asks for.  One line a field: type, member, unset.  A vhost's unset
 * field takes the main server's value.
 */
#define MOD_STEK_SERVER_FIELDS(X)                                                                  \
    X(const char *, ring_name, NULL)                        /* StekUseRing */                      \
    X(const ap_directive_t *, ring_name_at, NULL)           /* and where it is */                  \
    X(int, rotate, MOD_STEK_UNSET)                          /* StekRotate, as written */           \
    X(int, tickets, MOD_STEK_UNSET)                         /* StekTickets: MOD_STEK_TICKETS_* */  \
    X(const mod_stek_ticket_count_t *, ticket_count, NULL)  /* StekTicketCount */                  \
    X(int, allows_no_kex, MOD_STEK_UNSET)                   /* Options AllowNoDHEKEX */            \
    X(int, binding, MOD_STEK_UNSET)                         /* StekBinding: policy */              \
    X(apr_interval_time_t, ticket_lifetime, MOD_STEK_UNSET) /* StekTicketLifetime */               \
    X(const ap_directive_t *, ticket_lifetime_at, NULL)     /* and where it is */                  \
    X(apr_interval_time_t, max_session_age, MOD_STEK_UNSET) /* StekMaxSessionAge; 0: off */        \
    X(const char *, ticket_key_file, NULL)                  /* SSLSessionTicketKeyFile */          \
    X(int, ssl_tickets, MOD_STEK_UNSET)                     /* SSLSessionTickets */                \
    X(apr_interval_time_t, cache_timeout, MOD_STEK_UNSET)   /* SSLSessionCacheTimeout */

typedef struct mod_stek_server_t {
#define MOD_STEK_FIELD(type, member, unset) type member;
    MOD_STEK_SERVER_FIELDS(MOD_STEK_FIELD)
#undef MOD_STEK_FIELD
    const char
        *tickets_said; /* what StekTickets has made mod_ssl hear, in its order; "": nothing */
    mod_stek_policy_t *policy; /* what clients have to show; merged rule by rule */
} mod_stek_server_t;

void *mod_stek_server_create(apr_pool_t *p, server_rec *s);
void *mod_stek_server_merge(apr_pool_t *p, void *base, void *add);

/* pre_config: forgets the rings of the previous configuration; `default` exists from here on. */
int mod_stek_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

const mod_stek_server_t *mod_stek_server_get(const server_rec *s);

/* All rings of the configuration: n pointers. */
mod_stek_ring_config_t *const *mod_stek_rings(int *n);

/* The ring of that name; NULL: none. */
mod_stek_ring_config_t *mod_stek_ring_find(const char *name);

/* Defines a ring with default settings; name lives as long as the configuration. */
mod_stek_ring_config_t *mod_stek_ring_define(const char *name);

/* The ring that serves s; never NULL after check_config. */
mod_stek_ring_config_t *mod_stek_server_ring(const server_rec *s);

/* Nonzero if this module makes the tickets of s: StekRotate, or its default beside
 * SSLSessionTicketKeyFile. */
int mod_stek_server_rotates(const server_rec *s);

/* Whether mod_ssl is in this server. */
int mod_stek_have_ssl(void);

/* Nonzero if mod_ssl, as it is loaded and built here, has that directive. */
int mod_stek_ssl_has(const char *directive);

#pragma GCC visibility pop
#endif
