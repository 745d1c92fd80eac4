/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a weak key of a stream (search_parts.h).  A mode is a rule for the first counter
 * block; CTR with a nonce of 12 bytes and a counter from 0 includes GCM, whose text begins at 2.  A
 * nonce may be shorter than the cipher's, and zeros before or behind it.
 *
 *     CTR  IV 16                      GCM  nonce 12 | counter 4; other nonces: GHASH of the nonce
 *     CTR  nonce 8 | counter 8        CCM  flags | nonce 8, 12 or 13 | counter
 *     ChaCha20  counter 4 | nonce 12, or counter 8 | nonce 8; IV 16 gives both
 *     XChaCha20  nonce 24: HChaCha20 of its first 16 makes the key (draft-irtf-cfrg-xchacha-03)
 *
 * The counter blocks of all modes and places of a nonce lie one after the other, so one call makes
 * their key streams under a key.  Where the text begins does not matter (needles.h).
 */
#include "search_parts.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "chacha_lanes.h"
#include "derived_keys.h"
#include "ghash.h"

#define BLOCK 16
#define MORE_BLOCKS 4 /* a text begins that many blocks later in the key stream, at most */
#define PLACE_MAX 128
#define SEGMENTS_MAX (12 * (PLACE_MAX + 2))

typedef enum mode_e {
    MODE_NONCE12,
    MODE_CCM12,
    MODE_IV16,
    MODE_NONCE8,
    MODE_CCM13,
    MODE_CCM8,
    MODE_CTR12_RIGHT,
    MODE_CTR8_RIGHT,
    MODE_GCM8_RIGHT,
    MODE_CCM8_RIGHT,
    MODE_GCM16,
    MODE_GCM8,
    MODE_CHACHA12,
    MODE_CHACHA16,
    MODE_CHACHA8,
    MODE_CHACHA8_LEFT,
    MODE_XCHACHA
} mode_e;

typedef struct rule_t {
    apr_size_t nonce_len;
    apr_size_t text_block;     /* of the key stream, where the text begins */
    const char *names[3];      /* for keys of 16, 24 and 32 bytes */
    apr_size_t before, behind; /* zeros that complete the nonce */
    int is_rare;               /* tried with the most common keys only */
} rule_t;

#define AES(mode)                                                                                  \
    {                                                                                              \
        "AES-128-" mode, "AES-192-" mode, "AES-256-" mode                                          \
    }

static const rule_t rules[] = {
    [MODE_NONCE12] = {12, 2, AES("GCM"), 0, 0, 0},
    [MODE_CCM12] = {12, 1, AES("CCM"), 0, 0, 0},
    [MODE_IV16] = {16, 0, AES("CTR"), 0, 0, 0},
    [MODE_NONCE8] = {8, 0, AES("CTR"), 0, 0, 0},
    [MODE_CCM13] = {13, 1, AES("CCM"), 0, 0, 0},
    [MODE_CCM8] = {8, 1, AES("CCM"), 0, 0, 0},
    [MODE_CTR12_RIGHT] = {12, 0, AES("CTR"), 4, 0, 1},
    [MODE_CTR8_RIGHT] = {8, 0, AES("CTR"), 8, 0, 1},
    [MODE_GCM8_RIGHT] = {8, 2, AES("GCM"), 4, 0, 1},
    [MODE_CCM8_RIGHT] = {8, 1, AES("CCM"), 4, 0, 1},
    [MODE_GCM16] = {16, 1, AES("GCM"), 0, 0, 0},
    [MODE_GCM8] = {8, 1, AES("GCM"), 0, 0, 0},
    [MODE_CHACHA12] = {12, 4, {NULL, NULL, "ChaCha20-Poly1305"}, 0, 0, 0},
    [MODE_CHACHA16] = {16, 0, {NULL, NULL, "ChaCha20"}, 0, 0, 0},
    [MODE_CHACHA8] = {8, 4, {NULL, NULL, "ChaCha20-Poly1305"}, 4, 0, 0},
    [MODE_CHACHA8_LEFT] = {8, 4, {NULL, NULL, "ChaCha20-Poly1305"}, 0, 4, 1},
    [MODE_XCHACHA] = {24, 4, {NULL, NULL, "XChaCha20-Poly1305"}, 0, 0, 0},
};

/* A family shares one way to make its key streams. */
typedef struct family_t {
    const char *cipher; /* as OpenSSL calls it */
    apr_size_t key_len;
    mode_e first, last;
    const char *name;
} family_t;

