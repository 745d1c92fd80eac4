/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's file ring, for the port, whose baton is the host.  One thread.
 */
#ifndef STEKCTL_SYNC_RING_FILE_H
#define STEKCTL_SYNC_RING_FILE_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

apr_status_t sync_ring_file_load(void *baton, stek_ring_t **pring);

/* Merges ring into the file under its lock; a bad ring there is moved aside first. */
apr_status_t sync_ring_file_save(void *baton, const stek_ring_t *ring, apr_time_t now,
                                 apr_interval_time_t lifetime, apr_time_t *pcovered_until);

/* Nonzero if somebody else has written the file since the last cycle: a revocation must not wait. */
int sync_ring_file_changed(const void *baton);

/* What saving ring makes of the file ring before, which may be NULL.  By the stored lifetimes first, so that a shorter
 * one makes no room for what the stores leave out.  Codes of stek_ring_merge. */
apr_status_t sync_ring_file_merge(const stek_ring_t *ring, const stek_ring_t *before,
                                  apr_time_t now, apr_interval_time_t lifetime,
                                  stek_ring_t **pmerged);

#pragma GCC visibility pop
#endif
