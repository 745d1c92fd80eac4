/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the fleet, action by action, and the end of every history: all faults end, and
 * the fleet has to be well again.  One thread.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "fleet/ratchet.h"
#include "fleet/sync_ask_stores.h"
#include "fleet/sync_stores.h"
#include "stek_error.h"
#include "stek_key_make.h"
#include "stek_ring_file.h"
#include "stek_ring_merge.h"
#include "stek_secret_file.h"

sim_world_t *sim;
sim_host_t *sim_host;
const char *sim_only;
int64_t sim_step_count;

#define FILL_N STEK_KEYS_MAX
#define FLOOD_N 21000

static stek_secrets_t *loot; /* the thief's copy of the fleet secret */

/* ---- operators ---- */

static void reload(sim_host_t *host)
{
    if (host->up) {
        sim_host = host;
        sync_host_reload(&host->sync);
        sim_host = NULL;
    }
}

static void copy_secret(const sim_host_t *from, sim_host_t *to)
{
    unsigned char *bytes = NULL;
    size_t len = 0;

    if (from != to && sim_file_read(from->secret, &bytes, &len)) {
        sim_file_write(to->secret, bytes, len, 0600);
        to->edition = from->edition;
        to->behind = 0;
        reload(to);
    }
    free(bytes);
}

static int command(sim_host_t *host, const char *secret, const char *line, uint64_t extra);

static void revoke_at(sim_host_t *host, int all)
{
    const stek_key_t *key = host->file ? stek_ring_current(host->file, sim_clock(host)) : NULL;
    char line[64] = "revoke --all";
    int event, i;

    if ((!all && !key) || !host->file) {
        sim_say("    host %d has no %s", sim_number(host), host->file ? "current key" : "ring");
        return;
    }
    if (!all && sim_truth_see(key)->revoked) {
        return;
    }
    for (i = 0; !all && i < STEK_NAME_LEN; i++) {
        snprintf(line + 7 + (size_t)2 * (unsigned)i, 3, "%02x", key->name[i]);
    }
    event = sim_truth_event(host, all ? NULL : key->name);
    if (event < 0) {
        return;
    }
    if (command(host, NULL, line, UINT64_C(1) << event) == 0) {
        sim->events[event].epoch = host->file->epoch;
        sim->judged_n++;
        if (!sim->events[event].is_void && !(host->known >> event & 1)) {
            sim_fail("revoked-returns", "a revocation on host %d is done, and nothing is revoked",
                     sim_number(host));
        }
    }
    else {
        if (!all) {
            sim_truth_find(sim->events[event].name)->revoked = 0;
        }
        sim->event_n--;
        sim->judged_n++;
        host->known &= ~(UINT64_C(1) << event);
        host->kept &= ~(UINT64_C(1) << event);
    }
}

static int command(sim_host_t *host, const char *secret, const char *line, uint64_t extra)
{
    int code = sim_host_command(host, secret, line, extra);

    sim_say("    host %d: 'stekctl %.20s' ends with %d; epoch %llu", sim_number(host), line, code,
            host->file ? (unsigned long long)host->file->epoch : 0ULL);
    return code;
}

/* Operators work where the clock is right: a ratchet that moves on never comes back. */
static int is_in_step(const sim_host_t *host)
{
    return host->error_ms > -3600000 && host->error_ms < 3600000 && !host->behind;
}

/* The newest fleet secret goes to every host that has another one.  0: no host is in step. */
static int spread_secret(void)
{
    const sim_host_t *newest = NULL;
    int i;

    for (i = 0; i < sim->history->host_n; i++) {
        const sim_host_t *host = &sim->hosts[i];

        if (is_in_step(host) && (!newest || host->edition > newest->edition)) {
            newest = host;
        }
    }
    for (i = 0; newest && i < sim->history->host_n; i++) {
        if (sim->hosts[i].edition != newest->edition || sim->hosts[i].behind) {
            sim_say("host %d gets the fleet secret of host %d", i, sim_number(newest));
            copy_secret(newest, &sim->hosts[i]);
        }
    }
    return newest != NULL;
}

