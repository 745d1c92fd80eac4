/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status for machines: JSON (RFC 8259), and Prometheus' text exposition format 0.0.4.  Times
 * are seconds since 1970, spans seconds.  Glue; any thread of a child.
 */
#include "mod_stek_status.h"

#include "http_protocol.h"
#include "apr_strings.h"

#include "stek_escape.h"
#include "stek_version.h"

#define COUNT APR_UINT64_T_FMT

/* A counter that is split by one label. */
typedef struct family_t {
    const char *member; /* in JSON */
    const char *metric, *help;
    const char *label; /* NULL: one counter */
    int first, n;
    const char *values[8];
} family_t;

#define CAUSE_TEXT(name, text) text,

static const family_t families[] = {
    {"issued",
     "stek_tickets_issued_total",
     "Session tickets issued.",
     NULL,
     MOD_STEK_ISSUED,
     1,
     {NULL}},
    {"resumed",
     "stek_tickets_resumed_total",
     "Handshakes resumed by a ticket, by the key that had sealed it.",
     "key",
     MOD_STEK_RESUMED_CURRENT,
     3,
     {"current", "old", "future"}},
    {"refused",
     "stek_tickets_refused_total",
     "Tickets refused: full handshakes, by reason.",
     "reason",
     MOD_STEK_REFUSED_UNKNOWN,
     5,
     {"unknown", "expired", "damaged", "policy", "age"}},
    {"not_offered",
     "stek_tickets_not_offered_total",
     "Handshakes to which no ticket came.",
     NULL,
     MOD_STEK_NOT_OFFERED,
     1,
     {NULL}},
    {"keyless",
     "stek_handshakes_keyless_total",
     "Handshakes that got no ticket for want of a key.",
     NULL,
     MOD_STEK_KEYLESS,
     1,
     {NULL}},
    {"unsealed",
     "stek_tickets_unsealed_total",
     "Tickets that could not be sealed although there was a key.",
     NULL,
     MOD_STEK_UNSEALED,
     1,
     {NULL}},
};

static const family_t load_families[] = {
    {"loads",
     "stek_ring_loads_total",
     "Times that the ring's file was read and taken.",
     NULL,
     MOD_STEK_LOADS,
     1,
     {NULL}},
    {"load_failures",
     "stek_ring_load_failures_total",
     "Times that the ring's file was not taken, by cause.",
     "cause",
     MOD_STEK_LOAD_FAILED_MISSING,
     8,
     {MOD_STEK_CAUSES(CAUSE_TEXT)}},
};

#define FAMILY_N (sizeof(families) / sizeof(families[0]))
#define LOAD_FAMILY_N (sizeof(load_families) / sizeof(load_families[0]))

/* ---- JSON ---- */

/* Time as JSON; never: null. */
static const char *json_time(apr_time_t t, apr_pool_t *pool)
{
    return t ? apr_psprintf(pool, "%" APR_INT64_T_FMT, apr_time_sec(t)) : "null";
}

static const char *json_text(const char *text, apr_pool_t *pool)
{
    return text && *text ? apr_pstrcat(pool, "\"", stek_escape_json(text, pool), "\"", NULL)
                         : "null";
}

static void json_family(request_rec *r, const family_t *family, const apr_uint64_t *counts)
{
    int i;

    if (!family->label) {
        ap_rprintf(r, "\"%s\":%" COUNT, family->member, counts[family->first]);
        return;
    }
    ap_rprintf(r, "\"%s\":{", family->member);
    for (i = 0; i < family->n; i++) {
        ap_rprintf(r, "%s\"%s\":%" COUNT, i ? "," : "", family->values[i],
                   counts[family->first + i]);
    }
    ap_rputs("}", r);
}

