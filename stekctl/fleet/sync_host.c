/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real host behind a cycle (sync_host.h): opened, kept and closed.  stekctl; one thread.
 */
#include "sync_host.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "floor.h"
#include "ratchet.h"
#include "report.h"
#include "ringio.h"
#include "stek_swappable.h"
#include "sync_ring_file.h"
#include "sync_secrets.h"
#include "sync_ask_stores.h"
#include "sync_stores.h"

/* More than the minute for which a temporary file may be in use. */
#define SWEEP_EVERY apr_time_from_sec(120)

static ctl_exit_e make_directory(ctl_t *ctl)
{
    const char *dir = stek_file_dir(ctl->ring_path, ctl->pool);

    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return report_status(ctl, dir, APR_FROM_OS_ERROR(errno), NULL);
    }
    return CTL_DONE;
}

/* Of the ring only: the fleet secret is on a disk anyway. */
static void warn_swap(ctl_t *ctl)
{
    if (stek_swappable_file(ctl->ring_path, ctl->pool)) {
        report_line("%s: is on a tmpfs that may be swapped out; mount it with noswap (Linux 6.4 "
                    "and later), or use encrypted swap or none",
                    ctl->ring_path);
    }
}

static ctl_exit_e open_host(ctl_t *ctl, const sync_options_t *options, int reader,
                            sync_host_t *host)
{
    ctl_exit_e code;
    apr_status_t rv;

    memset(host, 0, sizeof(*host));
    host->ctl = ctl;
    host->reader = reader;
    host->once = options->once;
    host->day_confirmed = options->once;
    host->options = options;
    if (apr_pool_create(&host->pool, ctl->pool) != APR_SUCCESS) {
        return report_status(ctl, ctl->ring_path, APR_ENOMEM, NULL);
    }
    rv = sync_secrets_load_fleet(host, ratchet_day(ringio_now()));
    if (rv != APR_SUCCESS) {
        return APR_STATUS_IS_ENOENT(rv) ? CTL_IO : CTL_REFUSED;
    }
    code = reader ? CTL_DONE : make_directory(ctl);
    if (code == CTL_DONE && !reader) {
        code = ringio_check_ring(ctl);
    }
    if (code == CTL_DONE && !reader) {
        warn_swap(ctl);
    }
    if (code == CTL_DONE) {
        code = sync_secrets_load_local(host);
    }
    host->reseal_file = 1;
    return code == CTL_DONE ? sync_stores_open(host) : code;
}

ctl_exit_e sync_host_open(ctl_t *ctl, const sync_options_t *options, sync_host_t *host)
{
    return open_host(ctl, options, 0, host);
}

ctl_exit_e sync_host_open_reader(ctl_t *ctl, const sync_options_t *options, sync_host_t *host)
{
    return open_host(ctl, options, 1, host);
}

void sync_host_reload(sync_host_t *host)
{
    if (sync_secrets_load_local(host) == CTL_DONE) {
        host->reseal_file = 1;
    }
    floor_retry(host);
    host->fleet_rv = APR_SUCCESS;
    if (sync_secrets_load_fleet(host, ratchet_day(ringio_now())) == APR_SUCCESS) {
        (void)sync_stores_open(host);
    }
}

/* Removes what killed processes left beside the files that sync writes seldom. */
static void sweep(sync_host_t *host, apr_time_t now)
{
    const char *const paths[] = {host->ctl->ring_path, host->ctl->secret_path,
                                 host->options->fleet_secret_path, host->options->floor_path};
    apr_interval_time_t ago = now - host->swept_at;
    apr_size_t i;

    if (host->swept_at != 0 && ago >= 0 && ago < SWEEP_EVERY) {
        return;
    }
    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i]) {
            stek_file_sweep(paths[i], host->ctl->owner, host->pool);
        }
    }
    host->swept_at = now;
}

void sync_host_begin(sync_host_t *host, apr_time_t now)
{
    apr_int32_t day = ratchet_day(now);

    apr_pool_clear(host->pool);
    if (day != host->day) {
        host->day_confirmed = host->once; /* that was another day */
    }
    sweep(host, now);
    if (host->fleet->day > 0
        && (day != host->day || (day - 1 - host->fleet->day > 1 && host->day_confirmed)
            || host->jumped_at > 0)) {
        (void)sync_secrets_load_fleet(host, day);
    }
    host->day = day;
    host->fleet_day = 0;
    host->day_confirmed = host->once;
}

void sync_host_close(sync_host_t *host)
{
    int i;

    sync_stores_close(host);
    for (i = 0; i < 3; i++) {
        stek_secrets_destroy(host->keys[i]);
    }
    stek_secrets_destroy(host->fleet);
    stek_secrets_destroy(host->local);
    floor_close(host);
}

static apr_time_t port_now(void *baton)
{
    (void)baton;
    return ringio_now();
}

static void port_pause(void *baton, int try_n)
{
    unsigned char random = 0;

    (void)baton;
    (void)stek_rng_system(&random, 1);
    /* 1 to 64 ms, then twice that, and so on, so that the host that came second is not second again. */
    apr_sleep(apr_time_from_msec((1 + random % 64) * (1 << (try_n < 5 ? try_n - 1 : 4))));
}

void sync_host_port(sync_host_t *host, sync_port_t *port)
{
    port->baton = host;
    port->store_n = host->options->store_n;
    port->now = port_now;
    port->read = sync_ask_stores_read;
    port->write = sync_ask_stores_write;
    port->load = sync_ring_file_load;
    port->save = sync_ring_file_save;
    port->pause = port_pause;
}
