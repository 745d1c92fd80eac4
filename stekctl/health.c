/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges a ring (health.h).  stekctl; any thread.
 */
#include "health.h"

#include <apr_strings.h>
#include <string.h>

#include "report.h"
#include "stek_schedule.h"

/* Hosts that keep time by NTP differ by less. */
#define CLOCK_SLACK apr_time_from_sec(60)

/* Whoever makes keys prepares STEK_PREPARE_MIN ahead at the least: with half of it left it is
 * late. */
#define LATE (STEK_PREPARE_MIN / 2)

static void add(const char **lines, int *pn, const char *line)
{
    if (*pn < HEALTH_LINES_MAX) {
        lines[(*pn)++] = line;
    }
}

void health_judge(const ringio_t *io, int in_memory, apr_time_t now, apr_pool_t *pool,
                  health_t *health)
{
    const stek_ring_t *ring = io->ring;
    apr_time_t covered = stek_schedule_covered_until(ring, now);

    memset(health, 0, sizeof(*health));
    if (!stek_ring_current(ring, now)) {
        add(health->problems, &health->problem_n,
            "no key encrypts now, so no tickets are issued: is httpd, or stekctl sync, running?");
    }
    else if (covered - now < LATE) {
        add(health->problems, &health->problem_n,
            apr_psprintf(pool,
                         "no key encrypts after %s, and none is prepared: is httpd, or stekctl "
                         "sync, running?",
                         report_time(covered, now, pool)));
    }
    if (ring->written_at > now + CLOCK_SLACK) {
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
    if (!in_memory) {
        add(health->notes, &health->note_n,
            "the ring is on a disk, where ended keys may be found later: better a tmpfs");
    }
}
