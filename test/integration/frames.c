/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets in any layout (frames.h).  Ends the program when OpenSSL fails.
 */
#include "frames.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG 16
#define META_LEN 100
#define HEX "0123456789abcdef"

typedef enum kind_e { CBC, ECB, CTR, GCM, CCM, CHACHA, CHACHA_POLY, XCHACHA, XCHACHA_POLY } kind_e;

struct frame_cipher_t {
    const char *name;
    const EVP_CIPHER *(*evp)(void);
    kind_e kind;
    size_t key_len, nonce_len;
    int repeats_key; /* DES, by triple DES */
};

static const frame_cipher_t ciphers[] = {
    {"aes-128-cbc", EVP_aes_128_cbc, CBC, 16, 16, 0},
    {"aes-192-cbc", EVP_aes_192_cbc, CBC, 24, 16, 0},
    {"aes-256-cbc", EVP_aes_256_cbc, CBC, 32, 16, 0},
    {"3des-cbc", EVP_des_ede3_cbc, CBC, 24, 8, 0},
    {"des-cbc", EVP_des_ede3_cbc, CBC, 8, 8, 1},
    {"aes-128-ecb", EVP_aes_128_ecb, ECB, 16, 0, 0},
    {"aes-192-ecb", EVP_aes_192_ecb, ECB, 24, 0, 0},
    {"aes-256-ecb", EVP_aes_256_ecb, ECB, 32, 0, 0},
    {"3des-ecb", EVP_des_ede3_ecb, ECB, 24, 0, 0},
    {"des-ecb", EVP_des_ede3_ecb, ECB, 8, 0, 1},
    {"aes-128-ctr", EVP_aes_128_ctr, CTR, 16, 16, 0},
    {"aes-192-ctr", EVP_aes_192_ctr, CTR, 24, 16, 0},
    {"aes-256-ctr", EVP_aes_256_ctr, CTR, 32, 16, 0},
    {"aes-128-gcm", EVP_aes_128_gcm, GCM, 16, 12, 0},
    {"aes-192-gcm", EVP_aes_192_gcm, GCM, 24, 12, 0},
    {"aes-256-gcm", EVP_aes_256_gcm, GCM, 32, 12, 0},
    {"aes-128-ccm", EVP_aes_128_ccm, CCM, 16, 12, 0},
    {"aes-192-ccm", EVP_aes_192_ccm, CCM, 24, 12, 0},
    {"aes-256-ccm", EVP_aes_256_ccm, CCM, 32, 12, 0},
    {"chacha20", EVP_chacha20, CHACHA, 32, 12, 0},
    {"chacha20-poly1305", EVP_chacha20_poly1305, CHACHA_POLY, 32, 12, 0},
    {"xchacha20", EVP_chacha20, XCHACHA, 32, 24, 0},
    {"xchacha20-poly1305", EVP_chacha20_poly1305, XCHACHA_POLY, 32, 24, 0},
};

static void must(int is_good)
{
    if (!is_good) {
        fputs("frames: OpenSSL failed\n", stderr);
        exit(1);
    }
}

/* ---- words ---- */

void frame_init(frame_t *frame)
{
    memset(frame, 0, sizeof(*frame));
    frame->cipher = &ciphers[15];
    frame->nonce_len = frame->cipher->nonce_len;
    frame->place = FRAME_NONE;
    frame->digest = "SHA256";
    frame->has_mac_key = 1;
    frame->name_len = 16;
    must(RAND_bytes(frame->key, sizeof(frame->key)) == 1
         && RAND_bytes(frame->mac_key, sizeof(frame->mac_key)) == 1
         && RAND_bytes(frame->name, sizeof(frame->name)) == 1);
}

static size_t read_hex(const char *hex, unsigned char *out, size_t most)
{
    size_t n = 0;
    unsigned byte;

    while (n < most && strspn(hex + 2 * n, HEX) >= 2 && sscanf(hex + 2 * n, "%2x", &byte) == 1) {
        out[n++] = (unsigned char)byte;
    }
    return n;
}

static int choose(const char *value, const char *const *names, int n)
{
    int i;

    for (i = 0; i < n && strcmp(value, names[i]) != 0; i++) {
    }
    return i < n ? i : -1;
}

