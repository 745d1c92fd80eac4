/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a host is reached.  Types only; stekctl.
 */
#ifndef STEKCTL_PROBE_REACH_H
#define STEKCTL_PROBE_REACH_H

#pragma GCC visibility push(hidden)

/* Who has to be asked for TLS, and how. */
typedef enum probe_starttls_e {
    PROBE_STARTTLS_NONE, /* TLS from the first byte */
    PROBE_STARTTLS_SMTP,
    PROBE_STARTTLS_IMAP,
    PROBE_STARTTLS_POP3,
    PROBE_STARTTLS_LDAP,
    PROBE_STARTTLS_POSTGRES,
    PROBE_STARTTLS_MYSQL
} probe_starttls_e;

#define PROBE_CREDENTIAL_MAX 255 /* bytes, as SOCKS has it (RFC 1929) */

typedef struct probe_proxy_t {
    int is_socks; /* SOCKS 5; otherwise HTTP CONNECT */
    const char *name;
    int port;
    const char *user, *password; /* not encoded; NULL: none */
} probe_proxy_t;

#pragma GCC visibility pop
#endif
