/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a server for TLS in its own protocol: SMTP (RFC 3207), IMAP (RFC 9051, 6.2.1), POP3 (RFC
 * 2595), LDAP (RFC 4511, 4.14), PostgreSQL (SSLRequest), MySQL (SSLRequest).  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_STARTTLS_H
#define STEKCTL_PROBE_STARTTLS_H

#include "link.h"
#include "reach.h"

#pragma GCC visibility push(hidden)

/* On an open connection.  0: the server refuses, and the reply says why. */
int probe_starttls(probe_link_t *link, probe_starttls_e protocol);

#pragma GCC visibility pop
#endif
