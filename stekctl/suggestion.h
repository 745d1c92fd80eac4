/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody who mistyped a word may have meant, for the end of a message.  Pure; stekctl.
 */
#ifndef STEKCTL_SUGGESTION_H
#define STEKCTL_SUGGESTION_H

#include <apr_pools.h>

#pragma GCC visibility push(hidden)

/* " (did you mean 'NEAREST'?)", or "" if none of n words is near.  before: what stands before
 * a word where it is used, such as "--". */
const char *suggestion(const char *word, const char *const *words, apr_size_t n, const char *before,
                       apr_pool_t *pool);

/* As suggestion, of the words in a list such as "new, roll, retire". */
const char *suggestion_of(const char *word, const char *list, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