/* As far as the operator has come with a roll. */
static void copy_newest(sim_host_t *host)
{
    int i;

    for (i = 0; i < sim->history->host_n; i++) {
        const sim_host_t *from = &sim->hosts[i];

        if (from->edition == sim->edition && host->edition < sim->edition && is_in_step(from)) {
            copy_secret(from, host);
            return;
        }
    }
}

/* One roll at a time: the next begins when the older secrets are gone. */
static void roll(sim_host_t *host)
{
    if (!sim->rolling && is_in_step(host) && host->edition == sim->edition
        && command(host, host->secret, "secret roll", 0) == 0) {
        host->edition = ++sim->edition;
        sim->rolling = 1;
        reload(host);
    }
}

/* Whether sync runs everywhere; then it has sealed its floor with the newest secret that it has. */
static int all_run(void)
{
    int i, all = 1;

    for (i = 0; i < sim->history->host_n; i++) {
        all &= sim_host_start(&sim->hosts[i]);
    }
    return all;
}

/* The older secrets go when every host runs with the new one. */
static void retire(sim_host_t *host)
{
    if (sim->rolling && is_in_step(host) && host->edition == sim->edition) {
        spread_secret();
        if (all_run() && host->edition == sim->edition
            && command(host, host->secret, "secret retire", 0) == 0) {
            host->edition = ++sim->edition;
            reload(host);
            (void)spread_secret();
            sim->rolling = 0;
        }
    }
}

/* ---- thieves ---- */

static void steal(const sim_host_t *host, int whole)
{
    const stek_key_t *key = host->file ? stek_ring_current(host->file, sim_clock(host)) : NULL;

    if (key) {
        sim_truth_see(key)->stolen = 1;
        sim->stolen = 1;
        sim->judged_n++;
    }
    if (whole && !loot) {
        apr_pool_t *pool;

        apr_pool_create(&pool, NULL);
        sim->thief = stek_secret_file_load(host->secret, geteuid(), &loot, NULL, pool)
                     == APR_SUCCESS;
        apr_pool_destroy(pool);
    }
}

/* Adds the thief's keys to a ring that has room for them. */
static void forge_keys(stek_ring_t *ring, sim_forgery_e what, apr_time_t now)
{
    apr_time_t from = what == SIM_FORGE_FUTURE ? now + apr_time_from_sec(10 * 365 * 86400) : now;
    apr_interval_time_t interval = apr_time_from_sec(sim->history->interval_s);
    stek_key_t key;
    int i;

    for (i = 0; i < (what == SIM_FORGE_FUTURE ? 8 : 1); i++) {
        if (stek_key_make(from + i * interval, from + (i + 1) * interval, ring->lifetime,
                          ring->epoch, now, stek_rng_system, &key)
                == APR_SUCCESS
            && stek_ring_add_key(ring, &key) == APR_SUCCESS) {
            sim_truth_see(&key)->forged = 1;
        }
    }
}

/* As many tombstones as there is room for beside a few keys. */
static void forge_tombstones(stek_ring_t *ring, apr_time_t now)
{
    stek_tombstone_t tombstone = {.until = now + apr_time_from_sec(10 * 365 * 86400)};
    apr_size_t i;

    for (i = 0; i < ring->tombstone_max; i++) {
        (void)stek_rng_system(tombstone.name, sizeof(tombstone.name));
        /* In order, so that none is moved. */
        tombstone.name[0] = (unsigned char)(i >> 8);
        tombstone.name[1] = (unsigned char)i;
        (void)stek_ring_add_tombstone(ring, &tombstone);
    }
}

/* Keys with empty slots that end together with those of this slot and the next ones, or at times of
 * their own. */
static void forge_fill(stek_ring_t *ring, apr_time_t now)
{
    apr_interval_time_t interval = apr_time_from_sec(sim->history->interval_s);
    apr_time_t slot_end = now - now % interval + interval;
    int spread = sim_below(2) == 0;
    stek_key_t key;
    apr_size_t i;

    for (i = 0; i < ring->key_max; i++) {
        apr_int64_t n = (apr_int64_t)i;
        apr_time_t at = slot_end + (spread ? apr_time_from_sec(n) : n % 3 * interval);

        if (stek_key_make(at, at, ring->lifetime, ring->epoch, now, stek_rng_system, &key)
            == APR_SUCCESS) {
            key.name[0] = 0;
            key.name[1] = (unsigned char)(i >> 8);
            key.name[2] = (unsigned char)i;
            sim_truth_see(&key)->forged = 1;
            (void)stek_ring_add_key(ring, &key);
        }
    }
}

