/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as a page: one document without script or outside resources, rings in trouble first.
 * Its links lead to itself.  Glue; any thread of a child.
 */
#include "mod_stek_status_html.h"

#include "http_protocol.h"
#include "apr_strings.h"

#include "mod_stek_status_line.h"
#include "mod_stek_status_style.h"
#include "mod_stek_words.h"
#include "stek_escape.h"
#include "stek_time.h"
#include "stek_version.h"

#define COUNT APR_UINT64_T_FMT
#define RINGS_OPEN 3   /* if there are more, healthy ones are folded */
#define VHOSTS_OPEN 20 /* more virtual hosts than that are folded */
#define REFRESH_S 10   /* that the page offers */
#define HOUR_NEARLY apr_time_from_sec(59 * 60)
#define RATE_SPAN_MIN_S 10

static const char *html(const char *text, request_rec *r)
{
    return stek_escape_html(text, r->pool);
}

/* The same with a path in it, which may go on in the next line from any of its slashes. */
static const char *html_path(const char *text, request_rec *r)
{
    const char *at = html(text, r), *slash = at;
    const char *made = "";

    while ((slash = strchr(slash, '/')) != NULL) {
        if (slash > at && slash[-1] != ' ') {
            made = apr_psprintf(r->pool, "%s%.*s<wbr>", made, (int)(slash - at), at);
            at = slash;
        }
        slash++;
    }
    return apr_pstrcat(r->pool, made, at, NULL);
}

/* ---- rate of resumption ---- */

static void put_percent(request_rec *r, const mod_stek_rate_t *rate)
{
    ap_rprintf(r, "<b>%.1f %%</b>", 100.0 * (double)rate->resumed / (double)rate->all);
}

static void put_share(request_rec *r, const mod_stek_rate_t *rate, const char *words)
{
    const char *span = rate->span >= HOUR_NEARLY ? "hour" : mod_stek_span_text(rate->span, r->pool);

    if (rate->all) {
        put_percent(r, rate);
        ap_rprintf(r, " %s", words);
    }
    else {
        ap_rputs("no handshakes", r);
    }
    ap_rprintf(r, " in the last %s", span);
}

/* Now and over an hour, as far as it is known; total: since httpd was started. */
static void put_rate_words(request_rec *r, const mod_stek_rate_t *now, const mod_stek_rate_t *hour,
                           const mod_stek_rate_t *total)
{
    ap_rputs("<span class=\"rate\">", r);
    if (total->all == 0) {
        ap_rputs("no handshakes yet", r);
    }
    else if (now->span == 0) {
        put_percent(r, total);
        ap_rputs(" of handshakes resumed since httpd was started", r);
    }
    else {
        put_share(r, now, "of handshakes resumed");
        if (hour->span > now->span) {
            ap_rputs(", ", r);
            put_share(r, hour, "");
        }
    }
    ap_rputs("</span>", r);
}

static void add_rate(mod_stek_rate_t *sum, const mod_stek_rate_t *rate)
{
    sum->span = rate->span > sum->span ? rate->span : sum->span;
    sum->resumed = mod_stek_counts_add(sum->resumed, rate->resumed);
    sum->all = mod_stek_counts_add(sum->all, rate->all);
}

static void put_rate_of_all(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    mod_stek_rate_t now = {0}, hour = {0}, total = {0}, one;
    int i;

    for (i = 0; i < snapshot->ring_n; i++) {
        add_rate(&now, &snapshot->rings[i].rate_now);
        add_rate(&hour, &snapshot->rings[i].rate_hour);
        mod_stek_counts_handshakes(snapshot->rings[i].totals.all, &one);
        add_rate(&total, &one);
    }
    ap_rputs("<p>", r);
    put_rate_words(r, &now, &hour, &total);
    ap_rputs("</p>\n", r);
}

/* ---- counters ---- */

