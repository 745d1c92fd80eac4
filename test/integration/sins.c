/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS server that commits one sin with its session tickets, on demand: what stekctl probe must
 * find. Loopback only, one connection at a time, until it is killed.  Prints "listening" once it
 * does, then for each ClientHello "full" or "offer".  Answers requests in HTTP. The MACs that
 * OpenSSL would always check, and which ciphers it takes, are bent by bends.c.
 * Usage: sins PORT CERT KEY SIN, or for a SIN of your own
 *     mix:cipher=aes-256-gcm,key=HEX,digest=sha1,mac-key=HEX,mac=none|truncated|NUMBER,
 *     iv=constant,keys=20,weak=7,name=HEX,timeout=SECONDS,outlives=yes,any=version|suite,
 *     once=yes,turns=SECONDS,bad-padding=alert|close|MICROSECONDS,tickets=NUMBER,data=BYTES,loses=yes
 * of which all words may be missing; name is that of the keys.  Of keys with names that begin
 * alike, which tickets get in turn, only number weak is the given one; the others, and whatever is
 * not given, are random.  mac=NUMBER leaves out that byte of the MAC.  With once, a ticket is taken
 * only once.  tickets is how many TLS 1.3 has on a connection, data makes them longer.  With loses, nobody
 * opens every second, from the first on.  "frame:" is followed by words of frames.h, for tickets in any layout, and by
 *     bad-padding=alert|close|MICROSECONDS  unlike other tickets, which get a full handshake
 */
#define OPENSSL_API_COMPAT 30000
#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bends.h"

#define BLOCK 16
#define BIG_LEN 60000
#define FRAME_DATA 2000
#define MONTH_S (30 * 86400)

typedef enum fill_e { FILL_RANDOM, FILL_ZERO, FILL_COUNT10, FILL_COUNT20, FILL_ONES } fill_e;

typedef struct sin_t {
    const char *name;
    const EVP_CIPHER *(*cipher)(void);
    const EVP_CIPHER *(*stream)(void);
    const EVP_MD *(*digest)(void);
    int is_ccm; /* the stream is that of CCM, by CTR */
    fill_e cipher_fill, mac_fill;
    bend_mac_e mac;
    int constant_iv, tells_padding, is_big, asks_second_name;
    int rotates, forgets;                     /* a new name each 2 s; keys end with it */
    int forbids_second_name, forbids_resumed; /* 403: to full handshakes, to resumed sessions */
    int outlives;                             /* tickets never end */
    int any_version, any_suite;               /* tickets resume with any */
    useconds_t padding_delay_us;
    long timeout_s;
    int keys_n, weak;
    const frame_t *frame; /* NULL: OpenSSL's own layout */
    int closes_padding;
    int turns_s;   /* the key has another name from then on, and opens tickets of both */
    int unchecked; /* with MAC_BUT: this byte of it */
    int is_once;   /* a ticket is taken only once */
    int tickets_n; /* on a connection of TLS 1.3; 0: as OpenSSL has it */
    int data_len;  /* that sessions get */
    int loses;     /* every second ticket is under a key that is lost */
} sin_t;

