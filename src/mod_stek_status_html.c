/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as a page: one document without script or outside resources.  The policy in its header
 * allows one style sheet, by its digest, and nothing else.  Glue; any thread of a child.
 */
#include "mod_stek_status_html.h"

#include "http_protocol.h"
#include "apr_strings.h"
#include <openssl/err.h>
#include <openssl/evp.h>

#include "mod_stek_words.h"
#include "stek_escape.h"
#include "stek_time.h"
#include "stek_version.h"

#define COUNT APR_UINT64_T_FMT
#define LINE_WIDTH 1000 /* units across the time line */
#define ROW_HEIGHT 9    /* of one key in it */
#define ROW_TALL 16     /* where there are few, in pixels */
#define ROWS_FEW 8
#define ROWS_MAX 40    /* keys shown at most, around the current one */
#define ROWS_BEFORE 10 /* of these, keys that come after the current one */
#define VHOSTS_OPEN 20 /* more virtual hosts than that are folded */
#define RATE_SPAN_MIN_S 10

static const char css[] =
    ":root{color-scheme:light dark;--bg:#ffffff;--panel:#f5f7f9;--text:#1c2430;--dim:#55606e;"
    "--line:#d5dae0;--good:#17663a;--bad:#a4232b;--current:#1d8250;--old:#7b8896;--future:#3a6ea5}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#14181d;--panel:#1b2128;--text:#e6eaef;"
    "--dim:#a3aebb;--line:#39424d;--good:#6fd39a;--bad:#ff9494;--current:#3fae74;--old:#7f8d9c;"
    "--future:#6aa3dd}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:1rem;max-width:80rem;background:var(--bg);color:var(--text);"
    "font:1rem/1.45 system-ui,sans-serif;overflow-wrap:break-word}\n"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.2rem;margin:0}h3{font-size:1rem;margin:1rem 0 .3rem}\n"
    "p{margin:.3rem 0}section{margin:1rem 0;padding:1rem;background:var(--panel);"
    "border:1px solid var(--line);border-radius:.5rem}\n"
    ".good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}"
    ".dim{color:var(--dim);font-size:.875rem}\n"
    ".ends{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem}\n"
    ".line{display:block;width:100%;margin:.6rem 0 .2rem;background:var(--bg);"
    "border:1px solid var(--line)}\n"
    ".enc.k-current{fill:var(--current)}.enc.k-old,.enc.k-ended{fill:var(--old)}"
    ".enc.k-future{fill:var(--future)}\n"
    ".dec{fill-opacity:.45}.dec.k-current{fill:var(--current)}.dec.k-old,.dec.k-ended{fill:var(--old)}"
    ".dec.k-future{fill:var(--future)}\n"
    ".now{stroke:var(--bad);stroke-width:2;vector-effect:non-scaling-stroke}\n"
    ".sw{display:inline-block;width:.8em;height:.8em;vertical-align:-.05em}\n"
    ".cols{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(21rem,100%),1fr));"
    "gap:0 2rem}\n"
    ".scroll{overflow-x:auto}.scroll td:first-child{min-width:11rem}.cols td:first-child{"
    "white-space:nowrap}.cols .wide{overflow-wrap:anywhere}\n"
    "table{border-collapse:collapse;width:100%;font-size:.875rem}\n"
    "th,td{text-align:left;padding:.2rem .5rem .2rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:middle}th{font-weight:600}\n"
    "@media (max-width:30rem){section{padding:.7rem}.cols td:first-child{white-space:normal}}\n"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.b{width:24%;white-space:nowrap}\n"
    ".bar{display:block;width:100%;min-width:3.5rem;height:.6rem}.bar rect{fill:var(--future)}\n"
    "summary{cursor:pointer;font-weight:600}code{font-size:.95em}\n";

const char *mod_stek_status_csp(apr_pool_t *pool)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    if (!EVP_Digest(css, sizeof(css) - 1, digest, &len, EVP_sha256(), NULL)) {
        ERR_clear_error();
        return NULL;
    }
    EVP_EncodeBlock((unsigned char *)text, digest, (int)len);
    return apr_psprintf(pool,
                        "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
                        "form-action 'none'; frame-ancestors 'none'",
                        text);
}

static const char *html(const char *text, request_rec *r)
{
    return stek_escape_html(text, r->pool);
}

/* ---- time line ---- */

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

    ap_rprintf(r, "<g><title>%s, %s: encrypts %s to %s, opens until %s</title>", key->hex, state,
               mod_stek_time_text(key->not_before, r->pool),
               mod_stek_time_text(key->encrypt_until, r->pool),
               mod_stek_time_text(key->decrypt_until, r->pool));
    put_span(r, axis, "enc", state, key->not_before, key->encrypt_until, row);
    put_span(r, axis, "dec", state, key->encrypt_until, key->decrypt_until, row);
    ap_rputs("</g>\n", r);
}

