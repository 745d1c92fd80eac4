/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a session may be resumed, by a ticket or out of mod_ssl's cache.  After a resumption every
 * decision about the client must be the one that a full handshake of the same client would give
 * (S6).  Two things are looked at:
 *
 *   before it is given away  what mod_ssl says of the client has to outlast the connection.  That a
 *       certificate was accepted unverified (optional_no_ca) is kept per connection, and a
 *       resumption in TLS 1.2 would pass it for verified; and one that only a section asked for
 *       would apply to the whole virtual host.  Nor does OpenSSL keep the name that a client has
 *       proved by SRP: it takes the one in the next ClientHello.  And what a certificate was looked
 *       up in may have changed since the digest was made.  Such sessions are never resumed.
 *   before it is taken       its policy, its age and the end of its certificate; in TLS 1.2 also
 *       whether the virtual host still allows its cipher suite.
 *
 * With StekTickets tls1.3, moreover, only with a key exchange of the connection's own: nothing in
 * TLS 1.2.
 *
 * And where a virtual host asks for a certificate and one of its sections has its own rules,
 * nothing is resumed in TLS 1.3: mod_ssl asks again for the section, which OpenSSL refuses in a
 * connection in which it has asked before, and so httpd the request; in a resumed one it has not.
 *
 * Any thread of a child, in handshakes: no file is read (directories of authorities are looked at,
 * as OpenSSL does itself), no log.
 */
#ifndef MOD_STEK_MAY_RESUME_H
#define MOD_STEK_MAY_RESUME_H

#include "mod_stek_vhost.h"

#pragma GCC visibility push(hidden)

/* In a full handshake: 0 if its session must never be resumed, because the vhost wants none that are, or
 * because httpd would decide differently after a resumption. */
int mod_stek_may_resume_possible(const SSL *ssl, const mod_stek_vhost_t *vhost);

/* Nonzero unless a resumption of the connection's session would say other things of its client
 * than a full handshake. */
int mod_stek_may_resume_lasts(const SSL *ssl);

/* Writes into a session that lasts what it is tied to, unless it has that: a resumed session goes
 * on with the policy and the age that it began with.  Returns 0 if it has none: what could not be
 * written is missing at resumption, and the session is refused. */
int mod_stek_may_resume_bind(SSL *ssl, SSL_SESSION *session, apr_time_t now);

/* How long a ticket of a session that is bound may live, from now. */
apr_interval_time_t mod_stek_may_resume_ticket_life(const mod_stek_vhost_t *vhost,
                                                    SSL_SESSION *session, apr_time_t now);

/* 0 if the session is good for this vhost, now; else MOD_STEK_REFUSED_*.  Of a vhost whose tickets
 * are not ours, only StekTickets counts. */
int mod_stek_may_resume_refused(const SSL *ssl, const mod_stek_vhost_t *vhost, SSL_SESSION *session,
                                apr_time_t now);

#pragma GCC visibility pop
#endif
