/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forged tickets (forge.h).  The new secret takes the old one's place in the text, in the same form,
 * and nothing else changes, so no more of the layout has to be known than the search has found.
 *
 *     stream   ciphertext XOR old secret XOR new secret
 *     blocks   from that of the secret on encrypted anew, up to the text's end
 *     tagged   the whole text encrypted anew
 *
 * Then the MAC is made anew: that in the text before, that around it afterwards.
 */
#include "forge.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "needles.h"
#include "reseal.h"
#include "schedule.h"

#define CHANGED 8     /* bytes of a secret */
#define CHANGED_END 2 /* those behind them are not in every form of a needle */
#define TRIES 4096    /* at most; until all secrets have the same forms as before */
#define BLOCK_MAX 16
#define PADDED_MAX 6 /* blocks from a ticket's end in which a text's end is looked for */

/* A secret's place in the text, as it is and as it becomes. */
typedef struct swap_t {
    probe_needles_t was, becomes;
    apr_size_t i;
    unsigned char secret[PROBE_SECRET_MAX];
} swap_t;

/* ---- secrets ---- */

/* Another secret: 0 the ticket's own, 1 that from which it follows. */
static int change_secret(const probe_ticket_t *ticket, int which, probe_ticket_t *other)
{
    unsigned char random[CHANGED], *secret = which ? other->more[0] : other->secret;
    apr_size_t len = ticket->secret_len, i;

    *other = *ticket;
    if (len < 2 * CHANGED || RAND_bytes(random, sizeof(random)) != 1) {
        return 0;
    }
    for (i = 0; i < CHANGED; i++) {
        secret[len - CHANGED - CHANGED_END + i] ^= random[i];
    }
    return which == 0
           || probe_schedule_expand(other->more[0], len, "resumption", ticket->nonce,
                                    ticket->nonce_len, other->secret);
}

/* URLs' base64 is a form of its own only for some secrets. */
static int has_same_forms(const probe_needles_t *a, const probe_needles_t *b)
{
    apr_size_t i;

    for (i = 0; i < a->n && a->n == b->n; i++) {
        if (a->all[i].form != b->all[i].form || a->all[i].len != b->all[i].len) {
            return 0;
        }
    }
    return a->n == b->n;
}

/* text[len] begins with a needle.  0: a secret that the client cannot choose. */
static int choose_swap(const probe_forge_t *known, const unsigned char *text, apr_size_t len,
                       swap_t *swap)
{
    int which, tries, which_n = known->ticket->more_n ? 2 : 1;
    probe_ticket_t other;

    probe_needles_make(&swap->was, known->ticket);
    for (swap->i = 0; swap->i < swap->was.n; swap->i++) {
        const probe_needle_t *needle = &swap->was.all[swap->i];

        if (needle->len <= len && memcmp(text, needle->bytes, needle->len) == 0) {
            break;
        }
    }
    for (which = 0; swap->i < swap->was.n && which < which_n; which++) {
        for (tries = 0; tries < TRIES && change_secret(known->ticket, which, &other); tries++) {
            probe_needles_make(&swap->becomes, &other);
            if (!has_same_forms(&swap->was, &swap->becomes)) {
                continue;
            }
            memcpy(swap->secret, other.secret, sizeof(swap->secret));
            if (memcmp(swap->becomes.all[swap->i].bytes, text, swap->was.all[swap->i].len) != 0) {
                OPENSSL_cleanse(&other, sizeof(other));
                return 1;
            }
            break;
        }
    }
    OPENSSL_cleanse(&other, sizeof(other));
    return 0;
}

/* In text, whose byte 0 is the ticket's byte base. */
static int swap_in(const probe_forge_t *known, unsigned char *text, apr_size_t len, apr_size_t base,
                   probe_forged_t *forged)
{
    apr_size_t at = known->cipher->secret_at - base;
    swap_t swap;
    int is_done;

    is_done = known->cipher->secret_at >= base && at < len
              && choose_swap(known, text + at, len - at, &swap);
    if (is_done) {
        memcpy(text + at, swap.becomes.all[swap.i].bytes, swap.becomes.all[swap.i].len);
        memcpy(forged->secret, swap.secret, known->ticket->secret_len);
        forged->secret_len = known->ticket->secret_len;
    }
    OPENSSL_cleanse(&swap, sizeof(swap));
    return is_done;
}

/* Makes a MAC in the text, of which the first covered_len bytes are what the search had opened. */
static void seal_inside(const probe_forge_t *known, const unsigned char *was, unsigned char *text,
                        apr_size_t len, probe_forged_t *forged)
{
    if (known->mac && known->mac->is_inside && known->opened_len <= len) {
        forged->is_sealed = probe_reseal_mac(known->mac, was, text, known->opened_len);
    }
}

static void seal_outside(const probe_forge_t *known, probe_forged_t *forged)
{
    if (known->mac && !known->mac->is_inside) {
        forged->is_sealed = probe_reseal_mac(known->mac, known->ticket->bytes, forged->bytes,
                                             known->ticket->len);
    }
}