static const family_t families[] = {
    {"AES-256-ECB", 32, MODE_NONCE12, MODE_GCM8, "AES-256-CTR"},
    {"AES-128-ECB", 16, MODE_NONCE12, MODE_GCM8, "AES-128-CTR"},
    {"AES-192-ECB", 24, MODE_NONCE12, MODE_GCM8, "AES-192-CTR"},
    {"ChaCha20", 32, MODE_CHACHA12, MODE_XCHACHA, "ChaCha20"},
};

/* One key stream. */
typedef struct segment_t {
    mode_e mode;
    apr_size_t place; /* of the nonce */
    int is_zero;      /* the nonce is zeros, which the ticket does not contain */
} segment_t;

typedef struct work_t {
    probe_search_t *search;
    const family_t *family;
    const probe_scan_t *scan;
    segment_t segments[SEGMENTS_MAX];
    apr_size_t segments_n, fixed_n; /* all; those whose blocks do not depend on the key */
    apr_size_t stream_len;          /* of one key stream, in bytes */
    unsigned char *blocks, *streams;
    apr_uint32_t keys[PLACE_MAX + 2][8]; /* of XChaCha20's streams, which come last */
} work_t;

/* Where nonces are looked for. */
typedef enum reach_e {
    REACH_OWN,   /* where the layout has it; if that is not known, as below */
    REACH_USUAL, /* after names of common lengths, after the common prefix or at its end */
    REACH_WIDE,
    REACH_ALL
} reach_e;

static int is_place(const probe_format_t *format, reach_e reach, apr_size_t at)
{
    static const apr_size_t usual[] = {0, 4,  8,  12, 16, 20, 28, 32, 1,
                                       2, 17, 18, 24, 34, 36, 48, 49, 64};
    apr_size_t n = reach <= REACH_USUAL ? 8 : sizeof(usual) / sizeof(usual[0]), i;
    apr_size_t name_len = format->name_len;

    if (reach == REACH_OWN && format->iv_len) {
        return at == format->iv_at;
    }
    for (i = 0; i < n; i++) {
        if (at == usual[i]) {
            return 1;
        }
    }
    return reach == REACH_ALL || at == name_len || at + 12 == name_len || at + 16 == name_len;
}

static int is_chacha(const work_t *work)
{
    return work->family->first == MODE_CHACHA12;
}

static void add_segment(work_t *work, mode_e mode, apr_size_t place, int is_zero)
{
    segment_t *segment = &work->segments[work->segments_n++];

    segment->mode = mode;
    segment->place = place;
    segment->is_zero = is_zero;
}

/* Those modes come last whose blocks depend on the key. */
static void choose_segments(work_t *work, reach_e reach)
{
    const family_t *family = work->family;
    apr_size_t at;
    int mode;

    work->segments_n = work->fixed_n = 0;
    for (mode = (int)family->first; mode <= (int)family->last; mode++) {
        if (mode == MODE_GCM16 || mode == MODE_XCHACHA) {
            work->fixed_n = work->segments_n;
        }
        if (rules[mode].is_rare && reach < REACH_WIDE) {
            continue;
        }
        if (mode == MODE_NONCE12 || mode == MODE_CCM12 || mode == MODE_CHACHA12) {
            add_segment(work, (mode_e)mode, 0, 1);
        }
        for (at = 0; at <= PLACE_MAX && at + rules[mode].nonce_len <= work->search->ticket->len;
             at++) {
            if (is_place(work->search->format, reach, at)) {
                add_segment(work, (mode_e)mode, at, 0);
            }
        }
    }
}

/* Counts up in the last len bytes of a block, but for the last one, which has become zero. */
static void carry(unsigned char *block, apr_size_t len)
{
    apr_size_t i;

    for (i = 1; i < len && ++block[BLOCK - 1 - i] == 0; i++) {
    }
}

/* The first block, and how many of its bytes count. */
static apr_size_t first_block(mode_e mode, const unsigned char *nonce, unsigned char *block)
{
    const rule_t *rule = &rules[mode];
    apr_size_t len = rule->before + rule->nonce_len;
    int is_ccm = strstr(rule->names[0], "CCM") != NULL;

    memset(block, 0, BLOCK);
    if (is_ccm) {
        block[0] = (unsigned char)(BLOCK - 2 - len);
    }
    memcpy(block + is_ccm + rule->before, nonce, rule->nonce_len);
    return is_ccm ? BLOCK - 1 - len : len == BLOCK ? BLOCK : BLOCK - len;
}

