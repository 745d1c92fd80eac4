/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that a search tries: those that people and programs make.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_CANDIDATE_KEYS_H
#define STEKCTL_PROBE_CANDIDATE_KEYS_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

/* *pn keys of key_len bytes (16 or 32; up to 64 for MACs), one after the other in a block that the caller
 * frees with free().  NULL: out of memory. */
unsigned char *probe_candidate_keys(apr_size_t key_len, probe_level_e level, apr_size_t *pn);

#pragma GCC visibility pop
#endif
