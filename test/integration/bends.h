/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL would always do right with a ticket, done otherwise for the server that sins
 * (sins.c): a provider, part of the program, with one digest, which HMAC is told to use, and one
 * cipher.  There is one bend in a program, set up before bend_load().
 */
#ifndef BENDS_H
#define BENDS_H

#include <openssl/evp.h>

#include "frames.h"

#define BEND_BLOCK 16
#define BEND_MAC_LEN 32
#define BEND_TRUNCATED 10

/* Which bytes of a ticket's MAC are checked: all, none, the first 16 or 4, all but one; or the MAC
 * is of the first 10 bytes of the inner hash. */
typedef enum bend_mac_e {
    MAC_GOOD,
    MAC_NONE,
    MAC_TRUNCATED,
    MAC_HALF,
    MAC_BIT,
    MAC_BUT
} bend_mac_e;

typedef struct bend_t {
    bend_mac_e mac;
    int unchecked;                     /* with MAC_BUT: this byte */
    const EVP_CIPHER *(*stream)(void); /* NULL: the cipher is one of OpenSSL's own */
    int is_ccm;                        /* the stream is that of CCM, by CTR */
    int is_frame;                      /* the ticket is what frames.c makes */
    int is_decrypting;                 /* this and the rest: of the ticket at hand */
    unsigned char ticket[65536];       /* as the ClientHello offers it */
    unsigned char framed[FRAME_MAX];   /* to be issued */
    unsigned char opened[1024];        /* the session in the one that is offered */
    size_t ticket_len, framed_len, opened_len;
} bend_t;

extern bend_t bend;

/* Ends the program if that fails. */
void bend_load(void);

/* NULL: no bend. */
const EVP_CIPHER *bend_cipher(void);
const char *bend_digest(void);

#endif
