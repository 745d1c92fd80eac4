/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a ring's keys another program gets, and in which order.  Pure functions of ring and
 * time; any thread.
 */
#ifndef STEKCTL_EXPORT_KEYS_H
#define STEKCTL_EXPORT_KEYS_H

#include "format.h"
#include "stek_ring.h"

#pragma GCC visibility push(hidden)

typedef struct export_keys_t {
    const stek_key_t *keys[STEK_KEYS_MAX]; /* owned by the ring; in the file's order */
    apr_size_t key_n;
    const stek_key_t *lead; /* the one that encrypts */
} export_keys_t;

/* The lead is the current key.  If there is none, it is the key named previous (may be NULL) for as
 * long as that decrypts: the program must encrypt with some key, and already uses that one.
 * APR_NOTFOUND: neither exists. */
apr_status_t export_keys_make(const stek_ring_t *ring, format_e format, apr_time_t now,
                              const unsigned char *previous, export_keys_t *selection);

#pragma GCC visibility pop
#endif