/* The keys stay beside their tombstones: the merge takes them out. */
static void forge_revocations(stek_ring_t *ring, const stek_ring_t *base)
{
    apr_size_t i;

    for (i = 0; base && i < base->key_n; i++) {
        stek_tombstone_t tombstone = {.until = base->keys[i].decrypt_until};

        memcpy(tombstone.name, base->keys[i].name, STEK_NAME_LEN);
        (void)stek_ring_add_tombstone(ring, &tombstone);
    }
}

static stek_ring_t *forged_ring(const stek_ring_t *base, sim_forgery_e what, apr_time_t now)
{
    stek_ring_t *ring = NULL, *merged = NULL;
    apr_uint64_t epoch = base ? base->epoch : 0;

    if (stek_ring_create(what == SIM_FORGE_FILL ? FILL_N : 8,
                         what == SIM_FORGE_FLOOD    ? FLOOD_N
                         : what == SIM_FORGE_REVOKE ? STEK_KEYS_MAX
                                                    : 0,
                         &ring)
        != APR_SUCCESS) {
        return NULL;
    }
    ring->epoch = what == SIM_FORGE_EPOCH   ? APR_UINT64_MAX
                  : what == SIM_FORGE_AHEAD ? (apr_uint64_t)apr_time_sec(now) + 20 * 3600
                                            : epoch;
    ring->epoch = ring->epoch < epoch ? epoch : ring->epoch;
    ring->interval = apr_time_from_sec(sim->history->interval_s);
    ring->lifetime = apr_time_from_sec(sim->history->lifetime_s);
    ring->generation = base ? base->generation + 1 : 1;
    ring->written_at = now;
    if (what == SIM_FORGE_FLOOD) {
        forge_tombstones(ring, now);
    }
    else if (what == SIM_FORGE_FILL) {
        forge_fill(ring, now);
    }
    else if (what == SIM_FORGE_REVOKE) {
        forge_revocations(ring, base);
    }
    else {
        forge_keys(ring, what, now);
    }
    /* Two floods do not fit one ring. */
    if (base && what != SIM_FORGE_FLOOD && what != SIM_FORGE_FILL
        && stek_ring_merge(ring, base, now, 0, &merged) == APR_SUCCESS) {
        merged->written_at = now;
        stek_ring_destroy(ring);
        ring = merged;
    }
    return ring;
}

static void forge(sim_server_t *server, sim_forgery_e what)
{
    static const unsigned char salt[STEK_RING_SALT_RANDOM_LEN] = {7};
    apr_time_t now = apr_time_from_sec(sim->now_ms / 1000);
    stek_secrets_t *seals = NULL;
    stek_ring_t *base = NULL, *ring;
    unsigned char *sealed = NULL;
    apr_size_t len;

    sim->judged_n++;
    if (!loot || ratchet_keys(loot, ratchet_day(now), &seals) != APR_SUCCESS) {
        return;
    }
    if (server->object.bytes) {
        (void)stek_ring_unseal(server->object.bytes, server->object.len, seals, 1, &base, NULL);
    }
    ring = forged_ring(base, what, now);
    if (ring && stek_ring_seal(ring, &seals->secrets[0], salt, &sealed, &len) == APR_SUCCESS) {
        if (base) {
            sim_truth_note(sealed, len, sim_truth_taint(server->object.bytes, server->object.len));
        }
        sim_server_put(server, sealed, len);
    }
    free(sealed);
    stek_ring_destroy(ring);
    stek_ring_destroy(base);
    stek_secrets_destroy(seals);
}

/* ---- hosts and their disks ---- */

static void back_up(sim_host_t *host, int restore)
{
    char path[4096];

    if (!restore) {
        host->backup_edition = host->edition;
    }
    snprintf(path, sizeof(path), "%s/backup", host->dir);
    sim_dir_copy(restore ? path : host->state, restore ? host->state : path);
}

