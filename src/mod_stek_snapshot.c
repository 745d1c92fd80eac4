/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers what the status shows (mod_stek_snapshot.h).  Glue; any thread of a child.
 */
#include "mod_stek_snapshot.h"

#include "apr_strings.h"

#include "mod_stek_live_follow.h"
#include "mod_stek_phase.h"
#include "mod_stek_words.h"
#include "stek_time.h"

/* Three polls may pass without a look, and half a minute of a busy machine. */
#define STALE_POLLS 3
#define STALE_SLACK apr_time_from_sec(30)

const char *mod_stek_span_text(apr_interval_time_t span, apr_pool_t *pool)
{
    return stek_time_rough(span, " ", pool);
}

/* What existing keys are good for while the ring's file is refused. */
static const char *keys_text(const mod_stek_view_t *view)
{
    if (view->key_n == 0) {
        return "there are no keys";
    }
    return view->health.problems & STEK_HEALTH_NO_KEY
               ? "existing keys only decrypt the tickets that they sealed"
               : "existing keys stay in use";
}

static const char *reason_text(const mod_stek_ring_snapshot_t *ring, unsigned problem,
                               const stek_source_t *source, apr_time_t now, apr_pool_t *pool)
{
    const stek_health_t *health = &ring->view.health;

    switch (problem) {
    case STEK_HEALTH_NO_KEY:
        return "there is no current key, so clients get no tickets";
    case STEK_HEALTH_LATE:
        return apr_psprintf(pool, "keys are prepared for only the next %s",
                            mod_stek_span_text(health->covered_until - now, pool));
    case STEK_HEALTH_CLOCK:
        return apr_psprintf(
            pool, "written %s in the future: correct the clock of this host or of the writer",
            mod_stek_span_text(ring->view.written_at - now, pool));
    case STEK_HEALTH_SOURCE:
        return apr_psprintf(pool, "%s: %s; %s", ring->source,
                            mod_stek_error_text(source->status, pool), keys_text(&ring->view));
    case STEK_HEALTH_STALE:
        return apr_psprintf(pool, "%s was last checked %s ago", ring->source,
                            mod_stek_span_text(source->age, pool));
    default:
        return "the self-test failed, so httpd issues no tickets";
    }
}

/* What only httpd knows: where the configuration said that the ring is, and how its parent fares. */
static void add_own_reasons(mod_stek_ring_snapshot_t *ring, const stek_source_t *source,
                            apr_pool_t *pool)
{
    if (ring->instead_of) {
        mod_stek_reason_t *reason = &ring->reasons[ring->reason_n++];

        reason->code = MOD_STEK_MEMORY_CODE;
        reason->text = apr_psprintf(
            pool,
            "kept in memory, because %s could not be used at the last start or reload: its "
            "keys are lost when httpd stops, and stekctl revokes none of them",
            ring->instead_of);
    }
    /* The log warns of it, too; what this child sees itself is a reason already. */
    if (ring->parent_trouble && ring->totals.parent_status != source->status) {
        mod_stek_reason_t *reason = &ring->reasons[ring->reason_n++];

        reason->code = MOD_STEK_PARENT_CODE;
        reason->text = apr_psprintf(pool, "httpd's parent: %s: %s; %s", ring->source,
                                    ring->parent_trouble, keys_text(&ring->view));
    }
}

static void add_reasons(mod_stek_ring_snapshot_t *ring, const stek_source_t *source, apr_time_t now,
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
    add_own_reasons(ring, source, pool);
}

