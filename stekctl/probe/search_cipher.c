/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a weak cipher key (search.h).  Decryption ignores integrity: a key is right if
 * its output contains the secret.
 *
 * CBC needs an IV only for the first block: decrypting each of the 16 alignments as a whole covers
 * every position of name, IV and text at once.  GCM, CCM and CTR are the same key stream with a
 * different first counter block, so they and ChaCha20 are tried at every likely position of IV and
 * text.
 *
 *   GCM  IV 12 | 00000002        CCM  02 | nonce 12 | 000001        CTR  IV 16
 */
#include "candidate_keys.h"
#include "search.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

#define BLOCK 16

typedef struct search_t {
    const probe_ticket_t *ticket;
    const probe_format_t *format;
    probe_level_e level;
    probe_hit_t *hit;
    apr_size_t len; /* of the ticket, at most PROBE_TEXT_MAX */
    unsigned char text[PROBE_TEXT_MAX + BLOCK];
} search_t;

static int found_key(search_t *search, const char *algorithm, const unsigned char *key,
                     apr_size_t key_len)
{
    search->hit->algorithm = algorithm;
    memcpy(search->hit->key, key, key_len);
    search->hit->key_len = key_len;
    return 1;
}

/* Decrypts exactly the text that the layout gives, and searches it window by window, for the master
 * secret, too. */
static int is_master_in_cbc(search_t *search, EVP_CIPHER_CTX *cipher)
{
    const probe_format_t *format = search->format;
    const unsigned char *bytes = search->ticket->bytes;
    apr_size_t i, len;
    int out_len = 0;

    if (!search->ticket->is_tls13 || format->iv_len != BLOCK
        || search->len < format->text_at + BLOCK + format->mac_len) {
        return 0;
    }
    len = (search->len - format->text_at - format->mac_len) / BLOCK * BLOCK;
    if (EVP_DecryptUpdate(cipher, search->text, &out_len, bytes + format->text_at, (int)len) != 1) {
        return 0;
    }
    for (i = 0; i < len; i++) {
        search->text[i] ^= i < BLOCK ? bytes[format->iv_at + i]
                                     : bytes[format->text_at + i - BLOCK];
    }
    /* Wrong padding reveals a wrong key, except for one in 256. */
    if (search->ticket->len <= PROBE_TEXT_MAX
        && (search->text[len - 1] > BLOCK || !search->text[len - 1])
        && format->layout != PROBE_LAYOUT_GNUTLS) {
        return 0;
    }
    return probe_secret_find_master(search->text, len, search->ticket) != NULL
           || probe_secret_find(search->text, len, search->ticket) != NULL;
}

static int try_cbc(search_t *search, EVP_CIPHER_CTX *cipher)
{
    const unsigned char *bytes = search->ticket->bytes;
    apr_size_t start;

    for (start = 0; start < BLOCK; start++) {
        apr_size_t len, i;
        int out_len = 0;

        if (search->len < start + 2 * BLOCK) {
            break;
        }
        len = (search->len - start) / BLOCK * BLOCK;
        if (EVP_DecryptUpdate(cipher, search->text, &out_len, bytes + start, (int)len) != 1) {
            return 0;
        }
        /* The block before it is its IV, or the previous ciphertext. */
        for (i = BLOCK; i < len; i++) {
            search->text[i] ^= bytes[start + i - BLOCK];
        }
        if (probe_secret_find(search->text, len, search->ticket)) {
            search->hit->iv_at = search->format->iv_len ? search->format->iv_at : 0;
            search->hit->text_at = search->format->iv_len ? search->format->text_at : start;
            return 1;
        }
    }
    if (is_master_in_cbc(search, cipher)) {
        search->hit->iv_at = search->format->iv_at;
        search->hit->text_at = search->format->text_at;
        return 1;
    }
    return 0;
}

static int search_cbc(search_t *search, apr_size_t key_len, const char *name)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    apr_size_t n = 0, i;
    unsigned char *keys = probe_candidate_keys(key_len, search->level, &n);
    int found = 0;

    if (!cipher || !keys
        || EVP_DecryptInit_ex(cipher, key_len == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb(), NULL,
                              NULL, NULL)
               != 1) {
        goto cleanup;
    }
    for (i = 0; i < n && !found; i++) {
        const unsigned char *key = keys + i * key_len;

        if (EVP_DecryptInit_ex(cipher, NULL, NULL, key, NULL) != 1
            || EVP_CIPHER_CTX_set_padding(cipher, 0) != 1) {
            break;
        }
        found = try_cbc(search, cipher) && found_key(search, name, key, key_len);
    }
cleanup:
    EVP_CIPHER_CTX_free(cipher);
    free(keys);
    return found;
}

typedef enum stream_e {
    STREAM_GCM,
    STREAM_CTR,
    STREAM_CCM,
    STREAM_CHACHA,
    STREAM_CHACHA_AEAD
} stream_e;

typedef struct stream_t {
    stream_e kind;
    apr_size_t key_len, iv_len;
    const char *name;
} stream_t;