static void restore_disk(sim_host_t *host)
{
    char path[4096];
    unsigned char *bytes = NULL;
    size_t len;

    snprintf(path, sizeof(path), "%s/backup/fleet.secret", host->dir);
    if (!sim_file_read(path, &bytes, &len)) {
        return;
    }
    free(bytes);
    sim_host_power_off(host);
    back_up(host, 1);
    /* What it had learned since the backup is gone. */
    host->known = 0;
    host->kept = 0;
    host->edition = host->backup_edition;
}

static void set_drift(sim_host_t *host, int64_t ppm)
{
    host->error_ms += (sim->now_ms - host->drift_from_ms) * host->drift_ppm / 1000000;
    host->drift_from_ms = sim->now_ms;
    host->drift_ppm = ppm;
}

static void set_clock(sim_host_t *host, int64_t error_s)
{
    set_drift(host, 0);
    host->covered = 0; /* by the clock before */
    if (error_s * 1000 < host->error_ms - 80000000) {
        /* A revocation that no cycle has kept yet is now more than a day ahead, and refused. */
        host->known = host->kept;
    }
    host->error_ms = error_s * 1000;
}

static void network(const sim_action_t *action)
{
    int i, all = (1 << SIM_STORES_MAX) - 1;

    for (i = 0; i < sim->history->host_n; i++) {
        sim_host_t *each = &sim->hosts[i];

        switch (action->kind) {
        case SIM_OUTAGE:
            each->reach &= ~(1 << action->store);
            break;
        case SIM_PARTITION:
            each->reach = (int)(sim_mix(action->seed, (uint64_t)i) >> 40) & all;
            break;
        default:
            each->reach = all;
            each->readonly = 0;
        }
    }
}

/* Nobody opens it; hosts have to write theirs over it. */
static void spoil(sim_server_t *server, sim_spoil_e how)
{
    static const unsigned char text[] = "{\"cart\": [1, 2, 3], \"user\": 17}";
    sim_object_t object = {0}, other = {(unsigned char *)(uintptr_t)text, sizeof(text), 0};

    sim_object_copy(&object, how == SIM_SPOIL_TEXT || !server->object.bytes ? &other
                             : how == SIM_SPOIL_FOREIGN                     ? &sim->foreign
                                                                            : &server->object);
    if (how == SIM_SPOIL_FUTURE && object.len > STEK_RING_MAGIC_LEN + 1) {
        object.bytes[STEK_RING_MAGIC_LEN + 1] ^= 2; /* of the version */
    }
    else if (how == SIM_SPOIL_PART && object.len > 0) {
        object.len -= 1 + sim_below((unsigned)object.len);
    }
    sim_server_put(server, object.bytes, object.len);
    sim_object_free(&object);
}

static void at_store(const sim_action_t *action)
{
    sim_server_t *server = &sim->servers[action->store];

    switch (action->kind) {
    case SIM_FLUSH:
        sim_object_free(&server->object);
        break;
    case SIM_SNAPSHOT:
        sim_object_copy(&server->saved, &server->object);
        break;
    case SIM_ROLLBACK:
        sim_object_copy(&server->object, &server->saved);
        break;
    case SIM_LAG:
        if (action->value) {
            sim_object_copy(&server->frozen, &server->object);
        }
        else if (server->lags && action->other >= 0) {
            /* The replica takes over: what it had not seen is lost. */
            sim_object_copy(&server->object, &server->frozen);
        }
        server->lags = action->value != 0;
        break;
    case SIM_DELIVER:
        sim_server_deliver(server);
        break;
    case SIM_LIE:
        server->lie = (sim_lie_e)action->value;
        break;
    case SIM_SPOIL:
        spoil(server, (sim_spoil_e)action->value);
        break;
    default:
        forge(server, (sim_forgery_e)action->value);
    }
}

/* What a host's connection to a store does. */
static void at_connection(const sim_action_t *action)
{
    sim_host_t *host = &sim->hosts[action->host];

    switch (action->kind) {
    case SIM_CUT:
        host->reach &= ~(1 << action->store);
        break;
    case SIM_JOIN:
        host->reach |= 1 << action->store;
        break;
    case SIM_LOSE:
        host->lose_next = 1;
        break;
    case SIM_DELAY:
        host->delay_next = 1;
        break;
    case SIM_READONLY:
        host->readonly ^= 1 << action->store;
        break;
    default:
        break;
    }
}