static const sin_t sins[] = {
    {.name = "good"},
    {.name = "aes256-zero", .cipher_fill = FILL_ZERO},
    {.name = "aes128-zero", .cipher = EVP_aes_128_cbc, .cipher_fill = FILL_ZERO},
    {.name = "zero-sha384", .digest = EVP_sha384, .cipher_fill = FILL_ZERO, .mac_fill = FILL_ZERO},
    {.name = "count10",
     .cipher = EVP_aes_128_cbc,
     .cipher_fill = FILL_COUNT10,
     .mac_fill = FILL_COUNT20},
    {.name = "ones", .cipher_fill = FILL_ONES, .mac_fill = FILL_ONES},
    {.name = "mac-zero", .mac_fill = FILL_ZERO},
    {.name = "mac-zero-sha1", .digest = EVP_sha1, .mac_fill = FILL_ZERO},
    {.name = "mac-zero-sha512", .digest = EVP_sha512, .mac_fill = FILL_ZERO},
    {.name = "mac-zero-md5", .digest = EVP_md5, .mac_fill = FILL_ZERO},
    {.name = "ctr-zero", .stream = EVP_aes_128_ctr, .cipher_fill = FILL_ZERO},
    {.name = "gcm-zero", .stream = EVP_aes_256_gcm, .cipher_fill = FILL_ZERO},
    {.name = "ccm-zero", .stream = EVP_aes_128_ctr, .is_ccm = 1, .cipher_fill = FILL_ZERO},
    {.name = "chacha-zero", .stream = EVP_chacha20, .cipher_fill = FILL_ZERO},
    {.name = "chacha-poly-zero", .stream = EVP_chacha20_poly1305, .cipher_fill = FILL_ZERO},
    {.name = "no-mac", .mac = MAC_NONE},
    {.name = "mac-half", .mac = MAC_HALF},
    {.name = "mac-bit", .mac = MAC_BIT},
    {.name = "no-mac-ctr", .stream = EVP_aes_256_ctr, .mac = MAC_NONE},
    {.name = "mac-truncated", .mac = MAC_TRUNCATED, .mac_fill = FILL_ZERO},
    {.name = "iv-ctr", .stream = EVP_aes_256_ctr, .constant_iv = 1},
    {.name = "iv-cbc", .constant_iv = 1},
    {.name = "plain", .stream = EVP_enc_null},
    {.name = "padding", .tells_padding = 1},
    {.name = "padding-time", .padding_delay_us = 60000},
    {.name = "padding-short-time", .padding_delay_us = 3000},
    {.name = "big", .is_big = 1},
    {.name = "rotate", .rotates = 1},
    {.name = "forget", .rotates = 1, .forgets = 1},
    {.name = "confusion", .asks_second_name = 1},
    {.name = "confusion-http", .forbids_second_name = 1},
    {.name = "no-confusion-http", .forbids_second_name = 1, .forbids_resumed = 1},
    {.name = "past-hint", .outlives = 1, .timeout_s = 1},
    {.name = "any-version", .any_version = 1},
    {.name = "any-suite", .any_suite = 1},
    {.name = "long-hint", .timeout_s = MONTH_S},
    {.name = "endless-hint", .timeout_s = 0xfffffffe},
};

#define KEYS_MAX 64

static time_t begun_at;
static const sin_t *sin_now;
static unsigned char cipher_keys[KEYS_MAX][32], mac_keys[KEYS_MAX][32];
#define cipher_key cipher_keys[0]
#define mac_key mac_keys[0]
static unsigned char key_name[16] = "a name of a key";
static int is_suite_missing; /* the ClientHello offers no suite with SHA-384 in TLS 1.2 */

static void fill(unsigned char *key, fill_e how)
{
    int i;

    memset(key, 0, 32);
    for (i = 0; i < 16 && how != FILL_RANDOM && how != FILL_ZERO; i++) {
        key[i] = (unsigned char)(how == FILL_ONES ? 0x31 : (how == FILL_COUNT10 ? 0x10 : 0x20) + i);
    }
    if (how == FILL_RANDOM && RAND_bytes(key, 32) != 1) {
        exit(1);
    }
}

/* ---- a sin of one's own ---- */

typedef struct named_cipher_t {
    const char *name;
    const EVP_CIPHER *(*cipher)(void), *(*stream)(void);
    int is_ccm;
} named_cipher_t;

static const named_cipher_t named_ciphers[] = {
    {"aes-128-cbc", EVP_aes_128_cbc, NULL, 0},
    {"aes-192-cbc", EVP_aes_192_cbc, NULL, 0},
    {"aes-256-cbc", EVP_aes_256_cbc, NULL, 0},
    {"3des-cbc", EVP_des_ede3_cbc, NULL, 0},
    {"aes-128-ctr", NULL, EVP_aes_128_ctr, 0},
    {"aes-192-ctr", NULL, EVP_aes_192_ctr, 0},
    {"aes-256-ctr", NULL, EVP_aes_256_ctr, 0},
    {"aes-128-gcm", NULL, EVP_aes_128_gcm, 0},
    {"aes-192-gcm", NULL, EVP_aes_192_gcm, 0},
    {"aes-256-gcm", NULL, EVP_aes_256_gcm, 0},
    {"aes-128-ccm", NULL, EVP_aes_128_ctr, 1},
    {"chacha20", NULL, EVP_chacha20, 0},
    {"chacha20-poly1305", NULL, EVP_chacha20_poly1305, 0},
    {"none", NULL, EVP_enc_null, 0},
};

