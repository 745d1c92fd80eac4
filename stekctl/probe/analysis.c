/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout, plain secrets and repeated nonces (analysis.h).  Offsets count from the ticket's start;
 * nothing in a ticket is read before its length is checked.
 */
#include "analysis.h"

#include <openssl/err.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

#define STATEFUL_MAX 32 /* a session id */
#define NAME_MAX_LEN 64
#define PAIRS_MAX 64 /* at most that many tickets are compared with each other */

static apr_size_t common_prefix(const probe_ticket_t *a, const probe_ticket_t *b)
{
    apr_size_t i;

    for (i = 0; i < a->len && i < b->len && a->bytes[i] == b->bytes[i]; i++) {
    }
    return i;
}

/* The length at which most tickets begin to differ from the ticket most like them.  The most
 * frequent length stays right even if the IVs' first bytes are equal by chance, or a second host
 * has another key name. */
static apr_size_t name_len(const probe_ticket_t *tickets, apr_size_t n)
{
    apr_size_t seen[NAME_MAX_LEN + 1] = {0}, i, j, found = 0;

    n = n < PAIRS_MAX ? n : PAIRS_MAX;
    for (i = 0; i < n; i++) {
        apr_size_t most = 0;

        for (j = 0; j < n; j++) {
            apr_size_t len = j == i ? 0 : common_prefix(&tickets[i], &tickets[j]);

            most = len > most ? len : most;
        }
        seen[most < NAME_MAX_LEN ? most : NAME_MAX_LEN]++;
    }
    for (i = 0; i <= NAME_MAX_LEN; i++) {
        if (seen[i] > seen[found]) {
            found = i;
        }
    }
    return found;
}

typedef struct shape_t {
    probe_layout_e layout;
    const char *name;
    apr_size_t name_len, iv_len, length_at, text_at, mac_len, block_len;
} shape_t;

/* length_at 0: no length field.  Layouts with one come first, because they hardly match by chance.
 * */
static const shape_t shapes[] = {
    {PROBE_LAYOUT_GNUTLS, "GnuTLS", 16, 16, 32, 34, 20, 16},
    {PROBE_LAYOUT_RFC5077, "RFC 5077, with length field", 16, 16, 32, 34, 32, 16},
    {PROBE_LAYOUT_MBEDTLS, "mbedTLS", 4, 12, 16, 18, 16, 1},
    {PROBE_LAYOUT_OPENSSL, "OpenSSL", 16, 16, 0, 32, 32, 16},
};

#define SHAPES_N (sizeof(shapes) / sizeof(shapes[0]))

static int fits(const shape_t *shape, const probe_ticket_t *ticket)
{
    apr_size_t text_len;

    /* The shortest ticket that can contain a secret. */
    if (ticket->len < shape->text_at + 32 + shape->mac_len) {
        return 0;
    }
    text_len = ticket->len - shape->text_at - shape->mac_len;
    if (text_len % shape->block_len != 0) {
        return 0;
    }
    return shape->length_at == 0
           || ((apr_size_t)ticket->bytes[shape->length_at] << 8
               | ticket->bytes[shape->length_at + 1])
                  == text_len;
}

static int all_fit(const shape_t *shape, const probe_ticket_t *tickets, apr_size_t n,
                   apr_size_t prefix_len)
{
    apr_size_t i;

    if (n > 1 && prefix_len < shape->name_len) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (!fits(shape, &tickets[i])) {
            return 0;
        }
    }
    return 1;
}

void probe_analysis_format(const probe_ticket_t *tickets, apr_size_t n, probe_format_t *format)
{
    apr_size_t i, prefix_len;

    memset(format, 0, sizeof(*format));
    if (n == 0) {
        return;
    }
    format->len_min = format->len_max = tickets[0].len;
    for (i = 1; i < n; i++) {
        format->len_min = tickets[i].len < format->len_min ? tickets[i].len : format->len_min;
        format->len_max = tickets[i].len > format->len_max ? tickets[i].len : format->len_max;
    }
    prefix_len = format->name_len = n > 1 ? name_len(tickets, n) : 0;
    if (format->len_max <= STATEFUL_MAX) {
        format->layout = PROBE_LAYOUT_STATEFUL;
        return;
    }
    for (i = 0; i < SHAPES_N; i++) {
        if (all_fit(&shapes[i], tickets, n, prefix_len)) {
            format->layout = shapes[i].layout;
            format->name_len = shapes[i].name_len;
            format->iv_at = shapes[i].name_len;
            format->iv_len = shapes[i].iv_len;
            format->text_at = shapes[i].text_at;
            format->mac_len = shapes[i].mac_len;
            return;
        }
    }
}

