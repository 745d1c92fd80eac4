/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories: what happens, in sentences.  One thread.
 */
#include "sim.h"

#include <stdarg.h>
#include <string.h>

/* H, S and V stand for the numbers of host and store and for the value, T for a text. */
static const char *const sentences[SIM_KIND_N] = {
    [SIM_CYCLE] = "host $H runs a cycle",
    [SIM_POLL] = "httpd on host $H looks at its ring",
    [SIM_CRASH] = "host $H crashes in its cycle, before write $V",
    [SIM_RESTART] = "stekctl sync on host $H is restarted",
    [SIM_HTTPD] = "httpd on host $H is stopped and started",
    [SIM_REBOOT] = "host $H reboots; its runtime directory is gone",
    [SIM_BACKUP] = "the disk of host $H is backed up",
    [SIM_RESTORE] = "host $H gets its old disk back",
    [SIM_CLOCK] = "the clock of host $H is off by $V s",
    [SIM_DRIFT] = "the clock of host $H drifts by $V ppm",
    [SIM_CUT] = "host $H loses store $S",
    [SIM_JOIN] = "host $H reaches store $S again",
    [SIM_OUTAGE] = "store $S is down",
    [SIM_PARTITION] = "the network breaks into parts",
    [SIM_HEAL] = "the network is whole again",
    [SIM_FLUSH] = "store $S is emptied",
    [SIM_SNAPSHOT] = "store $S saves a snapshot",
    [SIM_ROLLBACK] = "store $S comes back from its snapshot",
    [SIM_LAG] = "store $S: $T",
    [SIM_LOSE] = "the answer to host $H's next write will be lost",
    [SIM_DELAY] = "host $H's next write will be long on its way",
    [SIM_DELIVER] = "a late write arrives at store $S",
    [SIM_READONLY] = "store $S changes whether host $H may write",
    [SIM_LIE] = "store $S $T",
    [SIM_ROTATE] = "on host $H somebody runs 'rotate'",
    [SIM_REVOKE] = "on host $H somebody revokes the current key",
    [SIM_REVOKE_ALL] = "on host $H somebody runs 'revoke --all'",
    [SIM_ROLL] = "on host $H somebody rolls the fleet secret",
    [SIM_COPY] = "the rolled fleet secret is copied to host $H",
    [SIM_RETIRE] = "the old fleet secrets are retired",
    [SIM_SETTINGS] = "host $H is started with $V times the interval and lifetime",
    [SIM_STEAL] = "a thief copies from host $H the current key$T",
    [SIM_FORGE] = "the thief writes to store $S: $T",
    [SIM_SPOIL] = "somebody overwrites the object in store $S: $T",
};

static const char *const lies[SIM_LIE_N] = {
    [SIM_HONEST] = "is honest again",
    [SIM_LIE_CONFLICT] = "lies: there is nothing, and another host always wrote first",
    [SIM_LIE_DROP] = "lies: it says that it wrote, and does not",
    [SIM_LIE_REPLAY] = "lies: it answers older objects",
    [SIM_LIE_SWAP] = "lies: it answers another fleet's object",
    [SIM_LIE_GARBAGE] = "lies: it answers garbage, or a part",
    [SIM_LIE_HUGE] = "lies: it has two gigabytes",
    [SIM_LIE_SLOW] = "lies slowly: there is nothing, and another host always wrote first",
    [SIM_LIE_LATE] = "answers at the last moment",
    [SIM_LIE_FORK] = "lies: each host gets what it has written itself",
    [SIM_LIE_BLIND] = "lies: whoever writes last wins",
    [SIM_LIE_FICKLE] = "lies in another way in every call, or not",
};

static const char *const forgeries[SIM_FORGE_N] = {
    [SIM_FORGE_KEY] = "a key of his own",
    [SIM_FORGE_EPOCH] = "the last epoch that there is",
    [SIM_FORGE_FUTURE] = "keys for slots in ten years",
    [SIM_FORGE_AHEAD] = "an epoch that is 20 hours ahead",
    [SIM_FORGE_FLOOD] = "21,000 tombstones for ten years",
    [SIM_FORGE_FILL] = "a ring full of keys that never encrypt",
    [SIM_FORGE_REVOKE] = "tombstones of all keys that are there",
};

static const char *const spoils[SIM_SPOIL_N] = {
    [SIM_SPOIL_TEXT] = "another program's data",
    [SIM_SPOIL_FOREIGN] = "another fleet's object",
    [SIM_SPOIL_FUTURE] = "a ring of a later version",
    [SIM_SPOIL_PART] = "a part of it",
};

static const char *text_of(const sim_action_t *action)
{
    switch (action->kind) {
    case SIM_LAG:
        return action->value       ? "reads come from a replica that stands still"
               : action->other < 0 ? "the replica has caught up"
                                   : "the replica takes over, later writes are lost";
    case SIM_LIE:
        return lies[action->value];
    case SIM_FORGE:
        return forgeries[action->value];
    case SIM_SPOIL:
        return spoils[action->value];
    default:
        return action->value ? " and the fleet secret" : "";
    }
}

void sim_tell(const sim_action_t *action)
{
    char line[256], value[32];
    const char *at = sentences[action->kind];
    size_t len = 0;

    if (!sim->story) {
        return;
    }
    while (*at && len < sizeof(line) - 1) {
        const char *text = value;

        if (*at != '$') {
            line[len++] = *at++;
            continue;
        }
        snprintf(value, sizeof(value), "%lld",
                 at[1] == 'H'   ? (long long)action->host
                 : at[1] == 'S' ? (long long)action->store
                                : (long long)action->value);
        text = at[1] == 'T' ? text_of(action) : value;
        len += (size_t)snprintf(line + len, sizeof(line) - len, "%s", text);
        at += 2;
    }
    line[len < sizeof(line) ? len : sizeof(line) - 1] = '\0';
    sim_say("%s%s", line,
            action->kind == SIM_CRASH && action->other >= 0   ? "; it loses power"
            : action->kind == SIM_CYCLE && action->other >= 0 ? "; another host may be quicker"
                                                              : "");
}

void sim_say(const char *format, ...)
{
    int64_t s = sim->now_ms / 1000 % 86400;
    va_list args;

    if (sim->story) {
        fprintf(sim->story, "%02d:%02d:%02d ", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
        va_start(args, format);
        vfprintf(sim->story, format, args);
        va_end(args);
        putc('\n', sim->story);
    }
}

/* Whether a word of the list begins the kind. */
static int is_looked_for(const char *kind)
{
    const char *at = sim_only;

    while (at && *at) {
        size_t len = strcspn(at, ",");

        if (len > 0 && !strncmp(at, kind, len)) {
            return 1;
        }
        at += len + (at[len] == ',');
    }
    return !sim_only;
}

void sim_fail(const char *kind, const char *format, ...)
{
    va_list args;

    if (sim->failed[0] || !is_looked_for(kind)) {
        return;
    }
    snprintf(sim->failed, sizeof(sim->failed), "%s", kind);
    va_start(args, format);
    vsnprintf(sim->why, sizeof(sim->why), format, args);
    va_end(args);
    sim_say("FAILED (%s): %s", kind, sim->why);
}
