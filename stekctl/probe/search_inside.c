/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a MAC inside the encryption (search.h).  Blocks are decrypted without knowing where
 * the text begins, nor which IV its first block has:
 *
 *     name | IV | length | text             the IV is not what is right before the text
 *     name | text                           zeros are the IV
 *
 * If no MAC fits what was decrypted, each likely beginning is tried with the IV that it would have.
 */
#include "search.h"

#include <openssl/crypto.h>
#include <string.h>

#include "checksum.h"

#define NAMES_MAX 16
#define GAP_MAX 8 /* bytes between IV and text: a version, a length */

/* ---- one text ---- */

static int search_text(const probe_search_t *outer, const probe_opened_t *opened,
                       const probe_format_t *format, probe_hit_t *hit)
{
    probe_ticket_t text = *outer->ticket;
    probe_search_t inner = {
        .ticket = &text, .format = format, .own = outer->own, .level = outer->level};
    int found;

    text.bytes = opened->bytes;
    text.len = opened->len;
    found = text.len > 0
            && (probe_checksum_find_inside(&text, format, &inner.hit) || probe_search_mac(&inner));
    *hit = inner.hit;
    OPENSSL_cleanse(&text, sizeof(text));
    return found;
}

/* ---- where it begins ---- */

/* Takes off the first n bytes. */
static void begin_at(probe_opened_t *opened, apr_size_t n)
{
    opened->at += n;
    opened->len -= n;
    memmove(opened->bytes, opened->bytes + n, opened->len);
}

/* The MAC covers what begins at n, or is there itself: with a block, the text begins. */
static void take_beginning(probe_opened_t *opened, probe_hit_t *hit)
{
    apr_size_t n = hit->text_at < hit->mac_at ? hit->text_at : hit->mac_at;

    if (opened->block_len == 0 || n % opened->block_len != 0) {
        return;
    }
    if (opened->is_chained && opened->at + n >= opened->block_len) {
        opened->has_iv = 1;
        opened->iv_at = opened->at + n - opened->block_len;
    }
    begin_at(opened, n);
    hit->text_at -= n;
    hit->mac_at -= n;
}

/* The text from `at` on, whose first block has the IV at iv_at; or zeros.  0: it cannot be there. */
static int begin_with_iv(probe_opened_t *opened, apr_size_t at, const apr_size_t *iv_at)
{
    apr_size_t len = opened->block_len, end = iv_at ? *iv_at + len : 0, i;
    int has_before = at >= opened->at + len;

    if (at < opened->at || at + len >= opened->at + opened->len || at > opened->head_len
        || end > opened->head_len) {
        return 0;
    }
    begin_at(opened, at - opened->at);
    for (i = 0; i < len && opened->is_chained; i++) {
        opened->bytes[i] ^= (has_before ? opened->head[at - len + i] : 0)
                            ^ (iv_at ? opened->head[*iv_at + i] : 0);
    }
    opened->has_iv = opened->is_chained && iv_at;
    opened->iv_at = iv_at ? *iv_at : 0;
    opened->is_zero_iv = opened->is_chained && !iv_at;
    return 1;
}

/* ---- all of them ---- */

/* Where names may end, most likely first.  Equal bytes by chance make a common prefix longer. */
static apr_size_t choose_names(const probe_format_t *format, apr_size_t *names)
{
    static const apr_size_t usual[] = {16, 0, 4, 8, 12, 20, 32, 24, 2, 1};
    apr_size_t most = format->layout == PROBE_LAYOUT_UNKNOWN ? format->name_len : PROBE_HEAD_MAX;
    apr_size_t n = 0, i;

    for (i = 0; i < 2 && i <= format->name_len; i++) {
        names[n++] = format->name_len - i;
    }
    for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (usual[i] + 1 < format->name_len || (usual[i] > format->name_len && usual[i] <= most)) {
            names[n++] = usual[i];
        }
    }
    return n;
}

static int try_beginning(probe_search_t *search, apr_size_t name_len, int has_iv)
{
    static const probe_format_t whole = {.layout = PROBE_LAYOUT_INSIDE};
    const probe_opened_t *opened = search->opened;
    apr_size_t end = name_len + (has_iv ? opened->block_len : 0), gap;
    probe_opened_t text;
    int found = 0;

    /* Blocks leave one place, if they are to begin soon behind the IV. */
    gap = (opened->at + opened->block_len - end % opened->block_len) % opened->block_len;
    if (gap <= GAP_MAX) {
        text = *opened;
        found = begin_with_iv(&text, end + gap, has_iv ? &name_len : NULL)
                && search_text(search, &text, &whole, &search->hit);
        if (found) {
            *search->opened = text;
        }
        OPENSSL_cleanse(&text, sizeof(text));
    }
    return found;
}

int probe_search_inside(probe_search_t *search)
{
    static const probe_format_t unknown;
    probe_opened_t *opened = search->opened;
    apr_size_t names[NAMES_MAX], n, i;
    int found = search_text(search, opened, &unknown, &search->hit), has_iv;

    if (found) {
        take_beginning(opened, &search->hit);
    }
    n = opened->block_len ? choose_names(search->format, names) : 0;
    for (has_iv = opened->is_chained; has_iv >= 0 && !found; has_iv--) {
        for (i = 0; i < n && !found; i++) {
            found = try_beginning(search, names[i], has_iv);
        }
    }
    search->hit.is_inside = found;
    return found;
}