/* kind: the colour of the bar. */
static const struct {
    const char *words, *kind;
    int counter;
} rows[] = {
    {"resumed, current key", "resumed", MOD_STEK_RESUMED_CURRENT},
    {"resumed, old key", "resumed", MOD_STEK_RESUMED_OLD},
    {"resumed, future key", "resumed", MOD_STEK_RESUMED_FUTURE},
    {"no ticket offered", "new", MOD_STEK_NOT_OFFERED},
    {"refused, unknown key", "refused", MOD_STEK_REFUSED_UNKNOWN},
    {"refused, key expired", "refused", MOD_STEK_REFUSED_EXPIRED},
    {"refused, policy", "refused", MOD_STEK_REFUSED_POLICY},
    {"refused, session too old", "refused", MOD_STEK_REFUSED_AGE},
    {"refused, TLS 1.2", "refused", MOD_STEK_REFUSED_SECRECY},
    {"refused, damaged", "wrong", MOD_STEK_REFUSED_DAMAGED},
    {"without ticket: no key", "wrong", MOD_STEK_KEYLESS},
    {"tickets not sealed", "wrong", MOD_STEK_UNSEALED},
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
                        const char *kind, int counter, apr_time_t now)
{
    ap_rprintf(r, "<tr class=\"%s%s\"><td>%s</td><td class=\"n\">%" COUNT "</td>", kind,
               totals->all[counter] ? "" : " zero", words, totals->all[counter]);
    put_rate(r, totals, counter, now);
}

static int any_counted(const mod_stek_totals_t *totals)
{
    apr_size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (totals->all[rows[i].counter]) {
            return 1;
        }
    }
    return totals->all[MOD_STEK_ISSUED] != 0;
}

static void put_counters(request_rec *r, const mod_stek_totals_t *totals, apr_time_t now)
{
    mod_stek_rate_t total;
    apr_size_t i;

    ap_rputs("<div><h3>Handshakes</h3>", r);
    if (!any_counted(totals)) {
        ap_rputs("<p class=\"dim\">none yet</p></div>\n", r);
        return;
    }
    mod_stek_counts_handshakes(totals->all, &total);
    ap_rprintf(r,
               "<table><tr><th>what</th><th class=\"n\">count</th>"
               "<th class=\"n\">per min</th><th class=\"b\">of %" COUNT "</th></tr>\n",
               total.all);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_counter(r, totals, rows[i].words, rows[i].kind, rows[i].counter, now);
        put_bar(r, totals->all[rows[i].counter], total.all);
        ap_rputs("</tr>\n", r);
    }
    put_counter(r, totals, "tickets issued", "new", MOD_STEK_ISSUED, now);
    ap_rputs("<td></td></tr>\n</table></div>\n", r);
}

/* Buckets before the first and after the last ticket are left out. */
static void put_ages(request_rec *r, const mod_stek_totals_t *totals)
{
    const apr_uint64_t *ages = totals->all + MOD_STEK_AGE;
    apr_uint64_t whole = mod_stek_counts_sum(ages, 0, MOD_STEK_AGE_BOUND_N + 1);
    int b = 0, end = MOD_STEK_AGE_BOUND_N + 1;

    ap_rputs("<div><h3>Age of tickets that resumed</h3>", r);
    if (whole == 0) {
        ap_rputs("<p class=\"dim\">none yet</p></div>\n", r);
        return;
    }
    for (; b < end - 1 && ages[b] == 0; b++) {
    }
    for (; end > b + 1 && ages[end - 1] == 0; end--) {
    }
    ap_rprintf(r,
               "<table><tr><th>up to</th><th class=\"n\">count</th>"
               "<th class=\"b\">of %" COUNT "</th></tr>\n",
               whole);
    for (; b < end; b++) {
        ap_rprintf(r, "<tr class=\"resumed%s\"><td>%s</td><td class=\"n\">%" COUNT "</td>",
                   ages[b] ? "" : " zero",
                   b < MOD_STEK_AGE_BOUND_N
                       ? mod_stek_span_text(apr_time_from_sec(mod_stek_age_bounds[b]), r->pool)
                       : "longer",
                   ages[b]);
        put_bar(r, ages[b], whole);
        ap_rputs("</tr>\n", r);
    }
    ap_rputs("</table></div>\n", r);
}