static void put_line(request_rec *r, const mod_stek_view_t *view, apr_time_t now)
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
               "<svg class=\"line\" role=\"img\" aria-label=\"time line of %d keys\" "
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
    ap_rprintf(r, "solid: encrypts, pale: opens; line: now%s</span><span>in %s</span></div>\n",
               end - first < view->key_n ? "; further keys are not shown" : "",
               mod_stek_span_text(axis.to - now, r->pool));
}

/* ---- counters ---- */

static const struct {
    const char *words;
    int counter;
} rows[] = {
    {"no ticket offered", MOD_STEK_NOT_OFFERED},
    {"resumed, current key", MOD_STEK_RESUMED_CURRENT},
    {"resumed, old key", MOD_STEK_RESUMED_OLD},
    {"resumed, future key", MOD_STEK_RESUMED_FUTURE},
    {"refused, unknown key", MOD_STEK_REFUSED_UNKNOWN},
    {"refused, key expired", MOD_STEK_REFUSED_EXPIRED},
    {"refused, damaged", MOD_STEK_REFUSED_DAMAGED},
    {"refused, policy", MOD_STEK_REFUSED_POLICY},
    {"refused, session too old", MOD_STEK_REFUSED_AGE},
    {"refused, secrecy", MOD_STEK_REFUSED_SECRECY},
};

static void put_bar(request_rec *r, apr_uint64_t part, apr_uint64_t whole)
{
    ap_rprintf(r,
               "<td class=\"b\"><svg class=\"bar\" viewBox=\"0 0 100 1\" "
               "preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"%.2f\" "
               "height=\"1\"/></svg></td>",
               whole ? 100.0 * (double)part / (double)whole : 0.0);
}

/* Per minute since the totals remembered; a dash until they are old enough to tell. */
static void put_rate(request_rec *r, const mod_stek_totals_t *totals, int counter, apr_time_t now)
{
    double span_s = (double)(now - totals->before_at) / APR_USEC_PER_SEC;
    apr_uint64_t more = totals->all[counter] > totals->before[counter]
                            ? totals->all[counter] - totals->before[counter]
                            : 0;

    if (totals->before_at == 0 || span_s < RATE_SPAN_MIN_S) {
        ap_rputs("<td class=\"n\">-</td>", r);
    }
    else {
        ap_rprintf(r, "<td class=\"n\">%.1f</td>", 60 * (double)more / span_s);
    }
}

static void put_counter(request_rec *r, const mod_stek_totals_t *totals, const char *words,
                        int counter, apr_time_t now)
{
    ap_rprintf(r, "<tr><td>%s</td><td class=\"n\">%" COUNT "</td>", words, totals->all[counter]);
    put_rate(r, totals, counter, now);
}

static void put_counters(request_rec *r, const mod_stek_totals_t *totals, apr_time_t now)
{
    apr_uint64_t whole = mod_stek_counts_sum(totals->all, MOD_STEK_RESUMED_CURRENT,
                                             MOD_STEK_NOT_OFFERED - MOD_STEK_RESUMED_CURRENT + 1);
    apr_size_t i;

    ap_rprintf(r,
               "<div><h3>Handshakes</h3><table><tr><th>what</th><th class=\"n\">count</th>"
               "<th class=\"n\">per min</th><th class=\"b\">of %" COUNT "</th></tr>\n",
               whole);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_counter(r, totals, rows[i].words, rows[i].counter, now);
        put_bar(r, totals->all[rows[i].counter], whole);
        ap_rputs("</tr>\n", r);
    }
    put_counter(r, totals, "without ticket: no key", MOD_STEK_KEYLESS, now);
    put_bar(r, totals->all[MOD_STEK_KEYLESS], whole);
    ap_rputs("</tr>\n", r);
    put_counter(r, totals, "tickets not sealed", MOD_STEK_UNSEALED, now);
    put_bar(r, totals->all[MOD_STEK_UNSEALED], whole);
    ap_rputs("</tr>\n", r);
    put_counter(r, totals, "tickets issued", MOD_STEK_ISSUED, now);
    ap_rputs("<td></td></tr>\n</table></div>\n", r);
}