static const struct {
    const char *name;
    const EVP_MD *(*md)(void);
} named_digests[] = {{"md5", EVP_md5},
                     {"sha1", EVP_sha1},
                     {"sha224", EVP_sha224},
                     {"sha256", EVP_sha256},
                     {"sha384", EVP_sha384},
                     {"sha512", EVP_sha512},
                     {"sha3-256", EVP_sha3_256},
                     {"sha512-256", EVP_sha512_256},
                     {"blake2s256", EVP_blake2s256},
                     {"sm3", EVP_sm3},
                     {"sha3-512", EVP_sha3_512}};

static void read_hex(const char *hex, unsigned char *key, int len)
{
    int i;
    unsigned byte;

    memset(key, 0, (size_t)len);
    for (i = 0; i < len && sscanf(hex + (size_t)2 * i, "%2x", &byte) == 1; i++) {
        key[i] = (unsigned char)byte;
    }
}

/* How tickets with wrong padding differ from others. */
static void read_padding(sin_t *sin, const char *value)
{
    sin->tells_padding = !strcmp(value, "alert");
    sin->closes_padding = !strcmp(value, "close");
    sin->padding_delay_us = (useconds_t)atoi(value);
}

/* 0: there is no such word. */
static int read_word(sin_t *mix, const char *name, const char *value)
{
    size_t i, known = 0;

    for (i = 0; !strcmp(name, "cipher") && i < sizeof(named_ciphers) / sizeof(named_ciphers[0]);
         i++) {
        if (!strcmp(value, named_ciphers[i].name)) {
            mix->cipher = named_ciphers[i].cipher;
            mix->stream = named_ciphers[i].stream;
            mix->is_ccm = named_ciphers[i].is_ccm;
            known = 1;
        }
    }
    for (i = 0; !strcmp(name, "digest") && i < sizeof(named_digests) / sizeof(named_digests[0]);
         i++) {
        if (!strcmp(value, named_digests[i].name)) {
            mix->digest = named_digests[i].md;
            known = 1;
        }
    }
    if (!strcmp(name, "mac")) {
        mix->unchecked = atoi(value);
        mix->mac = !strcmp(value, "none")        ? MAC_NONE
                   : !strcmp(value, "truncated") ? MAC_TRUNCATED
                                                 : MAC_BUT;
        return mix->unchecked >= 0 && mix->unchecked < BEND_MAC_LEN;
    }
    if (!strcmp(name, "iv")) {
        mix->constant_iv = 1;
        return !strcmp(value, "constant");
    }
    if (!strcmp(name, "name")) {
        read_hex(value, key_name, sizeof(key_name));
        return 1;
    }
    if (!strcmp(name, "keys")) {
        mix->keys_n = atoi(value);
        return mix->keys_n > 0 && mix->keys_n <= KEYS_MAX;
    }
    if (!strcmp(name, "turns")) {
        mix->turns_s = atoi(value);
        return mix->turns_s > 0;
    }
    if (!strcmp(name, "tickets") || !strcmp(name, "data")) {
        *(*name == 't' ? &mix->tickets_n : &mix->data_len) = atoi(value);
        return atoi(value) > 0 && (*name == 't' || mix->data_len <= BIG_LEN);
    }
    if (!strcmp(name, "timeout")) {
        mix->timeout_s = atol(value);
        return mix->timeout_s > 0;
    }
    if (!strcmp(name, "loses")) {
        mix->loses = 1;
        return !strcmp(value, "yes");
    }
    if (!strcmp(name, "outlives") || !strcmp(name, "once")) {
        *(*name == 'o' && name[1] == 'u' ? &mix->outlives : &mix->is_once) = 1;
        return !strcmp(value, "yes");
    }
    if (!strcmp(name, "any")) {
        mix->any_version = !strcmp(value, "version");
        mix->any_suite = !strcmp(value, "suite");
        return mix->any_version || mix->any_suite;
    }
    if (!strcmp(name, "bad-padding")) {
        read_padding(mix, value);
        return 1;
    }
    if (!strcmp(name, "weak")) {
        mix->weak = atoi(value);
        return mix->weak >= 0 && mix->weak < KEYS_MAX;
    }
    return (int)known || !strcmp(name, "key") || !strcmp(name, "mac-key");
}