static const char *ago(apr_time_t t, apr_time_t now, apr_pool_t *pool)
{
    return t ? apr_pstrcat(pool, mod_stek_span_text(now - t, pool), " ago", NULL) : "never";
}

/* "once", "2 times" */
static const char *times_text(apr_uint64_t n, apr_pool_t *pool)
{
    return n == 1 ? "once" : apr_psprintf(pool, "%" COUNT " times", n);
}

static void put_loads(request_rec *r, const mod_stek_totals_t *totals, apr_time_t now)
{
    int i, any = 0;

    if (totals->all[MOD_STEK_LOADS]) {
        ap_rprintf(r, "<tr><td>file loaded</td><td>%s, last %s</td></tr>\n",
                   times_text(totals->all[MOD_STEK_LOADS], r->pool),
                   ago(totals->loaded_at, now, r->pool));
    }
    else {
        ap_rputs("<tr><td>file loaded</td><td>never</td></tr>\n", r);
    }
    ap_rputs("<tr><td>file refused</td><td>", r);
    for (i = MOD_STEK_LOAD_FAILED_MISSING; i <= MOD_STEK_LOAD_FAILED_OTHER; i++) {
        if (totals->all[i]) {
            ap_rprintf(r, "%s%s: %s", any ? ", " : "",
                       mod_stek_cause_texts[i - MOD_STEK_LOAD_FAILED_MISSING],
                       times_text(totals->all[i], r->pool));
            any = 1;
        }
    }
    ap_rprintf(r, "%s</td></tr>\n", any ? "" : "never");
}

/* Of so many bytes in so many tickets. */
static const char *mean_text(apr_uint64_t bytes, apr_uint64_t tickets, const char *what,
                             apr_pool_t *pool)
{
    return tickets ? apr_psprintf(pool, "%.0f bytes %s", (double)bytes / (double)tickets, what)
                   : apr_psprintf(pool, "none %s", what);
}

static void put_sizes(request_rec *r, const mod_stek_totals_t *totals)
{
    apr_uint64_t offered = mod_stek_counts_sum(totals->all, MOD_STEK_RESUMED_CURRENT,
                                               MOD_STEK_NOT_OFFERED - MOD_STEK_RESUMED_CURRENT);

    ap_rprintf(r, "<tr><td>mean size of tickets</td><td>%s, %s</td></tr>\n",
               mean_text(totals->all[MOD_STEK_ISSUED_BYTES], totals->all[MOD_STEK_ISSUED], "issued",
                         r->pool),
               mean_text(totals->all[MOD_STEK_OFFERED_BYTES], offered, "offered", r->pool));
}

/* How httpd's parent sees the file; it alone writes it. */
static void put_parent(request_rec *r, const mod_stek_ring_snapshot_t *ring, apr_time_t now)
{
    apr_time_t looked_at = ring->totals.parent_looked_at;

    ap_rprintf(r, "<tr><td>httpd's parent</td><td>%s%s%s</td></tr>\n",
               ring->parent_trouble ? html_path(ring->parent_trouble, r) : "",
               ring->parent_trouble ? "; last found it good: " : "found it good ",
               ago(looked_at, now, r->pool));
}

