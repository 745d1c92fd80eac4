/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys of a ring another program gets, and in which order.  Pure functions of ring and time;
 * any thread.
 */
#ifndef STEKCTL_SELECTION_H
#define STEKCTL_SELECTION_H

#include "format.h"
#include "stek_ring.h"

#pragma GCC visibility push(hidden)

typedef struct selection_t {
    const stek_key_t *keys[STEK_KEYS_MAX]; /* the ring's; in the order of the program's file */
    apr_size_t key_n;
    const stek_key_t *lead; /* the one that encrypts */
} selection_t;

/* The lead is the current key.  Where there is none it is the key named former (may be NULL) as
 * long as that decrypts: a program must encrypt with something, and it is doing so with that
 * one.  APR_NOTFOUND: neither. */
apr_status_t selection_make(const stek_ring_t *ring, format_e format, apr_time_t now,
                            const unsigned char *former, selection_t *selection);

#pragma GCC visibility pop
#endif
