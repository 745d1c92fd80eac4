/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets in any layout, for the server that sins (sins.c).
 *
 *     name | nonce | length 2 | text, encrypted | tag, MAC        mac=front: MAC right before the text
 *
 * pad=N: then N zeros that nobody looks at.  ignores=name|length: nor at these, which no MAC covers.
 * The text is a session's secret after some bytes and before its meta data; mac=inside: its MAC,
 * too.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <stddef.h>

#define FRAME_MAX 8192
#define FRAME_KEY_MAX 64

typedef enum frame_place_e {
    FRAME_BEHIND,
    FRAME_FRONT,
    FRAME_INSIDE,
    FRAME_INSIDE_FRONT,
    FRAME_NONE
} frame_place_e;

typedef enum frame_form_e { FRAME_PLAIN, FRAME_HEX, FRAME_BASE64 } frame_form_e;

typedef struct frame_cipher_t frame_cipher_t;

typedef struct frame_t {
    const frame_cipher_t *cipher;
    unsigned char key[FRAME_KEY_MAX], mac_key[FRAME_KEY_MAX], name[64];
    size_t name_len, nonce_len, secret_at;
    int has_length, has_mac_key, covers_text_only;
    size_t zeros;       /* that complete the nonce in front; behind it are always some */
    const char *digest; /* as OpenSSL calls it, or "crc32" */
    size_t mac_len;     /* 0: whole */
    size_t pad_len;
    int ignores_name, ignores_length;
    frame_place_e place;
    frame_form_e form, wrap;
} frame_t;

/* AES-256-GCM, random keys, a name of 16 bytes. */
void frame_init(frame_t *frame);

/* 1: the word was known, and its value good. */
int frame_word(frame_t *frame, const char *word, const char *value);

/* What a ticket restores. */
typedef struct frame_state_t {
    unsigned char secret[64];
    size_t secret_len;
    int version;
    unsigned char cipher_id[2];
} frame_state_t;

typedef enum frame_end_e {
    FRAME_OPENED,
    FRAME_BAD_PADDING,
    FRAME_BAD_MAC,
    FRAME_MALFORMED
} frame_end_e;

/* The ticket's length. */
size_t frame_seal(const frame_t *frame, const frame_state_t *state, unsigned char *ticket);
frame_end_e frame_open(const frame_t *frame, const unsigned char *ticket, size_t len,
                       frame_state_t *state);

#endif