static void fill_blocks(work_t *work, const segment_t *segment, const probe_ghash_t *ghash,
                        unsigned char *out)
{
    static const unsigned char zeros[BLOCK];
    const unsigned char *nonce = segment->is_zero ? zeros
                                                  : work->search->ticket->bytes + segment->place;
    unsigned char block[BLOCK];
    apr_size_t counter_len = 4, i;

    if (ghash) {
        probe_ghash_nonce(ghash, nonce, rules[segment->mode].nonce_len, block);
    }
    else {
        counter_len = first_block(segment->mode, nonce, block);
    }
    for (i = 0; i < work->stream_len; i += BLOCK) {
        memcpy(out + i, block, BLOCK);
        if (++block[BLOCK - 1] == 0) {
            carry(block, counter_len);
        }
    }
}

static int encrypt(EVP_CIPHER_CTX *ctx, const unsigned char *in, apr_size_t len, unsigned char *out)
{
    int out_len = 0;

    return len == 0 || (EVP_EncryptUpdate(ctx, out, &out_len, in, (int)len) == 1);
}

/* AES: the blocks under the key. */
static int make_aes(work_t *work, EVP_CIPHER_CTX *ctx, const unsigned char *key)
{
    static const unsigned char zeros[BLOCK];
    apr_size_t fixed_len = work->fixed_n * work->stream_len, i;
    unsigned char h[BLOCK];
    probe_ghash_t ghash;

    if (EVP_EncryptInit_ex(ctx, NULL, NULL, key, NULL) != 1
        || EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 || !encrypt(ctx, zeros, BLOCK, h)
        || !encrypt(ctx, work->blocks, fixed_len, work->streams)) {
        return 0;
    }
    probe_ghash_begin(&ghash, h);
    for (i = work->fixed_n; i < work->segments_n; i++) {
        fill_blocks(work, &work->segments[i], &ghash, work->blocks + i * work->stream_len);
    }
    return encrypt(ctx, work->blocks + fixed_len, work->segments_n * work->stream_len - fixed_len,
                   work->streams + fixed_len);
}

/* The state of ChaCha20 behind the key: a counter of 4 bytes and a nonce of 12, as OpenSSL's IV. */
static void put_nonce(const work_t *work, const segment_t *segment, apr_size_t block,
                      apr_size_t lane, probe_chacha_t *in)
{
    const unsigned char *nonce = work->search->ticket->bytes + segment->place;
    apr_size_t len = rules[segment->mode].nonce_len, i;
    unsigned char iv[BLOCK] = {0};

    if (segment->mode == MODE_XCHACHA) {
        nonce += BLOCK;
        len -= BLOCK;
    }
    if (!segment->is_zero) {
        memcpy(iv + BLOCK - rules[segment->mode].behind - len, nonce, len);
    }
    for (i = 0; i < 4; i++) {
        in->words[12 + i][lane] = probe_chacha_word(iv + 4 * i);
    }
    in->words[12][lane] += (apr_uint32_t)block;
    in->words[13][lane] += in->words[12][lane] < block;
}

/* XChaCha20's keys: one for each nonce. */
static void make_keys(work_t *work, const unsigned char *key)
{
    probe_chacha_t in, out;
    apr_size_t i, j, lane;

    for (i = work->fixed_n; i < work->segments_n; i += lane) {
        for (lane = 0; lane < PROBE_CHACHA_LANES && i + lane < work->segments_n; lane++) {
            const segment_t *segment = &work->segments[i + lane];

            for (j = 0; j < 12; j++) {
                const unsigned char *nonce = work->search->ticket->bytes + segment->place;

                in.words[4 + j][lane] = probe_chacha_word(j < 8 ? key + 4 * j
                                                                : nonce + 4 * (j - 8));
            }
        }
        probe_chacha_permute(&in, &out);
        for (lane = 0; lane < PROBE_CHACHA_LANES && i + lane < work->segments_n; lane++) {
            for (j = 0; j < 8; j++) {
                work->keys[i + lane - work->fixed_n][j] = out.words[j < 4 ? j : 8 + j][lane];
            }
        }
    }
}