static void put_ages(request_rec *r, const mod_stek_totals_t *totals)
{
    apr_uint64_t whole = mod_stek_counts_sum(totals->all, MOD_STEK_AGE, MOD_STEK_AGE_BOUND_N + 1);
    int b;

    ap_rprintf(r,
               "<div><h3>Age of tickets that resumed</h3><table><tr><th>up to</th>"
               "<th class=\"n\">count</th><th class=\"b\">of %" COUNT "</th></tr>\n",
               whole);
    for (b = 0; b <= MOD_STEK_AGE_BOUND_N; b++) {
        ap_rprintf(r, "<tr><td>%s</td><td class=\"n\">%" COUNT "</td>",
                   b < MOD_STEK_AGE_BOUND_N
                       ? mod_stek_span_text(apr_time_from_sec(mod_stek_age_bounds[b]), r->pool)
                       : "longer",
                   totals->all[MOD_STEK_AGE + b]);
        put_bar(r, totals->all[MOD_STEK_AGE + b], whole);
        ap_rputs("</tr>\n", r);
    }
    ap_rputs("</table></div>\n", r);
}

static const char *ago(apr_time_t t, apr_time_t now, apr_pool_t *pool)
{
    return t ? apr_pstrcat(pool, mod_stek_span_text(now - t, pool), " ago", NULL) : "never";
}

static void put_loads(request_rec *r, const mod_stek_totals_t *totals, apr_time_t now)
{
    int i, any = 0;

    ap_rprintf(r, "<tr><td>file loaded</td><td>%" COUNT ", last %s</td></tr>\n",
               totals->all[MOD_STEK_LOADS], ago(totals->loaded_at, now, r->pool));
    ap_rputs("<tr><td>file refused</td><td>", r);
    for (i = MOD_STEK_LOAD_FAILED_MISSING; i <= MOD_STEK_LOAD_FAILED_OTHER; i++) {
        if (totals->all[i]) {
            ap_rprintf(r, "%s%s: %" COUNT, any ? ", " : "",
                       mod_stek_cause_texts[i - MOD_STEK_LOAD_FAILED_MISSING], totals->all[i]);
            any = 1;
        }
    }
    ap_rprintf(r, "%s</td></tr>\n", any ? "" : "never");
}

/* Of so many bytes in so many tickets. */
static const char *mean_text(apr_uint64_t bytes, apr_uint64_t tickets, apr_pool_t *pool)
{
    return tickets ? apr_psprintf(pool, "%.0f", (double)bytes / (double)tickets) : "-";
}

static void put_sizes(request_rec *r, const mod_stek_totals_t *totals)
{
    apr_uint64_t offered = mod_stek_counts_sum(totals->all, MOD_STEK_RESUMED_CURRENT,
                                               MOD_STEK_NOT_OFFERED - MOD_STEK_RESUMED_CURRENT);

    ap_rprintf(r, "<tr><td>mean size of tickets</td><td>%s bytes issued, %s offered</td></tr>\n",
               mean_text(totals->all[MOD_STEK_ISSUED_BYTES], totals->all[MOD_STEK_ISSUED], r->pool),
               mean_text(totals->all[MOD_STEK_OFFERED_BYTES], offered, r->pool));
}

static void put_facts(request_rec *r, const mod_stek_ring_snapshot_t *ring, apr_time_t now)
{
    const mod_stek_view_t *view = &ring->view;
    const stek_params_t *params = &ring->ring->params;

    ap_rputs("<div><h3>Ring</h3><table>\n", r);
    ap_rprintf(r, "<tr><td>current key</td><td>%s%s%s</td></tr>\n",
               *view->current_hex ? view->current_hex : "none", *view->next_hex ? ", next " : "",
               view->next_hex);
    ap_rprintf(r, "<tr><td>prepared until</td><td>%s</td></tr>\n",
               mod_stek_time_text(view->health.covered_until, r->pool));
    ap_rprintf(r, "<tr><td>interval, lifetime</td><td>%s, %s; keys made %s</td></tr>\n",
               stek_time_text(params->interval, r->pool), stek_time_text(params->lifetime, r->pool),
               ring->ring->generate ? "by httpd" : "elsewhere");
    ap_rprintf(r,
               "<tr><td>epoch, generation</td><td>%" COUNT ", %" COUNT "; %d revoked</td></tr>\n",
               view->epoch, view->generation, (int)view->tombstone_n);
    ap_rprintf(r, "<tr><td>source</td><td class=\"wide\">%s, written %s</td></tr>\n",
               html(ring->source, r), ago(view->written_at, now, r->pool));
    put_sizes(r, &ring->totals);
    put_loads(r, &ring->totals, now);
    ap_rprintf(r, "<tr><td>httpd's parent</td><td>%s%s%s%s</td></tr>\n", "looked ",
               ago(ring->totals.parent_looked_at, now, r->pool), ring->parent_trouble ? "; " : "",
               ring->parent_trouble ? html(ring->parent_trouble, r) : "");
    ap_rputs("</table></div>\n", r);
}