static void at_host(const sim_action_t *action)
{
    sim_host_t *host = &sim->hosts[action->host];

    switch (action->kind) {
    case SIM_CYCLE:
        host->race = action->other;
        sim_host_cycle(host);
        host->race = -1;
        if (action->seed & 3) {
            sim_host_poll(host);
        }
        break;
    case SIM_POLL:
        sim_host_poll(host);
        break;
    case SIM_CRASH:
        host->crash_in = (int)action->value;
        host->crash_power = action->other >= 0;
        sim_host_cycle(host);
        host->crash_in = 0;
        break;
    case SIM_RESTART:
        sim_host_stop(host);
        break;
    case SIM_HTTPD:
        sim_host_stop_httpd(host);
        sim_host_poll(host);
        break;
    case SIM_REBOOT:
        sim_host_power_off(host);
        break;
    case SIM_BACKUP:
        back_up(host, 0);
        break;
    case SIM_RESTORE:
        restore_disk(host);
        break;
    case SIM_CLOCK:
        set_clock(host, action->value);
        break;
    case SIM_DRIFT:
        set_drift(host, action->value);
        break;
    default:
        break;
    }
}

static void at_operator(const sim_action_t *action)
{
    sim_host_t *host = &sim->hosts[action->host];

    switch (action->kind) {
    case SIM_ROTATE:
        (void)command(host, NULL, "rotate", 0);
        break;
    case SIM_REVOKE:
        revoke_at(host, 0);
        break;
    case SIM_REVOKE_ALL:
        revoke_at(host, 1);
        break;
    case SIM_ROLL:
        roll(host);
        break;
    case SIM_COPY:
        copy_newest(host);
        break;
    case SIM_RETIRE:
        retire(host);
        break;
    case SIM_SETTINGS:
        sim_host_stop(host);
        sim_host_settings(host, sim->history->interval_s * action->value,
                          sim->history->lifetime_s * action->value > 604800
                              ? 604800
                              : sim->history->lifetime_s * action->value,
                          sim->history->ahead);
        break;
    default:
        steal(host, action->value != 0);
    }
}

static int is_lossy(const sim_action_t *action)
{
    return action->kind == SIM_REBOOT || action->kind == SIM_RESTORE || action->kind == SIM_SETTINGS
           || action->kind == SIM_FORGE || (action->kind == SIM_CRASH && action->other >= 0)
           || (action->kind == SIM_CLOCK && (action->value > 60 || action->value < -60))
           || sim->history->ahead > CROWD_AHEAD;
}

void sim_act(const sim_action_t *action)
{
    sim->lossy |= is_lossy(action);
    sim_seed(action->seed);
    sim_step_count++;
    sim->now_ms += (int64_t)action->after * 1000;
    sim_tell(action);
    switch (action->kind) {
    case SIM_OUTAGE:
    case SIM_PARTITION:
    case SIM_HEAL:
        network(action);
        break;
    case SIM_CUT:
    case SIM_JOIN:
    case SIM_LOSE:
    case SIM_DELAY:
    case SIM_READONLY:
        at_connection(action);
        break;
    case SIM_FLUSH:
    case SIM_SNAPSHOT:
    case SIM_ROLLBACK:
    case SIM_LAG:
    case SIM_DELIVER:
    case SIM_LIE:
    case SIM_FORGE:
    case SIM_SPOIL:
        at_store(action);
        break;
    case SIM_ROTATE:
    case SIM_REVOKE:
    case SIM_REVOKE_ALL:
    case SIM_ROLL:
    case SIM_COPY:
    case SIM_RETIRE:
    case SIM_SETTINGS:
    case SIM_STEAL:
        at_operator(action);
        break;
    default:
        at_host(action);
    }
}

/* ---- the end ---- */

static int is_any_liar(void)
{
    int i, any = 0;

    for (i = 0; i < sim->history->store_n; i++) {
        any |= sim->servers[i].lie != SIM_HONEST;
    }
    return any;
}

