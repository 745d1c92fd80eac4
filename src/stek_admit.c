/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is accepted of a ring from outside (stek_admit.h).  Core; no state, so any thread and any phase.
 */
#include "stek_admit.h"

#include "stek_error.h"
#include "stek_time.h"

static apr_uint64_t epoch_at(apr_time_t t)
{
    return t > 0 ? (apr_uint64_t)apr_time_sec(t) : 0;
}

apr_status_t stek_admit_epoch(apr_uint64_t epoch, apr_uint64_t known, apr_time_t now)
{
    return epoch <= known || epoch <= epoch_at(now + STEK_ADMIT_EPOCH_MARGIN) ? APR_SUCCESS
                                                                              : STEK_EEPOCH;
}

apr_status_t stek_admit_next_epoch(apr_uint64_t epoch, apr_time_t now, apr_uint64_t *pnext)
{
    apr_uint64_t next = epoch_at(now);

    if (next <= epoch) {
        /* Hosts accept one more than they know only within the margin. */
        if (epoch >= epoch_at(now + STEK_ADMIT_EPOCH_MARGIN)) {
            return STEK_EEPOCH;
        }
        next = epoch + 1;
    }
    *pnext = next;
    return APR_SUCCESS;
}

apr_time_t stek_admit_latest(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now)
{
    apr_time_t latest, covered;

    if (params) {
        return now + stek_schedule_horizon(params) + params->interval + STEK_ADMIT_KEY_MARGIN;
    }
    latest = now + 2 * STEK_TIME_MAX + STEK_ADMIT_KEY_MARGIN;
    covered = stek_schedule_covered_until(ring, now);
    return covered > latest ? covered : latest;
}

apr_size_t stek_admit_keys(stek_ring_t *ring, const stek_params_t *params, apr_time_t now)
{
    return stek_ring_drop_later(ring, stek_admit_latest(ring, params, now));
}

apr_size_t stek_admit_late_n(const stek_ring_t *ring, const stek_params_t *params, apr_time_t now)
{
    apr_time_t latest = stek_admit_latest(ring, params, now);
    apr_size_t n = 0;

    /* by_start begins with the latest. */
    while (n < ring->key_n && ring->keys[ring->by_start[n]].not_before > latest) {
        n++;
    }
    return n;
}
