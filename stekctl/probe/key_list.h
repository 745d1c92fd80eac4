/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of keys of one length, and which configured keys they were derived from.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_KEY_LIST_H
#define STEKCTL_PROBE_KEY_LIST_H

#include "own_keys.h"
#include "ticket.h"

#pragma GCC visibility push(hidden)

#define PROBE_RANGES_MAX 5

/* Keys that a library derives: from key first on, per of them from each of raw. */
typedef struct probe_range_t {
    const char *scheme;
    apr_size_t first, per;
    unsigned char *raw; /* configured keys, one after the other */
    apr_size_t raw_len;
} probe_range_t;

/* n keys of len bytes, one after the other. */
typedef struct probe_keys_t {
    unsigned char *bytes;
    apr_size_t len, n, room;
    probe_range_t ranges[PROBE_RANGES_MAX];
    apr_size_t ranges_n;
    int is_failed; /* out of memory, or OpenSSL lacks a hash */
} probe_keys_t;

/* What keys depend on. */
typedef struct probe_keys_for_t {
    probe_level_e level;
    int is_mac;                  /* keys of MACs, not of ciphers */
    int is_foreign;              /* no library that derives keys does it for this place or cipher */
    const probe_own_keys_t *own; /* NULL: none */
    const probe_ticket_t *ticket; /* NULL: keys do not depend on a ticket */
    probe_layout_e layout;
} probe_keys_for_t;

/* Adds text[len], cut or followed by zeros; or repeated up to the end. */
void probe_keys_add(probe_keys_t *keys, const unsigned char *text, apr_size_t len);
void probe_keys_repeat(probe_keys_t *keys, const unsigned char *text, apr_size_t len);

/* Writes key i, and the configured key that it was derived from, into hit. */
void probe_keys_tell(const probe_keys_t *keys, apr_size_t i, probe_hit_t *hit);

void probe_keys_free(probe_keys_t *keys);

#pragma GCC visibility pop
#endif