static void cycle_and_poll(sim_host_t *host)
{
    stek_ring_t *before = is_any_liar() && host->file ? sim_ring_copy(host->file) : NULL;
    int64_t seq = sim->seq;

    sim_step_count++;
    sim_host_cycle(host);
    sim_host_poll(host);
    sim->news |= is_any_liar() && sim_truth_is_news(host, before, seq);
    stek_ring_destroy(before);
}

/* Every host, in turn. */
static void all_cycle(int n)
{
    int i;

    for (; n > 0 && !sim->failed[0]; n--) {
        for (i = 0; i < sim->history->host_n; i++) {
            cycle_and_poll(&sim->hosts[i]);
        }
    }
}

/* A liar may go on if there is an honest store.  Nonzero if one does. */
static int end_faults(void)
{
    int i, liars = 0, honest = 0;

    for (i = 0; i < sim->history->store_n; i++) {
        sim_server_t *server = &sim->servers[i];

        server->lags = 0;
        server->late.used = 0;
        /* Hosts come one after the other here, so what takes long takes too long. */
        server->lie = server->lie == SIM_LIE_SLOW   ? SIM_LIE_CONFLICT
                      : server->lie == SIM_LIE_LATE ? SIM_HONEST
                                                    : server->lie;
        honest += server->lie == SIM_HONEST;
        liars += server->lie != SIM_HONEST;
    }
    if (!honest || (sim->history->seed & 1)) {
        for (i = 0; i < sim->history->store_n; i++) {
            sim->servers[i].lie = SIM_HONEST;
        }
        liars = 0;
    }
    for (i = 0; i < sim->history->host_n; i++) {
        sim_host_t *host = &sim->hosts[i];

        host->reach = (1 << SIM_STORES_MAX) - 1;
        host->readonly = 0;
        host->lose_next = 0;
        host->delay_next = 0;
        set_drift(host, 0);
        host->error_ms = (int64_t)(sim_mix(sim->history->seed, (uint64_t)i) % 2001) - 1000;
    }
    return liars > 0;
}

static void check_all_covered(void)
{
    int i;

    for (i = 0; i < sim->history->host_n; i++) {
        const sim_host_t *host = &sim->hosts[i];

        if (!host->live || !stek_ring_current(host->live, sim_clock(host))) {
            sim_fail("keyless", "httpd on host %d has no current key at the end", i);
        }
    }
}

/* A revocation of all on a host whose clock was far ahead: its own ring says so, and what to do. */
static void help_stuck(void)
{
    int i;

    for (i = 0; i < sim->history->host_n; i++) {
        sim_host_t *host = &sim->hosts[i];

        if (sim_host_is_ahead(host)) {
            if (!host->stuck && !host->behind && host->file) {
                sim_fail("silent",
                         "host %d is stuck in an epoch from its own wrong clock, and its "
                         "log says nothing",
                         i);
            }
            sim_say("on host %d ring, secret and floor are removed, and httpd is started again", i);
            sim_host_stop(host);
            sim_dir_clear(host->run);
            sim_host_forget_floor(host);
            sim_host_stop_httpd(host);
            stek_ring_destroy(host->file);
            host->file = NULL;
            host->covered = 0;
            host->known = 0;
            host->kept = 0;
            host->stuck = 0;
            sim->lossy = 1;
        }
    }
}

/* A new fleet secret on every host, one after the other; the thief goes on with the old one. */
static void replace_secrets(void)
{
    stek_secrets_t *fresh = NULL;
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, NULL);
    if (stek_secrets_make(1, stek_rng_system, &fresh) == APR_SUCCESS) {
        fresh->day = sim->history->ratchet ? ratchet_day(apr_time_from_sec(sim->now_ms / 1000)) - 1
                                           : 0;
        for (i = 0; i < sim->history->host_n; i++) {
            sim_host_t *host = &sim->hosts[i];

            sim_say("host %d gets a new fleet secret, and its sync is restarted", i);
            sim_host_stop(host);
            (void)stek_secret_file_save(host->secret, fresh, 0, pool);
            /* Only the first may be a flood, because they take long. */
            forge(&sim->servers[i % sim->history->store_n],
                  sim_forgery((unsigned)((sim->history->seed + (uint64_t)i)
                                         % (i == 0 ? SIM_FORGE_N : SIM_FORGE_FLOOD))));
            sim_host_cycle(host);
            sim_host_poll(host);
        }
        /* The fleet's id is new, so is the object's name. */
        for (i = 0; i < sim->history->store_n; i++) {
            sim_server_free(&sim->servers[i]);
            memset(&sim->servers[i], 0, sizeof(sim->servers[i]));
        }
    }
    stek_secrets_destroy(fresh);
    apr_pool_destroy(pool);
}

