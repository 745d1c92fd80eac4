/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as JSON (RFC 8259).  Times are seconds since 1970, spans seconds.  Glue; any thread of
 * a child.
 */
#include "mod_stek_status_json.h"

#include "http_protocol.h"
#include "apr_strings.h"

#include "mod_stek_metric_names.h"
#include "stek_escape.h"
#include "stek_version.h"

#define COUNT APR_UINT64_T_FMT

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

static void json_family(request_rec *r, const mod_stek_family_t *family, const apr_uint64_t *counts)
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
    for (i = 0; i < MOD_STEK_FAMILY_N; i++) {
        json_family(r, &mod_stek_metric_names[i], totals->all);
        ap_rputs(",", r);
    }
    for (b = 0; b < MOD_STEK_COUNTER_N; b++) {
        children[b] = totals->all[b] - totals->parent[b];
    }
    ap_rputs("\"parent\":{", r);
    for (i = 0; i < MOD_STEK_LOAD_FAMILY_N; i++) {
        ap_rputs(i ? "," : "", r);
        json_family(r, &mod_stek_load_families[i], totals->parent);
    }
    ap_rputs("},\"children\":{", r);
    for (i = 0; i < MOD_STEK_LOAD_FAMILY_N; i++) {
        ap_rputs(i ? "," : "", r);
        json_family(r, &mod_stek_load_families[i], children);
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

static void json_reasons(request_rec *r, const mod_stek_ring_snapshot_t *ring, int with_ring)
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

static void json_rate(request_rec *r, const char *member, const mod_stek_rate_t *rate)
{
    ap_rprintf(r,
               "\"%s\":{\"span\":%" APR_INT64_T_FMT ",\"resumed\":%" COUNT ",\"handshakes\":%" COUNT
               "}",
               member, apr_time_sec(rate->span), rate->resumed, rate->all);
}

static void json_ring(request_rec *r, const mod_stek_ring_snapshot_t *ring)
{
    const mod_stek_view_t *view = &ring->view;
    const mod_stek_ring_config_t *config = ring->ring;

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
    ap_rputs(",\"resumption\":{", r);
    json_rate(r, "now", &ring->rate_now);
    ap_rputs(",", r);
    json_rate(r, "hour", &ring->rate_hour);
    ap_rputs("}", r);
    json_keys(r, view);
    json_counters(r, &ring->totals);
    ap_rputs("}", r);
}

static void json_vhost(request_rec *r, const mod_stek_vhost_t *vhost)
{
    ap_rprintf(r, "{\"name\":%s,\"port\":%d,\"ring\":%s,\"tickets\":%s,\"mode\":\"%s\"",
               json_text(vhost->server->server_hostname, r->pool),
               vhost->server->addrs ? vhost->server->addrs->host_port : vhost->server->port,
               json_text(vhost->ring ? vhost->ring->name : NULL, r->pool),
               mod_stek_vhost_tickets_off(vhost) ? "false" : "true",
               mod_stek_vhost_tickets_text(vhost));
    if (vhost->ring) {
        ap_rprintf(r, ",\"ticket_count\":{\"full\":%d,\"resumed\":%d,\"max\":%d}",
                   vhost->count.full, vhost->count.resumed, vhost->count.max);
        ap_rprintf(r, ",\"binding\":\"%s\",\"lifetime\":%" APR_INT64_T_FMT ",\"max_age\":%s",
                   vhost->bound ? "policy" : "off", apr_time_sec(vhost->limits.lifetime),
                   json_time(vhost->limits.max_age, r->pool));
    }
    ap_rputs("}", r);
}

void mod_stek_status_json(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    int i, any = 0;

    ap_rprintf(r, "{\"healthy\":%s,\"reasons\":[", snapshot->healthy ? "true" : "false");
    for (i = 0; i < snapshot->ring_n; i++) {
        if (snapshot->rings[i].reason_n) {
            ap_rputs(any ? "," : "", r);
            json_reasons(r, &snapshot->rings[i], 1);
            any = 1;
        }
    }
    for (i = 0; i < snapshot->lost_n; i++) {
        ap_rprintf(r,
                   "%s{\"ring\":%s,\"code\":\"" MOD_STEK_LOST_CODE
                   "\",\"text\":\"" MOD_STEK_LOST_TEXT "\"}",
                   any ? "," : "", json_text(snapshot->lost[i], r->pool));
        any = 1;
    }
    ap_rprintf(r, "],\"version\":\"" STEK_VERSION "\",\"now\":%s,\"rings\":[",
               json_time(snapshot->now, r->pool));
    for (i = 0; i < snapshot->ring_n; i++) {
        ap_rputs(i ? ",\n" : "\n", r);
        json_ring(r, &snapshot->rings[i]);
    }
    ap_rputs("],\"virtual_hosts\":[", r);
    for (i = 0; i < snapshot->vhost_n; i++) {
        ap_rputs(i ? ",\n" : "\n", r);
        json_vhost(r, snapshot->vhosts[i]);
    }
    ap_rputs("]}\n", r);
}
