/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for weak keys (probe_analysis.h).  Decryption ignores integrity: what counts is the
 * secret in the outcome.
 *
 * CBC needs no IV but for the first block: each of the 16 alignments is decrypted as a whole, which
 * covers every place of name, IV and text at once.  GCM, CCM and CTR are one key stream that
 * differs in the first counter block, so they and ChaCha20 are tried at places of IV and text.
 *
 *   GCM  IV 12 | 00000002        CCM  02 | nonce 12 | 000001        CTR  IV 16
 */
#include "analysis.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"
#include "stek_audit.h"

#define TEXT_MAX 2048 /* as much of a ticket is decrypted: the secret is no farther behind */
#define BLOCK 16

typedef struct keys_t {
    unsigned char *bytes;
    apr_size_t len, n, room;
} keys_t;

static unsigned char *next_key(keys_t *keys)
{
    if (keys->n == keys->room) {
        apr_size_t room = keys->room ? 2 * keys->room : 512;
        unsigned char *more = realloc(keys->bytes, room * keys->len);

        if (!more) {
            return NULL;
        }
        keys->bytes = more;
        keys->room = room;
    }
    return memset(keys->bytes + keys->len * keys->n++, 0, keys->len);
}

static int add_count(keys_t *keys, int start, int step)
{
    unsigned char *key = next_key(keys);
    apr_size_t i;

    for (i = 0; key && i < keys->len; i++) {
        key[i] = (unsigned char)(start + (int)i * step);
    }
    return key != NULL;
}

/* pattern repeated over text_len bytes, zeros behind. */
static int add_pattern(keys_t *keys, const unsigned char *pattern, apr_size_t pattern_len,
                       apr_size_t text_len)
{
    unsigned char *key = next_key(keys);
    apr_size_t i;

    for (i = 0; key && i < keys->len && i < text_len; i++) {
        key[i] = pattern[i % pattern_len];
    }
    return key != NULL;
}

/* Two halves from the audit's list; longer keys end in zeros. */
static int add_halves(keys_t *keys, const unsigned char *a, const unsigned char *b)
{
    unsigned char both[32];

    memcpy(both, a, 16);
    memcpy(both + 16, b, 16);
    return add_pattern(keys, both, sizeof(both), sizeof(both));
}

static int add_known(keys_t *keys, probe_level_e level)
{
    static const unsigned char zeros[16];
    unsigned char half[16], other[16];
    apr_size_t i, j;

    for (i = 0; stek_audit_known(i, half); i++) {
        if (!add_pattern(keys, half, 16, keys->len) || !add_pattern(keys, half, 8, 8)) {
            return 0;
        }
        if (keys->len <= 16) {
            continue;
        }
        if (!add_halves(keys, half, zeros)) {
            return 0;
        }
        /* Neighbours in the list are often the two halves of one key. */
        for (j = 0; stek_audit_known(j, other); j++) {
            if ((level == PROBE_DEEP || j == i + 1) && !add_halves(keys, half, other)) {
                return 0;
            }
        }
    }
    return 1;
}

static int add_words(keys_t *keys)
{
    static const apr_uint32_t words[] = {
        0xdeadbeef, 0xcafebabe, 0xbaadf00d, 0xbaddcafe, 0xfeedface, 0xfeedfeed, 0xfee1dead,
        0xdeadc0de, 0xdeadf00d, 0xdeadbabe, 0xdeaddead, 0xcafed00d, 0xcafefeed, 0xabadcafe,
        0xabbababe, 0x8badf00d, 0x1badb002, 0x0d15ea5e, 0xc001d00d, 0xdefec8ed, 0xfeeefeee,
        0xd00d2bad, 0x0badf00d, 0x12345678, 0x01234567, 0x00112233,
    };
    static const char *const texts[] = {"secret",
                                        "password",
                                        "changeme",
                                        "test",
                                        "key",
                                        "0123456789",
                                        "1234567890",
                                        "abcdefghijklmnopqrstuvwxyz",
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"};
    apr_size_t i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        unsigned char word[4] = {(unsigned char)(words[i] >> 24), (unsigned char)(words[i] >> 16),
                                 (unsigned char)(words[i] >> 8), (unsigned char)words[i]};

        if (!add_pattern(keys, word, sizeof(word), keys->len)) {
            return 0;
        }
    }
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const unsigned char *text = (const unsigned char *)texts[i];
        apr_size_t len = strlen(texts[i]);

        if (!add_pattern(keys, text, len, keys->len) || !add_pattern(keys, text, len, len)) {
            return 0;
        }
    }
    return add_count(keys, 0x00, 0x11) && add_count(keys, 0x11, 0x11);
}

