/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decrypted ticket contains: a secret of its session, as it is, in hex or in base64.  Texts
 * are scanned for words of eight bytes of each needle, found by a hash; the rest of the needle is the
 * proof.  A key stream is scanned for the same words XORed with those of the ticket, at every place in
 * it.  So one pass over a text or key stream covers every offset.  Words are looked up so far apart
 * that every needle has one of them.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_NEEDLES_H
#define STEKCTL_PROBE_NEEDLES_H

#include "ticket.h"

#pragma GCC visibility push(hidden)

#define PROBE_NEEDLE_MAX 100
#define PROBE_WORD 8
#define PROBE_NEEDLES_MAX 36

typedef struct probe_needle_t {
    unsigned char bytes[PROBE_NEEDLE_MAX]; /* without the beginning, which a wrong IV may spoil */
    unsigned char before[PROBE_WORD];      /* what comes before them, if it has_before */
    apr_size_t len;                        /* at least 16 */
    const char *form;                      /* "in hex"; NULL: as it is */
    int has_before;
} probe_needle_t;

typedef struct probe_needles_t {
    probe_needle_t all[PROBE_NEEDLES_MAX];
    apr_size_t n;
} probe_needles_t;

/* n may become 0: the secret is too short to prove anything. */
void probe_needles_make(probe_needles_t *needles, const probe_ticket_t *ticket);

/* The length of the shortest one; or with what comes before it, all of whose words
 * probe_scan_word() knows. */
apr_size_t probe_needles_least(const probe_needles_t *needles);
apr_size_t probe_needles_least_known(const probe_needles_t *needles);

/* A table of eight-byte words, each with a needle and a place in the ticket. */
typedef struct probe_scan_t probe_scan_t;

/* For plain texts (bytes NULL), or for key streams under bytes[len], at most PROBE_STREAM_MAX; brief:
 * for those of a few keys, so that to make the table must not take longer than to scan.  NULL: out
 * of memory.  The needles and bytes must outlive it. */
probe_scan_t *probe_scan_create(const probe_needles_t *needles, const unsigned char *bytes,
                                apr_size_t len, int is_brief);
void probe_scan_free(probe_scan_t *scan);

typedef struct probe_find_t {
    apr_size_t at;    /* where the needle is in the text or key stream */
    apr_size_t place; /* where its ciphertext is in the ticket; key streams only */
    const char *form;
} probe_find_t;

/* Nonzero: text[len] contains a needle, and find says where. */
int probe_scan_text(const probe_scan_t *scan, const unsigned char *text, apr_size_t len,
                    probe_find_t *find);

/* Nonzero: some needle, with what comes before it, contains word[8].  Of a scan for plain texts that
 * is not brief. */
int probe_scan_word(const probe_scan_t *scan, const unsigned char *word);

#pragma GCC visibility pop
#endif