/* ChaCha20: some blocks of several key streams at a time. */
static int make_chacha(work_t *work, const unsigned char *key)
{
    apr_size_t per = (work->stream_len + PROBE_CHACHA_BLOCK - 1) / PROBE_CHACHA_BLOCK;
    apr_size_t n = work->segments_n * per, i, j, lane;
    apr_uint32_t words[8];
    probe_chacha_t in, out;

    for (j = 0; j < 8; j++) {
        words[j] = probe_chacha_word(key + 4 * j);
    }
    make_keys(work, key);
    for (i = 0; i < n; i += lane) {
        for (lane = 0; lane < PROBE_CHACHA_LANES && i + lane < n; lane++) {
            apr_size_t segment = (i + lane) / per;
            const apr_uint32_t *own = segment < work->fixed_n ? words
                                                              : work->keys[segment - work->fixed_n];

            for (j = 0; j < 8; j++) {
                in.words[4 + j][lane] = own[j];
            }
            put_nonce(work, &work->segments[segment], (i + lane) % per, lane, &in);
        }
        probe_chacha_make(&in, &out);
        for (lane = 0; lane < PROBE_CHACHA_LANES && i + lane < n; lane++) {
            apr_size_t at = (i + lane) % per * PROBE_CHACHA_BLOCK, left = work->stream_len - at;

            probe_chacha_take(&out, lane, work->streams + (i + lane) / per * work->stream_len + at,
                              left < PROBE_CHACHA_BLOCK ? left : PROBE_CHACHA_BLOCK);
        }
    }
    return 1;
}

static int make_streams(work_t *work, EVP_CIPHER_CTX *ctx, const unsigned char *key)
{
    return is_chacha(work) ? make_chacha(work, key) : make_aes(work, ctx, key);
}

/* How unlikely it is that the text begins there, after a nonce that ends at `end`: right behind it or
 * a length, behind a tag, or behind the MAC of a digest. */
static int unlikeliness(apr_int64_t at, apr_size_t end)
{
    static const int macs[] = {28, 32, 48, 64};
    apr_int64_t gap = at - (apr_int64_t)end;
    apr_size_t i;

    if (gap >= 0 && (gap <= 2 || gap == 4 || gap == 8)) {
        return 0;
    }
    if (gap >= 16 && gap <= 22) {
        return 1;
    }
    for (i = 0; i < sizeof(macs) / sizeof(macs[0]); i++) {
        if (gap == macs[i] || gap == macs[i] + 2) {
            return 2;
        }
    }
    return 3;
}

/* The same key stream from its first block on is that of CTR, or of a ChaCha20 without tag.  Its text
 * would begin at base, that with a tag at text_at. */
static int has_no_tag(const segment_t *segment, apr_size_t name_len, apr_int64_t base,
                      apr_int64_t text_at, apr_int64_t secret_at)
{
    const rule_t *rule = &rules[segment->mode];
    apr_size_t end = segment->place + rule->nonce_len;
    int without = base < 0 ? 3 : unlikeliness(base, end), with = unlikeliness(text_at, end);

    if (rule->text_block <= 1 || base < 0) {
        return 0;
    }
    if (segment->is_zero) {
        return base > 2 || text_at > (apr_int64_t)name_len;
    }
    return without < 3 && (secret_at < text_at || without < with || (without == 2 && with == 2));
}

/* The ticket from `at` on, under the key stream from `from` on. */
static void keep_opened(const work_t *work, apr_size_t at, const unsigned char *from,
                        const unsigned char *end)
{
    const probe_ticket_t *ticket = work->search->ticket;
    probe_opened_t *opened = work->search->opened;

    memset(opened, 0, sizeof(*opened));
    opened->at = at;
    for (; at < ticket->len && from < end; at++, from++) {
        opened->bytes[opened->len++] = ticket->bytes[at] ^ *from;
    }
}

static void tell(const work_t *work, const probe_find_t *find)
{
    const segment_t *segment = &work->segments[find->at / work->stream_len];
    const rule_t *rule = &rules[segment->mode];
    apr_int64_t base = (apr_int64_t)find->place - (apr_int64_t)(find->at % work->stream_len);
    apr_int64_t text_at = base + (apr_int64_t)(rule->text_block * BLOCK);
    apr_size_t key_i = work->family->key_len / 8 - 2;
    const char *name = rule->names[key_i];
    probe_hit_t *hit = &work->search->hit;
    const unsigned char *stream;
    apr_int64_t from;

    if (has_no_tag(segment, work->search->format->prefix_len, base, text_at,
                   (apr_int64_t)find->place)) {
        text_at = base;
        name = segment->mode == MODE_XCHACHA          ? "XChaCha20"
               : work->family->first == MODE_CHACHA12 ? "ChaCha20"
                                                      : rules[MODE_IV16].names[key_i];
    }
    hit->algorithm = name;
    hit->form = find->form;
    hit->no_iv = segment->is_zero;
    hit->iv_at = segment->place;
    hit->iv_len = segment->is_zero ? 0 : rule->nonce_len;
    hit->iv_before = rule->before;
    hit->iv_behind = rule->behind;
    hit->text_at = text_at > 0 ? (apr_size_t)text_at : 0;
    hit->secret_at = find->place;
    if (!work->search->opened) {
        return;
    }
    stream = work->streams + find->at / work->stream_len * work->stream_len;
    from = (apr_int64_t)hit->text_at - base;
    if (from >= 0 && from < (apr_int64_t)work->stream_len) {
        keep_opened(work, hit->text_at, stream + from, stream + work->stream_len);
    }
}

