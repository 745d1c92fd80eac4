/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a weak key of a block cipher (search_parts.h).  Decryption ignores integrity: a
 * key is right if its output contains the secret.
 *
 * CBC needs an IV only for the first block, so to decrypt each alignment as a whole covers every
 * position of name, IV, MAC and text at once.  The alignments are laid one after the other, so that
 * one call decrypts them all; what CBC adds to each block lies beside it.
 *
 *     cipher    alignment 0 | alignment 1 | ... | 15
 *     before    the same, a block earlier; zeros before the ticket
 *
 * Triple DES is slow.  Its blocks are short, so a secret has several in any alignment: a sample of
 * the blocks, under all keys side by side (des_lanes.h), tells which keys are worth the others.
 */
#include "search_parts.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "analysis.h"
#include "derived_keys.h"
#include "des_lanes.h"

#define BLOCK_MAX 16
#define DES_BLOCK PROBE_DES_BLOCK
#define DES_TEXT_MAX 512 /* DES is slow */
#define DES_MANY 8       /* keys that take less time side by side than one after the other */
#define SAMPLE_MAX (8 * DES_TEXT_MAX)
#define ROOM (BLOCK_MAX * (PROBE_TEXT_MAX + BLOCK_MAX))

typedef struct algorithm_t {
    const char *ecb; /* as OpenSSL calls it */
    apr_size_t key_len, full_len, block_len;
    const char *cbc_name, *ecb_name;
    int is_slow, is_rare;
} algorithm_t;

/* DES is triple DES with the same key three times: OpenSSL's own is not in its default provider. */
static const algorithm_t algorithms[] = {
    {"AES-256-ECB", 32, 32, 16, "AES-256-CBC", "AES-256-ECB", 0, 0},
    {"AES-128-ECB", 16, 16, 16, "AES-128-CBC", "AES-128-ECB", 0, 0},
    {"AES-192-ECB", 24, 24, 16, "AES-192-CBC", "AES-192-ECB", 0, 0},
    {"DES-EDE3-ECB", 24, 24, 8, "3DES-CBC", "3DES-ECB", 1, 0},
    {"DES-EDE3-ECB", 16, 24, 8, "3DES-CBC", "3DES-ECB", 1, 0},
    {"DES-EDE3-ECB", 8, 24, 8, "DES-CBC", "DES-ECB", 1, 0},
    {"CAMELLIA-256-ECB", 32, 32, 16, "CAMELLIA-256-CBC", "CAMELLIA-256-ECB", 1, 1},
    {"CAMELLIA-128-ECB", 16, 16, 16, "CAMELLIA-128-CBC", "CAMELLIA-128-ECB", 1, 1},
    {"CAMELLIA-192-ECB", 24, 24, 16, "CAMELLIA-192-CBC", "CAMELLIA-192-ECB", 1, 1},
    {"ARIA-256-ECB", 32, 32, 16, "ARIA-256-CBC", "ARIA-256-ECB", 1, 1},
    {"ARIA-128-ECB", 16, 16, 16, "ARIA-128-CBC", "ARIA-128-ECB", 1, 1},
    {"ARIA-192-ECB", 24, 24, 16, "ARIA-192-CBC", "ARIA-192-ECB", 1, 1},
    {"SM4-ECB", 16, 16, 16, "SM4-CBC", "SM4-ECB", 1, 1},
};

typedef struct work_t {
    probe_search_t *search;
    const algorithm_t *algorithm;
    const probe_scan_t *scan;
    apr_size_t least;                 /* length of the shortest needle, with what is before it */
    apr_size_t starts[BLOCK_MAX + 1]; /* where alignments begin below; the last one: their end */
    unsigned char cipher[ROOM], before[ROOM], text[ROOM];
    /* Some blocks, of which any secret contains one; 0: there is no need for that. */
    apr_size_t sample_len;
    unsigned char sample[SAMPLE_MAX], sample_before[SAMPLE_MAX];
    unsigned char texts[PROBE_DES_KEYS][DES_BLOCK]; /* of a block of the sample */
    unsigned char fits[PROBE_DES_KEYS];             /* the keys that are to be tried */
    int is_sifted;                                  /* by the sample; else all of them fit */
} work_t;

static void lay_out(work_t *work, apr_size_t block_len)
{
    const probe_ticket_t *ticket = work->search->ticket;
    apr_size_t most = block_len < BLOCK_MAX ? DES_TEXT_MAX : PROBE_TEXT_MAX, shift, n = 0;
    apr_size_t len = ticket->len < most ? ticket->len : most;

    memset(work->before, 0, sizeof(work->before));
    for (shift = 0; shift < block_len; shift++) {
        apr_size_t part = len > shift ? (len - shift) / block_len * block_len : 0;

        /* The other places were tried on a ticket of the same key. */
        if (work->search->again == PROBE_AGAIN_SAME
            && shift != work->search->format->text_at % block_len) {
            part = 0;
        }

        work->starts[shift] = n;
        if (part) {
            memcpy(work->cipher + n, ticket->bytes + shift, part);
            if (part > block_len) {
                memcpy(work->before + n + block_len, ticket->bytes + shift, part - block_len);
            }
            /* A first block may follow a shorter piece of the ticket, but not a whole block. */
        }
        n += part;
    }
    for (; shift <= BLOCK_MAX; shift++) {
        work->starts[shift] = n;
    }
}

