/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stores of a fleet, for commands (fleet_reader.h).  stekctl; one thread.
 */
#include "fleet_reader.h"

#include <apr_strings.h>
#include <string.h>

#include "monotonic.h"
#include "ratchet.h"
#include "report.h"
#include "ringio.h"
#include "store_connect.h"
#include "store_url.h"
#include "sync_secrets.h"
#include "sync_ask_stores.h"

#define FORGET_TRIES 5

/* ---- stores ---- */

/* Two servers behind one name are two stores: what one host wrote to the first, another may not find in the
 * second. */
static apr_array_header_t *find_servers(const sync_options_t *options, apr_pool_t *pool)
{
    apr_array_header_t *servers = apr_array_make(pool, SYNC_STORES_MAX, sizeof(fleet_server_t));
    int i, n;

    for (i = 0; i < options->store_n; i++) {
        apr_array_header_t *found = store_addresses(options->urls[i], pool);

        for (n = 0; n < found->nelts; n++) {
            fleet_server_t server = {.address = APR_ARRAY_IDX(found, n, store_address_t), .of = i};

            APR_ARRAY_PUSH(servers, fleet_server_t) = server;
        }
    }
    return servers;
}

static ctl_exit_e open_servers(fleet_reader_t *reader)
{
    apr_pool_t *pool = reader->host.ctl->pool;
    apr_array_header_t *found = find_servers(&reader->options, pool);
    const char **urls = apr_palloc(pool, (apr_size_t)found->nelts * sizeof(*urls));
    int i, n = found->nelts;
    ctl_exit_e code;

    reader->servers = (fleet_server_t *)(void *)found->elts;
    reader->stores = apr_pcalloc(pool, (apr_size_t)n * sizeof(*reader->stores));
    for (i = 0; i < n; i++) {
        urls[i] = reader->servers[i].address.url;
    }
    code = announce_stores_open(&reader->host, urls, n, reader->stores);
    reader->store_n = code == CTL_DONE ? n : 0;
    for (i = 0; i < reader->store_n; i++) {
        const store_address_t *address = &reader->servers[i].address;

        reader->stores[i].url = address->shown;
        if (!store_set_address(reader->stores[i].store, address->number, address->listed)) {
            return report_status(reader->host.ctl, address->shown, APR_ENOMEM, NULL);
        }
    }
    return code;
}

ctl_exit_e fleet_reader_open(ctl_t *ctl, const sync_settings_t *settings, fleet_reader_t *reader)
{
    sync_host_t *host = &reader->host;
    apr_status_t rv;

    memset(reader, 0, sizeof(*reader));
    reader->config_path = settings->config_path;
    reader->ring_path = settings->ring_path ? NULL : ctl->ring_path;
    reader->options = settings->options;
    reader->options.floor_path = NULL;
    host->ctl = ctl;
    host->options = &reader->options;
    host->reader = 1;
    host->once = 1;
    host->day_confirmed = 1;
    if (apr_pool_create(&host->pool, ctl->pool) != APR_SUCCESS) {
        return report_status(ctl, settings->options.fleet_secret_path, APR_ENOMEM, NULL);
    }
    rv = sync_secrets_load_fleet(host, ratchet_day(ringio_now()));
    if (rv != APR_SUCCESS) {
        return APR_STATUS_IS_ENOENT(rv) ? CTL_IO : CTL_REFUSED;
    }
    return open_servers(reader);
}

void fleet_reader_close(fleet_reader_t *reader)
{
    int i;

    announce_stores_close(reader->stores, reader->store_n);
    for (i = 0; i < 3; i++) {
        stek_secrets_destroy(reader->host.keys[i]);
    }
    stek_secrets_destroy(reader->host.fleet);
}

/* ---- reading ---- */

static apr_int64_t deadline(const fleet_reader_t *reader)
{
    return monotonic_ms() + apr_time_as_msec(sync_ask_stores_call_max(&reader->options));
}