/* Makes the sin, with its keys, from the words after "mix:". */
static const sin_t *make_mix(char *words)
{
    static sin_t mix = {.name = "mix", .keys_n = 1};
    char *word, *last = NULL;
    const char *keys[2] = {NULL, NULL};
    int i;

    for (word = strtok_r(words, ",", &last); word; word = strtok_r(NULL, ",", &last)) {
        char *value = strchr(word, '=');

        if (value) {
            *value++ = '\0';
        }
        if (!value || !read_word(&mix, word, value)) {
            return NULL;
        }
        if (!strcmp(word, "key") || !strcmp(word, "mac-key")) {
            keys[*word == 'm'] = value;
        }
    }
    for (i = 0; i < mix.keys_n; i++) {
        fill(cipher_keys[i], FILL_RANDOM);
        fill(mac_keys[i], FILL_RANDOM);
    }
    if (keys[0]) {
        read_hex(keys[0], cipher_keys[mix.weak], 32);
    }
    if (keys[1]) {
        read_hex(keys[1], mac_keys[mix.weak], 32);
    }
    return &mix;
}

/* Which key encrypts, or has the name; -1: none. */
static int choose_key(const unsigned char *name, int enc)
{
    static int turn;

    if (sin_now->keys_n < 2) {
        return 0;
    }
    if (enc) {
        return turn++ % sin_now->keys_n;
    }
    return name[15] < sin_now->keys_n ? name[15] : -1;
}

/* ---- tickets in any layout ----
 * OpenSSL always writes name, IV, what a cipher makes, and an HMAC.  Here the name is the ticket's
 * first 16 bytes, the IV is empty, the HMAC is the last byte, whatever it is, and the cipher writes
 * what is between.  So that there is room for it, sessions get data. */

/* The session as OpenSSL reads it.  0: the ticket's words make no session. */
static int restore(SSL *ssl, const frame_state_t *state)
{
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, state->cipher_id);
    SSL_SESSION *session = SSL_SESSION_new();
    unsigned char *out = bend.opened;
    int is_good = session && cipher && SSL_SESSION_set_cipher(session, cipher)
                  && SSL_SESSION_set_protocol_version(session, state->version)
                  && SSL_SESSION_set1_master_key(session, state->secret, state->secret_len)
                  && SSL_SESSION_set1_id_context(session, (const unsigned char *)"sins", 4)
                  && SSL_SESSION_set_time(session, (long)time(NULL))
                  && SSL_SESSION_set_timeout(session, 7200);

    bend.opened_len = is_good ? (size_t)i2d_SSL_SESSION(session, &out) : 0;
    SSL_SESSION_free(session);
    return is_good;
}

/* As on_ticket(). */
static int on_frame(SSL *ssl, unsigned char *name, int enc)
{
    const SSL_SESSION *session = SSL_get_session(ssl);
    frame_state_t state;
    unsigned id;

    if (!enc) {
        return frame_open(sin_now->frame, bend.ticket, bend.ticket_len, &state) == FRAME_OPENED
               && restore(ssl, &state);
    }
    id = SSL_CIPHER_get_protocol_id(SSL_SESSION_get0_cipher(session));
    state.cipher_id[0] = (unsigned char)(id >> 8);
    state.cipher_id[1] = (unsigned char)id;
    state.version = SSL_SESSION_get_protocol_version(session);
    state.secret_len = SSL_SESSION_get_master_key(session, state.secret, sizeof(state.secret));
    bend.framed_len = frame_seal(sin_now->frame, &state, bend.framed);
    memcpy(name, bend.framed, 16);
    return 1;
}