static void json_counters(request_rec *r, const mod_stek_totals_t *totals)
{
    apr_uint64_t children[MOD_STEK_COUNTER_N];
    apr_size_t i;
    int b;

    ap_rputs(",\"counters\":{", r);
    for (i = 0; i < FAMILY_N; i++) {
        json_family(r, &families[i], totals->all);
        ap_rputs(",", r);
    }
    for (b = 0; b < MOD_STEK_COUNTER_N; b++) {
        children[b] = totals->all[b] - totals->parent[b];
    }
    ap_rputs("\"parent\":{", r);
    for (i = 0; i < LOAD_FAMILY_N; i++) {
        ap_rputs(i ? "," : "", r);
        json_family(r, &load_families[i], totals->parent);
    }
    ap_rputs("},\"children\":{", r);
    for (i = 0; i < LOAD_FAMILY_N; i++) {
        ap_rputs(i ? "," : "", r);
        json_family(r, &load_families[i], children);
    }
    ap_rputs("},\"ticket_age\":{\"buckets\":[", r);
    for (b = 0; b <= MOD_STEK_AGE_BOUND_N; b++) {
        ap_rprintf(r, "%s{\"le\":%s,\"count\":%" COUNT "}", b ? "," : "",
                   b < MOD_STEK_AGE_BOUND_N ? apr_itoa(r->pool, mod_stek_age_bounds[b]) : "null",
                   totals->all[MOD_STEK_AGE + b]);
    }
    ap_rprintf(r, "],\"sum\":%" COUNT "}}", totals->all[MOD_STEK_AGE_SUM_S]);
}

static void json_keys(request_rec *r, const mod_stek_view_t *view)
{
    apr_size_t i;

    ap_rputs(",\"keys\":[", r);
    for (i = 0; i < view->key_n; i++) {
        const mod_stek_view_key_t *key = &view->keys[i];

        ap_rprintf(r,
                   "%s{\"name\":\"%s\",\"state\":\"%s\",\"not_before\":%s,\"encrypt_until\":%s,"
                   "\"decrypt_until\":%s}",
                   i ? "," : "", key->hex, stek_state_text(key->state),
                   json_time(key->not_before, r->pool), json_time(key->encrypt_until, r->pool),
                   json_time(key->decrypt_until, r->pool));
    }
    ap_rputs("]", r);
}

static void json_reasons(request_rec *r, const mod_stek_ring_report_t *ring, int with_ring)
{
    int i;

    for (i = 0; i < ring->reason_n; i++) {
        ap_rprintf(r, "%s{", i ? "," : "");
        if (with_ring) {
            ap_rprintf(r, "\"ring\":%s,", json_text(ring->ring->name, r->pool));
        }
        ap_rprintf(r, "\"code\":\"%s\",\"text\":%s}", ring->reasons[i].code,
                   json_text(ring->reasons[i].text, r->pool));
    }
}

static void json_ring(request_rec *r, const mod_stek_ring_report_t *ring)
{
    const mod_stek_view_t *view = &ring->view;
    const mod_stek_ring_t *config = ring->ring;

    ap_rprintf(r, "{\"name\":%s,\"healthy\":%s,\"reasons\":[", json_text(config->name, r->pool),
               ring->reason_n ? "false" : "true");
    json_reasons(r, ring, 0);
    ap_rprintf(r, "],\"rotation_valid\":%s,\"next_key_ready\":%s",
               view->health.rotation_valid ? "true" : "false",
               view->health.next_ready ? "true" : "false");
    ap_rprintf(r, ",\"source\":%s,\"generate\":%s,\"looked_at\":%s,\"loaded_at\":%s",
               json_text(ring->source, r->pool), config->generate ? "true" : "false",
               json_time(ring->looked_at, r->pool), json_time(ring->totals.loaded_at, r->pool));
    ap_rprintf(r, ",\"parent_looked_at\":%s,\"parent_trouble\":%s",
               json_time(ring->totals.parent_looked_at, r->pool),
               json_text(ring->parent_trouble, r->pool));
    ap_rprintf(r,
               ",\"epoch\":%" COUNT ",\"generation\":%" COUNT ",\"written_at\":%s,"
               "\"interval\":%" APR_INT64_T_FMT ",\"lifetime\":%" APR_INT64_T_FMT,
               view->epoch, view->generation, json_time(view->written_at, r->pool),
               apr_time_sec(config->params.interval), apr_time_sec(config->params.lifetime));
    ap_rprintf(r,
               ",\"current_key\":%s,\"next_key\":%s,\"next_rotation\":%s,\"covered_until\":%s,"
               "\"revoked\":%d,\"virtual_hosts\":%d",
               json_text(view->current_hex, r->pool), json_text(view->next_hex, r->pool),
               json_time(view->health.rotates_at, r->pool),
               json_time(view->health.covered_until, r->pool), (int)view->tombstone_n,
               ring->vhost_n);
    json_keys(r, view);
    json_counters(r, &ring->totals);
    ap_rputs("}", r);
}

