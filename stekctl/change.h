/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands that change a ring share: a key for the rest of a slot, and how the result is told.
 * One thread.
 */
#ifndef STEKCTL_CHANGE_H
#define STEKCTL_CHANGE_H

#include "json.h"
#include "stek_ring.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

/* The window of a key that is to encrypt from start on: to the end of the slot that start is in.
 * Where a slot begins in that very second, so that names would decide, it is the second after. */
void change_window(const stek_ring_t *ring, apr_time_t start, apr_time_t *pnot_before,
                   apr_time_t *pencrypt_until);

/* *pring becomes ring and a new key for that window, whose name goes before that of a key which
 * begins with it.  Codes of stek_key_make and stek_ring_merge; *key, the new one, lies in locked
 * memory. */
apr_status_t change_add_key(const stek_ring_t *ring, apr_time_t now, apr_time_t start,
                            stek_key_t *key, stek_ring_t **pring);

/* Tells what is in the ring now: one line, or the JSON object that stekctl(8) documents.  name: the
 * key that the change is about, or NULL: the current one. */
void change_print(ctl_t *ctl, const stek_ring_t *ring, const unsigned char *name, const char *done,
                  apr_time_t now);

/* A key as an object, never its bytes: the member key, or NULL in an array. */
void change_json_key(json_t *json, const char *member, const stek_ring_t *ring,
                     const stek_key_t *key, apr_time_t now);

/* The key's state, as stek_state_text has it. */
const char *change_state(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now);

#pragma GCC visibility pop
#endif
