/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a ticket's MAC may be, and what it may cover.
 *
 *     | from ... | MAC                  behind what it covers, up to the ticket's end
 *     ... | MAC | covered               in front of it
 *     covered | MAC | covered           between
 *
 * Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_MAC_SPANS_H
#define STEKCTL_PROBE_MAC_SPANS_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

#define PROBE_SPANS_MAX 768

/* A MAC, and the two pieces that it covers; the second may be empty.  All are within the ticket. */
typedef struct probe_span_t {
    apr_size_t mac_at, mac_len;
    apr_size_t from, len, second_from, second_len;
    int is_usual; /* all keys are tried, not only the most common ones */
} probe_span_t;

typedef struct probe_spans_t {
    probe_span_t all[PROBE_SPANS_MAX];
    apr_size_t n, usual_n;
} probe_spans_t;

/* For a digest of digest_len bytes.  is_again: another ticket was searched more thoroughly. */
void probe_mac_spans(probe_spans_t *spans, apr_size_t ticket_len, const probe_format_t *format,
                     apr_size_t digest_len, probe_level_e level, int is_again);

#pragma GCC visibility pop
#endif