/* What is known of the part now: in pool. */
static announce_set_t read_part(fleet_reader_t *reader, int part, apr_time_t now, apr_pool_t *pool)
{
    announce_set_t set = {NULL, 0};

    (void)announce_stores_gather(&reader->host, reader->stores, reader->store_n, part,
                                 deadline(reader), now, &set, pool);
    return announce_merge(&reader->parts[part], &set, now, ANNOUNCE_PART_HOSTS_MAX, pool);
}

/* There are many parts: a store that answers each just in time would keep a command for minutes. */
static void skip_late(fleet_reader_t *reader, apr_interval_time_t most)
{
    int i;

    for (i = 0; i < reader->store_n; i++) {
        announce_store_t *store = &reader->stores[i];

        if (!store->skip && store->waited_ms > apr_time_as_msec(most)) {
            store->skip = 1;
            apr_snprintf(store->why, sizeof(store->why),
                         "too slow: its answers about all hosts take more than %s",
                         report_span(most, reader->host.pool));
        }
    }
}

int fleet_reader_read(fleet_reader_t *reader, const int *wanted, apr_interval_time_t most,
                      apr_time_t now)
{
    static const announce_set_t none = {NULL, 0};
    apr_pool_t *pool = NULL;
    apr_size_t n = 0;
    int i, answered_n = 0;

    if (apr_pool_create(&pool, reader->host.ctl->pool) != APR_SUCCESS) {
        return 0;
    }
    apr_pool_clear(reader->host.pool);
    for (i = 0; i < reader->store_n; i++) {
        reader->stores[i].skip = 0;
        reader->stores[i].waited_ms = 0;
    }
    for (i = 0; i < ANNOUNCE_PARTS; i++) {
        skip_late(reader, most);
        reader->parts[i] = !wanted || wanted[i] ? read_part(reader, i, now, pool)
                                                : announce_merge(&reader->parts[i], &none, now,
                                                                 ANNOUNCE_PART_HOSTS_MAX, pool);
        n += reader->parts[i].n;
    }
    reader->said.hosts = apr_palloc(pool, (n + 1) * sizeof(announce_t));
    reader->said.n = 0;
    for (i = 0; i < ANNOUNCE_PARTS; i++) {
        const announce_set_t *part = &reader->parts[i];

        if (part->n > 0) {
            memcpy(reader->said.hosts + reader->said.n, part->hosts, part->n * sizeof(announce_t));
            reader->said.n += part->n;
        }
    }
    reader->all = announce_present(&reader->said, pool);
    if (reader->pool) {
        apr_pool_destroy(reader->pool);
    }
    reader->pool = pool;
    for (i = 0; i < reader->store_n; i++) {
        answered_n += !reader->stores[i].skip;
    }
    return answered_n;
}

/* Whether another server of the same store has answered. */
static int has_stand_in(const fleet_reader_t *reader, int i)
{
    int other;

    for (other = 0; other < reader->store_n; other++) {
        if (reader->servers[other].of == reader->servers[i].of && !reader->stores[other].skip) {
            return 1;
        }
    }
    return 0;
}

int fleet_reader_is_spare(const fleet_reader_t *reader, int i)
{
    const announce_store_t *store = &reader->stores[i];

    return has_stand_in(reader, i)
           && (reader->servers[i].address.listed || strstr(store->why, STORE_CONNECT_REFUSED));
}

const announce_store_t *fleet_reader_silent(const fleet_reader_t *reader)
{
    int i;

    for (i = 0; i < reader->store_n; i++) {
        if (reader->stores[i].skip && !fleet_reader_is_spare(reader, i)) {
            return &reader->stores[i];
        }
    }
    return NULL;
}

const announce_store_t *fleet_reader_refused(const fleet_reader_t *reader)
{
    int i;

    for (i = 0; i < reader->store_n; i++) {
        if (announce_stores_refused_n(&reader->stores[i]) > 0) {
            return &reader->stores[i];
        }
    }
    return NULL;
}