static void put_facts(request_rec *r, const mod_stek_ring_snapshot_t *ring, apr_time_t now)
{
    const mod_stek_view_t *view = &ring->view;
    const stek_params_t *params = &ring->ring->params;
    const char *next = *view->next_hex ? apr_pstrcat(r->pool, ", next ", view->next_hex, NULL) : "";

    ap_rputs("<div><h3>Ring</h3><table class=\"facts\">\n", r);
    ap_rprintf(r, "<tr><td>current key</td><td>%s%s</td></tr>\n",
               *view->current_hex ? view->current_hex : "none", next);
    ap_rprintf(r, "<tr><td>prepared until</td><td>%s</td></tr>\n",
               view->health.covered_until > now
                   ? mod_stek_time_text(view->health.covered_until, r->pool)
                   : "nothing is prepared");
    ap_rprintf(r, "<tr><td>interval, lifetime</td><td>%s, %s; keys made %s</td></tr>\n",
               stek_time_text(params->interval, r->pool), stek_time_text(params->lifetime, r->pool),
               ring->ring->generate ? "by httpd" : "elsewhere");
    ap_rprintf(r,
               "<tr><td>epoch, generation</td><td>%" COUNT ", %" COUNT "; %d revoked</td></tr>\n",
               view->epoch, view->generation, (int)view->tombstone_n);
    ap_rprintf(r, "<tr><td>source</td><td>%s%s%s%s</td></tr>\n", html_path(ring->source, r),
               ring->instead_of ? apr_pstrcat(
                   r->pool, " instead of ", html_path(ring->instead_of, r),
                   ", which could not be used at the last start or reload: see STEK2011 "
                   "or STEK2030 in the error log",
                   NULL)
                                : "",
               view->written_at ? "; keys written " : "",
               view->written_at ? ago(view->written_at, now, r->pool) : "");
    put_sizes(r, &ring->totals);
    put_loads(r, &ring->totals, now);
    put_parent(r, ring, now);
    ap_rputs("</table></div>\n", r);
}

static void put_ring(request_rec *r, const mod_stek_ring_snapshot_t *ring, int open, apr_time_t now)
{
    const char *name = html(ring->ring->name, r);
    mod_stek_rate_t total;
    int i;

    mod_stek_counts_handshakes(ring->totals.all, &total);
    ap_rprintf(
        r,
        "<details class=\"panel ring\" id=\"ring-%s\"%s>\n<summary><h2>%s <span class=\"%s\">"
        "%s</span></h2> ",
        name, open ? " open" : "", name, ring->reason_n ? "bad" : "good",
        ring->reason_n ? "not healthy" : "healthy");
    put_rate_words(r, &ring->rate_now, &ring->rate_hour, &total);
    ap_rprintf(r, "</summary>\n<p>%s</p>\n",
               html(mod_stek_snapshot_sentence(ring, now, r->pool), r));
    for (i = 0; i < ring->reason_n; i++) {
        ap_rprintf(r, "<p class=\"bad\">%s</p>\n", html_path(ring->reasons[i].text, r));
    }
    if (ring->view.key_n) {
        mod_stek_status_line(r, &ring->view, now);
    }
    ap_rputs("<div class=\"cols\">\n", r);
    put_counters(r, &ring->totals, now);
    put_ages(r, &ring->totals);
    put_facts(r, ring, now);
    ap_rputs("</div>\n</details>\n", r);
}

static void put_rings(request_rec *r, const mod_stek_snapshot_t *snapshot, int in_trouble)
{
    int i, open = in_trouble || snapshot->ring_n <= RINGS_OPEN;

    for (i = 0; i < snapshot->ring_n; i++) {
        if ((snapshot->rings[i].reason_n > 0) == in_trouble) {
            put_ring(r, &snapshot->rings[i], open, snapshot->now);
        }
    }
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
    const char *tickets = mod_stek_vhost_tickets_text(vhost);

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
               stek_escape_html(vhost->ring->name, pool), tickets, vhost->bound ? "policy" : "off",
               stek_time_text(vhost->limits.lifetime, pool),
               vhost->limits.max_age ? stek_time_text(vhost->limits.max_age, pool) : "no limit",
               strcmp(tickets, "off") == 0 ? "none" : count_text(&vhost->count, pool));
}