unsigned char *probe_analysis_weak_keys(apr_size_t key_len, probe_level_e level, apr_size_t *pn)
{
    static const unsigned char zero, one = '1';
    keys_t keys = {NULL, key_len, 0, 0};
    int start, is_good;

    /* Most frequent in the wild first. */
    is_good = add_pattern(&keys, &zero, 1, key_len);
    if (is_good && level >= PROBE_QUICK) {
        is_good = add_pattern(&keys, &one, 1, key_len > 16 ? 16 : 8)
                  && add_pattern(&keys, &one, 1, 16) && add_known(&keys, level);
    }
    for (start = 0; is_good && start < 256 && level > PROBE_QUICK; start++) {
        unsigned char byte = (unsigned char)start;

        is_good = add_pattern(&keys, &byte, 1, key_len) && add_count(&keys, start, 1)
                  && add_count(&keys, start, -1);
        if (is_good && key_len > 16) {
            is_good = add_pattern(&keys, &byte, 1, 16);
        }
    }
    if (is_good && level > PROBE_QUICK) {
        is_good = add_words(&keys);
    }
    if (!is_good) {
        free(keys.bytes);
        return NULL;
    }
    *pn = keys.n;
    return keys.bytes;
}

typedef struct search_t {
    const probe_ticket_t *ticket;
    const probe_format_t *format;
    probe_level_e level;
    probe_hit_t *hit;
    apr_size_t len; /* of the ticket, at most TEXT_MAX */
    unsigned char text[TEXT_MAX + BLOCK];
} search_t;

static int found_key(search_t *search, const char *algorithm, const unsigned char *key,
                     apr_size_t key_len)
{
    search->hit->algorithm = algorithm;
    memcpy(search->hit->key, key, key_len);
    search->hit->key_len = key_len;
    return 1;
}