static int choose_cipher(frame_t *frame, const char *value)
{
    size_t i;

    for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        if (!strcmp(value, ciphers[i].name)) {
            frame->cipher = &ciphers[i];
            frame->nonce_len = ciphers[i].nonce_len;
            return 1;
        }
    }
    return 0;
}

static int choose_digest(frame_t *frame, const char *value)
{
    static const char *const names[] = {"md5",    "sha1",   "sha224", "sha256",
                                        "sha384", "sha512", "crc32"};
    static const char *const evp[] = {"MD5",    "SHA1",   "SHA224", "SHA256",
                                      "SHA384", "SHA512", "crc32"};
    int i = choose(value, names, 7);

    frame->digest = i < 0 ? NULL : evp[i];
    frame->has_mac_key = frame->has_mac_key && i != 6;
    return i >= 0;
}

/* The nonce's length must follow the cipher. */
int frame_word(frame_t *frame, const char *word, const char *value)
{
    static const char *const places[] = {"behind", "front", "inside", "inside-front", "none"};
    static const char *const forms[] = {"none", "hex", "base64"};
    static const char *const words[] = {"cipher",  "digest", "mac",     "form", "wrap",
                                        "key",     "name",   "nonce",   "at",   "length",
                                        "mac-len", "cover",  "mac-key", "pad",  "ignores"};
    int i = -1;

    switch (choose(word, words, 15)) {
    case 0:
        return choose_cipher(frame, value);
    case 1:
        return choose_digest(frame, value);
    case 2:
        i = choose(value, places, 5);
        frame->place = (frame_place_e)i;
        return i >= 0;
    case 3:
    case 4:
        i = choose(value, forms, 3);
        *(*word == 'f' ? &frame->form : &frame->wrap) = (frame_form_e)i;
        return i >= 0;
    case 5:
        return read_hex(value, frame->key, sizeof(frame->key)) > 0;
    case 6:
        frame->name_len = !strcmp(value, "none")
                              ? 0
                              : read_hex(value, frame->name, sizeof(frame->name));
        return 1;
    case 7:
        frame->nonce_len = (size_t)atoi(value);
        return frame->nonce_len <= 24;
    case 8:
        frame->secret_at = (size_t)atoi(value);
        return frame->secret_at <= 64;
    case 9:
        frame->has_length = !strcmp(value, "2");
        return 1;
    case 10:
        frame->mac_len = (size_t)atoi(value);
        return 1;
    case 11:
        frame->covers_text_only = !strcmp(value, "text");
        return 1;
    case 12:
        frame->has_mac_key = strcmp(value, "none") != 0;
        memset(frame->mac_key, 0, sizeof(frame->mac_key));
        return !frame->has_mac_key || read_hex(value, frame->mac_key, sizeof(frame->mac_key)) > 0;
    case 13:
        frame->pad_len = (size_t)atoi(value);
        return frame->pad_len <= 64;
    case 14:
        frame->covers_text_only |= !strcmp(value, "name");
        frame->ignores_name |= !strcmp(value, "name");
        frame->ignores_length |= !strcmp(value, "length");
        return frame->ignores_name || frame->ignores_length;
    default:
        return 0;
    }
}

/* ---- text ---- */

static size_t encode(frame_form_e form, const unsigned char *bytes, size_t len, unsigned char *out)
{
    size_t i;

    if (form == FRAME_BASE64) {
        return (size_t)EVP_EncodeBlock(out, bytes, (int)len);
    }
    if (form == FRAME_PLAIN) {
        memcpy(out, bytes, len);
        return len;
    }
    for (i = 0; i < len; i++) {
        out[2 * i] = (unsigned char)HEX[bytes[i] >> 4];
        out[2 * i + 1] = (unsigned char)HEX[bytes[i] & 15];
    }
    return 2 * len;
}

/* The original's length is known.  0: not of this form. */
static int decode(frame_form_e form, const unsigned char *text, size_t len, unsigned char *out)
{
    if (form == FRAME_BASE64) {
        return EVP_DecodeBlock(out, text, (int)len) >= 0;
    }
    if (form == FRAME_PLAIN) {
        memcpy(out, text, len);
        return 1;
    }
    return read_hex((const char *)text, out, len / 2) == len / 2;
}

