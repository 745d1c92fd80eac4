/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ticket, and what its bytes show about it.  Types only; stekctl.
 */
#ifndef STEKCTL_PROBE_TICKET_H
#define STEKCTL_PROBE_TICKET_H

#include <apr.h>
#include <apr_time.h>

#pragma GCC visibility push(hidden)

#define PROBE_SECRET_MAX 48
#define PROBE_NONCE_MAX 255
#define PROBE_MORE_N 3
#define PROBE_KEY_MAX 64
#define PROBE_TEXT_MAX                                                                             \
    2048 /* bytes of a ticket that are decrypted; longer tickets are searched less */

#define PROBE_STREAM_MAX 1024 /* of those, under ciphers that make a stream */

typedef enum probe_level_e {
    /* The whole search with the user's keys as they are; without any, one key of every length. */
    PROBE_ONE_KEY = -1,
    PROBE_QUICK,
    PROBE_NORMAL,
    PROBE_DEEP
} probe_level_e;

/* A ticket and what its session's client knows about it.  The owner of the struct owns the bytes.
 * */
typedef struct probe_ticket_t {
    const unsigned char *bytes;
    apr_size_t len;
    unsigned char secret[PROBE_SECRET_MAX]; /* TLS 1.2: master secret; 1.3: the resumption PSK */
    apr_size_t secret_len;
    /* TLS 1.3: the secrets behind the PSK, as long as it (schedule.h); more_n 0: not known. */
    unsigned char more[PROBE_MORE_N][PROBE_SECRET_MAX];
    apr_size_t more_n;
    unsigned char nonce[PROBE_NONCE_MAX]; /* TLS 1.3: ticket_nonce (RFC 9846, 4.7.1) */
    apr_size_t nonce_len;
    int is_tls13;
    apr_uint32_t hint_s;
    apr_size_t connection;        /* that brought it, from 1; 0: not known */
    apr_time_t at;                /* when it came; some servers derive keys from the time */
    const unsigned char *session; /* DER, to offer it again */
    apr_size_t session_len;
    int is_offered; /* unaltered: a server may accept it only once */
} probe_ticket_t;

typedef enum probe_layout_e {
    PROBE_LAYOUT_UNKNOWN,
    PROBE_LAYOUT_STATEFUL, /* too short for a session: a key to the server's cache */
    PROBE_LAYOUT_OPENSSL,  /* name 16 | IV 16 | CBC | HMAC-SHA256 32 */
    PROBE_LAYOUT_GNUTLS,   /* name 16 | IV 16 | length 2 | CBC | HMAC-SHA1 20 */
    PROBE_LAYOUT_RFC5077,  /* name 16 | IV 16 | length 2 | CBC | HMAC-SHA256 32 (RFC 5077, 4) */
    PROBE_LAYOUT_MBEDTLS,  /* name 4 | IV 12 | length 2 | GCM | tag 16 */
    PROBE_LAYOUT_WOLFSSL,  /* name 16 | IV 16 | length 2 | text | MAC 32 */
    PROBE_LAYOUT_BOTAN,    /* magic 8 | name 4 | seed 16 | IV 12 | GCM | tag 16 */
    PROBE_LAYOUT_JAVA,     /* name 4 | IV 16 | GCM | tag 16 */
    PROBE_LAYOUT_INSIDE    /* no ticket, but a decrypted text: a MAC is at one of its ends */
} probe_layout_e;

/* Offsets and lengths in bytes.  For an unknown layout, only name_len and the lengths are valid. */
typedef struct probe_format_t {
    probe_layout_e layout;
    apr_size_t name_len;   /* the tickets' common prefix; for one ticket, a guess by layout */
    apr_size_t prefix_len; /* the same as measured: 0 for one ticket */
    apr_size_t iv_at, iv_len, text_at, mac_len;
    apr_size_t len_min, len_max; /* of the tickets */
} probe_format_t;

/* A key that was found, or a position.  Fields that do not apply are 0. */
typedef struct probe_hit_t {
    const char *scheme; /* how a library makes the key from the configured one; NULL: it does not */
    unsigned char configured[PROBE_KEY_MAX];
    apr_size_t configured_len;
    const char *form;      /* of the secret in the text: "in hex", "in base64"; NULL: as it is */
    int is_decoded;        /* positions are those of the decoded ticket: the ticket is text */
    const char *algorithm; /* "AES-128-CBC", "HMAC-SHA256" */
    unsigned char key[PROBE_KEY_MAX];
    apr_size_t key_len;
    apr_size_t iv_at, iv_len;        /* iv_len 0: not known where it is */
    apr_size_t iv_before, iv_behind; /* zeros that complete it */
    apr_size_t text_at, secret_at;
    int is_text_unknown; /* its blocks are counted from text_at, but it may begin later */
    apr_size_t mac_at;
    apr_size_t mac_len, mac_full_len; /* shorter than full: truncated */
    apr_size_t first, second;         /* indexes of the tickets concerned */
    int proven;                       /* nonce reuse: the XOR of the secrets was found */
    apr_size_t shift;                 /* with proven: of one key stream against the other */
    int no_iv;                        /* an all-zero IV that the ticket does not contain */
    const char *made_by;              /* a generator of the key; NULL: none */
    apr_uint64_t made_of;             /* the number from which it made it */
    int is_inside;                    /* a MAC in the decrypted text; positions are those there */
} probe_hit_t;

#pragma GCC visibility pop
#endif
