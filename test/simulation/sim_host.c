/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated hosts: stekctl sync in production's code, with this host's clock and files, and httpd's
 * live keyring, which only merges, as src/mod_stek_live_follow.c does.  One thread.
 */
#include "sim.h"

#include <apr_strings.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/monotonic.h"
#include "fleet/sync_stores.h"
#include "ring/ring.h"
#include "ringio.h"
#include "stek_admit.h"
#include "stek_error.h"
#include "stek_ring_file.h"
#include "stek_ring_merge.h"
#include "stek_secret_file.h"

/* Cycles in a row that may end without a current key on a host that may make one. */
#define KEYLESS_MAX 2

/* So long a host may wait for stores, over all its cycles, while it has no current key. */
#define DARK_MAX_MS 60000

/* From the beginning of a cycle on there is a key for SYNC_ALONE_BELOW, clocks being read in whole seconds.
 * What the cycle itself takes counts: while it waits, other hosts' cycles pass here. */
#define COVERED_MS 58000

int sim_number(const sim_host_t *host)
{
    return (int)(host - sim->hosts);
}

static int64_t clock_ms_of(const sim_host_t *host)
{
    return sim->now_ms + host->error_ms
           + (sim->now_ms - host->drift_from_ms) * host->drift_ppm / 1000000;
}

/* Whole seconds, as ringio_now. */
apr_time_t sim_clock(const sim_host_t *host)
{
    return apr_time_from_sec(clock_ms_of(host) / 1000);
}

/* ---- what production's code asks the system for ---- */

apr_time_t __wrap_apr_time_now(void);
void __wrap_apr_sleep(apr_interval_time_t span);
int __wrap_stek_swappable_file(const char *path, apr_pool_t *pool);
void __wrap_stek_file_sweep(const char *path, uid_t owner, apr_pool_t *pool);
void *__wrap_stek_mem_alloc(apr_size_t len);
void __wrap_stek_mem_free(void *block);

apr_time_t __wrap_apr_time_now(void)
{
    return (sim_host ? clock_ms_of(sim_host) : sim->now_ms) * 1000;
}

void __wrap_apr_sleep(apr_interval_time_t span)
{
    (void)span;
}

apr_int64_t monotonic_ms(void)
{
    return sim->now_ms;
}

int __wrap_stek_swappable_file(const char *path, apr_pool_t *pool)
{
    (void)path;
    (void)pool;
    return 0;
}

/* It goes by the file system's clock, for which no history lasts a minute. */
void __wrap_stek_file_sweep(const char *path, uid_t owner, apr_pool_t *pool)
{
    (void)path;
    (void)owner;
    (void)pool;
}

/* Millions of rings: without a mapping for each. */
void *__wrap_stek_mem_alloc(apr_size_t len)
{
    return calloc(1, len);
}

void __wrap_stek_mem_free(void *block)
{
    free(block);
}

/* ---- the file ring ---- */

/* Byte for byte, because a merge would leave out what has ended: a ring is one block (stek_ring.c). */
stek_ring_t *sim_ring_copy(const stek_ring_t *ring)
{
    size_t len = (size_t)((const char *)(ring->by_start + ring->key_max) - (const char *)ring);
    char *block = malloc(len);
    stek_ring_t *copy = (stek_ring_t *)(void *)block;

    if (!block) {
        return NULL;
    }
    memcpy(block, ring, len);
    copy->keys = (stek_key_t *)(void *)(block + ((const char *)ring->keys - (const char *)ring));
    copy->tombstones =
        (stek_tombstone_t *)(void *)(block + ((const char *)ring->tombstones - (const char *)ring));
    copy->heads = (apr_uint64_t *)(void *)(block
                                           + ((const char *)ring->heads - (const char *)ring));
    copy->by_start =
        (apr_uint16_t *)(void *)(block + ((const char *)ring->by_start - (const char *)ring));
    return copy;
}

