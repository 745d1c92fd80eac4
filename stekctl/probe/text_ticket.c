/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets that are text (text_ticket.h).  By chance, a run of 64 digits of base64 does not occur in
 * random bytes.
 */
#include "text_ticket.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "own_keys.h"

#define RUN_MIN 64

static int is_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+'
           || c == '/' || c == '-' || c == '_';
}

/* The longest run of digits. */
static apr_size_t longest_run(const probe_ticket_t *ticket, apr_size_t *pat)
{
    apr_size_t best = 0, at = 0, i;

    for (i = 0; i <= ticket->len; i++) {
        if (i < ticket->len && is_digit(ticket->bytes[i])) {
            continue;
        }
        if (i - at > best) {
            best = i - at;
            *pat = at;
        }
        at = i + 1;
    }
    return best;
}

/* Into text[len], in the digits that it has. */
static void encode_hex(const unsigned char *bytes, unsigned char *text, apr_size_t len)
{
    const char *digits = "0123456789abcdef";
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'F') {
            digits = "0123456789ABCDEF";
        }
    }
    for (i = 0; i < len; i++) {
        text[i] = (unsigned char)digits[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
    }
}

static void encode_base64(const unsigned char *bytes, unsigned char *text, apr_size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int is_url = memchr(text, '-', len) || memchr(text, '_', len);
    apr_size_t i, n = len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0);

    for (i = 0; i < len; i++) {
        apr_size_t at = i / 4 * 3, shift = 18 - 6 * (i % 4);
        apr_uint32_t three = (apr_uint32_t)(at < n ? bytes[at] : 0) << 16
                             | (apr_uint32_t)(at + 1 < n ? bytes[at + 1] : 0) << 8
                             | (at + 2 < n ? bytes[at + 2] : 0);
        char digit = digits[three >> shift & 63];

        text[i] = (unsigned char)(is_url && digit == '+'   ? '-'
                                  : is_url && digit == '/' ? '_'
                                                           : digit);
    }
}

int probe_text_ticket_encode(const probe_ticket_t *ticket, const unsigned char *bytes,
                             unsigned char *out)
{
    apr_size_t at = 0, len = longest_run(ticket, &at), n;
    unsigned char *was = malloc(len + 1);
    int is_hex, is_same = 0;

    memcpy(out, ticket->bytes, ticket->len);
    if (was && len) {
        n = probe_decode_hex(ticket->bytes + at, len, was);
        is_hex = n > 0;
        len -= !is_hex && len % 4 == 1;
        if (!is_hex) {
            n = probe_decode_base64(ticket->bytes + at, len, was);
        }
        (is_hex ? encode_hex : encode_base64)(was, out + at, len);
        is_same = n > 0 && memcmp(out, ticket->bytes, ticket->len) == 0;
        (is_hex ? encode_hex : encode_base64)(bytes, out + at, len);
    }
    free(was);
    return is_same;
}

int probe_text_ticket_decode(const probe_ticket_t *ticket, probe_ticket_t *decoded)
{
    apr_size_t at = 0, len = longest_run(ticket, &at), n;
    unsigned char *bytes;

    if (len < RUN_MIN || len < ticket->len / 2) {
        return 0;
    }
    bytes = malloc(len);
    if (!bytes) {
        return 0;
    }
    n = probe_decode_hex(ticket->bytes + at, len, bytes);
    if (!n) {
        n = probe_decode_base64(ticket->bytes + at, len - (len % 4 == 1), bytes);
    }
    if (!n) {
        free(bytes);
        return 0;
    }
    *decoded = *ticket;
    decoded->bytes = bytes;
    decoded->len = n;
    return 1;
}

int probe_text_ticket_is(const probe_ticket_t *ticket)
{
    probe_ticket_t decoded;

    if (!probe_text_ticket_decode(ticket, &decoded)) {
        return 0;
    }
    free((void *)decoded.bytes);
    return 1;
}

const probe_ticket_t *probe_text_ticket_raw(const probe_ticket_t *ticket, apr_pool_t *pool)
{
    probe_ticket_t decoded, *raw = NULL;
    unsigned char *bytes;

    if (!probe_text_ticket_decode(ticket, &decoded)) {
        return ticket;
    }
    bytes = malloc(ticket->len);
    if (bytes && probe_text_ticket_encode(ticket, decoded.bytes, bytes)) {
        raw = apr_pmemdup(pool, &decoded, sizeof(decoded));
        raw->bytes = apr_pmemdup(pool, decoded.bytes, decoded.len);
    }
    free(bytes);
    free((void *)decoded.bytes);
    return raw ? raw : ticket;
}
