/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories: made from a seed, written and read.  One thread.
 */
#include "sim.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Crowds are rare because they take long. */
#define CROWD_ONE_IN 100
#define BLACKOUT_ONE_IN 40
#define FILLED_ONE_IN 200

const char *const sim_kind_names[SIM_KIND_N] = {
#define SIM_NAME(name, text) text,
    SIM_ACTIONS(SIM_NAME)
#undef SIM_NAME
};

/* ---- from a seed ---- */

typedef struct settings_t {
    int64_t interval_s, lifetime_s;
    int ahead;
} settings_t;

static const settings_t usual[] = {
    {3600, 64800, 1}, {3600, 64800, 1}, {60, 600, 1},     {60, 600, 2},
    {60, 3600, 1},    {300, 86400, 1},  {900, 604800, 3}, {10, 60, 1},
};

/* How often each fault is chosen, when it is in the history at all. */
static const sim_kind_e faults[] = {
    SIM_CRASH,    SIM_CRASH,    SIM_RESTART,   SIM_HTTPD,      SIM_REBOOT,  SIM_BACKUP,
    SIM_RESTORE,  SIM_CLOCK,    SIM_CLOCK,     SIM_DRIFT,      SIM_CUT,     SIM_CUT,
    SIM_JOIN,     SIM_OUTAGE,   SIM_PARTITION, SIM_HEAL,       SIM_FLUSH,   SIM_SNAPSHOT,
    SIM_ROLLBACK, SIM_LAG,      SIM_LOSE,      SIM_DELAY,      SIM_DELIVER, SIM_READONLY,
    SIM_LIE,      SIM_ROTATE,   SIM_REVOKE,    SIM_REVOKE_ALL, SIM_ROLL,    SIM_COPY,
    SIM_RETIRE,   SIM_SETTINGS, SIM_STEAL,     SIM_FORGE,      SIM_SPOIL,
};
#define FAULT_N (int)(sizeof(faults) / sizeof(faults[0]))

static sim_action_t *add(sim_history_t *history, sim_kind_e kind, unsigned after)
{
    sim_action_t *action = &history->actions[history->action_n];

    if (history->action_n < SIM_ACTIONS_MAX) {
        history->action_n++;
    }
    else {
        action--;
    }
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    action->after = after;
    action->host = (int)sim_below((unsigned)history->host_n);
    action->store = (int)sim_below((unsigned)history->store_n);
    action->other = -1;
    action->seed = sim_random();
    return action;
}

static int64_t clock_error(void)
{
    static const int64_t errors[] = {0,         0,          0,          5,          -5,    40,
                                     -40,       -3600,      7200,       86400 * 20, 86400, -86400,
                                     315360000, 86400 * 40, -86400 * 3, SIM_AHEAD_S};
    int64_t error = errors[sim_below(sizeof(errors) / sizeof(errors[0]))];

    return error == SIM_AHEAD_S && !sim_with(SIM_WITH_AHEAD) ? 0 : error;
}

sim_forgery_e sim_forgery(unsigned what)
{
    return (what == SIM_FORGE_FLOOD && !sim_with(SIM_WITH_FLOOD))
                   || (what == SIM_FORGE_FILL && !sim_with(SIM_WITH_FILL))
               ? SIM_FORGE_KEY
               : (sim_forgery_e)what;
}

/* Floods are rare, because they take long. */
static sim_forgery_e choose_forgery(void)
{
    unsigned what = sim_below(12);

    return sim_forgery(what == 0   ? sim_below(SIM_FORGE_N)
                       : what == 1 ? SIM_FORGE_REVOKE
                                   : sim_below(SIM_FORGE_FLOOD));
}

static sim_lie_e choose_lie(void)
{
    unsigned lie = sim_below(SIM_LIE_N);

    return (lie == SIM_LIE_SLOW || lie == SIM_LIE_LATE) && !sim_with(SIM_WITH_SLOW)
               ? SIM_LIE_CONFLICT
               : (sim_lie_e)lie;
}

static void add_fault(sim_history_t *history, sim_kind_e kind, unsigned after)
{
    sim_action_t *action = add(history, kind, after);

    switch (kind) {
    case SIM_CRASH:
        action->value = 1 + sim_below(10);
        action->other = sim_below(2) ? 0 : -1;
        break;
    case SIM_CLOCK:
        action->value = clock_error();
        break;
    case SIM_DRIFT:
        action->value = (int64_t)sim_below(2001) - 1000;
        break;
    case SIM_LAG:
        action->value = sim_below(2);
        action->other = sim_below(2) ? 0 : -1;
        break;
    case SIM_LIE:
        action->value = choose_lie();
        break;
    case SIM_SETTINGS:
        action->value = 1 + sim_below(3);
        break;
    case SIM_STEAL:
        action->value = sim_below(2);
        break;
    case SIM_FORGE:
        action->value = choose_forgery();
        break;
    case SIM_SPOIL:
        action->value = sim_below(SIM_SPOIL_N);
        break;
    default:
        break;
    }
}

