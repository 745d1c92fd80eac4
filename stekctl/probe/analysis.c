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

#include "needles.h"
#include "secret.h"
#include "text_ticket.h"

#define STATEFUL_MAX 32 /* a session id */
#define NAME_MAX_LEN 64
#define NAMES_MAX 64   /* at most that many tickets are compared for their names */
#define PAIRS_MAX 1000 /* and for their IVs and key streams */
#define SHIFT 16       /* bytes of a cipher's block, by which a counter moves the key stream */
#define NEIGHBOURS 2   /* tickets between which that is looked for */
#define REPEATS_MAX 4  /* tickets that are searched for repeated blocks */
#define REPEATS_MIN 3  /* pairs of equal blocks, of eight bytes or more: not by chance */
#define LONGER_MIN 4   /* tickets in which an IV does not begin with the same byte by chance */
#define LENGTHS_MIN 3  /* tickets whose length field fits: not by chance */

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

    n = n < NAMES_MAX ? n : NAMES_MAX;
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

#define ALIKE_MIN 4 /* bytes that sessions begin with, and other text only by chance */

/* length_at 0: no length field.  Layouts with one come first, because they hardly match by chance.
 * */
static const shape_t shapes[] = {
    {PROBE_LAYOUT_GNUTLS, "GnuTLS", 16, 16, 32, 34, 20, 16},
    {PROBE_LAYOUT_RFC5077, "RFC 5077, with length field", 16, 16, 32, 34, 32, 16},
    {PROBE_LAYOUT_WOLFSSL, "wolfSSL", 16, 16, 32, 34, 32, 1},
    {PROBE_LAYOUT_MBEDTLS, "mbedTLS", 4, 12, 16, 18, 16, 1},
    {PROBE_LAYOUT_BOTAN, "Botan", 12, 12, 0, 40, 16, 1},
    {PROBE_LAYOUT_JAVA, "Java", 4, 16, 0, 20, 16, 1},
    {PROBE_LAYOUT_OPENSSL, "OpenSSL", 16, 16, 0, 32, 32, 16},
};

/* At the beginning of Botan's tickets (src/lib/tls/tls_session.cpp, 2.19 and 3.0). */
static const unsigned char botan_magic[] = {0x06, 0x8b, 0x5a, 0x9d, 0x39, 0x6c, 0x00, 0x00};

/* Java's tickets contain the server's certificate. */
#define JAVA_MIN 300

#define SHAPES_N (sizeof(shapes) / sizeof(shapes[0]))