apr_status_t __real_stek_ring_file_save_under(const stek_ring_file_t *file, const stek_ring_t *ring,
                                              const stek_secret_t *secret, int flags,
                                              stek_rng_t *rng, stek_stamp_t *stamp,
                                              apr_pool_t *pool);
apr_status_t __wrap_stek_ring_file_save_under(const stek_ring_file_t *file, const stek_ring_t *ring,
                                              const stek_secret_t *secret, int flags,
                                              stek_rng_t *rng, stek_stamp_t *stamp,
                                              apr_pool_t *pool);

apr_status_t __wrap_stek_ring_file_save_under(const stek_ring_file_t *file, const stek_ring_t *ring,
                                              const stek_secret_t *secret, int flags,
                                              stek_rng_t *rng, stek_stamp_t *stamp,
                                              apr_pool_t *pool)
{
    apr_status_t rv = __real_stek_ring_file_save_under(file, ring, secret, flags, rng, stamp, pool);

    if (rv == APR_SUCCESS && sim_host && !strcmp(file->path, sim_host->ctl.ring_path)) {
        stek_ring_destroy(sim_host->file);
        sim_host->file = sim_ring_copy(ring);
        sim_learn(sim_host, ring, sim_host->taint, &sim_host->known);
        sim_check_ring(sim_host, ring, sim_host->known, "file ring");
    }
    return rv;
}

/* ---- hosts ---- */

int sim_host_generates(const sim_host_t *host)
{
    return sim_number(host) < sim->history->host_n - sim->history->passive;
}

void sim_host_settings(sim_host_t *host, int64_t interval_s, int64_t lifetime_s, int ahead)
{
    host->options.rules.params.interval = apr_time_from_sec(interval_s);
    host->options.rules.params.lifetime = apr_time_from_sec(lifetime_s);
    host->options.rules.params.ahead = ahead;
    host->options.rules.generate = sim_host_generates(host);
}

void sim_host_make(sim_host_t *host, int number)
{
    static const char *const urls[] = {"sim://0", "sim://1", "sim://2", "sim://3"};
    int i;

    memset(host, 0, sizeof(*host));
    apr_pool_create(&host->pool, NULL);
    host->dir = apr_psprintf(host->pool, "%s/h%d", sim_dir, number);
    host->run = apr_psprintf(host->pool, "%s/run", host->dir);
    host->state = apr_psprintf(host->pool, "%s/state", host->dir);
    host->secret = apr_psprintf(host->pool, "%s/fleet.secret", host->state);
    sim_dir_make(host->dir);
    sim_dir_make(host->run);
    sim_dir_make(host->state);
    sim_dir_make(apr_psprintf(host->pool, "%s/backup", host->dir));
    sim_dir_clear(host->run);
    sim_dir_clear(host->state);
    sim_dir_clear(apr_psprintf(host->pool, "%s/backup", host->dir));
    host->options.store_n = sim->history->store_n;
    for (i = 0; i < host->options.store_n; i++) {
        host->options.urls[i] = urls[i];
    }
    host->options.fleet_secret_path = host->secret;
    host->options.floor_path = sim->history->floor
                                   ? apr_psprintf(host->pool, "%s/www.floor", host->state)
                                   : NULL;
    host->options.every = apr_time_from_sec(10);
    host->options.timeout = apr_time_from_sec(2);
    sim_host_settings(host, sim->history->interval_s, sim->history->lifetime_s,
                      sim->history->ahead);
    host->reach = (1 << SIM_STORES_MAX) - 1;
    host->race = -1;
}

void sim_host_free(sim_host_t *host)
{
    sim_host_stop(host);
    stek_ring_destroy(host->file);
    stek_ring_destroy(host->live);
    if (host->pool) {
        apr_pool_destroy(host->pool);
    }
}

