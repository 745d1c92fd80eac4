/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for weak keys on one ticket.  The session's own secret, which the client knows, or the
 * MAC proves a key.  Pure functions over hostile bytes, like analysis.h; stekctl.
 */
#ifndef STEKCTL_PROBE_WEAK_KEYS_H
#define STEKCTL_PROBE_WEAK_KEYS_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* *pn weak keys of key_len bytes (16 or 32; up to 64 for MACs), one after the other in a block that
 * the caller frees with free().  NULL: out of memory. */
unsigned char *probe_analysis_weak_keys(apr_size_t key_len, probe_level_e level, apr_size_t *pn);

/* Does a weak key decrypt the ticket, or authenticate it?  Nonzero: yes, and hit says which. */
int probe_analysis_cipher_key(const probe_ticket_t *ticket, const probe_format_t *format,
                              probe_level_e level, probe_hit_t *hit);
int probe_analysis_mac_key(const probe_ticket_t *ticket, const probe_format_t *format,
                           probe_level_e level, probe_hit_t *hit);

#pragma GCC visibility pop
#endif
