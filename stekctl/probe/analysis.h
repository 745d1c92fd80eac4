/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tickets show by themselves: layout, secrets in the clear, repeated nonces.  A ticket is
 * plain if it contains the session's own secret, which the client knows.  The tests follow Hebrok
 * et al., "We Really Need to Talk About Session Tickets", USENIX Security 2023.  Pure functions
 * over hostile bytes of any length up to 64 KiB; no clock, no network.  stekctl.
 */
#ifndef STEKCTL_PROBE_ANALYSIS_H
#define STEKCTL_PROBE_ANALYSIS_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* tickets[n], n at least 1, all of one protocol version. */
void probe_analysis_format(const probe_ticket_t *tickets, apr_size_t n, probe_format_t *format);

/* Nonzero: the cipher makes the tag, as in GCM, and there is no padding. */
int probe_analysis_is_aead(probe_layout_e layout);

/* Nonzero: a cipher of this name authenticates what it encrypts. */
int probe_analysis_makes_tag(const char *algorithm);

/* Where the key of a cipher shows that a layout was guessed wrong, it becomes unknown.  Nonzero: so it
 * is. */
int probe_analysis_doubt(probe_format_t *format, const probe_hit_t *cipher);

/* The layout's name: "OpenSSL", ... */
const char *probe_analysis_layout(probe_layout_e layout);

/* Finds the secret in the clear, at text_at.  Nonzero: found; the same for those below. */
int probe_analysis_plain(const probe_ticket_t *tickets, apr_size_t n, probe_hit_t *hit);

/* Finds two tickets with the same IV or key stream. */
int probe_analysis_nonce(const probe_ticket_t *tickets, apr_size_t n, const probe_format_t *format,
                         probe_hit_t *hit);

/* Finds equal blocks in one ticket, at first and second of ticket iv_at: without an IV, equal texts
 * look alike.  What is in the clear in all tickets does not count. */
int probe_analysis_repeats(const probe_ticket_t *tickets, apr_size_t n,
                           const probe_format_t *format, apr_size_t block_len, probe_hit_t *hit);

#pragma GCC visibility pop
#endif
