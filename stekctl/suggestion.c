/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suggestions for mistyped words (suggestion.h).  Pure; stekctl.
 */
#include "suggestion.h"

#include <apr_strings.h>
#include <apr_tables.h>

#include "stek_nearest.h"

const char *suggestion(const char *word, const char *const *words, apr_size_t n, const char *before,
                       apr_pool_t *pool)
{
    const char *nearest = stek_nearest(word, words, n);

    return nearest ? apr_pstrcat(pool, " (did you mean '", before, nearest, "'?)", NULL) : "";
}

const char *suggestion_of(const char *word, const char *list, apr_pool_t *pool)
{
    apr_array_header_t *words = apr_array_make(pool, 8, sizeof(const char *));
    char *last, *one = apr_strtok(apr_pstrdup(pool, list), ", ", &last);

    for (; one; one = apr_strtok(NULL, ", ", &last)) {
        APR_ARRAY_PUSH(words, const char *) = one;
    }
    return suggestion(word, (const char *const *)words->elts, (apr_size_t)words->nelts, "", pool);
}