int sim_host_start(sim_host_t *host)
{
    static const ctl_command_t command = {"sync", NULL, "", ""};
    sim_host_t *before = sim_host;

    if (host->up) {
        return 1;
    }
    apr_pool_create(&host->process, NULL);
    sim_host = host;
    host->ctl.ring_path = apr_psprintf(host->pool, "%s/www.ring", host->run);
    host->ctl.secret_path = apr_psprintf(host->pool, "%s/www.secret", host->run);
    host->ctl.owner = geteuid();
    host->ctl.pool = host->process;
    host->ctl.command = &command;
    memset(&host->log, 0, sizeof(host->log));
    memset(&host->told, 0, sizeof(host->told));
    host->up = sync_host_open(&host->ctl, &host->options, &host->sync) == CTL_DONE;
    sync_host_port(&host->sync, &host->port);
    if (!host->up) {
        sync_host_close(&host->sync);
        apr_pool_destroy(host->process);
        host->process = NULL;
    }
    sim_host = before;
    return host->up;
}

void sim_host_stop(sim_host_t *host)
{
    if (host->up) {
        sync_host_close(&host->sync);
        apr_pool_destroy(host->process);
        host->process = NULL;
        host->up = 0;
    }
}

void sim_host_stop_httpd(sim_host_t *host)
{
    stek_ring_destroy(host->live);
    host->live = NULL;
    host->live_known = 0;
    host->look_rv = APR_SUCCESS;
    host->looked_at = 0;
    memset(&host->stamp, 0, sizeof(host->stamp));
}

/* All that is in memory is gone: the runtime directory, too. */
void sim_host_power_off(sim_host_t *host)
{
    sim_host_stop(host);
    sim_host_stop_httpd(host);
    sim_dir_clear(host->run);
    stek_ring_destroy(host->file);
    host->file = NULL;
    host->covered = 0;
    host->dark_ms = 0;
    host->known = sim->history->floor ? host->kept : 0;
}

/* Whether file ring or live keyring have an epoch that its clock cannot have come to. */
int sim_host_is_ahead(const sim_host_t *host)
{
    apr_time_t now = sim_clock(host);

    return (host->file && stek_admit_epoch(host->file->epoch, 0, now) != APR_SUCCESS)
           || (host->live && stek_admit_epoch(host->live->epoch, 0, now) != APR_SUCCESS);
}

void sim_host_forget_floor(const sim_host_t *host)
{
    (void)unlink(apr_psprintf(host->pool, "%s/www.floor", host->state));
}

static void note_clock(sim_host_t *host)
{
    apr_time_t now = sim_clock(host);

    host->clock_max = now > host->clock_max ? now : host->clock_max;
}

/* live = merge(live, loaded), as mod_stek_live_follow.c has it. */
static apr_status_t follow(sim_host_t *host, const stek_secrets_t *secrets, apr_time_t now,
                           apr_pool_t *pool)
{
    stek_ring_t *loaded = NULL, *merged = NULL;
    stek_ring_file_t file;
    apr_status_t rv;

    stek_ring_file_init(&file, host->ctl.ring_path, host->ctl.owner, (gid_t)-1);
    rv = stek_ring_file_load(&file, secrets, &loaded, &host->stamp, NULL, pool);
    if (rv == APR_SUCCESS) {
        rv = stek_admit_epoch(loaded->epoch, host->live ? host->live->epoch : 0, now);
    }
    if (rv == APR_SUCCESS) {
        (void)stek_admit_keys(loaded, NULL, now);
        rv = stek_ring_merge(host->live ? host->live : loaded, loaded, now,
                             host->options.rules.params.lifetime, &merged);
        if (rv == APR_SUCCESS) {
            (void)stek_admit_keys(merged, NULL, now);
        }
        if (rv != APR_SUCCESS) {
            sim_fail("full", "httpd of host %d cannot merge the file ring", sim_number(host));
        }
    }
    if (rv == APR_SUCCESS) {
        stek_ring_destroy(host->live);
        host->live = merged;
        sim_learn(host, host->live, host->taint, &host->live_known);
    }
    stek_ring_destroy(loaded);
    return rv;
}

