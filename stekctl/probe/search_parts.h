/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two halves of the search for a cipher key: search_block.c, search_stream.c.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_SEARCH_PARTS_H
#define STEKCTL_PROBE_SEARCH_PARTS_H

#include "needles.h"
#include "search.h"

#pragma GCC visibility push(hidden)

/* CBC and ECB with AES and DES; what counts in a stream: CTR, GCM, CCM, ChaCha20.  As
 * probe_search_cipher(). */
int probe_search_block(probe_search_t *search, const probe_needles_t *needles);
int probe_search_stream(probe_search_t *search, const probe_needles_t *needles);

#pragma GCC visibility pop
#endif