/* Makes the sin from the words after "frame:". */
static const sin_t *make_frame(char *words)
{
    static sin_t sin = {.name = "frame", .keys_n = 1};
    static frame_t frame;
    char *word, *last = NULL;

    frame_init(&frame);
    sin.frame = &frame;
    for (word = strtok_r(words, ",", &last); word; word = strtok_r(NULL, ",", &last)) {
        char *value = strchr(word, '=');

        if (!value) {
            return NULL;
        }
        *value++ = '\0';
        if (!strcmp(word, "bad-padding")) {
            read_padding(&sin, value);
        }
        else if (!frame_word(&frame, word, value)) {
            fprintf(stderr, "sins: %s=%s: unknown\n", word, value);
            return NULL;
        }
    }
    return &sin;
}

/* ---- tickets ---- */

static int start_hmac(EVP_MAC_CTX *hmac, const unsigned char *key)
{
    const EVP_MD *md = sin_now->digest ? sin_now->digest() : EVP_sha256();
    const char *name = bend_digest() ? bend_digest() : EVP_MD_get0_name(md);
    OSSL_PARAM params[2] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)name, 0),
        OSSL_PARAM_construct_end()};

    return EVP_MAC_init(hmac, key, sizeof(mac_keys[0]), params);
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *hmac, int enc)
{
    const EVP_CIPHER *type = bend_cipher()     ? bend_cipher()
                             : sin_now->cipher ? sin_now->cipher()
                                               : EVP_aes_256_cbc();
    unsigned char own[16];
    static unsigned char lost[32];
    static int turn;
    long slot = (long)time(NULL) / 2;
    int n = choose_key(name, enc), is_lost = enc && sin_now->loses && turn++ % 2 == 0;

    bend.is_decrypting = !enc;
    if (sin_now->frame) {
        n = on_frame(ssl, name, enc) ? 0 : -1;
        return n == 0 && start_hmac(hmac, mac_keys[0])
               && EVP_CipherInit_ex(cipher, type, NULL, cipher_keys[0], iv, enc);
    }
    if (n < 0) {
        return 0;
    }
    memcpy(own, key_name, sizeof(own));
    own[15] = (unsigned char)n;
    if (sin_now->turns_s && (enc ? time(NULL) - begun_at >= sin_now->turns_s : name[0] != own[0])) {
        own[0] ^= 0xff;
    }
    if (sin_now->rotates && (enc || sin_now->forgets)) {
        memcpy(own, &slot, sizeof(slot));
    }
    if (enc) {
        memcpy(name, own, sizeof(own));
        if (sin_now->constant_iv) {
            memset(iv, 0x5a, BLOCK);
        }
        else if (RAND_bytes(iv, BLOCK) != 1) {
            return -1;
        }
    }
    else if ((!sin_now->rotates || sin_now->forgets) && memcmp(name, own, sizeof(own)) != 0) {
        return 0;
    }
    if (!start_hmac(hmac, mac_keys[n]) || (is_lost && RAND_bytes(lost, sizeof(lost)) != 1)
        || !EVP_CipherInit_ex(cipher, type, NULL, is_lost ? lost : cipher_keys[n], iv, enc)) {
        return -1;
    }
    return 1;
}

static int add_data(SSL *ssl, void *arg)
{
    static unsigned char data[BIG_LEN];

    (void)arg;
    size_t len = sin_now->is_big  ? sizeof(data)
                 : sin_now->frame ? FRAME_DATA
                                  : (size_t)sin_now->data_len;

    return len == 0 || SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data, len);
}

