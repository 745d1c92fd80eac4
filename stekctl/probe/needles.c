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

#define WORD PROBE_WORD
#define SKIP 16    /* bytes of a text that are not looked for: a block with a wrong IV */
#define BEFORE 255 /* phase of words that are not all in the needle */
#define STEP 8     /* bytes from one word that is looked up to the next, or fewer */
#define ENTRIES_MAX 65536
#define BITS_MIN 12 /* of the size of the filter that most words do not pass */
#define BITS_MAX 20
#define BITS_PER_WORD 16 /* of them two are set */
#define CHAIN_BITS 6     /* by which the table of chains is smaller */

typedef struct entry_t {
    apr_uint64_t word;
    apr_uint32_t next;  /* 1 + index of the next entry with the same hash; 0: none */
    apr_uint16_t place; /* of the needle */
    apr_byte_t phase;   /* of the word in the needle */
    apr_byte_t needle;
} entry_t;

_Static_assert(PROBE_NEEDLE_MAX < BEFORE && PROBE_NEEDLES_MAX < 256 && PROBE_STREAM_MAX < 65536,
               "an entry is small: there are thousands");

struct probe_scan_t {
    const probe_needles_t *needles;
    const unsigned char *bytes; /* NULL: plain texts are scanned */
    apr_size_t len, step, n;
    int bits;
    entry_t *entries;
    apr_uint32_t *chains;
    apr_uint64_t *filter;
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

/* How far to shift a hash, so that its first bits choose one of the filter's words of 64 bits. */
static unsigned filter_shift(const probe_scan_t *scan)
{
    return 70 - (unsigned)scan->bits;
}

static probe_needle_t *next_needle(probe_needles_t *needles, const char *form)
{
    probe_needle_t *needle = &needles->all[needles->n++];

    needle->form = form;
    needle->len = 0;
    needle->has_before = 0;
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
    apr_size_t from = SKIP, end = (phase + len) / 3 * 4, i;
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
        memcpy(needle->before, secret + skip - WORD, WORD);
        needle->has_before = 1;
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

static apr_size_t least_of(const probe_needles_t *needles, int is_known)
{
    apr_size_t least = PROBE_NEEDLE_MAX, i;

    for (i = 0; i < needles->n; i++) {
        apr_size_t len = needles->all[i].len + (is_known && needles->all[i].has_before ? WORD : 0);

        least = len < least ? len : least;
    }
    return least;
}

apr_size_t probe_needles_least(const probe_needles_t *needles)
{
    return least_of(needles, 0);
}

apr_size_t probe_needles_least_known(const probe_needles_t *needles)
{
    return least_of(needles, 1);
}

static apr_uint32_t *chain_of(const probe_scan_t *scan, apr_uint64_t hashed)
{
    return &scan->chains[hashed >> (64 - scan->bits + CHAIN_BITS)];
}

/* In the filter, two bits of one of its words stand for a word that is looked up.  Both are tested
 * at once: a branch after the first one would often go the way that processors do not expect. */
static inline __attribute__((always_inline)) apr_uint64_t filter_mask(apr_uint64_t hashed,
                                                                      unsigned shift)
{
    return UINT64_C(1) << (hashed >> (shift - 6) & 63)
           | UINT64_C(1) << (hashed >> (shift - 12) & 63);
}

static void enter_word(probe_scan_t *scan, apr_uint64_t word, apr_size_t needle, apr_size_t place,
                       apr_size_t phase)
{
    entry_t *entry = &scan->entries[scan->n++];
    apr_uint64_t hashed = hash(word);
    unsigned shift = filter_shift(scan);

    entry->word = word;
    entry->needle = (apr_byte_t)needle;
    entry->place = (apr_uint16_t)place;
    entry->phase = (apr_byte_t)phase;
    scan->filter[hashed >> shift] |= filter_mask(hashed, shift);
    entry->next = *chain_of(scan, hashed);
    *chain_of(scan, hashed) = (apr_uint32_t)scan->n;
}

static void enter(probe_scan_t *scan, apr_size_t needle, apr_size_t place, apr_size_t phase)
{
    apr_uint64_t word = word_at(scan->needles->all[needle].bytes + phase);

    enter_word(scan, word ^ (scan->bytes ? word_at(scan->bytes + place + phase) : 0), needle, place,
               phase);
}

/* The words that begin in what comes before a needle. */
static void enter_before(probe_scan_t *scan, apr_size_t needle)
{
    const probe_needle_t *of = &scan->needles->all[needle];
    unsigned char bytes[2 * WORD];
    apr_size_t i;

    memcpy(bytes, of->before, WORD);
    memcpy(bytes + WORD, of->bytes, WORD);
    for (i = 0; of->has_before && i < WORD; i++) {
        enter_word(scan, word_at(bytes + i), needle, 0, BEFORE);
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

/* Every word of a needle in a plain text, because not all of that may be looked up; in a key stream,
 * as many as a step needs. */
static apr_size_t phases_n(const probe_scan_t *scan, apr_size_t needle)
{
    return scan->bytes || scan->step == 1 ? scan->step : scan->needles->all[needle].len - WORD + 1;
}

probe_scan_t *probe_scan_create(const probe_needles_t *needles, const unsigned char *bytes,
                                apr_size_t len, int is_brief)
{
    apr_size_t places = bytes ? len : 1, step = is_brief ? 1 : STEP, most, i, j, k;
    probe_scan_t *scan;

    while (bytes && step > 1 && needles->n * places * step > ENTRIES_MAX) {
        step /= 2;
    }
    most = bytes || is_brief ? step : PROBE_NEEDLE_MAX + WORD;
    scan = calloc(1, sizeof(*scan));
    if (!scan) {
        return NULL;
    }
    for (scan->bits = BITS_MIN;
         scan->bits < BITS_MAX
         && (apr_size_t)1 << scan->bits < BITS_PER_WORD * needles->n * places * most;
         scan->bits++) {
    }
    scan->entries = malloc((needles->n * places * most + 1) * sizeof(entry_t));
    scan->chains = calloc((apr_size_t)1 << (scan->bits - CHAIN_BITS), sizeof(*scan->chains));
    scan->filter = calloc((apr_size_t)1 << (scan->bits - 6), sizeof(*scan->filter));
    if (!scan->entries || !scan->chains || !scan->filter) {
        probe_scan_free(scan);
        return NULL;
    }
    scan->needles = needles;
    scan->bytes = bytes;
    scan->len = len;
    /* All words of the needles of plain texts are in the table, so one in each is enough. */
    scan->step = bytes || is_brief ? step : probe_needles_least(needles) - WORD + 1;
    for (i = 0; i < needles->n; i++) {
        for (j = 0; j < places; j++) {
            for (k = 0; (!bytes || j + needles->all[i].len <= len) && k < phases_n(scan, i); k++) {
                enter(scan, i, j, k);
            }
        }
        if (!bytes && !is_brief) {
            enter_before(scan, i);
        }
    }
    return scan;
}

void probe_scan_free(probe_scan_t *scan)
{
    if (scan) {
        if (scan->entries) {
            OPENSSL_cleanse(scan->entries, scan->n * sizeof(entry_t));
        }
        free(scan->entries);
        free(scan->chains);
        free(scan->filter);
        free(scan);
    }
}

/* text[at] is the entry's word. */
static int is_needle(const probe_scan_t *scan, const entry_t *entry, const unsigned char *text,
                     apr_size_t len, apr_size_t at)
{
    const probe_needle_t *needle = &scan->needles->all[entry->needle];
    apr_size_t from = at - entry->phase, i;

    if (entry->phase == BEFORE || at < entry->phase || len - from < needle->len) {
        return 0;
    }
    for (i = 0; i < needle->len; i++) {
        if ((text[from + i] ^ (scan->bytes ? scan->bytes[entry->place + i] : 0))
            != needle->bytes[i]) {
            return 0;
        }
    }
    return 1;
}

/* Looked up for every word of every text. */
static inline __attribute__((always_inline)) int may_have(const apr_uint64_t *filter,
                                                          unsigned shift, apr_uint64_t hashed)
{
    return (filter_mask(hashed, shift) & ~filter[hashed >> shift]) == 0;
}

static const entry_t *next_of(const probe_scan_t *scan, apr_uint32_t next, apr_uint64_t word)
{
    while (next && scan->entries[next - 1].word != word) {
        next = scan->entries[next - 1].next;
    }
    return next ? &scan->entries[next - 1] : NULL;
}

static const entry_t *first_of(const probe_scan_t *scan, apr_uint64_t word)
{
    return next_of(scan, *chain_of(scan, hash(word)), word);
}

static int look_up(const probe_scan_t *scan, const unsigned char *text, apr_size_t len,
                   apr_size_t at, probe_find_t *find)
{
    apr_uint64_t word = word_at(text + at);
    const entry_t *entry = first_of(scan, word);

    for (; entry; entry = next_of(scan, entry->next, word)) {
        if (is_needle(scan, entry, text, len, at)) {
            find->at = at - entry->phase;
            find->place = entry->place;
            find->form = scan->needles->all[entry->needle].form;
            return 1;
        }
    }
    return 0;
}

int probe_scan_text(const probe_scan_t *scan, const unsigned char *text, apr_size_t len,
                    probe_find_t *find)
{
    unsigned shift = filter_shift(scan);
    const apr_uint64_t *filter = scan->filter;
    apr_size_t step = scan->step, i;

    for (i = 0; i + WORD <= len; i += step) {
        if (may_have(filter, shift, hash(word_at(text + i))) && look_up(scan, text, len, i, find)) {
            return 1;
        }
    }
    return 0;
}

int probe_scan_word(const probe_scan_t *scan, const unsigned char *word)
{
    return may_have(scan->filter, filter_shift(scan), hash(word_at(word)))
           && first_of(scan, word_at(word)) != NULL;
}
