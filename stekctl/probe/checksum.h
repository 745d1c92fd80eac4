/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checksum that anyone can compute, in the place of a MAC.  Pure functions over hostile bytes;
 * stekctl.
 */
#ifndef STEKCTL_PROBE_CHECKSUM_H
#define STEKCTL_PROBE_CHECKSUM_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* Finds one at the same place of all tickets: two at least, or it may be chance.  Nonzero: found. */
int probe_checksum_find(const probe_ticket_t *tickets, apr_size_t n, const probe_format_t *format,
                        probe_hit_t *hit);

/* The same in one text that is known to be decrypted. */
int probe_checksum_find_inside(const probe_ticket_t *text, const probe_format_t *format,
                               probe_hit_t *hit);

/* That of two pieces, in 4 bytes, the greatest first. */
void probe_checksum_make(const unsigned char *first, apr_size_t first_len,
                         const unsigned char *second, apr_size_t second_len, unsigned char *out);

#pragma GCC visibility pop
#endif
