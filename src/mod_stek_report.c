/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers what the status tells (mod_stek_report.h).  Glue; any thread of a child.
 */
#include "mod_stek_report.h"

#include "apr_strings.h"

#include "mod_stek_log.h"
#include "stek_time.h"

/* Three polls may pass without a look, and half a minute of a busy machine. */
#define STALE_POLLS 3
#define STALE_SLACK apr_time_from_sec(30)

const char *mod_stek_span_text(apr_interval_time_t span, apr_pool_t *pool)
{
    return stek_time_rough(span, " ", pool);
}

/* What the keys at hand are good for, while the ring's file cannot be taken. */
static const char *keys_text(const mod_stek_view_t *view)
{
    if (view->key_n == 0) {
        return "there are no keys at hand";
    }
    return view->health.problems & STEK_HEALTH_NO_KEY
               ? "the keys at hand only open tickets that they sealed"
               : "the keys at hand stay in use";
}

static const char *reason_text(const mod_stek_ring_report_t *ring, unsigned problem,
                               const stek_source_t *source, apr_time_t now, apr_pool_t *pool)
{
    const stek_health_t *health = &ring->view.health;

    switch (problem) {
    case STEK_HEALTH_NO_KEY:
        return "no key encrypts now: clients get no tickets";
    case STEK_HEALTH_LATE:
        return apr_psprintf(pool, "no key is prepared for %s from now",
                            mod_stek_span_text(health->covered_until - now, pool));
    case STEK_HEALTH_CLOCK:
        return apr_psprintf(pool,
                            "written %s from now: this host's clock, or the writer's, is wrong",
                            mod_stek_span_text(ring->view.written_at - now, pool));
    case STEK_HEALTH_SOURCE:
        return apr_psprintf(pool, "%s: %s; %s", ring->source,
                            mod_stek_status_text(source->status, pool), keys_text(&ring->view));
    case STEK_HEALTH_STALE:
        return apr_psprintf(pool, "%s was last looked at %s ago", ring->source,
                            mod_stek_span_text(source->age, pool));
    default:
        return "the self-test failed: no tickets are issued";
    }
}

static void add_reasons(mod_stek_ring_report_t *ring, const stek_source_t *source, apr_time_t now,
                        apr_pool_t *pool)
{
    unsigned problem;

    for (problem = 1; problem <= ring->view.health.problems; problem <<= 1) {
        if (ring->view.health.problems & problem) {
            mod_stek_reason_t *reason = &ring->reasons[ring->reason_n++];

            reason->code = stek_health_code(problem);
            reason->text = reason_text(ring, problem, source, now, pool);
        }
    }
}

static void fill(mod_stek_ring_report_t *report, mod_stek_ring_t *ring, apr_time_t now,
                 apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    stek_source_t source = {APR_SUCCESS, 0, 0, 1};

    report->ring = ring;
    report->source = stek_ring_file_name(&live->file);
    mod_stek_counters_sum(live->counters, &report->totals);
    if (live->counters) {
        source.status = mod_stek_counters_looked(live->counters, &report->looked_at);
        source.age = now - report->looked_at;
        source.age_max = STALE_POLLS * ring->poll + STALE_SLACK;
    }
    if (report->totals.parent_status != APR_SUCCESS) {
        report->parent_trouble = mod_stek_status_text(report->totals.parent_status, pool);
    }
    /* Who does not make the keys may not know their interval. */
    mod_stek_live_view(live, ring->generate ? ring->params.interval : 0, &source, now, pool,
                       &report->view);
    add_reasons(report, &source, now, pool);
}

mod_stek_report_t *mod_stek_report_make(apr_time_t now, apr_pool_t *pool)
{
    mod_stek_report_t *report = apr_pcalloc(pool, sizeof(*report));
    int i, j, n;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);
    mod_stek_vhost_t *const *vhosts;

    report->now = now;
    report->healthy = 1;
    report->rings = apr_pcalloc(pool, (apr_size_t)n * sizeof(*report->rings) + 1);
    for (i = 0; i < n; i++) {
        if (rings[i]->live) {
            fill(&report->rings[report->ring_n], rings[i], now, pool);
            report->healthy &= report->rings[report->ring_n].reason_n == 0;
            report->ring_n++;
        }
    }
    vhosts = mod_stek_vhosts(&report->vhost_n);
    report->vhosts = apr_palloc(pool, ((apr_size_t)report->vhost_n + 1) * sizeof(void *));
    /* httpd lists virtual hosts in reverse order. */
    for (i = 0; i < report->vhost_n; i++) {
        report->vhosts[i] = vhosts[report->vhost_n - 1 - i];
        for (j = 0; j < report->ring_n; j++) {
            report->rings[j].vhost_n += report->rings[j].ring == report->vhosts[i]->ring;
        }
    }
    return report;
}

const char *mod_stek_report_sentence(const mod_stek_ring_report_t *ring, apr_time_t now,
                                     apr_pool_t *pool)
{
    const stek_health_t *health = &ring->view.health;
    const char *rotates = health->rotates_at
                              ? apr_psprintf(pool, "rotates in %s",
                                             mod_stek_span_text(health->rotates_at - now, pool))
                              : "no next key is prepared";
    const char *source = ring->looked_at
                             ? apr_psprintf(pool, "source fresh %s ago",
                                            mod_stek_span_text(now - ring->looked_at, pool))
                             : "source never read";

    return apr_psprintf(pool, "%s; %d key%s; %s", rotates, (int)ring->view.key_n,
                        ring->view.key_n == 1 ? "" : "s", source);
}

apr_uint64_t mod_stek_report_sum(const apr_uint64_t *counts, int first, int n)
{
    apr_uint64_t sum = 0;

    while (n-- > 0) {
        sum = mod_stek_counts_add(sum, counts[first + n]);
    }
    return sum;
}
