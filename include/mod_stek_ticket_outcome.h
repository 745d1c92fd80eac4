/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a connection's ticket.  A record for every TLS connection, made with the
 * connection, before its handshake; the ticket callbacks write into it, and when the handshake is
 * done it is counted, once.  Later the requests of the connection read it.
 *
 * OpenSSL asks the callbacks twice after a HelloRetryRequest, for each of several tickets in TLS
 * 1.3, and refuses by itself a ticket that they accepted: only the end of the handshake tells.
 *
 * Threads: the connection's own; requests of HTTP/2 read from others, after the handshake.
 */
#ifndef MOD_STEK_TICKET_OUTCOME_H
#define MOD_STEK_TICKET_OUTCOME_H

#include "mod_stek_counters.h"
#include "mod_stek_vhost.h"

#pragma GCC visibility push(hidden)

typedef struct mod_stek_ticket_outcome_t {
    conn_rec *c;
    const SSL_CTX *first; /* with which it began */
    const char
        *ring;   /* its name, in pconf; NULL: tickets are not ours, or the handshake is not done */
    int outcome; /* MOD_STEK_RESUMED_*, _REFUSED_* or _NOT_OFFERED */
    unsigned issued : 1;  /* a ticket was sealed */
    unsigned keyless : 1; /* none could be, because there was no key */
    unsigned late : 1;    /* the ticket's own time is over: OpenSSL will refuse it */
    unsigned done : 1;
    unsigned asked : 1;          /* the client asks for a number of tickets: */
    unsigned char asked_full;    /* if this is a full handshake, */
    unsigned char asked_resumed; /* and if it is resumed */
    unsigned char chosen;        /* MOD_STEK_TICKETS_*, mod_stek_ticket_count.h */
    unsigned char ticket_n;      /* how many it gets in TLS 1.3 */
    apr_uint32_t age_s;          /* of the ticket that was accepted */
    apr_uint32_t offered_len;    /* bytes of the tickets that came; 0: none */
    char key_hex[STEK_HEX_LEN];  /* of the key of the ticket that came, else issued; "": neither */
} mod_stek_ticket_outcome_t;

/* mod_ssl's pre_handshake hook: makes the record. */
int mod_stek_ticket_outcome_begin(conn_rec *c, SSL *ssl, int is_proxy);

/* The connection that a handshake serves; NULL if it has no record, as the self-test's. */
conn_rec *mod_stek_ticket_outcome_conn(const SSL *ssl);

/* The vhost with whose SSL_CTX the connection began; NULL if it has no record. */
const mod_stek_vhost_t *mod_stek_ticket_outcome_first(const SSL *ssl);

/* The record of a handshake, for the callbacks; NULL if it has none. */
mod_stek_ticket_outcome_t *mod_stek_ticket_outcome_of(const SSL *ssl);

/* The record of a connection, NULL if it has none.  c: an HTTP/2 stream's own connection is
 * fine. */
const mod_stek_ticket_outcome_t *mod_stek_ticket_outcome_get(conn_rec *c);

/* pre_config: forgets who else follows handshakes. */
void mod_stek_ticket_outcome_reset(void);

/* init_server: has the end of every handshake of this vhost counted, beside what mod_ssl or another
 * module does then. */
void mod_stek_ticket_outcome_install(mod_stek_vhost_t *vhost);

/* From the ticket callbacks: */

/* a ticket came, under a key of that name, with which it begins; */
void mod_stek_ticket_outcome_offered(SSL *ssl, stek_state_e state, const unsigned char *name);

/* its MAC was wrong; */
void mod_stek_ticket_outcome_damaged(SSL *ssl, const unsigned char *ticket);

/* it was opened; record may be NULL; refused: 0, or MOD_STEK_REFUSED_*; */
void mod_stek_ticket_outcome_judged(mod_stek_ticket_outcome_t *record, const SSL_SESSION *session,
                                    int refused, apr_time_t now);

/* a ticket was sealed; */
void mod_stek_ticket_outcome_issued(SSL *ssl, mod_stek_tally_t *tally, const unsigned char *name);

/* there was a key, but no ticket could be sealed (0: it was the self-test's); */
int mod_stek_ticket_outcome_unsealed(SSL *ssl, mod_stek_tally_t *tally);

/* no ticket can be issued, because there is no key. */
void mod_stek_ticket_outcome_keyless(SSL *ssl);

#pragma GCC visibility pop
#endif