static void choose_world(sim_history_t *history)
{
    unsigned size = sim_below(100);
    const settings_t *settings = &usual[sim_below(sizeof(usual) / sizeof(usual[0]))];

    history->host_n = 2
                      + (int)(size < 70   ? sim_below(4)
                              : size < 96 ? sim_below(14)
                                          : sim_below(59));
    history->store_n = 1 + (int)(sim_below(3) ? sim_below(2) : sim_below(SIM_STORES_MAX));
    history->interval_s = settings->interval_s;
    history->lifetime_s = settings->lifetime_s;
    history->ahead = settings->ahead;
    history->ratchet = sim_below(3) == 0;
    history->floor = 1;
    history->passive = sim_below(4) == 0;
}

/* More keys than a ring holds, as an outage of hours leaves them behind: without stores, each host
 * makes its own.  Few hosts that look far ahead take less time than many. */
static void gather_crowd(sim_history_t *history)
{
    int i;

    history->host_n = 4 + (int)sim_below(6);
    history->interval_s = 60;
    history->lifetime_s = 600;
    history->ahead = STEK_KEYS_MAX / history->host_n + (int)sim_below(60);
    history->passive = 0;
    for (i = 0; i < history->store_n; i++) {
        add(history, SIM_OUTAGE, 0)->store = i;
    }
    for (i = 0; i < history->host_n; i++) {
        add(history, SIM_CYCLE, 0)->host = i;
    }
    (void)add(history, SIM_HEAL, 60);
}

static void all_hosts(sim_history_t *history, sim_kind_e kind, unsigned after)
{
    int i;

    for (i = 0; i < history->host_n; i++) {
        add(history, kind, i == 0 ? after : 0)->host = i;
    }
}

static void all_stores(sim_history_t *history, sim_kind_e kind)
{
    int i;

    for (i = 0; i < history->store_n; i++) {
        add(history, kind, 1)->store = i;
    }
}

/* The power fails everywhere, for minutes or days, and the stores come back from snapshots that are older
 * than the last revocation: only floors know of it. */
static void black_out(sim_history_t *history)
{
    static const unsigned lasts[] = {600, 86400, 3 * 86400};

    history->interval_s = 900;
    history->lifetime_s = 604800;
    history->ahead = 3;
    history->ratchet = (int)sim_below(2);
    all_hosts(history, SIM_CYCLE, 1);
    all_stores(history, SIM_SNAPSHOT);
    add(history, sim_below(2) ? SIM_REVOKE : SIM_REVOKE_ALL, 5)->host = 0;
    all_hosts(history, SIM_CYCLE, 5);
    all_stores(history, SIM_ROLLBACK);
    all_hosts(history, SIM_REBOOT, lasts[sim_below(sizeof(lasts) / sizeof(lasts[0]))]);
}

/* A thief fills the rings of hosts that have made keys alone, and all faults end about when a slot does: each
 * clock has another idea of what is to go. */
static void fill_at_slot_end(sim_history_t *history)
{
    sim_forgery_e what = sim_forgery(sim_below(4) ? SIM_FORGE_FILL : SIM_FORGE_FLOOD);
    unsigned began = (unsigned)(history->seed % 86400), passed = 1 + 60;
    int i;

    history->host_n = 3 + (int)sim_below(5);
    history->interval_s = 10;
    history->lifetime_s = 60;
    history->ahead = 1;
    history->passive = 0;
    for (i = 0; i < history->store_n; i++) {
        add(history, SIM_OUTAGE, i == 0)->store = i;
    }
    all_hosts(history, SIM_CYCLE, 60);
    add(history, SIM_STEAL, 0)->value = 1;
    (void)add(history, SIM_HEAL, 0);
    add(history, SIM_FORGE, 0)->value = what;
    for (i = 0; i < history->host_n; i++) {
        if (sim_below(2)) {
            add(history, SIM_CYCLE, 0)->host = i;
        }
    }
    /* The end of the history takes a multiple of the slot more. */
    add(history, SIM_POLL, 39 + sim_below(3) - (began + passed) % 10)->host = 0;
}

/* How long until the next round: mostly a cycle, at times an outage's length. */
static unsigned pause_of(const sim_history_t *history)
{
    unsigned what = sim_below(40);

    return what < 30   ? 1 + sim_below(15)
           : what < 37 ? 20 + sim_below(25)
           : what < 39 ? (history->ratchet ? 86400 : (unsigned)history->interval_s)
                       : (unsigned)(history->interval_s * 3);
}

/* Each alone and together.  Nonzero: a thief has the fleet secret. */
static int adversaries(sim_history_t *history)
{
    sim_action_t *action;

    if (sim_below(5) == 0) {
        add_fault(history, SIM_LIE, 0);
    }
    if (sim_below(5) > 0) {
        return 0;
    }
    add(history, SIM_CYCLE, 0)->host = 0;
    action = add(history, SIM_STEAL, 0);
    action->host = 0;
    action->value = sim_below(4) > 0;
    return action->value != 0;
}