static void json_vhost(request_rec *r, const mod_stek_vhost_t *vhost)
{
    ap_rprintf(r, "{\"name\":%s,\"port\":%d,\"ring\":%s,\"tickets\":%s",
               json_text(vhost->server->server_hostname, r->pool),
               vhost->server->addrs ? vhost->server->addrs->host_port : vhost->server->port,
               json_text(vhost->ring ? vhost->ring->name : NULL, r->pool),
               mod_stek_vhost_tickets_off(vhost) ? "false" : "true");
    if (vhost->ring) {
        ap_rprintf(r, ",\"binding\":\"%s\",\"lifetime\":%" APR_INT64_T_FMT ",\"max_age\":%s",
                   vhost->bound ? "policy" : "off", apr_time_sec(vhost->limits.lifetime),
                   json_time(vhost->limits.max_age, r->pool));
    }
    ap_rputs("}", r);
}

void mod_stek_status_json(request_rec *r, const mod_stek_report_t *report)
{
    int i, any = 0;

    ap_rprintf(r, "{\"healthy\":%s,\"reasons\":[", report->healthy ? "true" : "false");
    for (i = 0; i < report->ring_n; i++) {
        if (report->rings[i].reason_n) {
            ap_rputs(any ? "," : "", r);
            json_reasons(r, &report->rings[i], 1);
            any = 1;
        }
    }
    ap_rprintf(r, "],\"version\":\"" STEK_VERSION "\",\"now\":%s,\"rings\":[",
               json_time(report->now, r->pool));
    for (i = 0; i < report->ring_n; i++) {
        ap_rputs(i ? ",\n" : "\n", r);
        json_ring(r, &report->rings[i]);
    }
    ap_rputs("],\"virtual_hosts\":[", r);
    for (i = 0; i < report->vhost_n; i++) {
        ap_rputs(i ? ",\n" : "\n", r);
        json_vhost(r, report->vhosts[i]);
    }
    ap_rputs("]}\n", r);
}

/* ---- Prometheus ---- */

