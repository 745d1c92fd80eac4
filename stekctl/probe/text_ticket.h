/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets that are text.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_TEXT_TICKET_H
#define STEKCTL_PROBE_TEXT_TICKET_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* If most of the ticket is one run of hex or base64, sets decoded to a ticket of the bytes that it
 * stands for, which the caller frees, and returns nonzero. */
int probe_text_ticket_decode(const probe_ticket_t *ticket, probe_ticket_t *decoded);

#pragma GCC visibility pop
#endif
