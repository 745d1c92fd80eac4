/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges a ring (health.h).  stekctl; any thread.
 */
#include "health.h"

#include <apr_strings.h>
#include <string.h>

#include "report.h"

static void add(const char **lines, int *pn, const char *line)
{
    if (*pn < HEALTH_LINES_MAX) {
        lines[(*pn)++] = line;
    }
}

void health_judge(const ringio_t *io, health_place_e place, apr_time_t now, apr_pool_t *pool,
                  health_t *health)
{
    const stek_ring_t *ring = io->ring;

    memset(health, 0, sizeof(*health));
    stek_health_judge(ring, 0, NULL, now, &health->judged);
    if (health->judged.problems & STEK_HEALTH_NO_KEY) {
        add(health->problems, &health->problem_n,
            "no key encrypts now, so no tickets are issued: is httpd, or stekctl sync, running?");
    }
    if (health->judged.problems & STEK_HEALTH_LATE) {
        add(health->problems, &health->problem_n,
            apr_psprintf(pool,
                         "no key encrypts after %s, and none is prepared: is httpd, or stekctl "
                         "sync, running?",
                         report_time(health->judged.covered_until, now, pool)));
    }
    if (health->judged.problems & STEK_HEALTH_CLOCK) {
        add(health->problems, &health->problem_n,
            apr_psprintf(pool,
                         "written %s from now: the clock of this host, or of the writer, is wrong",
                         report_span(ring->written_at - now, pool)));
    }
    if (io->secret_i > 0) {
        add(health->notes, &health->note_n,
            apr_psprintf(pool,
                         "sealed under secret %d of %d: reload httpd, and it seals under the first",
                         (int)io->secret_i + 1, (int)io->secrets->n));
    }
    if (place == HEALTH_SWAPPABLE) {
        add(health->notes, &health->note_n,
            "the ring is on a tmpfs that may be swapped out: better one mounted with noswap, or "
            "encrypted swap or none");
    }
    if (place == HEALTH_ON_DISK) {
        add(health->notes, &health->note_n,
            "the ring is on a disk, where ended keys may be found later: better a tmpfs");
    }
}
