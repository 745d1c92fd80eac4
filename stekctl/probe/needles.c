/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Needles, and the scan for them (needles.h).
 */
#include "needles.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD 8
#define SKIP 16        /* bytes of a secret that are not looked for: a block with a wrong IV */
#define FILTER_BITS 18 /* of the table that most words do not pass */
#define CHAINS_BITS 14

typedef struct entry_t {
    apr_uint64_t word;
    apr_uint32_t next; /* 1 + index of the next entry with the same hash; 0: none */
    apr_uint32_t place;
    const probe_needle_t *needle;
} entry_t;

struct probe_scan_t {
    const unsigned char *bytes; /* NULL: plain texts are scanned */
    apr_size_t len;
    unsigned char filter[1 << (FILTER_BITS - 3)];
    apr_uint32_t chains[1 << CHAINS_BITS];
    apr_size_t n;
    entry_t entries[];
};

static apr_uint64_t word_at(const unsigned char *bytes)
{
    apr_uint64_t word;

    memcpy(&word, bytes, WORD);
    return word;
}

static apr_uint64_t hash(apr_uint64_t word)
{
    return word * APR_UINT64_C(0x9e3779b97f4a7c15);
}

static probe_needle_t *next_needle(probe_needles_t *needles, const char *form)
{
    probe_needle_t *needle = &needles->all[needles->n++];

    needle->form = form;
    needle->len = 0;
    return needle;
}

static void add_hex(probe_needles_t *needles, const unsigned char *secret, apr_size_t len,
                    const char *digits)
{
    probe_needle_t *needle = next_needle(needles, "in hex");
    apr_size_t i;

    for (i = SKIP; i < len; i++) {
        needle->bytes[needle->len++] = (unsigned char)digits[secret[i] >> 4];
        needle->bytes[needle->len++] = (unsigned char)digits[secret[i] & 15];
    }
}

/* The digits depend on how many bytes precede the secret, modulo 3.  Those at the ends, which
 * depend on neighbours, are left out. */
static void add_base64(probe_needles_t *needles, const unsigned char *secret, apr_size_t len,
                       apr_size_t phase, int is_url)
{
    unsigned char padded[2 + PROBE_SECRET_MAX] = {0}, digits[4 * (2 + PROBE_SECRET_MAX) / 3 + 8];
    apr_size_t from = (phase + SKIP + 2) / 3 * 4, end = (phase + len) / 3 * 4, i;
    int is_changed = 0;
    probe_needle_t *needle;

    memcpy(padded + phase, secret, len);
    EVP_EncodeBlock(digits, padded, (int)(phase + len));
    for (i = from; is_url && i < end; i++) {
        is_changed |= digits[i] == '+' || digits[i] == '/';
        digits[i] = digits[i] == '+' ? '-' : digits[i] == '/' ? '_' : digits[i];
    }
    if (is_url && !is_changed) {
        return;
    }
    needle = next_needle(needles, "in base64");
    needle->len = end - from;
    memcpy(needle->bytes, digits + from, needle->len);
    OPENSSL_cleanse(padded, sizeof(padded));
}

static void add_secret(probe_needles_t *needles, const unsigned char *secret, apr_size_t len)
{
    apr_size_t skip = len >= 2 * SKIP ? SKIP : 0, phase;
    probe_needle_t *needle;

    if (len - skip < SKIP || len > PROBE_SECRET_MAX) {
        return;
    }
    needle = next_needle(needles, NULL);
    needle->len = len - skip;
    memcpy(needle->bytes, secret + skip, needle->len);
    if (skip) {
        add_hex(needles, secret, len, "0123456789abcdef");
        add_hex(needles, secret, len, "0123456789ABCDEF");
        for (phase = 0; phase < 3; phase++) {
            add_base64(needles, secret, len, phase, 0);
            add_base64(needles, secret, len, phase, 1);
        }
    }
}

void probe_needles_make(probe_needles_t *needles, const probe_ticket_t *ticket)
{
    apr_size_t i;

    needles->n = 0;
    if (ticket->secret_len >= SKIP) {
        add_secret(needles, ticket->secret, ticket->secret_len);
    }
    for (i = 0; i < ticket->more_n; i++) {
        add_secret(needles, ticket->more[i], ticket->secret_len);
    }
}

static void enter(probe_scan_t *scan, const probe_needle_t *needle, apr_size_t place)
{
    entry_t *entry = &scan->entries[scan->n++];
    apr_uint64_t hashed;

    entry->word = word_at(needle->bytes) ^ (scan->bytes ? word_at(scan->bytes + place) : 0);
    entry->needle = needle;
    entry->place = (apr_uint32_t)place;
    hashed = hash(entry->word);
    scan->filter[hashed >> (64 - FILTER_BITS) >> 3] |=
        (unsigned char)(1 << (hashed >> (64 - FILTER_BITS) & 7));
    entry->next = scan->chains[hashed >> (64 - CHAINS_BITS)];
    scan->chains[hashed >> (64 - CHAINS_BITS)] = (apr_uint32_t)scan->n;
}

probe_scan_t *probe_scan_create(const probe_needles_t *needles, const unsigned char *bytes,
                                apr_size_t len)
{
    apr_size_t places = bytes ? len : 1, i, j;
    probe_scan_t *scan = calloc(1, sizeof(*scan) + needles->n * places * sizeof(entry_t));

    if (!scan) {
        return NULL;
    }
    scan->bytes = bytes;
    scan->len = len;
    for (i = 0; i < needles->n; i++) {
        for (j = 0; j < places; j++) {
            if (!bytes || j + needles->all[i].len <= len) {
                enter(scan, &needles->all[i], j);
            }
        }
    }
    return scan;
}

void probe_scan_free(probe_scan_t *scan)
{
    if (scan) {
        OPENSSL_cleanse(scan->entries, scan->n * sizeof(entry_t));
        free(scan);
    }
}

static int is_needle(const probe_scan_t *scan, const entry_t *entry, const unsigned char *text,
                     apr_size_t len)
{
    const probe_needle_t *needle = entry->needle;
    apr_size_t i;

    if (len < needle->len) {
        return 0;
    }
    for (i = 0; i < needle->len; i++) {
        if ((text[i] ^ (scan->bytes ? scan->bytes[entry->place + i] : 0)) != needle->bytes[i]) {
            return 0;
        }
    }
    return 1;
}

static int look_up(const probe_scan_t *scan, const unsigned char *text, apr_size_t len,
                   apr_uint64_t hashed, probe_find_t *find)
{
    apr_uint32_t next = scan->chains[hashed >> (64 - CHAINS_BITS)];
    apr_uint64_t word = word_at(text);

    while (next) {
        const entry_t *entry = &scan->entries[next - 1];

        if (entry->word == word && is_needle(scan, entry, text, len)) {
            find->place = entry->place;
            find->form = entry->needle->form;
            return 1;
        }
        next = entry->next;
    }
    return 0;
}

int probe_scan_text(const probe_scan_t *scan, const unsigned char *text, apr_size_t len,
                    probe_find_t *find)
{
    apr_size_t i;

    for (i = 0; i + WORD <= len; i++) {
        apr_uint64_t hashed = hash(word_at(text + i));
        unsigned bit = (unsigned)(hashed >> (64 - FILTER_BITS));

        if (scan->filter[bit >> 3] & 1 << (bit & 7)
            && look_up(scan, text + i, len - i, hashed, find)) {
            find->at = i;
            return 1;
        }
    }
    return 0;
}