/* The text that the layout names, exactly, for what a window-by-window search would find in it. */
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
    /* A wrong key is seen by its padding, but for one in 256. */
    if (search->ticket->len <= TEXT_MAX && (search->text[len - 1] > BLOCK || !search->text[len - 1])
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
        /* The block in front is the IV of the first, or its own chain. */
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
    unsigned char *keys = probe_analysis_weak_keys(key_len, search->level, &n);
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

/* The cipher's first counter block; iv NULL: zeros. */
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

/* Where an IV may lie: at 0, behind usual names, behind the common prefix or at its end. */
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
    unsigned char *keys = probe_analysis_weak_keys(stream->key_len, search->level, &n);
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

int probe_analysis_cipher_key(const probe_ticket_t *ticket, const probe_format_t *format,
                              probe_level_e level, probe_hit_t *hit)
{
    search_t search = {.ticket = ticket, .format = format, .level = level, .hit = hit};
    apr_size_t i;
    int found;

    memset(hit, 0, sizeof(*hit));
    search.len = ticket->len < TEXT_MAX ? ticket->len : TEXT_MAX;
    found = search_cbc(&search, 32, "AES-256-CBC") || search_cbc(&search, 16, "AES-128-CBC");
    for (i = 0; i < sizeof(streams) / sizeof(streams[0]) && !found; i++) {
        found = search_stream(&search, &streams[i]);
    }
    OPENSSL_cleanse(search.text, sizeof(search.text));
    ERR_clear_error();
    return found;
}

typedef struct digest_t {
    const char *name, *hmac;
    apr_size_t len;
} digest_t;

static const digest_t digests[] = {
    {"SHA256", "HMAC-SHA256", 32}, {"SHA384", "HMAC-SHA384", 48}, {"SHA1", "HMAC-SHA1", 20},
    {"SHA512", "HMAC-SHA512", 64}, {"MD5", "HMAC-MD5", 16},
};

/* Lengths of a MAC that are full or a usual truncation; 8 bytes are the least that prove a key. */
static const apr_size_t mac_lens[] = {64, 48, 32, 28, 24, 20, 16, 12, 10, 8};

/* HMAC over bytes[from, len - mac_len) against the last mac_len bytes. */
static int try_mac(search_t *search, const digest_t *digest, EVP_MAC_CTX *mac,
                   const unsigned char *key, apr_size_t key_len, apr_size_t from)
{
    const probe_ticket_t *ticket = search->ticket;
    apr_size_t i, len;
    unsigned char out[EVP_MAX_MD_SIZE];

    for (i = 0; i < sizeof(mac_lens) / sizeof(mac_lens[0]); i++) {
        apr_size_t mac_len = mac_lens[i];

        if (mac_len > digest->len || ticket->len < from + mac_len + 16
            || (ticket->len > TEXT_MAX && mac_len != digest->len)) {
            continue;
        }
        if (EVP_MAC_init(mac, key, key_len, NULL) != 1
            || EVP_MAC_update(mac, ticket->bytes + from, ticket->len - mac_len - from) != 1
            || EVP_MAC_final(mac, out, &len, sizeof(out)) != 1) {
            return 0;
        }
        if (memcmp(out, ticket->bytes + ticket->len - mac_len, mac_len) == 0) {
            search->hit->text_at = from;
            search->hit->mac_len = mac_len;
            search->hit->mac_full_len = digest->len;
            return 1;
        }
    }
    return 0;
}

/* What the MAC covers begins at the ticket's start, behind the name, or behind name and IV. */
static int try_mac_key(search_t *search, const digest_t *digest, EVP_MAC_CTX *mac,
                       const unsigned char *key, apr_size_t key_len)
{
    static const apr_size_t usual[] = {0, 16, 32, 4, 2};
    apr_size_t n = search->level == PROBE_QUICK ? 1 : search->level == PROBE_NORMAL ? 3 : 5, i;
    apr_size_t name_len = search->format->name_len;

    for (i = 0; i < n; i++) {
        if (try_mac(search, digest, mac, key, key_len, usual[i])) {
            return found_key(search, digest->hmac, key, key_len);
        }
    }
    return n > 1 && name_len != 0 && name_len != 16 && name_len != 32
           && try_mac(search, digest, mac, key, key_len, name_len)
           && found_key(search, digest->hmac, key, key_len);
}

static int search_mac(search_t *search, const digest_t *digest, EVP_MAC *fetched,
                      apr_size_t key_len)
{
    OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(fetched);
    apr_size_t n = 0, i;
    unsigned char *keys = probe_analysis_weak_keys(key_len, search->level, &n);
    int found = 0;

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest->name, 0);
    if (mac && keys && EVP_MAC_CTX_set_params(mac, params) == 1) {
        for (i = 0; i < n && !found; i++) {
            found = try_mac_key(search, digest, mac, keys + i * key_len, key_len);
        }
    }
    EVP_MAC_CTX_free(mac);
    free(keys);
    return found;
}

int probe_analysis_mac_key(const probe_ticket_t *ticket, const probe_format_t *format,
                           probe_level_e level, probe_hit_t *hit)
{
    static const apr_size_t key_lens[] = {32, 16, 48, 64, 20};
    search_t search = {.ticket = ticket, .format = format, .level = level, .hit = hit};
    apr_size_t digests_n = ticket->len > TEXT_MAX ? 2 : sizeof(digests) / sizeof(digests[0]);
    /* Key search over a huge ticket would take minutes; its MAC key is most likely its text key. */
    apr_size_t key_lens_n = ticket->len > TEXT_MAX ? 1 : level == PROBE_DEEP ? 5 : 3, i, j;
    EVP_MAC *fetched = EVP_MAC_fetch(NULL, "HMAC", NULL);
    int found = 0;

    memset(hit, 0, sizeof(*hit));
    if (ticket->len > TEXT_MAX && level > PROBE_QUICK) {
        search.level = PROBE_QUICK;
    }
    for (i = 0; fetched && i < digests_n && !found; i++) {
        for (j = 0; j < key_lens_n && !found; j++) {
            found = search_mac(&search, &digests[i], fetched, key_lens[j]);
        }
    }
    EVP_MAC_free(fetched);
    ERR_clear_error();
    return found;
}