static size_t make_text(const frame_t *frame, const frame_state_t *state, unsigned char *text)
{
    size_t n = frame->secret_at;

    memset(text, 'x', n);
    n += encode(frame->form, state->secret, state->secret_len, text + n);
    memset(text + n, 0, META_LEN);
    text[n] = (unsigned char)(state->version >> 8);
    text[n + 1] = (unsigned char)state->version;
    memcpy(text + n + 2, state->cipher_id, 2);
    return n + META_LEN;
}

static int read_text(const frame_t *frame, const unsigned char *text, size_t len,
                     frame_state_t *state)
{
    unsigned char form[3 * 64 + 1] = {0}, secret[3 * 64];
    size_t form_len = len - META_LEN - frame->secret_at;

    if (len < META_LEN + frame->secret_at + 32 || form_len > 3 * 64 - 4) {
        return 0;
    }
    state->secret_len = frame->form == FRAME_HEX      ? form_len / 2
                        : frame->form == FRAME_BASE64 ? form_len / 4 * 3 - (form_len == 44)
                                                      : form_len;
    memcpy(form, text + frame->secret_at, form_len);
    if (state->secret_len > 48 || !decode(frame->form, form, form_len, secret)) {
        return 0;
    }
    memcpy(state->secret, secret, state->secret_len);
    text += frame->secret_at + form_len;
    state->version = text[0] << 8 | text[1];
    memcpy(state->cipher_id, text + 2, 2);
    return 1;
}

/* ---- MAC ---- */

static size_t full_len(const frame_t *frame)
{
    return !strcmp(frame->digest, "crc32")
               ? 4
               : (size_t)EVP_MD_get_size(EVP_get_digestbyname(frame->digest));
}

static size_t mac_len(const frame_t *frame)
{
    return frame->mac_len && frame->mac_len < full_len(frame) ? frame->mac_len : full_len(frame);
}