static int try_keys(work_t *work, EVP_CIPHER_CTX *ctx, probe_level_e level)
{
    probe_search_t *search = work->search;
    probe_keys_for_t what = {.level = level,
                             .own = search->own,
                             .ticket = search->ticket,
                             .layout = search->format->layout};
    probe_find_t find;
    probe_keys_t keys;
    apr_size_t i;
    int found = 0;

    if (!probe_keys_make(&keys, work->family->key_len, &what)) {
        search->missing = "memory";
        return 0;
    }
    for (i = 0; i < keys.n && !found; i++) {
        if (!make_streams(work, ctx, keys.bytes + i * keys.len)) {
            search->missing = work->family->name;
            break;
        }
        found = probe_scan_text(work->scan, work->streams, work->segments_n * work->stream_len,
                                &find);
    }
    if (found) {
        tell(work, &find);
        probe_keys_tell(&keys, i - 1, &search->hit);
    }
    probe_keys_free(&keys);
    return found;
}

static int lay_out(work_t *work, reach_e reach)
{
    apr_size_t i, len;

    choose_segments(work, reach);
    len = work->segments_n * work->stream_len;
    work->blocks = calloc(1, len + 1);
    work->streams = malloc(len + 1);
    if (!work->blocks || !work->streams) {
        return 0;
    }
    for (i = 0; !is_chacha(work) && i < work->fixed_n; i++) {
        fill_blocks(work, &work->segments[i], NULL, work->blocks + i * work->stream_len);
    }
    return 1;
}

static int try_round(work_t *work, EVP_CIPHER_CTX *ctx, probe_level_e level, reach_e reach)
{
    int found = 0;

    if (lay_out(work, reach)) {
        found = try_keys(work, ctx, level);
    }
    else {
        work->search->missing = "memory";
    }
    free(work->blocks);
    free(work->streams);
    work->blocks = work->streams = NULL;
    return found;
}

/* The most common keys at more places, then more keys at fewer. */
static int try_rounds(work_t *work, EVP_CIPHER_CTX *ctx)
{
    switch (work->search->level) {
    case PROBE_DEEP:
        return try_round(work, ctx, PROBE_QUICK, REACH_ALL)
               || try_round(work, ctx, PROBE_DEEP, REACH_WIDE);
    case PROBE_NORMAL:
        return try_round(work, ctx, PROBE_QUICK, REACH_WIDE)
               || try_round(work, ctx, PROBE_NORMAL, REACH_OWN);
    default:
        return try_round(work, ctx, work->search->level,
                         work->search->again ? REACH_OWN : REACH_USUAL);
    }
}

static int try_family(work_t *work)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, work->family->cipher, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int found = 0, mode;

    if (!cipher || !ctx || EVP_EncryptInit_ex(ctx, cipher, NULL, NULL, NULL) != 1) {
        work->search->missing = work->family->name;
    }
    else {
        found = try_rounds(work, ctx);
        work->search->forms_n += work->family->last - work->family->first + 1;
        for (mode = work->family->first; mode <= (int)work->family->last; mode++) {
            probe_search_tried(work->search, rules[mode].names[work->family->key_len / 8 - 2]);
        }
    }
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    return found;
}

int probe_search_stream(probe_search_t *search, const probe_needles_t *needles)
{
    const probe_ticket_t *ticket = search->ticket;
    apr_size_t len = ticket->len < PROBE_STREAM_MAX ? ticket->len : PROBE_STREAM_MAX, i;
    probe_scan_t *scan = probe_scan_create(needles, ticket->bytes, len,
                                           search->level < PROBE_QUICK);
    work_t *work = calloc(1, sizeof(*work));
    int found = 0;

    if (scan && work) {
        work->search = search;
        work->scan = scan;
        work->stream_len = (len / BLOCK + MORE_BLOCKS + 1) * BLOCK;
        for (i = 0; i < sizeof(families) / sizeof(families[0]) && !found; i++) {
            work->family = &families[i];
            found = try_family(work);
        }
    }
    else {
        search->missing = "memory";
    }
    free(work);
    probe_scan_free(scan);
    return found;
}