/* docs/emergency.md */
static void emergency(void)
{
    sim_host_t *host = &sim->hosts[sim->history->seed % (unsigned)sim->history->host_n];
    int64_t seq = sim->seq;

    sim_say("the emergency procedure begins");
    if (sim->thief) {
        replace_secrets();
        seq = sim->seq;
        all_cycle(1);
    }
    sim->now_ms += 2000;
    revoke_at(host, 1);
    if (host->known == 0 && sim->event_n < SIM_EVENTS_MAX) {
        sim_say("it refused; its ring is removed, as it said, and a new one made");
        sim_dir_clear(host->run);
        sim_host_stop(host);
    }
    sim->now_ms += 1000;
    all_cycle(2);
    (void)seq;
    sim->ended = 1;
    sim->judged_n++;
    all_cycle(1);
}

/* Whether the host's floor was written when its clock was ahead. */
static int has_later_floor(const sim_host_t *host)
{
    return host->sync.floor && host->sync.floor->written_at > sim_clock(host);
}

/* Hosts leave such an object alone for some cycles; later: those that do so for longer. */
static int is_any_from_the_future(int later)
{
    int i, k;

    for (i = 0; i < sim->history->host_n; i++) {
        const sim_host_t *host = &sim->hosts[i];

        for (k = 0; k < sim->history->store_n && host->up; k++) {
            if (host->sync.stores[k].is_ahead && (!later || has_later_floor(host))) {
                return 1;
            }
        }
    }
    return 0;
}

/* During a roll hosts overwrite what they cannot read. */
static int is_one_edition(void)
{
    int i, one = 1;

    for (i = 1; i < sim->history->host_n; i++) {
        one &= sim->hosts[i].edition == sim->hosts[0].edition;
    }
    return one;
}

/* Clocks still differ by up to two seconds.  So long who makes no keys may have to wait for a slot. */
static void let_slot_begin(void)
{
    int64_t into_slot_ms = sim->now_ms % (sim->history->interval_s * 1000);

    if (into_slot_ms < 2000) {
        sim->now_ms += 2000 - into_slot_ms;
    }
    else if (into_slot_ms > sim->history->interval_s * 1000 - 2000) {
        sim->now_ms += sim->history->interval_s * 1000 - into_slot_ms + 2000;
    }
}

/* Two cycles; and two more after a liar has shown what no host had any more, because that is a fault, too.
 * It can do so once for each of the objects that it has kept. */
static void agree(void)
{
    int n = sim->history->store_n * SIM_SNAPSHOTS_MAX;

    do {
        sim->news = 0;
        all_cycle(2);
    } while (sim->news && n-- > 0);
}

/* Whether a host that was off for days doubts its clock, and nobody who seals shows it the day: those who
 * have gone on make no keys.  Its log says how long it waits. */
static int is_any_alone_in_doubt(void)
{
    int i, k, found = 0;

    for (i = 0; i < sim->history->host_n; i++) {
        const sync_host_t *host = &sim->hosts[i].sync;
        int alone = sim->hosts[i].up && host->jumped_at > 0 && host->fleet_day > 0;

        for (k = 0; alone && k < sim->history->host_n; k++) {
            alone = !sim->hosts[k].up || sim->hosts[k].sync.fleet->day <= host->fleet->day
                    || !sim_host_generates(&sim->hosts[k]);
        }
        found |= alone;
    }
    return found;
}

