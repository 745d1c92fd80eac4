/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places of a MAC (mac_spans.h).  A layout that is not known begins with a name, perhaps a nonce and
 * a length; each of these may be covered or not, and the MAC may be behind any of them.
 */
#include "mac_spans.h"

#define COVERED_MIN 16
#define HEADS_MAX 48
#define MAC_MIN 8      /* shorter ones would be found by chance; checksums are proved otherwise */
#define LONG_DIGEST 48 /* takes long to compute, and is seldom cut to few bytes */
#define FRONT_MIN 10   /* bytes of a MAC in front, which is looked for at many places */

/* Full and commonly truncated lengths. */
static const apr_size_t mac_lens[] = {64, 48, 32, 28, 24, 20, 16, 12, 10, 8, 4};

/* Offsets at which what a MAC covers may begin, or a MAC in front. */
typedef struct heads_t {
    apr_size_t at[HEADS_MAX];
    apr_size_t n;
} heads_t;

static void add_head(heads_t *heads, apr_size_t at)
{
    apr_size_t i;

    for (i = 0; i < heads->n; i++) {
        if (heads->at[i] == at) {
            return;
        }
    }
    if (heads->n < HEADS_MAX) {
        heads->at[heads->n++] = at;
    }
}

/* Behind a name that ends at `at`: a nonce, perhaps a length. */
static void add_heads_behind(heads_t *heads, apr_size_t at, apr_size_t nonces_n)
{
    static const apr_size_t behind[] = {0, 16, 12, 18, 14, 8, 24, 2, 10, 26, 13};
    apr_size_t i;

    for (i = 0; i < nonces_n && i < sizeof(behind) / sizeof(behind[0]); i++) {
        add_head(heads, at + behind[i]);
    }
}

static void choose_heads(heads_t *heads, const probe_format_t *format, probe_level_e level)
{
    static const apr_size_t common[] = {16, 32, 4, 2, 12, 20, 48}, ecb[] = {20, 22, 18, 34};
    apr_size_t name_len = format->name_len, i;
    int is_open = format->layout == PROBE_LAYOUT_UNKNOWN || format->layout == PROBE_LAYOUT_OPENSSL;

    heads->n = 0;
    add_head(heads, 0);
    if (format->layout == PROBE_LAYOUT_INSIDE) {
        return;
    }
    if (name_len) {
        add_head(heads, name_len);
    }
    if (is_open) {
        add_heads_behind(heads, name_len, 11);
        /* Nothing but a length shows OpenSSL's layout. */
        if (format->prefix_len > name_len + 1) {
            add_heads_behind(heads, format->prefix_len, 5);
        }
    }
    if (format->layout == PROBE_LAYOUT_UNKNOWN) {
        /* The first byte behind the name may be equal by chance. */
        add_heads_behind(heads, name_len > 16 ? 16 : name_len > 8 ? 8 : name_len > 4 ? 4 : 0, 5);
    }
    /* Blocks that look alike in every ticket (ECB) seem to belong to a shorter name. */
    for (i = 4; is_open && name_len > 16 && i <= 12; i += 4) {
        add_head(heads, i);
    }
    for (i = 0; is_open && name_len >= 32 && i < sizeof(ecb) / sizeof(ecb[0]); i++) {
        add_head(heads, ecb[i]);
    }
    for (i = 0;
         (level > PROBE_QUICK || (is_open && !name_len)) && i < sizeof(common) / sizeof(common[0]);
         i++) {
        add_head(heads, common[i]);
    }
}

static void add_span(probe_spans_t *spans, const probe_span_t *span)
{
    apr_size_t i;

    for (i = 0; i < spans->n; i++) {
        const probe_span_t *other = &spans->all[i];

        if (other->mac_at == span->mac_at && other->mac_len == span->mac_len
            && other->from == span->from && other->len == span->len
            && other->second_len == span->second_len) {
            return;
        }
    }
    if (spans->n < PROBE_SPANS_MAX && span->len + span->second_len >= COVERED_MIN) {
        spans->all[spans->n++] = *span;
        spans->usual_n += span->is_usual != 0;
    }
}

/* A MAC at the end over what begins at from. */
static void add_behind(probe_spans_t *spans, apr_size_t len, apr_size_t from, apr_size_t mac_len,
                       int is_usual)
{
    probe_span_t span = {.mac_len = mac_len, .from = from, .is_usual = is_usual};

    if (len >= from + mac_len) {
        span.mac_at = len - mac_len;
        span.len = span.mac_at - from;
        add_span(spans, &span);
    }
}

/* A MAC at a place in front, over what follows it, and with what precedes it. */
static void add_front(probe_spans_t *spans, apr_size_t len, apr_size_t at, apr_size_t mac_len)
{
    apr_size_t end = at + mac_len;
    probe_span_t span = {.mac_at = at, .mac_len = mac_len, .from = end};

    if (len >= end) {
        span.len = len - end;
        add_span(spans, &span);
        span.from = 0;
        span.len = at;
        span.second_from = end;
        span.second_len = len - end;
        add_span(spans, &span);
    }
}

/* If the layout is known, its own place gets all keys; that of OpenSSL has no length field, so the
 * MAC's length is not certain. */
void probe_mac_spans(probe_spans_t *spans, apr_size_t ticket_len, const probe_format_t *format,
                     apr_size_t digest_len, probe_level_e level, int is_again)
{
    int is_known = format->layout != PROBE_LAYOUT_UNKNOWN;
    int is_huge = ticket_len > PROBE_TEXT_MAX;
    int is_own = !is_known || format->mac_len == digest_len || is_again
                 || (format->layout == PROBE_LAYOUT_OPENSSL && digest_len % 16 == 0);
    apr_size_t i, j;
    apr_size_t front_min = digest_len < FRONT_MIN ? digest_len
                           : level > PROBE_QUICK  ? FRONT_MIN
                                                  : 16;
    heads_t heads;

    spans->n = spans->usual_n = 0;
    add_behind(spans, ticket_len, 0, digest_len, is_own);
    if (is_huge) {
        return;
    }
    if (!is_known || format->mac_len == digest_len) {
        add_behind(spans, ticket_len, 16, digest_len, !is_known);
    }
    if (is_known && format->mac_len == digest_len) {
        add_behind(spans, ticket_len, format->text_at, digest_len, 0);
    }
    choose_heads(&heads, format, level);
    for (i = 0; i < sizeof(mac_lens) / sizeof(mac_lens[0]); i++) {
        int is_cut = mac_lens[i] == 16 || mac_lens[i] == 12 || mac_lens[i] == 10;
        int is_common = mac_lens[i] == digest_len || level > PROBE_NORMAL
                        || (is_cut
                            && (digest_len < LONG_DIGEST || !is_known || level > PROBE_QUICK));

        if (mac_lens[i] > digest_len || (mac_lens[i] < MAC_MIN && mac_lens[i] < digest_len)) {
            continue;
        }
        for (j = 0; j < heads.n; j++) {
            if (is_common || j < 2) {
                /* Over everything before it, it is usual even if it is cut. */
                add_behind(spans, ticket_len, heads.at[j], mac_lens[i],
                           !is_known && is_common && heads.at[j] == 0);
            }
            if (is_common && mac_lens[i] >= front_min) {
                add_front(spans, ticket_len, heads.at[j], mac_lens[i]);
            }
        }
    }
}
