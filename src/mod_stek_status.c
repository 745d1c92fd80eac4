/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status handler and the section in mod_status (mod_stek_status.h).  Glue; any thread of a
 * child.
 *
 * Nothing of the request is ever shown.
 */
#include "mod_stek_status.h"

#include "http_protocol.h"
#include "mod_status.h"
#include "util_script.h"
#include "apr_strings.h"

#include "mod_stek_snapshot.h"
#include "mod_stek_status_html.h"
#include "mod_stek_status_json.h"
#include "mod_stek_status_prometheus.h"
#include "mod_stek_status_style.h"
#include "stek_escape.h"

#define HANDLER "stek-status"
#define REFRESH_MAX_S 86400

static void set_headers(request_rec *r, const char *type)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    ap_set_content_type(r, type);
}

static int refuse(request_rec *r, const char *why)
{
    r->status = HTTP_BAD_REQUEST;
    set_headers(r, "text/plain; charset=utf-8");
    ap_rputs(why, r);
    return OK;
}

/* As in mod_status, by a header; -1: not a time. */
static int refresh_wanted(const char *text)
{
    apr_size_t digits_n;

    if (!text) {
        return 0;
    }
    digits_n = strspn(text, "0123456789");
    if (digits_n == 0 || digits_n > 5 || text[digits_n] != '\0' || apr_atoi64(text) < 1
        || apr_atoi64(text) > REFRESH_MAX_S) {
        return -1;
    }
    return apr_atoi64(text);
}

static int send_page(request_rec *r, int refresh_s)
{
    const char *csp = mod_stek_status_csp(r->pool);

    if (!csp) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    apr_table_setn(r->headers_out, "Content-Security-Policy", csp);
    set_headers(r, "text/html; charset=utf-8");
    if (refresh_s) {
        apr_table_setn(r->headers_out, "Refresh", apr_itoa(r->pool, refresh_s));
    }
    if (!r->header_only) {
        mod_stek_status_html(r, mod_stek_snapshot_take(apr_time_now(), r->pool), refresh_s);
    }
    return OK;
}

static int send_text(request_rec *r, const char *type,
                     void (*form)(request_rec *, const mod_stek_snapshot_t *))
{
    set_headers(r, type);
    if (!r->header_only) {
        form(r, mod_stek_snapshot_take(apr_time_now(), r->pool));
    }
    return OK;
}

int mod_stek_status_handler(request_rec *r)
{
    apr_table_t *args;
    const char *format;
    int refresh_s;

    if (!r->handler || strcmp(r->handler, HANDLER) != 0) {
        return DECLINED;
    }
    r->allowed = AP_METHOD_BIT << M_GET;
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    ap_args_to_table(r, &args);
    refresh_s = refresh_wanted(apr_table_get(args, "refresh"));
    if (refresh_s < 0) {
        return refuse(r, "refresh must be a number of seconds from 1 to 86400\n");
    }
    format = apr_table_get(args, "format");
    if (!format || strcmp(format, "html") == 0) {
        return send_page(r, refresh_s);
    }
    if (strcmp(format, "json") == 0) {
        return send_text(r, "application/json", mod_stek_status_json);
    }
    if (strcmp(format, "prometheus") == 0) {
        return send_text(r, "text/plain; version=0.0.4; charset=utf-8", mod_stek_status_prometheus);
    }
    return refuse(r, "format must be html, json or prometheus\n");
}

static void section_short(request_rec *r, const mod_stek_ring_snapshot_t *ring)
{
    static const struct {
        const char *name;
        int first, n;
    } lines[] = {
        {"TicketsIssued", MOD_STEK_ISSUED, 1},
        {"TicketsResumed", MOD_STEK_RESUMED_CURRENT, 3},
        {"TicketsRefused", MOD_STEK_REFUSED_UNKNOWN, MOD_STEK_REFUSED_N},
        {"TicketsNotOffered", MOD_STEK_NOT_OFFERED, 1},
        {"HandshakesKeyless", MOD_STEK_KEYLESS, 1},
        {"TicketsUnsealed", MOD_STEK_UNSEALED, 1},
    };
    const char *name = ring->ring->name;
    apr_size_t i;

    ap_rprintf(r, "Stek[%s]Healthy: %d\n", name, ring->reason_n == 0);
    ap_rprintf(r, "Stek[%s]Keys: %d\n", name, (int)ring->view.key_n);
    ap_rprintf(r, "Stek[%s]Generation: %" APR_UINT64_T_FMT "\n", name, ring->view.generation);
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ap_rprintf(r, "Stek[%s]%s: %" APR_UINT64_T_FMT "\n", name, lines[i].name,
                   mod_stek_counts_sum(ring->totals.all, lines[i].first, lines[i].n));
    }
}

static void section_row(request_rec *r, const mod_stek_ring_snapshot_t *ring, apr_time_t now)
{
    const apr_uint64_t *all = ring->totals.all;
    int i;

    ap_rprintf(r, "<tr><td>%s</td><td>%s; %s", stek_escape_html(ring->ring->name, r->pool),
               ring->reason_n ? "<b>not healthy</b>" : "healthy",
               stek_escape_html(mod_stek_snapshot_sentence(ring, now, r->pool), r->pool));
    for (i = 0; i < ring->reason_n; i++) {
        ap_rprintf(r, "; %s", stek_escape_html(ring->reasons[i].text, r->pool));
    }
    ap_rprintf(r,
               "</td><td>%" APR_UINT64_T_FMT "</td><td>%" APR_UINT64_T_FMT
               "</td><td>%" APR_UINT64_T_FMT "</td></tr>\n",
               all[MOD_STEK_ISSUED], mod_stek_counts_sum(all, MOD_STEK_RESUMED_CURRENT, 3),
               mod_stek_counts_sum(all, MOD_STEK_REFUSED_UNKNOWN, MOD_STEK_REFUSED_N));
}

static void section_rows(request_rec *r, const mod_stek_snapshot_t *snapshot, int in_trouble)
{
    int i;

    for (i = 0; i < snapshot->ring_n; i++) {
        if ((snapshot->rings[i].reason_n > 0) == in_trouble) {
            section_row(r, &snapshot->rings[i], snapshot->now);
        }
    }
}

int mod_stek_status_section(request_rec *r, int flags)
{
    const mod_stek_snapshot_t *snapshot = mod_stek_snapshot_take(apr_time_now(), r->pool);
    int i;

    if (flags & AP_STATUS_SHORT) {
        ap_rprintf(r, "StekHealthy: %d\n", snapshot->healthy);
        for (i = 0; i < snapshot->ring_n; i++) {
            section_short(r, &snapshot->rings[i]);
        }
        return OK;
    }
    ap_rputs("<hr />\n<h2>Session ticket keys</h2>\n<table border=\"0\"><tr><th>Ring</th>"
             "<th>State</th><th>Issued</th><th>Resumed</th><th>Refused</th></tr>\n",
             r);
    section_rows(r, snapshot, 1);
    section_rows(r, snapshot, 0);
    ap_rputs("</table>\n", r);
    return OK;
}
