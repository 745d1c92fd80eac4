/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for weak keys on one ticket.  The session's own secret, which the client knows, or the
 * MAC proves a key.  Pure functions over hostile bytes, like analysis.h; stekctl.
 */
#ifndef STEKCTL_PROBE_SEARCH_H
#define STEKCTL_PROBE_SEARCH_H

#include <string.h>

#include "own_keys.h"
#include "ticket.h"

#pragma GCC visibility push(hidden)

#define PROBE_HEAD_MAX 128
#define PROBE_ALGORITHMS_MAX 64

/* A text that a key has opened, as far as it is known where it begins and ends. */
typedef struct probe_opened_t {
    unsigned char bytes[PROBE_TEXT_MAX];
    apr_size_t len;
    apr_size_t at;        /* in the ticket */
    apr_size_t block_len; /* the text may begin with a later block; 0: it begins here */
    int is_chained;   /* CBC, with what is before a block in the ticket, but for the first one */
    apr_size_t iv_at; /* of the text's first block, once that is known */
    int has_iv, is_zero_iv;
    unsigned char head[PROBE_HEAD_MAX]; /* of the ticket */
    apr_size_t head_len;
} probe_opened_t;

/* Whether another ticket was searched more thoroughly. */
typedef enum probe_again_e {
    PROBE_AGAIN_NOT,
    PROBE_AGAIN_OTHER, /* it was, most likely of another key */
    PROBE_AGAIN_SAME   /* one of this very key was, and nothing found */
} probe_again_e;

typedef struct probe_search_t {
    const probe_ticket_t *ticket;
    const probe_format_t *format;
    const probe_own_keys_t *own; /* NULL: none */
    probe_level_e level;
    probe_opened_t *opened; /* where to keep the text, if a cipher key is found; NULL: nowhere */
    probe_again_e again;
    /* What was done; zeros before. */
    probe_hit_t hit;
    apr_size_t keys_n;                            /* keys tried, once for each length */
    apr_size_t forms_n;                           /* ciphers or MACs tried */
    const char *algorithms[PROBE_ALGORITHMS_MAX]; /* of these, each once */
    apr_size_t algorithms_n;
    const char *missing; /* what could not be tried, one for all; NULL: everything was */
} probe_search_t;

/* Adds to algorithms one that was tried, unless it is there; name is not copied. */
static inline void probe_search_tried(probe_search_t *search, const char *name)
{
    apr_size_t i;

    for (i = 0; i < search->algorithms_n && strcmp(search->algorithms[i], name) != 0; i++) {
    }
    if (i == search->algorithms_n && i < PROBE_ALGORITHMS_MAX) {
        search->algorithms[search->algorithms_n++] = name;
    }
}

/* Does a weak key decrypt the ticket, or authenticate it?  Nonzero: yes, and hit says which.  If
 * not, and something is missing, then that is not known. */
int probe_search_cipher(probe_search_t *search);
int probe_search_mac(probe_search_t *search);

/* The same for a MAC in search->opened: inside the encryption.  A MAC that is found shows where the
 * text begins: what opened holds besides is taken off. */
int probe_search_inside(probe_search_t *search);

#pragma GCC visibility pop
#endif
