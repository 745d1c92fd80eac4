/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checksum that anyone can compute, in the place of a MAC.  Pure functions over hostile bytes;
 * stekctl.
 */
#ifndef STEKCTL_PROBE_CHECKSUM_H
#define STEKCTL_PROBE_CHECKSUM_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

#define PROBE_CRC_LEN 4

/* Finds one at the same place of all tickets: two at least, or it may be chance.  Nonzero: found. */
int probe_checksum_find(const probe_ticket_t *tickets, apr_size_t n, const probe_format_t *format,
                        probe_hit_t *hit);

/* The same in one text that is known to be decrypted. */
int probe_checksum_find_inside(const probe_ticket_t *text, const probe_format_t *format,
                               probe_hit_t *hit);

/* That of two pieces, in PROBE_CRC_LEN bytes, the greatest first. */
void probe_checksum_make(const unsigned char *first, apr_size_t first_len,
                         const unsigned char *second, apr_size_t second_len, unsigned char *out);

/* What a change of one byte, left_n bytes before the checksum, changes in it, in this byte order: to
 * be added by XOR to the PROBE_CRC_LEN bytes at out.  No key or text is needed for that. */
void probe_checksum_change(unsigned char mask, apr_size_t left_n, int is_big, unsigned char *out);

#pragma GCC visibility pop
#endif
