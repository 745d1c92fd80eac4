/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of others (names, paths) made safe for the forms in which it is shown.  Whatever comes in,
 * what comes out is well-formed UTF-8 without control characters: other bytes become U+FFFD.  Pure
 * but for the pool; any thread.
 */
#ifndef STEK_ESCAPE_H
#define STEK_ESCAPE_H

#include <apr_pools.h>

#pragma GCC visibility push(hidden)

/* Length of the well-formed UTF-8 sequence at the NUL-terminated text, or 0 (Unicode, table
 * 3-7). */
int stek_utf8_len(const char *text);

/* For text and quoted attributes of HTML. */
const char *stek_escape_html(const char *text, apr_pool_t *pool);

/* For the inside of a JSON string (RFC 8259, section 7); safe inside HTML's <script> too. */
const char *stek_escape_json(const char *text, apr_pool_t *pool);

/* For the inside of a label's value in the text exposition format 0.0.4. */
const char *stek_escape_label(const char *text, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
