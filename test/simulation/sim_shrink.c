/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shrinks a history that fails: takes out actions, in ever smaller pieces, then hosts and stores,
 * as long as it still fails in the same way (delta debugging, Zeller and Hildebrandt 2002).  One
 * thread.
 */
#include "sim.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS_MAX 3000
#define SECONDS_MAX 60

static int run_n;
static time_t ends_at;

static int still_fails(const sim_history_t *history, const char *failed)
{
    char now[32], why[SIM_TEXT_LEN];

    return run_n++ < RUNS_MAX && time(NULL) < ends_at && sim_run(history, NULL, now, why)
           && !strcmp(now, failed);
}

/* Takes out n actions from at on; nonzero if that still fails. */
static int without(sim_history_t *history, sim_history_t *less, int at, int n, const char *failed)
{
    memcpy(less, history, sizeof(*less));
    memmove(less->actions + at, less->actions + at + n,
            (size_t)(less->action_n - at - n) * sizeof(less->actions[0]));
    less->action_n -= n;
    /* Time passes all the same, where that keeps the failure. */
    if (at < less->action_n) {
        int i;

        for (i = at; i < at + n; i++) {
            less->actions[at].after += history->actions[i].after;
        }
    }
    if (!still_fails(less, failed)) {
        if (at < less->action_n) {
            less->actions[at].after = history->actions[at + n].after;
        }
        if (at >= less->action_n || !still_fails(less, failed)) {
            return 0;
        }
    }
    memcpy(history, less, sizeof(*history));
    return 1;
}

static int simpler_world(sim_history_t *history, sim_history_t *less, const char *failed)
{
    int i, changed = 0;

    for (i = 0; i < 4; i++) {
        memcpy(less, history, sizeof(*less));
        less->host_n -= i == 0 && less->host_n > 1;
        less->store_n -= i == 1 && less->store_n > 1;
        less->ratchet = i == 2 ? 0 : less->ratchet;
        less->passive = i == 3 ? 0 : less->passive;
        if (memcmp(less, history, offsetof(sim_history_t, actions)) != 0) {
            int a, fits = 1;

            for (a = 0; a < less->action_n; a++) {
                fits &= less->actions[a].host < less->host_n
                        && less->actions[a].store < less->store_n;
            }
            if (fits && still_fails(less, failed)) {
                memcpy(history, less, sizeof(*history));
                changed = 1;
            }
        }
    }
    return changed;
}

static int simpler_actions(sim_history_t *history, sim_history_t *less, const char *failed)
{
    int i, changed = 0;

    for (i = 0; i < history->action_n; i++) {
        memcpy(less, history, sizeof(*less));
        if (less->actions[i].kind == SIM_CYCLE && less->actions[i].other >= 0) {
            less->actions[i].other = -1;
            if (still_fails(less, failed)) {
                memcpy(history, less, sizeof(*history));
                changed = 1;
            }
        }
    }
    return changed;
}

void sim_shrink(sim_history_t *history, const char *failed)
{
    sim_history_t *less = malloc(sizeof(*less));
    int changed = 1;

    run_n = 0;
    ends_at = time(NULL) + SECONDS_MAX;
    while (less && changed && run_n < RUNS_MAX) {
        int piece = history->action_n / 2 > 0 ? history->action_n / 2 : 1;

        changed = 0;
        for (; piece > 0; piece /= 2) {
            int at = history->action_n - piece;

            for (; at >= 0; at -= piece) {
                if (at + piece <= history->action_n) {
                    changed |= without(history, less, at, piece, failed);
                }
            }
        }
        changed |= simpler_world(history, less, failed);
        changed |= simpler_actions(history, less, failed);
    }
    free(less);
}