static void fill(mod_stek_ring_snapshot_t *snapshot, mod_stek_ring_config_t *ring, apr_time_t now,
                 apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;
    const mod_stek_counters_t *counters = mod_stek_live_counters(live);
    stek_source_t source = {APR_SUCCESS, 0, 0, 1};

    snapshot->ring = ring;
    snapshot->source = stek_ring_file_name(mod_stek_live_file(live));
    if (ring->path && !mod_stek_live_file(live)->path && !mod_stek_one_process()) {
        snapshot->instead_of = ring->path;
    }
    mod_stek_counters_sum(counters, &snapshot->totals);
    mod_stek_counters_rate_now(&snapshot->totals, now, &snapshot->rate_now);
    mod_stek_counters_rate_hour(counters, &snapshot->totals, now, &snapshot->rate_hour);
    if (counters) {
        source.status = mod_stek_counters_looked(counters, &snapshot->looked_at);
        snapshot->source_status = source.status;
        source.age = now - snapshot->looked_at;
        source.age_max = STALE_POLLS * ring->poll + STALE_SLACK;
    }
    if (snapshot->totals.parent_status != APR_SUCCESS) {
        snapshot->parent_trouble = mod_stek_error_text(snapshot->totals.parent_status, pool);
    }
    /* An httpd that does not make the keys may not know their interval. */
    mod_stek_live_view(live, ring->generate ? ring->params.interval : 0, &source, now, pool,
                       &snapshot->view);
    add_reasons(snapshot, &source, now, pool);
}

mod_stek_snapshot_t *mod_stek_snapshot_take(apr_time_t now, apr_pool_t *pool)
{
    mod_stek_snapshot_t *snapshot = apr_pcalloc(pool, sizeof(*snapshot));
    int i, j, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);
    mod_stek_vhost_t *const *vhosts;

    snapshot->now = now;
    snapshot->healthy = 1;
    snapshot->rings = apr_pcalloc(pool, (apr_size_t)n * sizeof(*snapshot->rings) + 1);
    snapshot->lost = apr_pcalloc(pool, (apr_size_t)n * sizeof(*snapshot->lost) + 1);
    for (i = 0; i < n; i++) {
        if (rings[i]->live) {
            fill(&snapshot->rings[snapshot->ring_n], rings[i], now, pool);
            snapshot->healthy &= snapshot->rings[snapshot->ring_n].reason_n == 0;
            snapshot->ring_n++;
        }
        else if (rings[i]->used) {
            snapshot->lost[snapshot->lost_n++] = rings[i]->name;
            snapshot->healthy = 0;
        }
    }
    vhosts = mod_stek_vhosts(&snapshot->vhost_n);
    snapshot->vhosts = apr_palloc(pool, ((apr_size_t)snapshot->vhost_n + 1) * sizeof(void *));
    /* httpd lists virtual hosts in reverse order. */
    for (i = 0; i < snapshot->vhost_n; i++) {
        snapshot->vhosts[i] = vhosts[snapshot->vhost_n - 1 - i];
        for (j = 0; j < snapshot->ring_n; j++) {
            int serves = snapshot->rings[j].ring == snapshot->vhosts[i]->ring;

            snapshot->rings[j].vhost_n += serves;
            snapshot->rings[j].secret_vhost_n += serves && snapshot->vhosts[i]->forward_secret;
        }
    }
    return snapshot;
}

/* When the file was checked, as far as that went well. */
static const char *source_text(const mod_stek_ring_snapshot_t *ring, apr_time_t now,
                               apr_pool_t *pool)
{
    const char *ago = mod_stek_span_text(now - ring->looked_at, pool);

    if (!ring->looked_at) {
        return ring->source_status == APR_SUCCESS ? "source not checked yet"
                                                  : "source never found good";
    }
    return apr_psprintf(pool, "source %s %s ago",
                        ring->source_status == APR_SUCCESS ? "checked" : "last found good", ago);
}

const char *mod_stek_snapshot_sentence(const mod_stek_ring_snapshot_t *ring, apr_time_t now,
                                       apr_pool_t *pool)
{
    const stek_health_t *health = &ring->view.health;
    const char *rotates = health->rotates_at
                              ? apr_psprintf(pool, "rotates in %s",
                                             mod_stek_span_text(health->rotates_at - now, pool))
                              : "no next key is prepared";

    return apr_psprintf(pool, "%s; %d key%s; %s", rotates, (int)ring->view.key_n,
                        ring->view.key_n == 1 ? "" : "s", source_text(ring, now, pool));
}