static void put_vhosts(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    apr_pool_t *pool;
    int i;

    if (apr_pool_create(&pool, r->pool) != APR_SUCCESS) {
        return;
    }
    ap_rprintf(
        r,
        "<details class=\"panel\"%s><summary><strong>%d virtual host%s</strong></summary>\n"
        "<table class=\"hosts\"><tr><th>name</th><th>ring</th><th>tickets</th><th>binding</th>"
        "<th class=\"n\">lifetime</th><th class=\"n\">max age</th>"
        "<th>TLS 1.3 tickets</th></tr>\n",
        snapshot->vhost_n > VHOSTS_OPEN ? "" : " open", snapshot->vhost_n,
        snapshot->vhost_n == 1 ? "" : "s");
    for (i = 0; i < snapshot->vhost_n; i++) {
        put_vhost(r, snapshot->vhosts[i], pool);
        apr_pool_clear(pool);
    }
    ap_rputs("</table></details>\n", r);
    apr_pool_destroy(pool);
}

/* ---- the page ---- */

static void put_troubled(request_rec *r, const mod_stek_snapshot_t *snapshot, int bad_n)
{
    const char *gap = ": ";
    int i;

    ap_rprintf(r, "%d of %d ring%s %s not healthy", bad_n, snapshot->ring_n,
               snapshot->ring_n == 1 ? "" : "s", bad_n == 1 ? "is" : "are");
    for (i = 0; i < snapshot->ring_n; i++) {
        const char *name = html(snapshot->rings[i].ring->name, r);

        if (snapshot->rings[i].reason_n) {
            ap_rprintf(r, "%s<a href=\"#ring-%s\">%s</a>", gap, name, name);
            gap = ", ";
        }
    }
}

static void put_head(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    int i, bad_n = 0;

    for (i = 0; i < snapshot->ring_n; i++) {
        bad_n += snapshot->rings[i].reason_n > 0;
    }
    ap_rprintf(r, "<header><h1>Session ticket keys</h1>\n<p class=\"%s\">",
               snapshot->healthy ? "good" : "bad");
    for (i = 0; i < snapshot->lost_n; i++) {
        ap_rprintf(r, "%s: " MOD_STEK_LOST_TEXT "<br>", html_path(snapshot->lost[i], r));
    }
    if (snapshot->ring_n == 0 && snapshot->lost_n > 0) {
        ap_rputs("No ring has keys", r);
    }
    else if (snapshot->ring_n == 0) {
        ap_rputs("No virtual host uses a ring", r);
    }
    else if (bad_n) {
        put_troubled(r, snapshot, bad_n);
    }
    else {
        ap_rputs(snapshot->lost_n > 0    ? "The other rings are healthy"
                 : snapshot->ring_n == 1 ? "The ring is healthy"
                                         : "All rings are healthy",
                 r);
    }
    ap_rputs("</p>\n", r);
    if (snapshot->ring_n > 1) {
        put_rate_of_all(r, snapshot);
    }
}

static void put_about(request_rec *r, apr_time_t now, int refresh_s)
{
    ap_rprintf(r,
               "<p class=\"dim\">%s; all times are in UTC; mod_stek_rotate " STEK_VERSION
               "; counted since httpd was started; <a href=\"?format=json\">JSON</a>, "
               "<a href=\"?format=prometheus\">Prometheus</a>; ",
               mod_stek_time_text(now, r->pool));
    if (refresh_s) {
        ap_rprintf(r, "reloads every %d s, <a href=\"?\">stop</a>", refresh_s);
    }
    else {
        ap_rprintf(r, "<a href=\"?refresh=%d\">reload every %d s</a>", REFRESH_S, REFRESH_S);
    }
    ap_rputs("</p></header>\n<main>\n", r);
}

void mod_stek_status_html(request_rec *r, const mod_stek_snapshot_t *snapshot, int refresh_s)
{
    ap_rputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
             "<title>Session ticket keys</title>\n<style>",
             r);
    ap_rputs(mod_stek_status_css, r);
    ap_rputs("</style></head>\n<body>\n", r);
    put_head(r, snapshot);
    put_about(r, snapshot->now, refresh_s);
    put_rings(r, snapshot, 1);
    put_rings(r, snapshot, 0);
    put_vhosts(r, snapshot);
    ap_rputs("</main>\n</body></html>\n", r);
}
