/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libraries make of the keys that are configured.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_DERIVED_KEYS_H
#define STEKCTL_PROBE_DERIVED_KEYS_H

#include "candidate_keys.h"

#pragma GCC visibility push(hidden)

/* Makes all keys of key_len bytes: the candidates, then what libraries derive from candidates where
 * the ticket may be theirs; to be freed by probe_keys_free().  0: that failed, nothing is to be
 * freed. */
int probe_keys_make(probe_keys_t *keys, apr_size_t key_len, const probe_keys_for_t *what);

#pragma GCC visibility pop
#endif
