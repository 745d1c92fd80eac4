/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys to try: those that people and programs make, and those in a list of the user's.  Pure;
 * stekctl.
 */
#ifndef STEKCTL_PROBE_CANDIDATE_KEYS_H
#define STEKCTL_PROBE_CANDIDATE_KEYS_H

#include "key_list.h"

#pragma GCC visibility push(hidden)

/* Makes the keys of key_len bytes, 1 to PROBE_KEY_MAX, the most frequent in the wild first; to be
 * freed by probe_keys_free().  keys->is_failed: out of memory. */
void probe_candidate_keys(probe_keys_t *keys, apr_size_t key_len, const probe_keys_for_t *what);

#pragma GCC visibility pop
#endif
