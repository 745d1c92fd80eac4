/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean": the known word nearest to one that is not known.  Pure; any thread.
 */
#ifndef STEK_NEAREST_H
#define STEK_NEAREST_H

#include <apr.h>

#pragma GCC visibility push(hidden)

/* Of n words, the one that word was probably meant to be: the one that it begins (3 letters or
 * more), or the nearest by letters added, left out, replaced or swapped with a neighbour, if these
 * are at most a third of it, and one at least is left as it is.  The first, of several.  Case does
 * not count.  NULL: none is near. */
const char *stek_nearest(const char *word, const char *const *words, apr_size_t n);

#pragma GCC visibility pop
#endif