/* What logs say in the first cycle is done; then hosts have to come to an end. */
static void settle(void)
{
    all_cycle(1);
    help_stuck();
    if (is_any_alone_in_doubt()) {
        sim_say("an hour passes");
        sim->now_ms += 3601 * 1000;
        all_cycle(1);
    }
    if (is_any_from_the_future(0)) {
        all_cycle(SYNC_STORES_DISTRUST_N);
    }
    if (is_any_from_the_future(1)) {
        all_cycle(SYNC_ASK_STORES_BEHIND_N - SYNC_STORES_DISTRUST_N);
    }
    agree();
}

void sim_finish(void)
{
    int liars;

    sim_seed(sim_mix(sim->history->seed, 1));
    sim->now_ms += 30000;
    sim_say("all faults end");
    liars = end_faults();
    settle();
    sim->write_n = 0;
    all_cycle(1);
    if (!sim->failed[0] && sim->write_n > 0 && !liars && is_one_edition()) {
        sim_fail("fight", "%lld writes after all hosts have run two cycles",
                 (long long)sim->write_n);
    }
    /* As logs ask for, and to end a roll. */
    if (!spread_secret()) {
        replace_secrets();
    }
    /* Again, because until now some could not read what others wrote, or say what else is wrong. */
    let_slot_begin();
    settle();
    if (!sim->failed[0]) {
        sim_check_agreement();
        check_all_covered();
    }
    if (!sim->failed[0] && (sim->thief || sim->stolen)) {
        emergency();
    }
}

/* ---- a whole history ---- */

static void make_secrets(sim_world_t *world)
{
    stek_secrets_t *secrets = NULL;
    apr_pool_t *pool;
    int i;

    apr_pool_create(&pool, NULL);
    if (stek_secrets_make(1, stek_rng_system, &secrets) == APR_SUCCESS) {
        secrets->day = world->history->ratchet
                           ? ratchet_day(apr_time_from_sec(world->now_ms / 1000)) - 1
                           : 0;
        for (i = 0; i < world->history->host_n; i++) {
            (void)stek_secret_file_save(world->hosts[i].secret, secrets, 0, pool);
        }
    }
    stek_secrets_destroy(secrets);
    apr_pool_destroy(pool);
}

static void make_foreign(sim_world_t *world)
{
    static const unsigned char random[STEK_RING_SALT_RANDOM_LEN] = {1};
    stek_secrets_t *secrets = NULL;
    stek_ring_t *ring = NULL;

    if (stek_secrets_make(0, stek_rng_system, &secrets) == APR_SUCCESS
        && stek_ring_create(0, 0, &ring) == APR_SUCCESS) {
        ring->interval = apr_time_from_sec(60);
        ring->lifetime = apr_time_from_sec(600);
        ring->epoch = 7;
        (void)stek_ring_seal(ring, &secrets->secrets[0], random, &world->foreign.bytes,
                             &world->foreign.len);
    }
    stek_ring_destroy(ring);
    stek_secrets_destroy(secrets);
}

int sim_run(const sim_history_t *history, FILE *story, char failed[32], char why[SIM_TEXT_LEN])
{
    sim_world_t *world = calloc(1, sizeof(*world));
    int i;

    sim = world;
    sim_host = NULL;
    world->history = history;
    world->story = story;
    /* 2026-01-01, at some time of the day. */
    world->now_ms = (INT64_C(1767225600) + (int64_t)(history->seed % 86400)) * 1000;
    sim_seed(sim_mix(history->seed, 0));
    sim_truth_reset();
    for (i = 0; i < history->host_n; i++) {
        sim_host_make(&world->hosts[i], i);
    }
    make_secrets(world);
    make_foreign(world);
    for (i = 0; i < history->action_n && !world->failed[0]; i++) {
        sim_act(&history->actions[i]);
    }
    if (!world->failed[0]) {
        sim_finish();
    }
    for (i = 0; i < history->host_n; i++) {
        sim_host_free(&world->hosts[i]);
    }
    for (i = 0; i < SIM_STORES_MAX; i++) {
        sim_server_free(&world->servers[i]);
    }
    sim_object_free(&world->foreign);
    stek_secrets_destroy(loot);
    loot = NULL;
    sim_truth_free();
    snprintf(failed, 32, "%s", world->failed);
    snprintf(why, SIM_TEXT_LEN, "%s", world->why);
    free(world);
    sim = NULL;
    return failed[0] != '\0';
}