static int fits(const shape_t *shape, const probe_ticket_t *ticket)
{
    apr_size_t text_len;

    /* The shortest ticket that can contain a secret. */
    if (ticket->len < shape->text_at + 32 + shape->mac_len) {
        return 0;
    }
    if (shape->layout == PROBE_LAYOUT_BOTAN
        && memcmp(ticket->bytes, botan_magic, sizeof(botan_magic)) != 0) {
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

/* Nothing in Java's tickets is fixed but the number of the key.  Newer versions have an IV of 12 and a
 * byte of 0 or 1 behind it; they compress sessions, so that their secrets cannot be found (OpenJDK,
 * sun/security/ssl/SessionTicketExtension.java: 0827b24f8cd6, and that of 2025). */
static int is_java(const probe_ticket_t *tickets, apr_size_t n, apr_size_t prefix_len)
{
    apr_size_t newer_n = 0, blocks_n = 0, i;

    for (i = 0; i < n; i++) {
        if (tickets[i].len < JAVA_MIN) {
            return 0;
        }
        newer_n += tickets[i].bytes[16] <= 1;
        /* A name of 4, an IV, whole blocks and a MAC: digests have a multiple of 4, too. */
        blocks_n += tickets[i].len % 4 == 0;
    }
    /* The IVs of two tickets may begin with the same byte. */
    return n > 1 && (prefix_len == 4 || prefix_len == 5) && newer_n < n && blocks_n < n;
}

/* Many tickets have more in common than a name, but not a whole IV: that is a longer name.  An IV that
 * counts from 0 begins with zeros. */
static int has_longer_name(const shape_t *shape, const probe_ticket_t *tickets, apr_size_t n,
                           apr_size_t prefix_len)
{
    apr_size_t at = shape->name_len;

    while (at < prefix_len && tickets[0].bytes[at] == 0) {
        at++;
    }
    return n >= LONGER_MIN && at < prefix_len && prefix_len < shape->text_at;
}

/* One IV makes the same block of the same text, or the same stream for sessions that begin alike:
 * what ends before that is a longer name. */
static int ends_like_name(const shape_t *shape, apr_size_t prefix_len)
{
    if (shape->block_len > 1) {
        return prefix_len >= shape->text_at && prefix_len < shape->text_at + shape->block_len;
    }
    return shape->length_at && prefix_len >= shape->length_at
           && prefix_len < shape->text_at + ALIKE_MIN;
}

static int all_fit(const shape_t *shape, const probe_ticket_t *tickets, apr_size_t n,
                   apr_size_t prefix_len)
{
    apr_size_t i;

    /* Without a common name, each ticket may have another key.  Where all have, a nonce, a length and
     * a MAC of 16 bytes look like mbedTLS, too. */
    if (n > 1 && prefix_len < shape->name_len
        && (!shape->length_at || n < LENGTHS_MIN || shape->layout == PROBE_LAYOUT_MBEDTLS)) {
        return 0;
    }
    if (shape->layout == PROBE_LAYOUT_JAVA && !is_java(tickets, n, prefix_len)) {
        return 0;
    }
    if (n > 1 && ends_like_name(shape, prefix_len)) {
        return 0;
    }
    if (shape->layout == PROBE_LAYOUT_OPENSSL && has_longer_name(shape, tickets, n, prefix_len)) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (!fits(shape, &tickets[i])) {
            return 0;
        }
    }
    return 1;
}

/* All of them are hex or base64, as those of libraries are not. */
static int are_text(const probe_ticket_t *tickets, apr_size_t n)
{
    apr_size_t i;

    for (i = 0; i < n && probe_text_ticket_is(&tickets[i]); i++) {
    }
    return i == n;
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
    prefix_len = format->name_len = format->prefix_len = n > 1 ? name_len(tickets, n) : 0;
    if (format->len_max <= STATEFUL_MAX) {
        format->layout = PROBE_LAYOUT_STATEFUL;
        return;
    }
    if (are_text(tickets, n)) {
        return;
    }
    for (i = 0; i < SHAPES_N; i++) {
        if (all_fit(&shapes[i], tickets, n, prefix_len)) {
            format->layout = shapes[i].layout;
            format->name_len = shapes[i].name_len;
            format->iv_at = shapes[i].layout == PROBE_LAYOUT_BOTAN ? 28 : shapes[i].name_len;
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

int probe_analysis_is_aead(probe_layout_e layout)
{
    return layout == PROBE_LAYOUT_MBEDTLS || layout == PROBE_LAYOUT_BOTAN
           || layout == PROBE_LAYOUT_JAVA;
}

int probe_analysis_makes_tag(const char *algorithm)
{
    return strstr(algorithm, "GCM") || strstr(algorithm, "CCM") || strstr(algorithm, "Poly1305");
}

int probe_analysis_doubt(probe_format_t *format, const probe_hit_t *cipher)
{
    int has_tag = probe_analysis_makes_tag(cipher->algorithm);
    probe_format_t unknown = {.name_len = format->prefix_len,
                              .prefix_len = format->prefix_len,
                              .len_min = format->len_min,
                              .len_max = format->len_max};

    if (format->layout == PROBE_LAYOUT_UNKNOWN
        || (!cipher->is_text_unknown && cipher->text_at == format->text_at
            && (cipher->iv_len == 0 || cipher->iv_at == format->iv_at)
            && (has_tag || !probe_analysis_is_aead(format->layout)))) {
        return 0;
    }
    *format = unknown;
    return 1;
}

static int plain_in(const probe_ticket_t *ticket, probe_hit_t *hit)
{
    probe_needles_t needles;
    probe_scan_t *scan;
    probe_find_t find;
    int found;

    probe_needles_make(&needles, ticket);
    scan = probe_scan_create(&needles, NULL, 0, 1);
    found = scan && probe_scan_text(scan, ticket->bytes, ticket->len, &find);
    if (found) {
        hit->secret_at = hit->text_at = find.at;
        hit->form = find.form;
    }
    probe_scan_free(scan);
    OPENSSL_cleanse(&needles, sizeof(needles));
    return found;
}

/* A resumption master secret that could not be computed may still be there: that costs an HMAC per
 * byte. */
static int master_in(const probe_ticket_t *ticket, probe_hit_t *hit)
{
    const unsigned char *at = probe_secret_find_master(ticket->bytes, ticket->len, ticket);

    hit->secret_at = hit->text_at = at ? (apr_size_t)(at - ticket->bytes) : 0;
    return at != NULL;
}

int probe_analysis_plain(const probe_ticket_t *tickets, apr_size_t n, probe_hit_t *hit)
{
    apr_size_t i;
    int found = 0;

    memset(hit, 0, sizeof(*hit));
    for (i = 0; i < n && !found; i++) {
        probe_ticket_t decoded;

        found = plain_in(&tickets[i], hit)
                || (i == 0 && tickets[i].more_n == 0 && master_in(&tickets[i], hit));
        if (!found && probe_text_ticket_decode(&tickets[i], &decoded)) {
            found = hit->is_decoded = plain_in(&decoded, hit);
            free((void *)decoded.bytes);
        }
        hit->algorithm = found ? "none" : NULL;
        hit->first = hit->second = i;
    }
    ERR_clear_error();
    return found;
}

/* In GCM, one IV makes one key stream, which shows, unless the session is compressed: if it does not,
 * these are no IVs.  With equal IVs, keys are the same if their names are; an unknown layout may have
 * more than a name before the IV. */
static int same_iv(const probe_ticket_t *a, const probe_ticket_t *b, const probe_format_t *format)
{
    apr_size_t end = format->iv_at + format->iv_len;
    apr_size_t from = format->layout == PROBE_LAYOUT_UNKNOWN ? format->iv_at : 0;
    int would_show = (format->layout == PROBE_LAYOUT_MBEDTLS
                      || format->layout == PROBE_LAYOUT_BOTAN)
                     && format->len_max <= PROBE_TEXT_MAX;

    return format->iv_len > 0 && !would_show && a->len >= end && b->len >= end
           && memcmp(a->bytes + from, b->bytes + from, end - from) == 0;
}

/* Secret i of a ticket: its own, then those behind it. */
static const unsigned char *secret_n(const probe_ticket_t *ticket, apr_size_t i)
{
    return i == 0 ? ticket->secret : ticket->more[i - 1];
}

/* With one key stream, the XOR of two ciphertexts is the XOR of their plaintexts, secrets included.
 * */
static int same_stream(const probe_ticket_t *a, const probe_ticket_t *b, apr_size_t *pat)
{
    apr_size_t len = a->len < b->len ? a->len : b->len, want = a->secret_len, i, j;
    apr_size_t secrets_n = 1 + (a->more_n < b->more_n ? a->more_n : b->more_n);
    unsigned char secret[PROBE_SECRET_MAX], text[PROBE_TEXT_MAX];
    int found = 0;

    len = len < sizeof(text) ? len : sizeof(text);
    if (want < 16 || want != b->secret_len || want > sizeof(secret)) {
        return 0;
    }
    for (i = 0; i < len; i++) {
        text[i] = a->bytes[i] ^ b->bytes[i];
    }
    for (j = 0; j < secrets_n && !found; j++) {
        const unsigned char *one = secret_n(a, j), *two = secret_n(b, j), *at;

        /* Two tickets of one connection share all but the PSK. */
        if (memcmp(one, two, want) == 0) {
            continue;
        }
        for (i = 0; i < want; i++) {
            secret[i] = one[i] ^ two[i];
        }
        at = memmem(text, len, secret, want);
        found = at != NULL;
        *pat = at ? (apr_size_t)(at - text) : 0;
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    return found;
}

/* The same where ticket b's key stream is that of a, from one or two blocks later on: in CTR, if an
 * IV is that of the ticket before, plus one.  Then only parts of the secrets are under it. */
static int shifted_stream(const probe_ticket_t *a, const probe_ticket_t *b, probe_hit_t *hit)
{
    apr_size_t want = a->secret_len, i, j, len;
    apr_size_t secrets_n = 1 + (a->more_n < b->more_n ? a->more_n : b->more_n);
    unsigned char secret[PROBE_SECRET_MAX], text[PROBE_TEXT_MAX];
    const unsigned char *at = NULL;

    hit->shift = 0;
    while (!at && want == b->secret_len && want <= sizeof(secret)
           && hit->shift + 2 * SHIFT <= want) {
        hit->shift += SHIFT;
        for (i = 0; i + hit->shift < a->len && i < b->len && i < sizeof(text); i++) {
            text[i] = a->bytes[i + hit->shift] ^ b->bytes[i];
        }
        len = i;
        for (j = 0; j < secrets_n && !at; j++) {
            const unsigned char *one = secret_n(a, j), *two = secret_n(b, j);

            for (i = 0; i + hit->shift < want; i++) {
                secret[i] = one[i + hit->shift] ^ two[i];
            }
            at = memmem(text, len, secret, want - hit->shift);
        }
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    hit->shift = at ? hit->shift : 0;
    hit->text_at = at ? (apr_size_t)(at - text) : hit->text_at;
    return at != NULL;
}

/* The same for secrets in hex or in base64. */
static int same_stream_of_text(const probe_ticket_t *a, const probe_ticket_t *b, apr_size_t *pat)
{
    apr_size_t len = a->len < b->len ? a->len : b->len, i, j, k;
    unsigned char text[PROBE_TEXT_MAX], both[PROBE_NEEDLE_MAX];
    probe_needles_t one, two;
    const unsigned char *at = NULL;

    len = len < sizeof(text) ? len : sizeof(text);
    for (i = 0; i < len; i++) {
        text[i] = a->bytes[i] ^ b->bytes[i];
    }
    probe_needles_make(&one, a);
    probe_needles_make(&two, b);
    for (i = 0; i < one.n && !at; i++) {
        for (j = 0; j < two.n && !at; j++) {
            const probe_needle_t *x = &one.all[i], *y = &two.all[j];

            if (!x->form || x->form != y->form || x->len != y->len
                || memcmp(x->bytes, y->bytes, x->len) == 0) {
                continue;
            }
            for (k = 0; k < x->len; k++) {
                both[k] = x->bytes[k] ^ y->bytes[k];
            }
            at = memmem(text, len, both, x->len);
        }
    }
    *pat = at ? (apr_size_t)(at - text) : 0;
    OPENSSL_cleanse(&one, sizeof(one));
    OPENSSL_cleanse(&two, sizeof(two));
    return at != NULL;
}

/* Zeros and the like may be in the clear. */
static int is_constant(const unsigned char *bytes, apr_size_t len)
{
    return memcmp(bytes, bytes + 1, len - 1) == 0;
}

int probe_analysis_repeats(const probe_ticket_t *tickets, apr_size_t n,
                           const probe_format_t *format, apr_size_t block_len, probe_hit_t *hit)
{
    apr_size_t i, at, other, found_n;

    memset(hit, 0, sizeof(*hit));
    for (i = 0; i < n && i < REPEATS_MAX; i++) {
        const probe_ticket_t *ticket = &tickets[i];
        apr_size_t len = ticket->len < PROBE_STREAM_MAX ? ticket->len : PROBE_STREAM_MAX;

        for (found_n = 0, at = format->name_len; at + 2 * block_len <= len; at++) {
            for (other = at + block_len; other + block_len <= len; other += block_len) {
                if (memcmp(ticket->bytes + at, ticket->bytes + other, block_len) == 0
                    && !is_constant(ticket->bytes + at, block_len) && ++found_n >= REPEATS_MIN) {
                    hit->first = at;
                    hit->second = other;
                    hit->iv_at = i;
                    return 1;
                }
            }
        }
    }
    return 0;
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

            if (same_stream(a, b, &hit->text_at)
                || (i == 0 && same_stream_of_text(a, b, &hit->text_at))
                || (j - i <= NEIGHBOURS && shifted_stream(a, b, hit))) {
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