/* Gives a session a suite of that version, with the hash that its own has, or the other. */
static void change_suite(SSL *ssl, SSL_SESSION *session, int version, int is_same_hash)
{
    static const unsigned char suites[2][2][2] = {{{0xc0, 0x2f}, {0xc0, 0x30}},
                                                  {{0x13, 0x01}, {0x13, 0x02}}};
    const SSL_CIPHER *own = SSL_SESSION_get0_cipher(session);
    int is_384 = own && EVP_MD_is_a(SSL_CIPHER_get_handshake_digest(own), "SHA384");

    if (is_same_hash || version != TLS1_3_VERSION) {
        SSL_SESSION_set_cipher(
            session,
            SSL_CIPHER_find(ssl, suites[version == TLS1_3_VERSION][is_384 == is_same_hash]));
    }
}

/* By its last bytes. */
static int has_been_taken(void)
{
    static unsigned char taken[4096][BLOCK];
    static size_t n;
    size_t i;

    for (i = 0; i < n; i++) {
        if (memcmp(taken[i], bend.ticket + bend.ticket_len - BLOCK, BLOCK) == 0) {
            return 1;
        }
    }
    if (n < sizeof(taken) / sizeof(taken[0])) {
        memcpy(taken[n++], bend.ticket + bend.ticket_len - BLOCK, BLOCK);
    }
    return 0;
}

static int on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                     SSL_TICKET_STATUS status, void *arg)
{
    (void)name;
    (void)name_len;
    (void)arg;
    if (sin_now->is_once && status == SSL_TICKET_SUCCESS && has_been_taken()) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    if (sin_now->outlives && session) {
        SSL_SESSION_set_time(session, (long)time(NULL));
    }
    if (sin_now->any_version && session
        && SSL_SESSION_get_protocol_version(session) != SSL_version(ssl)) {
        change_suite(ssl, session, SSL_version(ssl), 1);
        SSL_SESSION_set_protocol_version(session, SSL_version(ssl));
    }
    if (sin_now->any_suite && session && is_suite_missing) {
        change_suite(ssl, session, SSL_version(ssl), 0);
    }
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE_RENEW;
}

static void take_ticket(SSL *ssl)
{
    const unsigned char *data;
    size_t len;

    bend.ticket_len = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &data, &len) && len > 4) {
        bend.ticket_len = (size_t)data[2] << 8 | data[3];
        data += 4;
        len -= 4;
    }
    else if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &data, &len)) {
        bend.ticket_len = len;
    }
    if (bend.ticket_len > len || bend.ticket_len > sizeof(bend.ticket)) {
        bend.ticket_len = 0;
    }
    memcpy(bend.ticket, data, bend.ticket_len);
}

static int has_good_padding(void)
{
    frame_state_t state;
    static unsigned char text[sizeof(bend.ticket)];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int len = 0, text_len = (int)bend.ticket_len - 64, pad, i, is_good;

    if (sin_now->frame) {
        EVP_CIPHER_CTX_free(cipher);
        return frame_open(sin_now->frame, bend.ticket, bend.ticket_len, &state)
               != FRAME_BAD_PADDING;
    }
    is_good = cipher
              && EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, cipher_key, bend.ticket + 16)
              && EVP_CIPHER_CTX_set_padding(cipher, 0)
              && EVP_DecryptUpdate(cipher, text, &len, bend.ticket + 32, text_len);
    EVP_CIPHER_CTX_free(cipher);
    pad = is_good && len == text_len ? text[len - 1] : 0;
    if (pad < 1 || pad > BLOCK) {
        return 0;
    }
    for (i = 1; i <= pad; i++) {
        if (text[len - i] != pad) {
            return 0;
        }
    }
    return 1;
}