/* ---- a tag ---- */

/* 0: no tag of the cipher's was found. */
static int forge_tagged(const probe_forge_t *known, probe_forged_t *forged, const char **pwhy,
                        apr_pool_t *pool)
{
    probe_tagged_t tagged = {.ticket = known->ticket, .cipher = known->cipher};
    unsigned char *text = apr_palloc(pool, known->ticket->len + BLOCK_MAX);

    if (!probe_reseal_open(&tagged, known->format->mac_len, text)) {
        return 0;
    }
    if (!swap_in(known, text, tagged.text_len, known->cipher->text_at, forged)) {
        *pwhy = "its secret follows from others";
    }
    else if (!probe_reseal_tag(&tagged, text, forged->bytes)) {
        *pwhy = "OpenSSL cannot encrypt it";
    }
    forged->is_sealed = 1;
    return 1;
}

/* ---- streams ---- */

static const char *forge_stream(const probe_forge_t *known, probe_forged_t *forged,
                                apr_pool_t *pool)
{
    apr_size_t len = known->opened_len, base = known->cipher->text_at, i;
    unsigned char *text = apr_pmemdup(pool, known->opened, len);

    if (!swap_in(known, text, len, base, forged)) {
        return len ? "its secret follows from others" : "where its text begins is not known";
    }
    seal_inside(known, known->opened, text, len, forged);
    for (i = 0; i < len && base + i < known->ticket->len; i++) {
        forged->bytes[base + i] ^= known->opened[i] ^ text[i];
    }
    seal_outside(known, forged);
    return NULL;
}

/* ---- blocks ---- */

typedef struct blocks_t {
    EVP_CIPHER_CTX *decrypts, *encrypts;
    apr_size_t len; /* of a block */
    int is_chained;
    apr_size_t base, end;    /* in the ticket */
    const unsigned char *iv; /* of the first block; NULL: zeros, or not known */
    unsigned char *was, *text;
} blocks_t;

static EVP_CIPHER_CTX *begin_cipher(const probe_hit_t *hit, int enc)
{
    int is_des = strstr(hit->algorithm, "DES") != NULL, name_len = (int)strlen(hit->algorithm) - 3;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char key[32];
    EVP_CIPHER *cipher;
    char name[24];
    apr_size_t i;

    for (i = 0; i < sizeof(key); i++) {
        key[i] = hit->key[i % hit->key_len];
    }
    apr_snprintf(name, sizeof(name), "%.*sECB", name_len, hit->algorithm);
    cipher = EVP_CIPHER_fetch(NULL, is_des ? "DES-EDE3-ECB" : name, NULL);
    if (ctx
        && (!cipher || EVP_CipherInit_ex(ctx, cipher, NULL, key, NULL, enc) != 1
            || EVP_CIPHER_CTX_set_padding(ctx, 0) != 1)) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_CIPHER_free(cipher);
    OPENSSL_cleanse(key, sizeof(key));
    return ctx;
}

/* What CBC adds to byte i of the text. */
static unsigned char before(const blocks_t *blocks, const unsigned char *bytes, apr_size_t i)
{
    return i >= blocks->len ? bytes[blocks->base + i - blocks->len]
           : blocks->iv     ? blocks->iv[i]
                            : 0;
}

/* Decrypts all whole blocks of the alignment into was. */
static int decrypt_all(const probe_forge_t *known, blocks_t *blocks)
{
    const unsigned char *from = known->ticket->bytes + blocks->base;
    apr_size_t n = (known->ticket->len - blocks->base) / blocks->len * blocks->len, i;
    int out_len = 0;

    if (EVP_CipherUpdate(blocks->decrypts, blocks->was, &out_len, from, (int)n) != 1) {
        return 0;
    }
    for (i = 0; i < n && blocks->is_chained; i++) {
        blocks->was[i] ^= before(blocks, known->ticket->bytes, i);
    }
    blocks->end = blocks->base + n;
    return 1;
}

static int is_padded(const blocks_t *blocks, apr_size_t end)
{
    const unsigned char *last = blocks->was + (end - blocks->base) - 1;
    apr_size_t i;

    for (i = 0; i < *last && *last <= blocks->len && last[-(apr_ssize_t)i] == *last; i++) {
    }
    return *last > 0 && i == *last;
}

static void add_end(apr_size_t *ends, int *pn, const blocks_t *blocks, apr_size_t end)
{
    int i;

    end = blocks->base + (end - blocks->base) / blocks->len * blocks->len;
    for (i = 0; i < *pn; i++) {
        if (ends[i] == end) {
            return;
        }
    }
    if (*pn < PROBE_FORGE_VARIANTS) {
        ends[(*pn)++] = end;
    }
}

