/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for weak keys on one ticket.  A key is proven by the session's own secret, which the
 * client knows, or by the MAC.  Pure functions over hostile bytes, as analysis.h; stekctl.
 */
#ifndef STEKCTL_PROBE_WEAK_KEYS_H
#define STEKCTL_PROBE_WEAK_KEYS_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* The weak keys of key_len bytes (16 or 32; up to 64 for MACs), key by key in one block that the
 * caller frees by free(); *pn of them.  NULL: out of memory. */
unsigned char *probe_analysis_weak_keys(apr_size_t key_len, probe_level_e level, apr_size_t *pn);

/* Does a weak key open the ticket, or authenticate it?  Nonzero: it does, and hit tells. */
int probe_analysis_cipher_key(const probe_ticket_t *ticket, const probe_format_t *format,
                              probe_level_e level, probe_hit_t *hit);
int probe_analysis_mac_key(const probe_ticket_t *ticket, const probe_format_t *format,
                           probe_level_e level, probe_hit_t *hit);

#pragma GCC visibility pop
#endif
