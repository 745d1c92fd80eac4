/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys to try as keys of an HMAC, by length; made once, and tried with every digest.  An HMAC
 * fills short keys up with zeros, so many keys of different lengths are the same.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_MAC_KEYS_H
#define STEKCTL_PROBE_MAC_KEYS_H

#include "key_list.h"

#pragma GCC visibility push(hidden)

#define PROBE_MAC_KEYS_N 5

typedef struct probe_mac_keys_t {
    /* In the order in which they are tried. */
    struct {
        probe_keys_t keys;
        unsigned char *repeats; /* for every key: the same HMAC's key came earlier */
    } of[PROBE_MAC_KEYS_N];
    apr_size_t n; /* lengths that are made */
} probe_mac_keys_t;

/* Makes the keys of the first n lengths.  0: no memory. */
int probe_mac_keys_make(probe_mac_keys_t *all, apr_size_t n, const probe_keys_for_t *what);
void probe_mac_keys_free(probe_mac_keys_t *all);

#pragma GCC visibility pop
#endif
