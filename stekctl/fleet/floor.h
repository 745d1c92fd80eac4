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

/* Reads the floor, if it is not as it was read or written last: before the ratchet moves fleet on to day,
 * because afterwards it could not be opened.  One that is refused is moved aside, and what is not ours
 * stays; both are reported.  The first time, also reads the floors that were moved aside, and takes in what
 * opens. */
void floor_open(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day);

/* At a reload: floors that were moved aside are tried again, and what is not used is reported again. */
void floor_retry(sync_host_t *host);

/* Seals it again, under what fleet's first secret comes to on day.  Reported once. */
void floor_reseal(sync_host_t *host, const stek_secrets_t *fleet, apr_int32_t day);

/* Adds the floor to *pring, which may be NULL, if that lacks a revocation.  APR_ENOMEM. */
apr_status_t floor_add(const sync_host_t *host, stek_ring_t **pring, apr_time_t now);

/* Adds the ring's epoch and tombstones; call it when the file ring was read, and before it is written.  Writes the file if that
 * changes the floor, or if somebody has removed or changed it, which is reported.  A failure is reported
 * once, and the ring is written anyway. */
void floor_keep(sync_host_t *host, const stek_ring_t *ring, apr_time_t now);

/* Nonzero if what was kept last is in the file. */
int floor_is_kept(const sync_host_t *host);

/* Nonzero if a running sync works with the floor at path, or the file cannot be opened. */
int floor_is_held(const char *path);

/* Whether ring, just read from store, lacks a revocation that the store had, or that this host had on disk
 * when it started: sets rolled_back. */
void floor_check_store(const sync_host_t *host, sync_store_t *store, const stek_ring_t *ring);

/* The store has taken ring. */
void floor_note_written(sync_store_t *store, const stek_ring_t *ring);

/* Reports once if the file ring lacks a revocation of the floor. */
void floor_check_ring(sync_host_t *host, const stek_ring_t *ring);

void floor_close(sync_host_t *host);

#pragma GCC visibility pop
#endif
