/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets that are text.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_TEXT_TICKET_H
#define STEKCTL_PROBE_TEXT_TICKET_H

#include <apr_pools.h>

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* If most of the ticket is one run of hex or base64, sets decoded to a ticket of the bytes that it
 * stands for, which the caller frees, and returns nonzero. */
int probe_text_ticket_decode(const probe_ticket_t *ticket, probe_ticket_t *decoded);

/* Writes such a ticket into out, as long as it is, with bytes in place of those that it stands for.
 * 0: it is not written as usual. */
int probe_text_ticket_encode(const probe_ticket_t *ticket, const unsigned char *bytes,
                             unsigned char *out);

int probe_text_ticket_is(const probe_ticket_t *ticket);

/* A ticket of the bytes that such a ticket stands for, if it is written as usual; otherwise the ticket
 * itself.  The bytes are pool's. */
const probe_ticket_t *probe_text_ticket_raw(const probe_ticket_t *ticket, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
