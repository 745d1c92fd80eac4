/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health of a ring (stek_health.h).  Core; no state, so any thread and any phase.
 */
#include "stek_health.h"

#include <string.h>

/* When the current key will change: at the end of its slot, or earlier, where a key with precedence
 * begins; if there is no current key, at the next slot. */
static apr_time_t next_rotation(const stek_ring_t *ring, apr_time_t now, const stek_key_t **pnext)
{
    const stek_key_t *current = stek_ring_current(ring, now);
    apr_time_t at = current ? current->encrypt_until : 0;
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        if (key->not_before > now && key->encrypt_until > key->not_before
            && (at == 0 || key->not_before < at)) {
            at = key->not_before;
        }
    }
    *pnext = at ? stek_ring_current(ring, at) : NULL;
    return *pnext ? at : 0;
}

static unsigned source_problems(const stek_source_t *source)
{
    unsigned problems = source->issues ? 0 : STEK_HEALTH_NO_ISSUE;

    if (source->status != APR_SUCCESS) {
        problems |= STEK_HEALTH_SOURCE;
    }
    else if (source->age > source->age_max) {
        problems |= STEK_HEALTH_STALE;
    }
    return problems;
}

void stek_health_judge(const stek_ring_t *ring, apr_interval_time_t interval,
                       const stek_source_t *source, apr_time_t now, stek_health_t *health)
{
    const stek_key_t *current = stek_ring_current(ring, now);

    memset(health, 0, sizeof(*health));
    health->covered_until = stek_schedule_covered_until(ring, now);
    health->rotates_at = next_rotation(ring, now, &health->next);
    interval = interval ? interval : ring->interval;
    if (!current) {
        health->problems |= STEK_HEALTH_NO_KEY;
    }
    else {
        health->rotation_valid = current->encrypt_until - current->not_before <= interval;
        health->next_ready = health->covered_until > current->encrypt_until;
        if (health->covered_until - now < STEK_HEALTH_LATE_SPAN) {
            health->problems |= STEK_HEALTH_LATE;
        }
    }
    if (ring->written_at > now + STEK_HEALTH_CLOCK_SLACK) {
        health->problems |= STEK_HEALTH_CLOCK;
    }
    if (source) {
        health->problems |= source_problems(source);
    }
}

const char *stek_health_code(unsigned problem)
{
    switch (problem) {
    case STEK_HEALTH_NO_KEY:
        return "no-key";
    case STEK_HEALTH_LATE:
        return "late";
    case STEK_HEALTH_CLOCK:
        return "clock";
    case STEK_HEALTH_SOURCE:
        return "source";
    case STEK_HEALTH_STALE:
        return "stale";
    default:
        return "self-test";
    }
}