static void look(sim_host_t *host, apr_time_t now)
{
    sim_host_t *before = sim_host;
    stek_secrets_t *secrets = NULL;
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    sim_host = host;
    host->taint = 0;
    if (stek_secret_file_load_local(host->ctl.secret_path, host->ctl.owner, &secrets, NULL, pool)
        == APR_SUCCESS) {
        host->look_rv = follow(host, secrets, now, pool);
    }
    stek_secrets_destroy(secrets);
    sim_host = before;
    apr_pool_destroy(pool);
}

/* A process of httpd looks at the file, and drops what has ended. */
void sim_host_poll(sim_host_t *host)
{
    apr_time_t now = sim_clock(host);
    stek_ring_file_t file;
    stek_stamp_t stamp;

    note_clock(host);
    if (!host->ctl.ring_path) {
        return;
    }
    stek_ring_file_init(&file, host->ctl.ring_path, host->ctl.owner, (gid_t)-1);
    if (stek_ring_file_stamp(&file, &stamp) == APR_SUCCESS
        && (host->look_rv != APR_SUCCESS || now < host->looked_at
            || !stek_stamp_equal(&stamp, &host->stamp))) {
        look(host, now);
    }
    host->looked_at = now;
    if (host->live) {
        const stek_key_t *current = stek_ring_current(host->live, now);

        if (current) {
            sim_truth_see(current)->issued = 1;
        }
        stek_ring_drop_ended(host->live, now, host->options.rules.params.lifetime);
        sim_check_ring(host, host->live, host->live_known, "live keyring");
    }
}

static int has_current(const sim_host_t *host)
{
    return host->file && stek_ring_current(host->file, sim_clock(host)) != NULL;
}

/* The host whose cycle it is waits; the others stand still, as far as keys are concerned. */
void sim_host_wait(sim_host_t *host, int64_t until_ms)
{
    int64_t passed_ms = until_ms - sim->now_ms;

    if (passed_ms <= 0) {
        return;
    }
    sim->now_ms = until_ms;
    host->dark_ms = has_current(host) ? 0 : host->dark_ms + passed_ms;
    if (host->dark_ms > DARK_MAX_MS && sim_host_generates(host) && !host->behind && !host->stuck) {
        sim_fail("keyless", "host %d has been waiting for stores for %d s without a current key",
                 sim_number(host), (int)(host->dark_ms / 1000));
    }
}

/* Before a cycle: since the last one there always was a key. */
static void check_between(const sim_host_t *host)
{
    int64_t passed_ms = clock_ms_of(host) - host->covered_ms;

    if (host->covered && !host->stuck && !host->behind && host->covered_error_ms == host->error_ms
        && passed_ms >= 0 && passed_ms <= COVERED_MS && sim_host_generates(host)
        && !has_current(host)) {
        sim_fail("keyless", "host %d has no current key %d s after the beginning of a good cycle",
                 sim_number(host), (int)(passed_ms / 1000));
    }
}

/* After a cycle, or an attempt to start: whether there is a key. */
static void check_covered(sim_host_t *host, int64_t begun_ms)
{
    host->covered = has_current(host);
    host->covered_ms = begun_ms;
    host->covered_error_ms = host->error_ms;
    if (!sim_host_generates(host)) {
        return;
    }
    host->keyless_n = host->covered ? 0 : host->keyless_n + 1;
    host->dark_ms = host->covered ? 0 : host->dark_ms;
    if (host->keyless_n > KEYLESS_MAX && !host->behind && !host->stuck) {
        sim_fail("keyless", "host %d has had no current key at the end of %d cycles in a row",
                 sim_number(host), host->keyless_n);
    }
}