static void make_mac(const frame_t *frame, const unsigned char *bytes, size_t len,
                     unsigned char *out)
{
    const EVP_MD *md = EVP_get_digestbyname(frame->digest);
    unsigned long crc = 0xffffffff;
    size_t i;

    if (md && frame->has_mac_key) {
        must(HMAC(md, frame->mac_key, 32, bytes, len, out, NULL) != NULL);
        return;
    }
    if (md) {
        must(EVP_Digest(bytes, len, out, NULL, md, NULL));
        return;
    }
    for (i = 0; i < 8 * len; i++) {
        crc ^= i % 8 ? 0 : bytes[i / 8];
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    crc ^= 0xffffffff;
    for (i = 0; i < 4; i++) {
        out[i] = (unsigned char)(crc >> 8 * i);
    }
}

/* ---- ciphers ---- */

static unsigned rotated(unsigned x, int n)
{
    return x << n | x >> (32 - n);
}

/* ChaCha20's block of key and nonce is its rounds plus its input; HChaCha20 is the rounds alone. */
static void hchacha(const unsigned char *key, const unsigned char *nonce, unsigned char *out)
{
    static const unsigned char steps[8][4] = {{0, 4, 8, 12},  {1, 5, 9, 13},  {2, 6, 10, 14},
                                              {3, 7, 11, 15}, {0, 5, 10, 15}, {1, 6, 11, 12},
                                              {2, 7, 8, 13},  {3, 4, 9, 14}};
    static const int turns[] = {16, 12, 8, 7};
    unsigned char bytes[64];
    unsigned x[16];
    int i, j;

    memcpy(bytes, "expand 32-byte k", 16);
    memcpy(bytes + 16, key, 32);
    memcpy(bytes + 48, nonce, 16);
    memcpy(x, bytes, sizeof(x));
    for (i = 0; i < 80; i++) {
        const unsigned char *s = steps[i % 8];

        for (j = 0; j < 4; j++) {
            int even = j % 2 == 0;

            x[s[even ? 0 : 2]] += x[s[even ? 1 : 3]];
            x[s[even ? 3 : 1]] = rotated(x[s[even ? 3 : 1]] ^ x[s[even ? 0 : 2]], turns[j]);
        }
    }
    memcpy(out, x, 16);
    memcpy(out + 16, x + 12, 16);
}

/* Key and IV as OpenSSL takes them. */
static void prepare(const frame_t *frame, const unsigned char *nonce, unsigned char *key,
                    unsigned char *iv)
{
    size_t n = frame->nonce_len, i;

    memset(iv, 0, 32);
    for (i = 0; i < 32; i++) {
        key[i] = frame->key[frame->cipher->repeats_key ? i % 8 : i];
    }
    switch (frame->cipher->kind) {
    case CHACHA:
        memcpy(iv + 16 - n, nonce, n);
        break;
    case XCHACHA:
    case XCHACHA_POLY:
        hchacha(frame->key, nonce, key);
        memcpy(iv + (frame->cipher->kind == XCHACHA ? 8 : 4), nonce + 16, 8);
        break;
    default:
        memcpy(iv, nonce, n);
    }
}

static int is_aead(kind_e kind)
{
    return kind == GCM || kind == CCM || kind == CHACHA_POLY || kind == XCHACHA_POLY;
}

/* Encrypts, or decrypts, text[len] and its tag.  The output's length; 0: refused. */
static size_t run_cipher(const frame_t *frame, const unsigned char *nonce, int enc,
                         const unsigned char *in, size_t len, unsigned char *out)
{
    kind_e kind = frame->cipher->kind;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char key[32], iv[32];
    int n = 0, last = 0, nonce_len = frame->nonce_len ? (int)frame->nonce_len : 12, is_good;
    size_t text_len = enc || !is_aead(kind) ? len : len - TAG;

    prepare(frame, nonce, key, iv);
    must(EVP_CipherInit_ex(ctx, frame->cipher->evp(), NULL, NULL, NULL, enc));
    if (kind == GCM || kind == CCM) {
        must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, nonce_len, NULL));
    }
    if (is_aead(kind) && (!enc || kind == CCM)) {
        must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG,
                                 enc ? NULL : (void *)(in + text_len)));
    }
    must(EVP_CipherInit_ex(ctx, NULL, NULL, key, iv, enc));
    is_good = EVP_CipherUpdate(ctx, out, &n, in, (int)text_len) > 0
              && (kind == CCM || EVP_CipherFinal_ex(ctx, out + n, &last) > 0);
    if (is_good && enc && is_aead(kind)) {
        must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, out + n + last));
        last += TAG;
    }
    EVP_CIPHER_CTX_free(ctx);
    return is_good ? (size_t)(n + last) : 0;
}

/* ---- whole tickets ---- */

/* Text with its MAC, if that is inside. */
static size_t add_inside(const frame_t *frame, unsigned char *text, size_t len)
{
    size_t n = mac_len(frame);
    unsigned char mac[EVP_MAX_MD_SIZE];

    make_mac(frame, text, len, mac);
    if (frame->place == FRAME_INSIDE_FRONT) {
        memmove(text + n, text, len);
        memcpy(text, mac, n);
    }
    else {
        memcpy(text + len, mac, n);
    }
    return len + n;
}

static int check_inside(const frame_t *frame, unsigned char *text, size_t *plen)
{
    size_t n = mac_len(frame);
    unsigned char mac[EVP_MAX_MD_SIZE];
    int is_front = frame->place == FRAME_INSIDE_FRONT;

    if (*plen < n) {
        return 0;
    }
    *plen -= n;
    make_mac(frame, text + (is_front ? n : 0), *plen, mac);
    if (memcmp(mac, text + (is_front ? 0 : *plen), n) != 0) {
        return 0;
    }
    if (is_front) {
        memmove(text, text + n, *plen);
    }
    return 1;
}

/* What an outer MAC covers: head and text, or the text alone. */
static void outer_mac(const frame_t *frame, const unsigned char *head, size_t head_len,
                      const unsigned char *text, size_t text_len, unsigned char *mac)
{
    unsigned char all[FRAME_MAX];

    head_len = frame->covers_text_only ? 0 : head_len - (frame->ignores_length ? 2 : 0);
    memcpy(all, head, head_len);
    memcpy(all + head_len, text, text_len);
    make_mac(frame, all, head_len + text_len, mac);
}

