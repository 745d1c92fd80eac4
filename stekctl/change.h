/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the commands that change a ring: makes a key for the rest of a slot, and prints the
 * result.  One thread.
 */
#ifndef STEKCTL_CHANGE_H
#define STEKCTL_CHANGE_H

#include "json.h"
#include "stek_ring.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

/* The window of a key that encrypts from start: until the end of the slot that contains start.  If
 * a slot begins in that very second, the names would decide between the keys, so the window begins
 * one second later. */
void change_window(const stek_ring_t *ring, apr_time_t start, apr_time_t *pnot_before,
                   apr_time_t *pencrypt_until);

/* *pring becomes ring with a new key for that window.  If another key begins at the same time, the
 * new key's name sorts before it.  Codes of stek_key_make and stek_ring_merge; *key, the new key,
 * must be in locked memory. */
apr_status_t change_add_key(const stek_ring_t *ring, apr_time_t now, apr_time_t start,
                            stek_key_t *key, stek_ring_t **pring);

/* Prints what is in the ring now: one line, or the JSON object that stekctl(8) documents.  name:
 * the key that was changed, or NULL for the current key. */
void change_print(ctl_t *ctl, const stek_ring_t *ring, const unsigned char *name, const char *done,
                  apr_time_t now);

/* A key as an object, without its bytes.  member: its name, or NULL in an array. */
void change_json_key(json_t *json, const char *member, const stek_ring_t *ring,
                     const stek_key_t *key, apr_time_t now);

/* The key's state, as stek_state_text names it. */
const char *change_state(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now);

#pragma GCC visibility pop
#endif