const char *fleet_reader_refusal(const announce_store_t *store, apr_pool_t *pool)
{
    int n = announce_stores_refused_n(store);

    return apr_psprintf(
        pool, "%d of %d objects with announcements cannot be used, so hosts may be missing: %s", n,
        ANNOUNCE_PARTS, store->refused_why);
}

/* ---- forgetting ---- */

/* One try; afterwards only the stores to try again are not skipped.  Returns how many could not be asked or
 * written. */
static int forget_once(fleet_reader_t *reader, const char *name, int *pleft)
{
    announce_store_t *stores = reader->stores, *store;
    int i, part = announce_part(name), n = reader->store_n, failed_n = 0;
    apr_time_t now = ringio_now();

    *pleft = 0;
    announce_stores_read(&reader->host, stores, n, part, deadline(reader));
    for (i = 0; i < n; i++) {
        store = &stores[i];
        if (!store->skip && store->result != STORE_DONE && store->result != STORE_ABSENT) {
            report_line("%s: could not be asked: %s",
                        store_url_shown(store->url, reader->host.pool), store->why);
            store->skip = 1;
            failed_n++;
        }
        if (!store->skip) {
            store->set = announce_forget(&store->set, name, now, reader->host.pool);
        }
    }
    announce_stores_write(&reader->host, stores, n, part, deadline(reader));
    for (i = 0; i < n; i++) {
        store = &stores[i];
        if (!store->skip && store->result != STORE_CHANGED) {
            if (store->result != STORE_DONE) {
                report_line("%s: could not be written: %s",
                            store_url_shown(store->url, reader->host.pool), store->why);
                failed_n++;
            }
            store->skip = 1;
        }
        *pleft += !store->skip;
    }
    return failed_n;
}

/* Whether a store shows the host.  The stores that do not answer are skipped from then on; *pfailed: how many of
 * them are missed. */
static int is_shown(fleet_reader_t *reader, const char *name, int *pfailed)
{
    int wanted[ANNOUNCE_PARTS] = {0}, i;

    wanted[announce_part(name)] = 1;
    (void)fleet_reader_read(reader, wanted, FLEET_READER_MOST, ringio_now());
    for (i = 0; i < reader->store_n; i++) {
        if (reader->stores[i].skip && !fleet_reader_is_spare(reader, i)) {
            report_line("%s: could not be asked: %s",
                        store_url_shown(reader->stores[i].url, reader->host.pool),
                        reader->stores[i].why);
            ++*pfailed;
        }
    }
    return announce_find(&reader->all, name) != NULL;
}

ctl_exit_e fleet_reader_forget(fleet_reader_t *reader, const char *name, int known)
{
    int try_n, failed = 0, found = is_shown(reader, name, &failed) || known, left = found;

    for (try_n = 0; left > 0 && try_n < FORGET_TRIES; try_n++) {
        failed += forget_once(reader, name, &left);
    }
    if (left > 0) {
        report_line("%s: other hosts wrote first each time; try again", name);
    }
    if (failed > 0 || left > 0) {
        return CTL_STORE;
    }
    if (!found) {
        report_line("no host '%s' has announced itself; list them with 'stekctl fleet'", name);
        return CTL_REFUSED;
    }
    return CTL_DONE;
}

const char *fleet_reader_forget_words(const fleet_reader_t *reader, const char *name,
                                      apr_pool_t *pool)
{
    if (!reader->config_path) {
        return apr_psprintf(pool, "this command again with 'forget %s' at its end", name);
    }
    return apr_psprintf(pool, "'stekctl %s%s%sfleet --config %s forget %s'",
                        reader->ring_path ? "--ring " : "",
                        reader->ring_path ? report_path(reader->ring_path, pool) : "",
                        reader->ring_path ? " " : "", report_path(reader->config_path, pool), name);
}
