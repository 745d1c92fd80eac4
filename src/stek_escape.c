/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Escaping (stek_escape.h).  Core; no state.
 */
#include "stek_escape.h"

#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD in UTF-8 */
#define ESCAPED_MAX 6              /* the most bytes that one byte becomes: &quot; and \u0000 */

int stek_utf8_len(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char c = at[0], lo = 0x80, hi = 0xbf;
    int len, i;

    if (c < 0x80) {
        return 1;
    }
    if (c >= 0xc2 && c <= 0xdf) {
        len = 2;
    }
    else if (c >= 0xe0 && c <= 0xef) {
        len = 3;
        lo = c == 0xe0 ? 0xa0 : 0x80;
        hi = c == 0xed ? 0x9f : 0xbf;
    }
    else if (c >= 0xf0 && c <= 0xf4) {
        len = 4;
        lo = c == 0xf0 ? 0x90 : 0x80;
        hi = c == 0xf4 ? 0x8f : 0xbf;
    }
    else {
        return 0;
    }
    if (at[1] < lo || at[1] > hi) {
        return 0;
    }
    for (i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

/* The replacement for an ASCII character; NULL: it stays as it is. */
typedef const char *escape_t(unsigned char c, char buf[ESCAPED_MAX + 1]);

/* U+0080 to U+009F are control characters too. */
static int is_control(const char *at, int len)
{
    unsigned char c = (unsigned char)at[0];

    return len == 1 ? c < 0x20 || c == 0x7f : len == 2 && c == 0xc2 && (unsigned char)at[1] < 0xa0;
}

static const char *escape(const char *text, escape_t *escape_one, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, strlen(text) * ESCAPED_MAX + 1), *end = out;
    char buf[ESCAPED_MAX + 1];

    while (*text) {
        int len = stek_utf8_len(text);
        const char *other = len == 1 ? escape_one((unsigned char)*text, buf) : NULL;
        apr_size_t other_len;

        if (!other && (len == 0 || is_control(text, len))) {
            other = REPLACEMENT;
        }
        other_len = other ? strlen(other) : (apr_size_t)len;
        memcpy(end, other ? other : text, other_len);
        end += other_len;
        text += len > 0 ? len : 1;
    }
    *end = '\0';
    return out;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is escape_t's */
static const char *html_one(unsigned char c, char buf[ESCAPED_MAX + 1])
{
    (void)buf;
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static const char *json_one(unsigned char c, char buf[ESCAPED_MAX + 1])
{
    if (c == '"' || c == '\\') {
        buf[0] = '\\';
        buf[1] = (char)c;
        buf[2] = '\0';
        return buf;
    }
    if (c < 0x20 || c == 0x7f || c == '<' || c == '>' || c == '&') {
        /* Exactly ESCAPED_MAX bytes. */
        (void)snprintf(buf, ESCAPED_MAX + 1, "\\u%04x", (unsigned)c);
        return buf;
    }
    return NULL;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is escape_t's */
static const char *label_one(unsigned char c, char buf[ESCAPED_MAX + 1])
{
    (void)buf;
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    default:
        return NULL;
    }
}

const char *stek_escape_html(const char *text, apr_pool_t *pool)
{
    return escape(text, html_one, pool);
}

const char *stek_escape_json(const char *text, apr_pool_t *pool)
{
    return escape(text, json_one, pool);
}

const char *stek_escape_label(const char *text, apr_pool_t *pool)
{
    return escape(text, label_one, pool);
}
