/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a MAC whose key, or lack of a key, is known, and the tag of a cipher that has one.  Pure;
 * stekctl.
 */
#ifndef STEKCTL_PROBE_RESEAL_H
#define STEKCTL_PROBE_RESEAL_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* mac belongs to was[len].  Writes it into bytes[len], which were altered in what it covers.  0: it
 * does not belong to them, or OpenSSL lacks the digest. */
int probe_reseal_mac(const probe_hit_t *mac, const unsigned char *was, unsigned char *bytes,
                     apr_size_t len);

/* A ticket under a cipher with a tag of 16 bytes. */
typedef struct probe_tagged_t {
    const probe_ticket_t *ticket;
    const probe_hit_t *cipher;
    apr_size_t text_len, tag_at, covers_at, covers_len; /* set by probe_reseal_open() */
} probe_tagged_t;

/* Finds out where the tag is and what it covers besides the text, and decrypts that into
 * text[ticket->len].  mac_len is what the layout has behind the text.  0: not such a ticket. */
int probe_reseal_open(probe_tagged_t *tagged, apr_size_t mac_len, unsigned char *text);

/* Encrypts text into bytes, with its tag.  0: failed. */
int probe_reseal_tag(const probe_tagged_t *tagged, const unsigned char *text, unsigned char *bytes);

#pragma GCC visibility pop
#endif