static void put_help(request_rec *r, const char *metric, const char *type, const char *help)
{
    ap_rprintf(r, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

static const char *label(const mod_stek_ring_report_t *ring, apr_pool_t *pool)
{
    return stek_escape_label(ring->ring->name, pool);
}

static void put_family(request_rec *r, const mod_stek_report_t *report, const family_t *family)
{
    int i, v;

    put_help(r, family->metric, "counter", family->help);
    for (i = 0; i < report->ring_n; i++) {
        const mod_stek_ring_report_t *ring = &report->rings[i];

        for (v = 0; v < family->n; v++) {
            ap_rprintf(r, "%s{ring=\"%s\"", family->metric, label(ring, r->pool));
            if (family->label) {
                ap_rprintf(r, ",%s=\"%s\"", family->label, family->values[v]);
            }
            ap_rprintf(r, "} %" COUNT "\n", ring->totals.all[family->first + v]);
        }
    }
}

/* The same, told apart by who read the file. */
static void put_load_family(request_rec *r, const mod_stek_report_t *report, const family_t *family)
{
    int i, v, child;

    put_help(r, family->metric, "counter", family->help);
    for (i = 0; i < report->ring_n; i++) {
        const mod_stek_ring_report_t *ring = &report->rings[i];

        for (v = 0; v < 2 * family->n; v++) {
            apr_uint64_t parent = ring->totals.parent[family->first + v / 2];

            child = v % 2;
            ap_rprintf(r, "%s{ring=\"%s\",process=\"%s\"", family->metric, label(ring, r->pool),
                       child ? "child" : "parent");
            if (family->label) {
                ap_rprintf(r, ",%s=\"%s\"", family->label, family->values[v / 2]);
            }
            ap_rprintf(r, "} %" COUNT "\n",
                       child ? ring->totals.all[family->first + v / 2] - parent : parent);
        }
    }
}

static void put_ages(request_rec *r, const mod_stek_report_t *report)
{
    int i, b;

    put_help(r, "stek_ticket_age_seconds", "histogram", "Age of tickets that resumed a handshake.");
    for (i = 0; i < report->ring_n; i++) {
        const mod_stek_ring_report_t *ring = &report->rings[i];
        const char *name = label(ring, r->pool);
        apr_uint64_t sum = 0;

        for (b = 0; b <= MOD_STEK_AGE_BOUND_N; b++) {
            sum = mod_stek_counts_add(sum, ring->totals.all[MOD_STEK_AGE + b]);
            ap_rprintf(
                r, "stek_ticket_age_seconds_bucket{ring=\"%s\",le=\"%s\"} %" COUNT "\n", name,
                b < MOD_STEK_AGE_BOUND_N ? apr_itoa(r->pool, mod_stek_age_bounds[b]) : "+Inf", sum);
        }
        ap_rprintf(r,
                   "stek_ticket_age_seconds_sum{ring=\"%s\"} %" COUNT "\n"
                   "stek_ticket_age_seconds_count{ring=\"%s\"} %" COUNT "\n",
                   name, ring->totals.all[MOD_STEK_AGE_SUM_S], name, sum);
    }
}

typedef apr_int64_t gauge_t(const mod_stek_ring_report_t *ring);

#define GAUGE(function, value)                                                                     \
    static apr_int64_t function(const mod_stek_ring_report_t *ring)                                \
    {                                                                                              \
        return (apr_int64_t)(value);                                                               \
    }

GAUGE(gauge_healthy, ring->reason_n == 0)
GAUGE(gauge_valid, ring->view.health.rotation_valid)
GAUGE(gauge_ready, ring->view.health.next_ready)
GAUGE(gauge_keys, ring->view.key_n)
GAUGE(gauge_generation, ring->view.generation)
GAUGE(gauge_epoch, ring->view.epoch)
GAUGE(gauge_rotation, apr_time_sec(ring->view.health.rotates_at))
GAUGE(gauge_covered, apr_time_sec(ring->view.health.covered_until))
GAUGE(gauge_written, apr_time_sec(ring->view.written_at))
GAUGE(gauge_loaded, apr_time_sec(ring->totals.loaded_at))
GAUGE(gauge_looked, apr_time_sec(ring->looked_at))
GAUGE(gauge_vhosts, ring->vhost_n)

static const struct {
    const char *metric, *help;
    gauge_t *value;
} gauges[] = {
    {"stek_ring_healthy", "1 if nothing is wrong with the ring.", gauge_healthy},
    {"stek_ring_rotation_valid", "1 if a key encrypts now, in a slot no longer than the interval.",
     gauge_valid},
    {"stek_ring_next_key_ready", "1 if the slot after the current one has its key.", gauge_ready},
    {"stek_ring_keys", "Keys in the ring.", gauge_keys},
    {"stek_ring_generation", "Generation of the ring: counts its writes.", gauge_generation},
    {"stek_ring_epoch", "Epoch of the ring: raised by revoking all keys.", gauge_epoch},
    {"stek_ring_next_rotation_timestamp_seconds",
     "When another key will encrypt; 0 if none is prepared.", gauge_rotation},
    {"stek_ring_covered_until_timestamp_seconds",
     "Until when keys that exist encrypt without a gap.", gauge_covered},
    {"stek_ring_written_timestamp_seconds", "When the ring was last written.", gauge_written},
    {"stek_ring_last_load_timestamp_seconds", "When the ring's file was last read and taken.",
     gauge_loaded},
    {"stek_ring_last_look_timestamp_seconds",
     "When the process that answers last found the ring's file good.", gauge_looked},
    {"stek_ring_virtual_hosts", "Virtual hosts that the ring serves.", gauge_vhosts},
};

void mod_stek_status_prometheus(request_rec *r, const mod_stek_report_t *report)
{
    apr_size_t i;
    int ring;

    put_help(r, "stek_build_info", "gauge", "Version of mod_stek_rotate.");
    ap_rputs("stek_build_info{version=\"" STEK_VERSION "\"} 1\n", r);
    for (i = 0; i < FAMILY_N; i++) {
        put_family(r, report, &families[i]);
    }
    put_ages(r, report);
    for (i = 0; i < LOAD_FAMILY_N; i++) {
        put_load_family(r, report, &load_families[i]);
    }
    for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        put_help(r, gauges[i].metric, "gauge", gauges[i].help);
        for (ring = 0; ring < report->ring_n; ring++) {
            ap_rprintf(r, "%s{ring=\"%s\"} %" APR_INT64_T_FMT "\n", gauges[i].metric,
                       label(&report->rings[ring], r->pool), gauges[i].value(&report->rings[ring]));
        }
    }
}
