/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: the epoch and the tombstones that a host has seen, in a file that outlives its ring, which a
 * reboot takes.  So no store, whatever it was rolled back to, brings a revoked key back.  Nothing in it
 * is secret; it is sealed so that nobody can lower it: a ring without keys, under what seals in the stores
 * that day.  One thread.
 */
#ifndef STEKCTL_FLOOR_H
#define STEKCTL_FLOOR_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Reads the floor, once, before the ratchet moves fleet on to day: afterwards it could not be opened.  One
 * that is refused is moved aside, and what is not ours stays; both are reported. */
void floor_open(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day);

/* Seals it again, under what fleet's first secret comes to on day.  Reported once. */
void floor_reseal(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day);

/* Adds the floor to *pring, which may be NULL.  APR_ENOMEM. */
apr_status_t floor_add(const sync_host_t *host, stek_ring_t **pring, apr_time_t now);

/* Takes over the ring's epoch and tombstones; to be called before the ring is written anywhere.  A failure
 * is reported once, and the host goes on without. */
void floor_keep(sync_host_t *host, const stek_ring_t *ring, apr_time_t now);

/* Nonzero if the ring is older than the floor that the host had when it started: it lacks a later
 * revocation, so it was rolled back. */
int floor_is_above(const sync_host_t *host, const stek_ring_t *ring);

void floor_close(sync_host_t *host);

#pragma GCC visibility pop
#endif