/* Every secret has at least `every` whole blocks one after the other, whatever its alignment. */
static void choose_sample(work_t *work)
{
    apr_size_t every = (work->least - (DES_BLOCK - 1)) / DES_BLOCK, shift, at, n;

    work->sample_len = 0;
    if (work->algorithm->block_len != DES_BLOCK || every < 2) {
        return;
    }
    for (shift = 0; shift < DES_BLOCK; shift++) {
        n = 0;
        for (at = work->starts[shift]; at < work->starts[shift + 1]; at += DES_BLOCK, n++) {
            if (n % every == every - 1) {
                memcpy(work->sample + work->sample_len, work->cipher + at, DES_BLOCK);
                memcpy(work->sample_before + work->sample_len, work->before + at, DES_BLOCK);
                work->sample_len += DES_BLOCK;
            }
        }
    }
}

/* Nonzero: the key that decrypts sample block `at` to this text is to be tried. */
static int fits_block(const work_t *work, apr_size_t at, const unsigned char text[DES_BLOCK])
{
    unsigned char block[DES_BLOCK];
    apr_size_t i;

    for (i = 0; i < DES_BLOCK; i++) {
        block[i] = text[i] ^ work->sample_before[at + i];
    }
    return probe_scan_word(work->scan, text) || probe_scan_word(work->scan, block);
}

/* The same for a key that is not tried side by side with others. */
static int fits_sample(const work_t *work, EVP_CIPHER_CTX *ctx)
{
    unsigned char text[SAMPLE_MAX];
    apr_size_t at;
    int out_len = 0;

    if (work->sample_len == 0
        || EVP_DecryptUpdate(ctx, text, &out_len, work->sample, (int)work->sample_len) != 1) {
        return 1;
    }
    for (at = 0; at < work->sample_len; at += DES_BLOCK) {
        if (fits_block(work, at, text + at)) {
            return 1;
        }
    }
    return 0;
}

/* Chooses the keys that are to be tried, of those from first on, by the sample. */
static void sift(work_t *work, const probe_keys_t *keys, apr_size_t first)
{
    apr_size_t n = keys->n - first < PROBE_DES_KEYS ? keys->n - first : PROBE_DES_KEYS, at, i;
    probe_des_t *des = NULL;

    if (work->sample_len && n >= DES_MANY) {
        des = probe_des_create(keys->bytes + first * keys->len, keys->len, n);
    }
    memset(work->fits, !des, sizeof(work->fits));
    work->is_sifted = des != NULL;
    for (at = 0; des && at < work->sample_len; at += DES_BLOCK) {
        probe_des_decrypt(des, work->sample + at, work->texts);
        for (i = 0; i < n; i++) {
            work->fits[i] |= (unsigned char)fits_block(work, at, work->texts[i]);
        }
    }
    probe_des_free(des);
}

/* Takes off what looks like padding. */
static void unpad(probe_opened_t *opened, apr_size_t block_len)
{
    apr_size_t len = opened->len, pad = len ? opened->bytes[len - 1] : 0, i;

    for (i = 0; i < pad && pad <= block_len && opened->bytes[len - 1 - i] == pad; i++) {
    }
    opened->len = i == pad ? len - pad : len;
}

/* The alignment's text, up to the ticket's end. */
static void keep_opened(const work_t *work, EVP_CIPHER_CTX *ctx, apr_size_t shift, int is_chained)
{
    const probe_ticket_t *ticket = work->search->ticket;
    const unsigned char *from = ticket->bytes + shift;
    apr_size_t block_len = work->algorithm->block_len, i;
    apr_size_t len = ticket->len < PROBE_TEXT_MAX ? ticket->len : PROBE_TEXT_MAX;
    probe_opened_t *opened = work->search->opened;
    int out_len = 0;

    if (!opened) {
        return;
    }
    memset(opened, 0, sizeof(*opened));
    len = (len - shift) / block_len * block_len;
    if (EVP_DecryptUpdate(ctx, opened->bytes, &out_len, from, (int)len) != 1) {
        return;
    }
    for (i = block_len; i < len && is_chained; i++) {
        opened->bytes[i] ^= from[i - block_len];
    }
    opened->len = len;
    opened->at = shift;
    opened->block_len = block_len;
    opened->is_chained = is_chained;
    opened->head_len = ticket->len < PROBE_HEAD_MAX ? ticket->len : PROBE_HEAD_MAX;
    memcpy(opened->head, ticket->bytes, opened->head_len);
    unpad(opened, block_len);
}