void sim_generate(uint64_t seed, sim_history_t *history)
{
    int enabled[FAULT_N], i, n, round, round_n;
    unsigned rate, density;
    int thief;

    memset(history, 0, offsetof(sim_history_t, actions));
    history->seed = seed;
    sim_seed(sim_mix(seed, 77));
    choose_world(history);
    if (sim_mix(seed, 78) % FILLED_ONE_IN == 0) {
        fill_at_slot_end(history);
        return;
    }
    if (sim_below(CROWD_ONE_IN) == 0) {
        gather_crowd(history);
    }
    else if (sim_below(BLACKOUT_ONE_IN) == 0) {
        black_out(history);
    }
    /* Some histories know few faults, some all. */
    density = 1 + sim_below(3);
    for (i = 0; i < FAULT_N; i++) {
        enabled[i] = sim_below(3) < density;
    }
    rate = sim_below(4);
    thief = adversaries(history);
    round_n = 300 / history->host_n;
    round_n = history->ahead > CROWD_AHEAD ? 2 : round_n < 4 ? 4 : round_n > 30 ? 30 : round_n;
    for (round = 0; round < round_n; round++) {
        unsigned pause = pause_of(history), first = sim_below((unsigned)history->host_n);

        for (n = (int)sim_below(rate + 2); n > 0; n--) {
            i = (int)sim_below(FAULT_N);
            if (enabled[i]) {
                add_fault(history, faults[i], pause);
                pause = 0;
            }
        }
        if (thief && sim_below(6) == 0) {
            add_fault(history, SIM_FORGE, 0);
        }
        for (i = 0; i < history->host_n; i++) {
            if (sim_below(8) > 0) {
                sim_action_t *action = add(history, SIM_CYCLE, pause);

                pause = 0;
                action->host = (int)((first + (unsigned)i) % (unsigned)history->host_n);
                if (sim_below(6) == 0) {
                    action->other = (int)sim_below((unsigned)history->host_n);
                }
            }
        }
    }
}

/* ---- text ---- */

void sim_history_write(const sim_history_t *history, FILE *file)
{
    int i;

    fprintf(file,
            "world seed=%" PRIu64 " hosts=%d stores=%d interval=%" PRId64 " lifetime=%" PRId64
            " ahead=%d ratchet=%d floor=%d passive=%d\n",
            history->seed, history->host_n, history->store_n, history->interval_s,
            history->lifetime_s, history->ahead, history->ratchet, history->floor,
            history->passive);
    for (i = 0; i < history->action_n; i++) {
        const sim_action_t *action = &history->actions[i];

        fprintf(file, "%s host=%d store=%d other=%d value=%" PRId64 " after=%u seed=%" PRIu64 "\n",
                sim_kind_names[action->kind], action->host, action->store, action->other,
                action->value, action->after, action->seed);
    }
}

static int read_action(const char *line, sim_history_t *history)
{
    sim_action_t *action = &history->actions[history->action_n];
    char name[32];
    int kind;

    memset(action, 0, sizeof(*action));
    if (history->action_n == SIM_ACTIONS_MAX
        || sscanf(line, "%31s host=%d store=%d other=%d value=%" SCNd64 " after=%u seed=%" SCNu64,
                  name, &action->host, &action->store, &action->other, &action->value,
                  &action->after, &action->seed)
               != 7) {
        return 0;
    }
    for (kind = 0; kind < SIM_KIND_N; kind++) {
        if (!strcmp(name, sim_kind_names[kind])) {
            action->kind = (sim_kind_e)kind;
            history->action_n++;
            return action->host >= 0 && action->host < history->host_n && action->store >= 0
                   && action->store < history->store_n && action->value > -(INT64_C(1) << 40)
                   && action->value < INT64_C(1) << 40;
        }
    }
    return 0;
}

int sim_history_read(sim_history_t *history, FILE *file)
{
    char line[512];
    int n = 0, world = 0;

    memset(history, 0, offsetof(sim_history_t, actions));
    while (fgets(line, sizeof(line), file)) {
        n++;
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        if (world) {
            if (!read_action(line, history)) {
                return n;
            }
            continue;
        }
        world = sscanf(line,
                       "world seed=%" SCNu64 " hosts=%d stores=%d interval=%" SCNd64
                       " lifetime=%" SCNd64 " ahead=%d ratchet=%d floor=%d passive=%d",
                       &history->seed, &history->host_n, &history->store_n, &history->interval_s,
                       &history->lifetime_s, &history->ahead, &history->ratchet, &history->floor,
                       &history->passive)
                == 9;
        if (!world || history->host_n < 1 || history->host_n > SIM_HOSTS_MAX || history->store_n < 1
            || history->store_n > SIM_STORES_MAX) {
            return n;
        }
    }
    return world ? 0 : n + 1;
}
