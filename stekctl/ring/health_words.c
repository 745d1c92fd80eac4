/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judgement of a ring, in words (health_words.h).  stekctl; any thread.
 */
#include "health_words.h"

#include <apr_strings.h>
#include <string.h>

#include "report.h"
#include "stek_admit.h"

static void add(const char **lines, int *pn, const char *line)
{
    if (*pn < HEALTH_WORDS_LINES_MAX) {
        lines[(*pn)++] = line;
    }
}

/* What httpd and stekctl do not accept. */
static void add_refused(const stek_ring_t *ring, apr_time_t now, apr_pool_t *pool,
                        health_words_t *judgement)
{
    apr_size_t late_n = stek_admit_late_n(ring, NULL, now);

    if (stek_admit_epoch(ring->epoch, 0, now) != APR_SUCCESS) {
        add(judgement->problems, &judgement->problem_n,
            "its epoch is more than a day ahead of this host's clock, so httpd refuses the ring: check "
            "the clock; if it is right, someone else has used the secret: stop httpd and stekctl sync, "
            "remove the ring and the secret, and start both again");
    }
    if (late_n > 0) {
        add(judgement->problems, &judgement->problem_n,
            apr_psprintf(
                pool,
                "%d key%s more than two weeks from now, so %s ignored: check the clocks of "
                "all hosts that write the ring",
                (int)late_n, late_n == 1 ? " begins" : "s begin",
                late_n == 1 ? "it is" : "they are"));
    }
}

void health_words_make(const ringio_t *io, health_words_place_e place, apr_time_t now,
                       apr_pool_t *pool, health_words_t *judgement)
{
    const stek_ring_t *ring = io->ring;

    memset(judgement, 0, sizeof(*judgement));
    stek_health_judge(ring, 0, NULL, now, &judgement->health);
    if (judgement->health.problems & STEK_HEALTH_NO_KEY) {
        add(judgement->problems, &judgement->problem_n,
            "there is no current key, so httpd issues no tickets: check that httpd or stekctl sync is "
            "running");
    }
    if (judgement->health.problems & STEK_HEALTH_LATE) {
        add(judgement->problems, &judgement->problem_n,
            apr_psprintf(pool,
                         "no key encrypts after %s, and none is prepared: check that httpd or "
                         "stekctl sync is running",
                         report_time(judgement->health.covered_until, now, pool)));
    }
    if (judgement->health.problems & STEK_HEALTH_CLOCK) {
        add(judgement->problems, &judgement->problem_n,
            apr_psprintf(pool,
                         "written %s in the future: correct the clock of this host or of the "
                         "writer",
                         report_span(ring->written_at - now, pool)));
    }
    add_refused(ring, now, pool, judgement);
    if (io->secret_i > 0) {
        add(judgement->notes, &judgement->note_n,
            apr_psprintf(pool,
                         "sealed with secret %d of %d: reload httpd to seal the ring with the "
                         "first",
                         (int)io->secret_i + 1, (int)io->secrets->n));
    }
    if (place == HEALTH_WORDS_SWAPPABLE) {
        add(judgement->notes, &judgement->note_n,
            "the ring is on a tmpfs that may be swapped out: mount it with noswap, or use "
            "encrypted swap or none");
    }
    if (place == HEALTH_WORDS_ON_DISK) {
        add(judgement->notes, &judgement->note_n,
            "the ring is on disk, where expired keys can be recovered later: use a tmpfs");
    }
}
