/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status in Prometheus' text exposition format 0.0.4.  Times are seconds since 1970, spans
 * seconds.  Glue; any thread of a child.
 */
#include "mod_stek_status_prometheus.h"

#include "http_protocol.h"
#include "apr_strings.h"

#include "mod_stek_metric_names.h"
#include "stek_escape.h"
#include "stek_version.h"

#define COUNT APR_UINT64_T_FMT

static void put_help(request_rec *r, const char *metric, const char *type, const char *help)
{
    ap_rprintf(r, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

static const char *label(const mod_stek_ring_snapshot_t *ring, apr_pool_t *pool)
{
    return stek_escape_label(ring->ring->name, pool);
}

static void put_family(request_rec *r, const mod_stek_snapshot_t *snapshot,
                       const mod_stek_family_t *family)
{
    int i, v;

    put_help(r, family->metric, "counter", family->help);
    for (i = 0; i < snapshot->ring_n; i++) {
        const mod_stek_ring_snapshot_t *ring = &snapshot->rings[i];

        for (v = 0; v < family->n; v++) {
            ap_rprintf(r, "%s{ring=\"%s\"", family->metric, label(ring, r->pool));
            if (family->label) {
                ap_rprintf(r, ",%s=\"%s\"", family->label, family->values[v]);
            }
            ap_rprintf(r, "} %" COUNT "\n", ring->totals.all[family->first + v]);
        }
    }
}

/* The same, by the process that loaded the file. */
static void put_load_family(request_rec *r, const mod_stek_snapshot_t *snapshot,
                            const mod_stek_family_t *family)
{
    int i, v, child;

    put_help(r, family->metric, "counter", family->help);
    for (i = 0; i < snapshot->ring_n; i++) {
        const mod_stek_ring_snapshot_t *ring = &snapshot->rings[i];

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

static void put_ages(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    int i, b;

    put_help(r, "stek_ticket_age_seconds", "histogram", "Age of tickets that resumed a handshake.");
    for (i = 0; i < snapshot->ring_n; i++) {
        const mod_stek_ring_snapshot_t *ring = &snapshot->rings[i];
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

typedef apr_int64_t gauge_t(const mod_stek_ring_snapshot_t *ring);

#define GAUGE(function, value)                                                                     \
    static apr_int64_t function(const mod_stek_ring_snapshot_t *ring)                              \
    {                                                                                              \
        return (apr_int64_t)(value);                                                               \
    }

GAUGE(gauge_healthy, ring->reason_n == 0)
GAUGE(gauge_valid, ring->view.health.rotation_valid)
GAUGE(gauge_ready, ring->view.health.next_ready)
GAUGE(gauge_keys, ring->view.key_n)
GAUGE(gauge_generation, ring->view.generation)
GAUGE(gauge_epoch, ring->view.epoch)
GAUGE(gauge_number, ring->view.number)
GAUGE(gauge_rotation, apr_time_sec(ring->view.health.rotates_at))
GAUGE(gauge_covered, apr_time_sec(ring->view.health.covered_until))
GAUGE(gauge_written, apr_time_sec(ring->view.written_at))
GAUGE(gauge_loaded, apr_time_sec(ring->totals.loaded_at))
GAUGE(gauge_looked, apr_time_sec(ring->looked_at))
GAUGE(gauge_vhosts, ring->vhost_n)
GAUGE(gauge_secret_vhosts, ring->secret_vhost_n)

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
    {"stek_ring_digest",
     "48 bits of a digest of keys and revocations in the file as last loaded: equal files, equal "
     "numbers.",
     gauge_number},
    {"stek_ring_next_rotation_timestamp_seconds",
     "When another key will encrypt; 0 if none is prepared.", gauge_rotation},
    {"stek_ring_covered_until_timestamp_seconds", "Until when existing keys encrypt without a gap.",
     gauge_covered},
    {"stek_ring_written_timestamp_seconds", "When the ring was last written.", gauge_written},
    {"stek_ring_last_load_timestamp_seconds", "When the ring's file was last loaded.",
     gauge_loaded},
    {"stek_ring_last_look_timestamp_seconds",
     "When the process that answers last found the ring's file good.", gauge_looked},
    {"stek_ring_virtual_hosts", "Virtual hosts that the ring serves.", gauge_vhosts},
    {"stek_ring_tls13_virtual_hosts", "Those of them with StekTickets tls1.3.",
     gauge_secret_vhosts},
};

void mod_stek_status_prometheus(request_rec *r, const mod_stek_snapshot_t *snapshot)
{
    apr_size_t i;
    int ring;

    put_help(r, "stek_build_info", "gauge", "Version of mod_stek_rotate.");
    ap_rputs("stek_build_info{version=\"" STEK_VERSION "\"} 1\n", r);
    for (i = 0; i < MOD_STEK_FAMILY_N; i++) {
        put_family(r, snapshot, &mod_stek_metric_names[i]);
    }
    put_ages(r, snapshot);
    for (i = 0; i < MOD_STEK_LOAD_FAMILY_N; i++) {
        put_load_family(r, snapshot, &mod_stek_load_families[i]);
    }
    for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        put_help(r, gauges[i].metric, "gauge", gauges[i].help);
        for (ring = 0; ring < snapshot->ring_n; ring++) {
            ap_rprintf(r, "%s{ring=\"%s\"} %" APR_INT64_T_FMT "\n", gauges[i].metric,
                       label(&snapshot->rings[ring], r->pool),
                       gauges[i].value(&snapshot->rings[ring]));
        }
        for (ring = 0; gauges[i].value == gauge_healthy && ring < snapshot->lost_n; ring++) {
            ap_rprintf(r, "%s{ring=\"%s\"} 0\n", gauges[i].metric, snapshot->lost[ring]);
        }
    }
}