/* Where the text may end, most likely first.  Returns how many places there are. */
static int choose_ends(const probe_forge_t *known, const blocks_t *blocks, apr_size_t *ends)
{
    const probe_hit_t *mac = known->mac;
    apr_size_t len = known->ticket->len, secret_at = known->cipher->secret_at, i, end;
    int n = 0;

    if (mac && !mac->is_inside) {
        add_end(ends, &n, blocks, mac->mac_at > secret_at ? mac->mac_at : len);
        return n;
    }
    if (known->format->layout != PROBE_LAYOUT_UNKNOWN && !mac
        && len > secret_at + known->format->mac_len) {
        add_end(ends, &n, blocks, len - known->format->mac_len);
    }
    for (i = 0; i < PADDED_MAX; i++) {
        end = blocks->end > i * blocks->len ? blocks->end - i * blocks->len : 0;
        if (end > secret_at && is_padded(blocks, end)) {
            add_end(ends, &n, blocks, end);
        }
    }
    add_end(ends, &n, blocks, len);
    return n;
}

/* Writes the blocks from the first one that differs on, up to end. */
static int encrypt_from(const blocks_t *blocks, apr_size_t end, unsigned char *bytes)
{
    unsigned char block[BLOCK_MAX];
    apr_size_t at = 0, len = end - blocks->base, i;
    int out_len = 0;

    while (at < len && memcmp(blocks->was + at, blocks->text + at, blocks->len) == 0) {
        at += blocks->len;
    }
    for (; at < len; at += blocks->len) {
        unsigned char *out = bytes + blocks->base + at;

        for (i = 0; i < blocks->len; i++) {
            block[i] = blocks->text[at + i]
                       ^ (blocks->is_chained ? before(blocks, bytes, at + i) : 0);
        }
        if (EVP_CipherUpdate(blocks->encrypts, out, &out_len, block, (int)blocks->len) != 1) {
            return 0;
        }
    }
    return 1;
}

static const char *forge_in_blocks(const probe_forge_t *known, int variant, blocks_t *blocks,
                                   probe_forged_t *forged)
{
    apr_size_t ends[PROBE_FORGE_VARIANTS], len;

    if (!blocks->decrypts || !blocks->encrypts || !decrypt_all(known, blocks)) {
        return "OpenSSL lacks the cipher";
    }
    len = blocks->end - blocks->base;
    memcpy(blocks->text, blocks->was, len);
    if (!swap_in(known, blocks->text, len, blocks->base, forged)) {
        return "its secret follows from others";
    }
    seal_inside(known, blocks->was, blocks->text, len, forged);
    forged->variants_n = choose_ends(known, blocks, ends);
    if (variant >= forged->variants_n || !encrypt_from(blocks, ends[variant], forged->bytes)) {
        return "OpenSSL cannot encrypt it";
    }
    seal_outside(known, forged);
    return NULL;
}

static const char *forge_blocks(const probe_forge_t *known, int variant, probe_forged_t *forged,
                                apr_pool_t *pool)
{
    const probe_hit_t *hit = known->cipher;
    blocks_t blocks = {.decrypts = begin_cipher(hit, 0), .encrypts = begin_cipher(hit, 1)};
    const char *why;

    blocks.len = strstr(hit->algorithm, "DES") ? 8 : BLOCK_MAX;
    blocks.is_chained = strstr(hit->algorithm, "CBC") != NULL;
    /* With an opened text, its MAC's place is counted from where that begins. */
    blocks.base = known->opened_len ? known->opened_at : hit->text_at % blocks.len;
    blocks.iv = hit->iv_len && blocks.base == hit->text_at ? known->ticket->bytes + hit->iv_at
                                                           : NULL;
    blocks.was = apr_palloc(pool, known->ticket->len + BLOCK_MAX);
    blocks.text = apr_palloc(pool, known->ticket->len + BLOCK_MAX);
    why = forge_in_blocks(known, variant, &blocks, forged);
    EVP_CIPHER_CTX_free(blocks.decrypts);
    EVP_CIPHER_CTX_free(blocks.encrypts);
    return why;
}

/* ---- all ---- */

const char *probe_forge_secret(const probe_forge_t *known, int variant, probe_forged_t *forged,
                               apr_pool_t *pool)
{
    const char *name = known->cipher->algorithm, *why = NULL;

    memset(forged, 0, sizeof(*forged));
    forged->bytes = apr_pmemdup(pool, known->ticket->bytes, known->ticket->len);
    forged->variants_n = 1;
    if (strstr(name, "CBC") || strstr(name, "ECB")) {
        why = forge_blocks(known, variant, forged, pool);
    }
    else if (!forge_tagged(known, forged, &why, pool)) {
        why = forge_stream(known, forged, pool);
    }
    ERR_clear_error();
    return why;
}

int probe_forge_altered(const probe_forge_t *known, apr_size_t at, probe_forged_t *forged,
                        apr_pool_t *pool)
{
    const probe_ticket_t *ticket = known->ticket;

    forged->bytes = apr_pmemdup(pool, ticket->bytes, ticket->len);
    forged->bytes[at] ^= 0x20;
    return !forged->is_sealed
           || probe_reseal_mac(known->mac, ticket->bytes, forged->bytes, ticket->len);
}