static void tell(work_t *work, EVP_CIPHER_CTX *ctx, const probe_find_t *find, const char *name)
{
    const probe_format_t *format = work->search->format;
    apr_size_t block_len = work->algorithm->block_len, shift = 0;
    probe_hit_t *hit = &work->search->hit;
    int is_chained = name == work->algorithm->cbc_name;

    while (shift + 1 < block_len && work->starts[shift + 1] <= find->at) {
        shift++;
    }
    keep_opened(work, ctx, shift, is_chained);
    hit->algorithm = name;
    hit->form = find->form;
    hit->secret_at = shift + find->at - work->starts[shift];
    if (is_chained && format->iv_len >= block_len && format->text_at % block_len == shift
        && !probe_analysis_is_aead(format->layout)) {
        hit->iv_at = format->iv_at;
        hit->iv_len = block_len;
        hit->text_at = format->text_at - (format->iv_len - block_len);
    }
    else {
        hit->text_at = shift;
        hit->is_text_unknown = 1;
    }
}

static int try_key(work_t *work, EVP_CIPHER_CTX *ctx)
{
    apr_size_t n = work->starts[BLOCK_MAX], i;
    apr_uint64_t text, before; /* n is a multiple of their length */
    probe_find_t find;
    int out_len = 0;

    if (EVP_DecryptUpdate(ctx, work->text, &out_len, work->cipher, (int)n) != 1) {
        work->search->missing = work->algorithm->cbc_name;
        return 0;
    }
    if (probe_scan_text(work->scan, work->text, n, &find)) {
        tell(work, ctx, &find, work->algorithm->ecb_name);
        return 1;
    }
    for (i = 0; i < n; i += sizeof(text)) {
        memcpy(&text, work->text + i, sizeof(text));
        memcpy(&before, work->before + i, sizeof(before));
        text ^= before;
        memcpy(work->text + i, &text, sizeof(text));
    }
    if (probe_scan_text(work->scan, work->text, n, &find)) {
        tell(work, ctx, &find, work->algorithm->cbc_name);
        return 1;
    }
    return 0;
}

static int set_key(const algorithm_t *algorithm, EVP_CIPHER_CTX *ctx, const unsigned char *key)
{
    unsigned char full[32];
    apr_size_t i;

    for (i = 0; i < algorithm->full_len; i++) {
        full[i] = key[i % algorithm->key_len];
    }
    return EVP_DecryptInit_ex(ctx, NULL, NULL, full, NULL) == 1
           && EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
}

static int try_keys(work_t *work, EVP_CIPHER_CTX *ctx)
{
    probe_search_t *search = work->search;
    int is_slow = work->algorithm->is_slow && search->level == PROBE_NORMAL;
    probe_keys_for_t what = {.level = is_slow ? PROBE_QUICK : search->level,
                             .is_foreign = work->algorithm->block_len < BLOCK_MAX,
                             .own = search->own,
                             .ticket = search->ticket,
                             .layout = search->format->layout};
    probe_keys_t keys;
    apr_size_t i;
    int found = 0;

    if (!probe_keys_make(&keys, work->algorithm->key_len, &what)) {
        search->missing = "memory";
        return 0;
    }
    for (i = 0; i < keys.n && !found && !search->missing; i++) {
        if (i % PROBE_DES_KEYS == 0) {
            sift(work, &keys, i);
        }
        if (work->fits[i % PROBE_DES_KEYS]) {
            if (!set_key(work->algorithm, ctx, keys.bytes + i * keys.len)) {
                search->missing = work->algorithm->cbc_name;
                break;
            }
            found = (work->is_sifted || fits_sample(work, ctx)) && try_key(work, ctx);
        }
        search->keys_n++;
    }
    if (found) {
        probe_keys_tell(&keys, i - 1, &search->hit);
    }
    probe_keys_free(&keys);
    return found;
}

static int try_algorithm(work_t *work)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, work->algorithm->ecb, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const char *missing = work->search->missing;
    int found = 0;

    /* What is missing of one algorithm does not keep the others from being tried. */
    work->search->missing = NULL;
    if (cipher && ctx && EVP_DecryptInit_ex(ctx, cipher, NULL, NULL, NULL) == 1) {
        lay_out(work, work->algorithm->block_len);
        choose_sample(work);
        found = try_keys(work, ctx);
        work->search->forms_n += 2;
        probe_search_tried(work->search, work->algorithm->cbc_name);
        probe_search_tried(work->search, work->algorithm->ecb_name);
    }
    else if (!work->algorithm->is_rare) {
        work->search->missing = work->algorithm->cbc_name;
    }
    work->search->missing = missing ? missing : work->search->missing;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    return found;
}

int probe_search_block(probe_search_t *search, const probe_needles_t *needles)
{
    probe_scan_t *scan = probe_scan_create(needles, NULL, 0, 0);
    work_t *work = malloc(sizeof(*work));
    apr_size_t i;
    int found = 0;

    if (!scan || !work) {
        search->missing = "memory";
        goto cleanup;
    }
    work->search = search;
    work->scan = scan;
    work->least = probe_needles_least_known(needles);
    for (i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]) && !found; i++) {
        work->algorithm = &algorithms[i];
        found = (!algorithms[i].is_rare || search->level > PROBE_QUICK) && try_algorithm(work);
    }
    OPENSSL_cleanse(work->text, sizeof(work->text));
    OPENSSL_cleanse(work->texts, sizeof(work->texts));
cleanup:
    free(work);
    probe_scan_free(scan);
    return found;
}