const char *probe_analysis_layout(probe_layout_e layout)
{
    apr_size_t i;

    for (i = 0; i < SHAPES_N; i++) {
        if (shapes[i].layout == layout) {
            return shapes[i].name;
        }
    }
    return layout == PROBE_LAYOUT_STATEFUL ? "stateful" : "unknown";
}

int probe_analysis_plain(const probe_ticket_t *tickets, apr_size_t n, probe_hit_t *hit)
{
    apr_size_t i;

    memset(hit, 0, sizeof(*hit));
    for (i = 0; i < n; i++) {
        const probe_ticket_t *ticket = &tickets[i];
        const unsigned char *at = probe_secret_find(ticket->bytes, ticket->len, ticket);

        /* Once is enough, because it costs an HMAC per byte. */
        if (!at && i == 0) {
            at = probe_secret_find_master(ticket->bytes, ticket->len, ticket);
        }
        if (at) {
            hit->algorithm = "none";
            hit->text_at = (apr_size_t)(at - ticket->bytes);
            hit->first = hit->second = i;
            return 1;
        }
    }
    ERR_clear_error();
    return 0;
}

static int same_iv(const probe_ticket_t *a, const probe_ticket_t *b, const probe_format_t *format)
{
    apr_size_t end = format->iv_at + format->iv_len;

    return format->iv_len > 0 && a->len >= end && b->len >= end
           && memcmp(a->bytes, b->bytes, end) == 0;
}

/* With one key stream, the XOR of two ciphertexts is the XOR of their plaintexts, secrets included.
 * */
static int same_stream(const probe_ticket_t *a, const probe_ticket_t *b, apr_size_t *pat)
{
    apr_size_t len = a->len < b->len ? a->len : b->len, want = a->secret_len, i;
    unsigned char secret[PROBE_SECRET_MAX];
    unsigned char *text, *at = NULL;

    if (want < 16 || want != b->secret_len || want > sizeof(secret)
        || memcmp(a->secret, b->secret, want) == 0) {
        return 0;
    }
    text = malloc(len ? len : 1);
    if (!text) {
        return 0;
    }
    for (i = 0; i < want; i++) {
        secret[i] = a->secret[i] ^ b->secret[i];
    }
    for (i = 0; i < len; i++) {
        text[i] = a->bytes[i] ^ b->bytes[i];
    }
    at = memmem(text, len, secret, want);
    *pat = at ? (apr_size_t)(at - text) : 0;
    OPENSSL_cleanse(secret, sizeof(secret));
    free(text);
    return at != NULL;
}

int probe_analysis_nonce(const probe_ticket_t *tickets, apr_size_t n, const probe_format_t *format,
                         probe_hit_t *hit)
{
    apr_size_t i, j;
    int found = 0;

    memset(hit, 0, sizeof(*hit));
    n = n < PAIRS_MAX ? n : PAIRS_MAX;
    for (i = 0; i < n; i++) {
        for (j = i + 1; j < n; j++) {
            const probe_ticket_t *a = &tickets[i], *b = &tickets[j];

            if (same_stream(a, b, &hit->text_at)) {
                hit->first = i;
                hit->second = j;
                hit->proven = 1;
                return 1;
            }
            /* A ticket that was given twice says nothing about IVs. */
            if (!found && same_iv(a, b, format)
                && (a->len != b->len || memcmp(a->bytes, b->bytes, a->len) != 0)) {
                hit->first = i;
                hit->second = j;
                found = 1;
            }
        }
    }
    return found;
}