size_t frame_seal(const frame_t *frame, const frame_state_t *state, unsigned char *ticket)
{
    unsigned char text[FRAME_MAX], crypt[FRAME_MAX], all[FRAME_MAX], mac[EVP_MAX_MD_SIZE];
    int is_outer = frame->place == FRAME_BEHIND || frame->place == FRAME_FRONT;
    size_t n = frame->name_len, len = make_text(frame, state, text);

    if (frame->place == FRAME_INSIDE || frame->place == FRAME_INSIDE_FRONT) {
        len = add_inside(frame, text, len);
    }
    memcpy(all, frame->name, n);
    must(RAND_bytes(all + n, (int)frame->nonce_len) == 1);
    len = run_cipher(frame, all + n, 1, text, len, crypt);
    must(len > 0);
    n += frame->nonce_len;
    if (frame->has_length) {
        all[n++] = (unsigned char)(len >> 8);
        all[n++] = (unsigned char)len;
    }
    if (is_outer) {
        outer_mac(frame, all, n, crypt, len, mac);
    }
    if (frame->place == FRAME_FRONT) {
        memcpy(all + n, mac, mac_len(frame));
        n += mac_len(frame);
    }
    memcpy(all + n, crypt, len);
    n += len;
    if (frame->place == FRAME_BEHIND) {
        memcpy(all + n, mac, mac_len(frame));
        n += mac_len(frame);
    }
    memset(all + n, 0, frame->pad_len);
    n += frame->pad_len;
    return encode(frame->wrap, all, n, ticket);
}

/* Undoes the wrapping.  The length; 0: malformed. */
static size_t unwrap(const frame_t *frame, const unsigned char *ticket, size_t len,
                     unsigned char *all)
{
    unsigned char text[FRAME_MAX] = {0};

    if (len > FRAME_MAX / 2) {
        return 0;
    }
    memcpy(text, ticket, len);
    if (!decode(frame->wrap, text, len, all)) {
        return 0;
    }
    return frame->wrap == FRAME_HEX ? len / 2
           : frame->wrap == FRAME_BASE64
               ? len / 4 * 3 - (text[len - 1] == '=') - (text[len - 2] == '=')
               : len;
}

frame_end_e frame_open(const frame_t *frame, const unsigned char *ticket, size_t ticket_len,
                       frame_state_t *state)
{
    unsigned char all[FRAME_MAX], text[FRAME_MAX + 64], mac[EVP_MAX_MD_SIZE];
    size_t n = frame->name_len + frame->nonce_len + (frame->has_length ? 2 : 0), len;
    size_t outer = frame->place <= FRAME_FRONT ? mac_len(frame) : 0;
    const unsigned char *crypt, *given;

    len = unwrap(frame, ticket, ticket_len, all);
    if (len < n + outer + frame->pad_len + META_LEN
        || (!frame->ignores_name && memcmp(all, frame->name, frame->name_len) != 0)) {
        return FRAME_MALFORMED;
    }
    len -= n + outer + frame->pad_len;
    if (frame->has_length && !frame->ignores_length
        && (size_t)(all[n - 2] << 8 | all[n - 1]) != len) {
        return FRAME_MALFORMED;
    }
    crypt = all + n + (frame->place == FRAME_FRONT ? outer : 0);
    given = all + n + (frame->place == FRAME_FRONT ? 0 : len);
    if (outer) {
        outer_mac(frame, all, n, crypt, len, mac);
        if (memcmp(mac, given, outer) != 0) {
            return FRAME_BAD_MAC;
        }
    }
    len = run_cipher(frame, all + frame->name_len, 0, crypt, len, text);
    if (!len) {
        return FRAME_BAD_PADDING;
    }
    if (frame->place > FRAME_FRONT && frame->place < FRAME_NONE
        && !check_inside(frame, text, &len)) {
        return FRAME_BAD_MAC;
    }
    return read_text(frame, text, len, state) ? FRAME_OPENED : FRAME_MALFORMED;
}
