/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tickets tell by themselves: layout, secrets in clear, repeated nonces.  The proof of a plain
 * ticket is the session's own secret, which the client knows, inside the ticket.  What is tried:
 * Hebrok et al., "We Really Need to Talk About Session Tickets", USENIX Security 2023.  Pure
 * functions over hostile bytes of any length up to 64 KiB; no clock, no network.  stekctl.
 */
#ifndef STEKCTL_PROBE_ANALYSIS_H
#define STEKCTL_PROBE_ANALYSIS_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* tickets[n], n at least 1, all of one protocol version. */
void probe_analysis_format(const probe_ticket_t *tickets, apr_size_t n, probe_format_t *format);

/* "OpenSSL", ...: who lays out tickets so. */
const char *probe_analysis_layout(probe_layout_e layout);

/* The secret in clear; text_at tells where.  Nonzero: found.  So do all below. */
int probe_analysis_plain(const probe_ticket_t *tickets, apr_size_t n, probe_hit_t *hit);

/* Two tickets under one IV or one key stream. */
int probe_analysis_nonce(const probe_ticket_t *tickets, apr_size_t n, const probe_format_t *format,
                         probe_hit_t *hit);

#pragma GCC visibility pop
#endif