static void put_ring(request_rec *r, const mod_stek_ring_snapshot_t *ring, apr_time_t now)
{
    int i;

    ap_rprintf(r, "<section>\n<h2>%s <span class=\"%s\">%s</span></h2>\n<p>%s</p>\n",
               html(ring->ring->name, r), ring->reason_n ? "bad" : "good",
               ring->reason_n ? "not healthy" : "healthy",
               html(mod_stek_snapshot_sentence(ring, now, r->pool), r));
    for (i = 0; i < ring->reason_n; i++) {
        ap_rprintf(r, "<p class=\"bad\">%s</p>\n", html(ring->reasons[i].text, r));
    }
    if (ring->view.key_n) {
        put_line(r, &ring->view, now);
    }
    ap_rputs("<div class=\"cols\">\n", r);
    put_counters(r, &ring->totals, now);
    put_ages(r, &ring->totals);
    put_facts(r, ring, now);
    ap_rputs("</div>\n</section>\n", r);
}

/* ---- virtual hosts ---- */

/* "2, resumed 1, on request up to 4" */
static const char *count_text(const mod_stek_ticket_count_t *count, apr_pool_t *pool)
{
    const char *text = apr_psprintf(pool, "%d, resumed %d", count->full, count->resumed);

    return count->max ? apr_psprintf(pool, "%s, on request up to %d", text, count->max) : text;
}

static void put_vhost(request_rec *r, const mod_stek_vhost_t *vhost, apr_pool_t *pool)
{
    const server_rec *s = vhost->server;

    ap_rprintf(r, "<tr><td>%s:%d</td>",
               stek_escape_html(s->server_hostname ? s->server_hostname : "main server", pool),
               s->addrs ? s->addrs->host_port : s->port);
    if (!vhost->ring) {
        ap_rputs("<td colspan=\"6\">left to mod_ssl</td></tr>\n", r);
        return;
    }
    ap_rprintf(r,
               "<td>%s</td><td>%s</td><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"
               "<td>%s</td></tr>\n",
               stek_escape_html(vhost->ring->name, pool), mod_stek_vhost_tickets_text(vhost),
               vhost->bound ? "policy" : "off", stek_time_text(vhost->limits.lifetime, pool),
               vhost->limits.max_age ? stek_time_text(vhost->limits.max_age, pool) : "no limit",
               count_text(&vhost->count, pool));
}

static void put_vhosts(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    apr_pool_t *pool;
    int i;

    if (apr_pool_create(&pool, r->pool) != APR_SUCCESS) {
        return;
    }
    ap_rprintf(r,
               "<section><details%s><summary>%d virtual host%s</summary>\n<div class=\"scroll\">"
               "<table><tr><th>name</th><th>ring</th><th>tickets</th><th>binding</th>"
               "<th class=\"n\">lifetime</th><th class=\"n\">max age</th>"
               "<th>TLS 1.3 tickets</th></tr>\n",
               snapshot->vhost_n > VHOSTS_OPEN ? "" : " open", snapshot->vhost_n,
               snapshot->vhost_n == 1 ? "" : "s");
    for (i = 0; i < snapshot->vhost_n; i++) {
        put_vhost(r, snapshot->vhosts[i], pool);
        apr_pool_clear(pool);
    }
    ap_rputs("</table></div></details></section>\n", r);
    apr_pool_destroy(pool);
}

void mod_stek_status_html(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    int i, bad_n = 0;

    for (i = 0; i < snapshot->ring_n; i++) {
        bad_n += snapshot->rings[i].reason_n > 0;
    }
    ap_rputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
             "<title>Session ticket keys</title>\n<style>",
             r);
    ap_rputs(css, r);
    ap_rprintf(r,
               "</style></head>\n<body>\n<header><h1>Session ticket keys</h1>\n"
               "<p class=\"%s\">",
               bad_n ? "bad" : "good");
    if (snapshot->ring_n == 0) {
        ap_rputs("No virtual host uses a ring", r);
    }
    else if (bad_n) {
        ap_rprintf(r, "%d of %d ring%s %s not healthy", bad_n, snapshot->ring_n,
                   snapshot->ring_n == 1 ? "" : "s", bad_n == 1 ? "is" : "are");
    }
    else {
        ap_rputs(snapshot->ring_n == 1 ? "The ring is healthy" : "All rings are healthy", r);
    }
    ap_rprintf(r,
               "</p>\n<p class=\"dim\">%s; mod_stek_rotate " STEK_VERSION
               "; counted since httpd was started</p></header>\n<main>\n",
               mod_stek_time_text(snapshot->now, r->pool));
    for (i = 0; i < snapshot->ring_n; i++) {
        put_ring(r, &snapshot->rings[i], snapshot->now);
    }
    put_vhosts(r, snapshot);
    ap_rputs("</main>\n</body></html>\n", r);
}
