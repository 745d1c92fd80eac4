/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time line of a ring's keys (mod_stek_status_line.h): a row per key, drawn as SVG; solid while the
 * key encrypts, pale while it only opens.  Glue; any thread of a child.
 */
#include "mod_stek_status_line.h"

#include "http_protocol.h"
#include "apr_strings.h"

#include "mod_stek_words.h"

#define LINE_WIDTH 1000 /* units across the time line */
#define ROW_HEIGHT 9    /* of one key in it */
#define ROW_TALL 16     /* where there are few, in pixels */
#define ROWS_FEW 8
#define ROWS_MAX 40    /* keys shown at most, around the current one */
#define ROWS_BEFORE 10 /* of these, keys that come after the current one */

typedef struct axis_t {
    apr_time_t from, to;
} axis_t;

static double place(const axis_t *axis, apr_time_t t)
{
    return (double)(t - axis->from) * LINE_WIDTH / (double)(axis->to - axis->from);
}

static axis_t measure(const mod_stek_view_t *view, apr_size_t first, apr_size_t end, apr_time_t now)
{
    axis_t axis = {now, now + apr_time_from_sec(1)};
    apr_size_t i;

    for (i = first; i < end; i++) {
        const mod_stek_view_key_t *key = &view->keys[i];

        axis.from = key->not_before < axis.from ? key->not_before : axis.from;
        axis.to = key->decrypt_until > axis.to ? key->decrypt_until : axis.to;
    }
    return axis;
}

static void put_span(request_rec *r, const axis_t *axis, const char *kind, const char *state,
                     apr_time_t from, apr_time_t to, apr_size_t row)
{
    if (to > from) {
        ap_rprintf(r, "<rect class=\"%s k-%s\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\"/>",
                   kind, state, place(axis, from), (int)row * ROW_HEIGHT + 1,
                   place(axis, to) - place(axis, from), ROW_HEIGHT - 2);
    }
}

static void put_key(request_rec *r, const axis_t *axis, const mod_stek_view_key_t *key,
                    apr_size_t row)
{
    const char *state = stek_state_text(key->state);

    ap_rprintf(r, "<g><title>%s, %s: encrypts %s to %s, decrypts until %s</title>", key->hex, state,
               mod_stek_time_text(key->not_before, r->pool),
               mod_stek_time_text(key->encrypt_until, r->pool),
               mod_stek_time_text(key->decrypt_until, r->pool));
    put_span(r, axis, "enc", state, key->not_before, key->encrypt_until, row);
    put_span(r, axis, "dec", state, key->encrypt_until, key->decrypt_until, row);
    ap_rputs("</g>\n", r);
}

void mod_stek_status_line(request_rec *r, const mod_stek_view_t *view, apr_time_t now)
{
    static const stek_state_e states[] = {STEK_STATE_CURRENT, STEK_STATE_OLD, STEK_STATE_FUTURE};
    apr_size_t first = 0, end, i;
    axis_t axis;

    while (first < view->key_n && view->keys[first].state == STEK_STATE_FUTURE) {
        first++;
    }
    first = view->key_n <= ROWS_MAX || first < ROWS_BEFORE ? 0 : first - ROWS_BEFORE;
    end = first + ROWS_MAX < view->key_n ? first + ROWS_MAX : view->key_n;
    axis = measure(view, first, end, now);
    ap_rprintf(r,
               "<svg class=\"line\" role=\"img\" aria-label=\"timeline of %d keys\" "
               "viewBox=\"0 0 %d %d\" height=\"%d\" preserveAspectRatio=\"none\">\n",
               (int)view->key_n, LINE_WIDTH, (int)(end - first) * ROW_HEIGHT,
               (int)(end - first) * (end - first <= ROWS_FEW ? ROW_TALL : ROW_HEIGHT));
    for (i = first; i < end; i++) {
        put_key(r, &axis, &view->keys[i], i - first);
    }
    ap_rprintf(r, "<line class=\"now\" x1=\"%.2f\" x2=\"%.2f\" y1=\"0\" y2=\"%d\"/></svg>\n",
               place(&axis, now), place(&axis, now), (int)(end - first) * ROW_HEIGHT);
    ap_rprintf(r, "<div class=\"ends dim\"><span>%s ago</span><span>",
               mod_stek_span_text(now - axis.from, r->pool));
    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        ap_rprintf(r,
                   "<svg class=\"sw\" viewBox=\"0 0 1 1\"><rect class=\"enc k-%s\" width=\"1\" "
                   "height=\"1\"/></svg> %s key &nbsp;",
                   stek_state_text(states[i]), stek_state_text(states[i]));
    }
    ap_rprintf(r, "solid: encrypts, pale: decrypts; line: now%s</span><span>in %s</span></div>\n",
               end - first < view->key_n ? "; further keys are not shown" : "",
               mod_stek_span_text(axis.to - now, r->pool));
}