static const stream_t streams[] = {
    {STREAM_GCM, 16, 12, "AES-128-GCM"},
    {STREAM_GCM, 32, 12, "AES-256-GCM"},
    {STREAM_CTR, 16, 16, "AES-128-CTR"},
    {STREAM_CTR, 32, 16, "AES-256-CTR"},
    {STREAM_CCM, 16, 12, "AES-128-CCM"},
    {STREAM_CCM, 32, 12, "AES-256-CCM"},
    {STREAM_CHACHA_AEAD, 32, 12, "ChaCha20-Poly1305"},
    {STREAM_CHACHA, 32, 16, "ChaCha20"},
};

/* The cipher's first counter block; iv NULL: all zeros. */
static void counter_block(const stream_t *stream, const unsigned char *iv, unsigned char *block)
{
    apr_size_t at = stream->kind == STREAM_CCM ? 1 : stream->kind == STREAM_CHACHA_AEAD ? 4 : 0;

    memset(block, 0, BLOCK);
    if (iv) {
        memcpy(block + at, iv, stream->iv_len);
    }
    if (stream->kind == STREAM_GCM) {
        block[15] = 2;
    }
    else if (stream->kind == STREAM_CCM) {
        block[0] = 2;
        block[15] = 1;
    }
    else if (stream->kind == STREAM_CHACHA_AEAD) {
        block[0] = 1;
    }
}

static int try_stream(search_t *search, const stream_t *stream, EVP_CIPHER_CTX *cipher,
                      apr_size_t iv_at, apr_size_t text_at, int no_iv)
{
    const unsigned char *bytes = search->ticket->bytes;
    unsigned char block[BLOCK];
    int out_len = 0;

    if (text_at + 32 > search->len || (!no_iv && iv_at + stream->iv_len > search->len)) {
        return 0;
    }
    counter_block(stream, no_iv ? NULL : bytes + iv_at, block);
    if (EVP_DecryptInit_ex(cipher, NULL, NULL, NULL, block) != 1
        || EVP_DecryptUpdate(cipher, search->text, &out_len, bytes + text_at,
                             (int)(search->len - text_at))
               != 1
        || !probe_secret_find(search->text, search->len - text_at, search->ticket)) {
        return 0;
    }
    search->hit->iv_at = iv_at;
    search->hit->text_at = text_at;
    search->hit->no_iv = no_iv;
    return 1;
}

/* Where an IV may be: at 0, after names of common lengths, after the common prefix or at its end.
 * */
static int is_place(const search_t *search, const stream_t *stream, apr_size_t at)
{
    apr_size_t name_len = search->format->name_len;

    if (search->level == PROBE_DEEP || (search->level == PROBE_NORMAL && at <= 32)) {
        return 1;
    }
    return at == 0 || at == 4 || at == 8 || at == 16 || at == 28 || at == name_len
           || at + stream->iv_len == name_len;
}

static int try_places(search_t *search, const stream_t *stream, EVP_CIPHER_CTX *cipher)
{
    apr_size_t at, most = search->level == PROBE_DEEP ? 128 : 64;

    for (at = 0; at <= most && at + 32 <= search->len; at++) {
        apr_size_t text_at = at + stream->iv_len;

        if (is_place(search, stream, at)
            && (try_stream(search, stream, cipher, at, text_at, 0)
                || try_stream(search, stream, cipher, at, text_at + 2, 0)
                || try_stream(search, stream, cipher, 0, at, 1))) {
            return 1;
        }
    }
    return 0;
}

static int search_stream(search_t *search, const stream_t *stream)
{
    const EVP_CIPHER *type = stream->kind >= STREAM_CHACHA ? EVP_chacha20()
                             : stream->key_len == 16       ? EVP_aes_128_ctr()
                                                           : EVP_aes_256_ctr();
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    apr_size_t n = 0, i;
    unsigned char *keys = probe_candidate_keys(stream->key_len, search->level, &n);
    int found = 0;

    if (!cipher || !keys || EVP_DecryptInit_ex(cipher, type, NULL, NULL, NULL) != 1) {
        goto cleanup;
    }
    for (i = 0; i < n && !found; i++) {
        const unsigned char *key = keys + i * stream->key_len;

        if (EVP_DecryptInit_ex(cipher, NULL, NULL, key, NULL) != 1) {
            break;
        }
        found = try_places(search, stream, cipher)
                && found_key(search, stream->name, key, stream->key_len);
    }
cleanup:
    EVP_CIPHER_CTX_free(cipher);
    free(keys);
    return found;
}

int probe_search_cipher(const probe_ticket_t *ticket, const probe_format_t *format,
                        probe_level_e level, probe_hit_t *hit)
{
    search_t search = {.ticket = ticket, .format = format, .level = level, .hit = hit};
    apr_size_t i;
    int found;

    memset(hit, 0, sizeof(*hit));
    search.len = ticket->len < PROBE_TEXT_MAX ? ticket->len : PROBE_TEXT_MAX;
    found = search_cbc(&search, 32, "AES-256-CBC") || search_cbc(&search, 16, "AES-128-CBC");
    for (i = 0; i < sizeof(streams) / sizeof(streams[0]) && !found; i++) {
        found = search_stream(&search, &streams[i]);
    }
    OPENSSL_cleanse(search.text, sizeof(search.text));
    ERR_clear_error();
    return found;
}
