/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the probe: what the client offers, and what the server does.  Types only;
 * stekctl.
 */
#ifndef STEKCTL_PROBE_EXCHANGE_H
#define STEKCTL_PROBE_EXCHANGE_H

#include <apr_tables.h>
#include <apr_time.h>

#include "ticket.h"

#pragma GCC visibility push(hidden)

typedef enum probe_outcome_e {
    PROBE_FULL,        /* full handshake: the ticket, if any, was ignored */
    PROBE_RESUMED,     /* the session was resumed */
    PROBE_ACCEPTED,    /* TLS 1.2: the server resumed, but with a secret other than the client's */
    PROBE_ALERT,       /* ended by an alert from the server */
    PROBE_CLOSED,      /* ended by the server without one, or reset */
    PROBE_TIMEOUT,     /* not finished at the time limit */
    PROBE_UNREACHABLE, /* no connection */
    PROBE_NOT_TLS,     /* what came back is not TLS */
    PROBE_SPENT,       /* no connection was made: the limit was reached */
    PROBE_CLIENT       /* the client failed: see why */
} probe_outcome_e;

/* How a ClientHello differs from that of the ticket's own session. */
typedef enum probe_change_e {
    PROBE_CHANGE_NONE,
    PROBE_CHANGE_VERSION, /* the session is made one of the offer's version */
    PROBE_CHANGE_SUITE    /* the session's cipher suite is not offered, nor others with its hash */
} probe_change_e;

typedef struct probe_offer_t {
    int version;                  /* TLS1_VERSION to TLS1_3_VERSION */
    const char *sni;              /* NULL: none */
    const unsigned char *session; /* DER; NULL: none is offered */
    apr_size_t session_len;
    const unsigned char *ticket; /* replaces the session's own; NULL: unaltered */
    apr_size_t ticket_len;
    int collect; /* wait for tickets */
    const char *
        host; /* GET the host's path from this host, up to the end of the headers; NULL: no request */
    int wrong_secret;            /* use a secret other than the ticket's */
    const unsigned char *secret; /* the one to use; NULL: the session's */
    apr_size_t secret_len;
    probe_change_e change;
    int drops_session; /* it only says which suites are offered */
    int no_tickets;    /* TLS 1.2: ask for a session id only, and resume with it */
} probe_offer_t;

#define PROBE_CERT_HEAD 96 /* bytes: more than a key's file of that certificate shows */

typedef struct probe_reply_t {
    probe_outcome_e outcome;
    int alert;        /* number of the server's alert; -1: none */
    int status;       /* of the HTTP response; 0: none came */
    int is_cut;       /* the server closed after a request, without a response */
    int is_unoffered; /* the server chose a cipher suite that was not offered */
    int asked_cert;   /* the server sent a CertificateRequest */
    int has_cert;     /* the next three are set, from the server's certificate */
    unsigned char cert_digest[32], cert_head[PROBE_CERT_HEAD]; /* its SHA-256; how its DER begins */
    unsigned char cert_sha1[20];
    apr_uint32_t hello; /* hash of what a ServerHello chooses: suite and extensions; 0: none came */
    apr_int64_t first_us;        /* from the ClientHello to the first byte of the answer */
    apr_array_header_t *tickets; /* of probe_ticket_t; bytes are in the pool */
    const unsigned char
        *session; /* DER of a session without a ticket, for its session id; or NULL */
    apr_size_t session_len;
    int is_elsewhere; /* every answer was that of a backend which cannot know the ticket */
    const char *why;  /* a clause for people, never NULL after a failure */
} probe_reply_t;

#pragma GCC visibility pop
#endif