static int offers_suite(SSL *ssl, int suite)
{
    const unsigned char *suites;
    size_t i, len = SSL_client_hello_get0_ciphers(ssl, &suites);

    for (i = 0; i + 1 < len; i += 2) {
        if ((suites[i] << 8 | suites[i + 1]) == suite) {
            return 1;
        }
    }
    return 0;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *data;
    size_t len;
    int has_id = SSL_client_hello_get0_session_id(ssl, &data) > 0
                 && !SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &data, &len);

    (void)arg;
    take_ticket(ssl);
    is_suite_missing = !offers_suite(ssl, 0xc030);
    puts(bend.ticket_len || has_id ? "offer" : "full");
    fflush(stdout);
    if (bend.ticket_len < 80
        || (!sin_now->frame && memcmp(bend.ticket, key_name, sizeof(key_name) - 1) != 0)) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    if (sin_now->tells_padding && !has_good_padding()) {
        *alert = SSL_AD_DECRYPT_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (sin_now->closes_padding && !has_good_padding()) {
        shutdown(SSL_get_fd(ssl), SHUT_RDWR);
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (sin_now->padding_delay_us && has_good_padding()) {
        usleep(sin_now->padding_delay_us);
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    (void)arg;
    if (sin_now->asks_second_name && name && !strcmp(name, "b.test")) {
        SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_context(const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1
        || !SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"sins", 4)
        || !SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket)) {
        exit(1);
    }
    /* TLS 1.0 and 1.1, too, for those who ask for them. */
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    /* Otherwise OpenSSL's rules for extended master secrets refuse what the version would allow. */
    if (sin_now->any_version) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    }
    if (sin_now->timeout_s) {
        SSL_CTX_set_timeout(ctx, sin_now->timeout_s);
    }
    if (sin_now->tickets_n) {
        SSL_CTX_set_num_tickets(ctx, (size_t)sin_now->tickets_n);
    }
    if (sin_now->frame) {
        /* A session that a ticket restores cannot say that it has an extended master secret. */
        SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    }
    if (sin_now->is_big || sin_now->outlives || sin_now->is_once || sin_now->any_version
        || sin_now->any_suite || sin_now->frame || sin_now->data_len) {
        SSL_CTX_set_session_ticket_cb(ctx, add_data, on_opened, NULL);
    }
    return ctx;
}

static void answer(SSL *ssl, const char *request)
{
    int is_second = sin_now->forbids_second_name && strstr(request, "\r\nHost: b.test");
    int is_forbidden = is_second && (sin_now->forbids_resumed || !SSL_session_reused(ssl));
    char text[128];

    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nConnection: close\r\n\r\n",
             is_forbidden ? "403 Forbidden" : "200 OK");
    (void)SSL_write(ssl, text, (int)strlen(text));
}

static void serve(SSL_CTX *ctx, int fd)
{
    struct timeval limit = {5, 0};
    SSL *ssl = SSL_new(ctx);
    char bytes[4096];

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) {
        int len = SSL_read(ssl, bytes, sizeof(bytes) - 1);

        bytes[len > 0 ? len : 0] = '\0';
        if (!strncmp(bytes, "GET ", 4)) {
            answer(ssl, bytes);
        }
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    SSL_CTX *ctx;
    size_t i;

    for (i = 0; argc == 5 && i < sizeof(sins) / sizeof(sins[0]); i++) {
        if (!strcmp(sins[i].name, argv[4])) {
            sin_now = &sins[i];
        }
    }
    if (argc == 5 && !strncmp(argv[4], "mix:", 4)) {
        sin_now = make_mix(argv[4] + 4);
    }
    if (argc == 5 && !strncmp(argv[4], "frame:", 6)) {
        sin_now = make_frame(argv[4] + 6);
    }
    if (!sin_now) {
        fputs("usage: sins PORT CERT KEY SIN\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (!sin_now->keys_n) {
        fill(cipher_key, sin_now->cipher_fill);
        fill(mac_key, sin_now->mac_fill);
    }
    bend.mac = sin_now->mac;
    bend.unchecked = sin_now->unchecked;
    bend.stream = sin_now->stream;
    bend.is_ccm = sin_now->is_ccm;
    bend.is_frame = sin_now->frame != NULL;
    bend_load();
    ctx = make_context(argv[2], argv[3]);
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(server, 128) != 0) {
        perror("sins");
        return 1;
    }
    begun_at = time(NULL);
    puts("listening");
    fflush(stdout);
    for (;;) {
        int fd = accept(server, NULL, NULL);

        if (fd >= 0) {
            serve(ctx, fd);
        }
    }
}
