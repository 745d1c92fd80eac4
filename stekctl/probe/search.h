/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for weak keys on one ticket.  The session's own secret, which the client knows, or the
 * MAC proves a key.  Pure functions over hostile bytes, like analysis.h; stekctl.
 */
#ifndef STEKCTL_PROBE_SEARCH_H
#define STEKCTL_PROBE_SEARCH_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* Does a weak key decrypt the ticket, or authenticate it?  Nonzero: yes, and hit says which. */
int probe_search_cipher(const probe_ticket_t *ticket, const probe_format_t *format,
                        probe_level_e level, probe_hit_t *hit);
int probe_search_mac(const probe_ticket_t *ticket, const probe_format_t *format,
                     probe_level_e level, probe_hit_t *hit);

#pragma GCC visibility pop
#endif