static void die(sim_host_t *host)
{
    sim_say("    host %d %s", sim_number(host),
            host->crash_power ? "loses power" : "is out: its stekctl is killed");
    sim_host_stop(host);
    host->frozen = 0;
    host->crash_in = 0;
    if (host->crash_power) {
        sim_host_power_off(host);
    }
    host->crash_power = 0;
    host->covered = 0;
    host->dark_ms = 0;
}

static void tell_cycle(const sim_host_t *host, apr_status_t rv, const sync_result_t *result)
{
    char hex[STEK_HEX_LEN], text[120];
    const stek_key_t *current = host->file ? stek_ring_current(host->file, sim_clock(host)) : NULL;

    if (!sim->story) {
        return;
    }
    sim_say("    host %d: %s; made %d, wrote to %d, epoch %llu, %d keys, current %s",
            sim_number(host), rv == APR_SUCCESS ? "done" : stek_strerror(rv, text, sizeof(text)),
            (int)result->made, result->written_n,
            host->file ? (unsigned long long)host->file->epoch : 0ULL,
            host->file ? (int)host->file->key_n : 0,
            current ? stek_key_hex(current->name, hex) : "none");
}

void sim_host_cycle(sim_host_t *host)
{
    sim_host_t *before = sim_host;
    sync_view_t views[SYNC_STORES_MAX];
    sync_result_t result = {0};
    const int64_t begun_ms = clock_ms_of(host);
    apr_time_t now = sim_clock(host);
    apr_status_t rv;
    int i;

    if (host->busy || sim->failed[0]) {
        return;
    }
    note_clock(host);
    check_between(host);
    host->busy = 1;
    sim->depth++;
    sim_host = host;
    if (sim_host_start(host)) {
        host->taint = 0;
        sync_host_begin(&host->sync, now);
        for (i = 0; i < host->options.store_n; i++) {
            host->sync.stores[i].write_failed = 0;
        }
        rv = sync_cycle(&host->port, &host->options.rules, stek_rng_system, views, &result);
        if (!host->frozen) {
            sync_stores_note(&host->sync, views, &result);
            sync_log_cycle(&host->sync, &host->log, rv, &result, now);
            tell_cycle(host, rv, &result);
            if (rv != APR_SUCCESS) {
                sim_fail(rv == STEK_EFULL ? "full" : "cycle", "the cycle of host %d fails (%d)",
                         sim_number(host), rv);
            }
        }
    }
    sim_host = before;
    sim->depth--;
    host->busy = 0;
    if (host->frozen) {
        die(host);
    }
    else {
        host->kept = host->known;
        check_covered(host, begun_ms);
    }
}

/* ---- commands ---- */

/* Runs "rotate", "revoke --all", "secret roll" as an operator would.  secret: whose; NULL: the
 * local one.  extra: the revocation that this is. */
int sim_host_command(sim_host_t *host, const char *secret, const char *line, uint64_t extra)
{
    sim_host_t *before = sim_host;
    char *words[8], *text, *state = NULL, *word;
    ctl_t ctl = host->ctl;
    ctl_exit_e code;
    int n = 0;

    if (!host->ctl.ring_path) {
        return CTL_IO;
    }
    apr_pool_create(&ctl.pool, NULL);
    text = apr_pstrdup(ctl.pool, line);
    for (word = apr_strtok(text, " ", &state); word && n < 7;
         word = apr_strtok(NULL, " ", &state)) {
        words[n++] = word;
    }
    words[n] = NULL;
    if (secret) {
        ctl.secret_path = secret;
    }
    sim_host = host;
    host->taint = extra;
    optind = 0;
    code = !strcmp(words[0], "rotate")   ? cmd_rotate(&ctl, n, words)
           : !strcmp(words[0], "revoke") ? cmd_revoke(&ctl, n, words)
                                         : cmd_secret(&ctl, n, words);
    sim_host = before;
    apr_pool_destroy(ctl.pool);
    return (int)code;
}
