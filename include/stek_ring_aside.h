/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rings are refused, and how one is moved out of the way.  Parent and stekctl.
 */
#ifndef STEK_RING_ASIDE_H
#define STEK_RING_ASIDE_H

#include "stek_claim.h"
#include "stek_ring_file.h"

#pragma GCC visibility push(hidden)

/* Nonzero if this result of stek_ring_file_load means that a good ring may replace the file.  A
 * temporary failure (no descriptors, no memory) says nothing about the file. */
int stek_ring_is_refused(apr_status_t rv);

/* Moves a ring that was refused to PATH.refused-TIME, or PATH.refused-TIME-N if that exists.  The
 * caller holds the lock and has checked the directory.  *pdetail, in pool, is the new name, even if the
 * move fails.  STEK_EFOREIGN: the file is not ours and stays; *pdetail says what was found, as
 * stek_claim_check does. */
apr_status_t stek_ring_set_aside(const stek_ring_file_t *file, apr_time_t now, const char **pdetail,
                                 apr_pool_t *pool);

/* The same with what claim knows as ours. */
apr_status_t stek_ring_set_aside_as(const stek_claim_t *claim, const stek_ring_file_t *file,
                                    apr_time_t now, const char **pdetail, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
