/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stores of a fleet, for commands (fleet_reader.h).  stekctl; one thread.
 */
#include "fleet_reader.h"

#include <apr_strings.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "monotonic.h"
#include "ratchet.h"
#include "report.h"
#include "ringio.h"
#include "store_url.h"
#include "sync_secrets.h"
#include "sync_stores.h"

#define FORGET_TRIES 5

/* ---- stores ---- */

static void add_url(const char *url, const char **urls, int *pn)
{
    if (*pn < ANNOUNCE_STORES_MAX) {
        urls[(*pn)++] = url;
    }
}

/* The host in the URL of one server; 0 if it names none, or several, or its certificate is checked. */
static int find_host(const char *url, const char **phost, apr_size_t *plen)
{
    const char *rest = strstr(url, "://"), *end, *at;

    if (!rest || (strncmp(url, "memcached:", 10) != 0 && strncmp(url, "redis:", 6) != 0)) {
        return 0;
    }
    rest += 3;
    end = rest + strcspn(rest, "/");
    for (*phost = at = rest; at < end; at++) {
        *phost = *at == '@' ? at + 1 : *phost; /* a user may have one, too */
    }
    *plen = strcspn(*phost, ":/");
    return *plen > 0 && **phost != '[' && !memchr(*phost, ',', *plen);
}

/* Two servers behind one name are two stores: what one host wrote to the first, another may not find in
 * the second. */
static void add_addresses(const char *url, const char **urls, int *pn, apr_pool_t *pool)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL, *address;
    const char *name = NULL;
    apr_size_t len = 0;

    if (!find_host(url, &name, &len)
        || getaddrinfo(apr_pstrmemdup(pool, name, len), NULL, &hints, &found) != 0 || !found
        || !found->ai_next) {
        add_url(url, urls, pn);
    }
    for (address = found && found->ai_next ? found : NULL; address; address = address->ai_next) {
        char number[64];

        if (getnameinfo(address->ai_addr, address->ai_addrlen, number, sizeof(number), NULL, 0,
                        NI_NUMERICHOST)
            == 0) {
            const char *format = address->ai_family == AF_INET6 ? "%.*s[%s]%s" : "%.*s%s%s";

            add_url(apr_psprintf(pool, format, (int)(name - url), url, number, name + len), urls,
                    pn);
        }
    }
    if (found) {
        freeaddrinfo(found);
    }
}

ctl_exit_e fleet_reader_open(ctl_t *ctl, const sync_options_t *options, fleet_reader_t *reader)
{
    const char *urls[ANNOUNCE_STORES_MAX];
    sync_host_t *host = &reader->host;
    apr_status_t rv;
    ctl_exit_e code;
    int i;

    memset(reader, 0, sizeof(*reader));
    reader->options = *options;
    reader->options.floor_path = NULL;
    host->ctl = ctl;
    host->options = &reader->options;
    host->reader = 1;
    host->once = 1;
    host->day_confirmed = 1;
    if (apr_pool_create(&host->pool, ctl->pool) != APR_SUCCESS) {
        return report_status(ctl, options->fleet_secret_path, APR_ENOMEM, NULL);
    }
    rv = sync_secrets_load_fleet(host, ratchet_day(ringio_now()));
    if (rv != APR_SUCCESS) {
        return APR_STATUS_IS_ENOENT(rv) ? CTL_IO : CTL_REFUSED;
    }
    for (i = 0; i < options->store_n; i++) {
        int n = reader->store_n;

        add_addresses(options->urls[i], urls, &reader->store_n, ctl->pool);
        for (; n < reader->store_n; n++) {
            reader->of[n] = i;
        }
    }
    code = announce_stores_open(host, urls, reader->store_n, reader->stores);
    reader->open_n = code == CTL_DONE ? reader->store_n : 0;
    return code;
}

void fleet_reader_close(fleet_reader_t *reader)
{
    int i;

    announce_stores_close(reader->stores, reader->open_n);
    for (i = 0; i < 3; i++) {
        stek_secrets_destroy(reader->host.keys[i]);
    }
    stek_secrets_destroy(reader->host.fleet);
}

/* ---- reading ---- */

static apr_int64_t deadline(const fleet_reader_t *reader)
{
    return monotonic_ms() + apr_time_as_msec(sync_stores_call_max(&reader->options));
}

/* What is known of the part now: in pool. */
static announce_set_t read_part(fleet_reader_t *reader, int part, apr_time_t now, apr_pool_t *pool)
{
    announce_set_t set = {NULL, 0};

    (void)announce_stores_gather(&reader->host, reader->stores, reader->store_n, part,
                                 deadline(reader), now, &set, pool);
    return announce_merge(&reader->parts[part], &set, now, ANNOUNCE_PART_HOSTS_MAX, pool);
}

int fleet_reader_read(fleet_reader_t *reader, const int *wanted, apr_time_t now)
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
    }
    for (i = 0; i < ANNOUNCE_PARTS; i++) {
        reader->parts[i] = !wanted || wanted[i] ? read_part(reader, i, now, pool)
                                                : announce_merge(&reader->parts[i], &none, now,
                                                                 ANNOUNCE_PART_HOSTS_MAX, pool);
        n += reader->parts[i].n;
    }
    reader->all.hosts = apr_palloc(pool, (n + 1) * sizeof(announce_t));
    reader->all.n = 0;
    for (i = 0; i < ANNOUNCE_PARTS; i++) {
        if (reader->parts[i].n > 0) {
            memcpy(reader->all.hosts + reader->all.n, reader->parts[i].hosts,
                   reader->parts[i].n * sizeof(announce_t));
            reader->all.n += reader->parts[i].n;
        }
    }
    if (reader->pool) {
        apr_pool_destroy(reader->pool);
    }
    reader->pool = pool;
    for (i = 0; i < reader->store_n; i++) {
        answered_n += !reader->stores[i].skip;
    }
    return answered_n;
}

const announce_store_t *fleet_reader_silent(const fleet_reader_t *reader)
{
    int i, first = 0, answered = 0;

    for (i = 0; i < reader->store_n; i++) {
        if (reader->of[i] != reader->of[first]) {
            if (!answered) {
                break;
            }
            first = i;
            answered = 0;
        }
        answered |= !reader->stores[i].skip;
    }
    return answered ? NULL : &reader->stores[first];
}

/* ---- forgetting ---- */

/* One try; afterwards only the stores to try again are not skipped. */
static void forget_once(fleet_reader_t *reader, const char *name, int *pfound, int *pfailed)
{
    announce_store_t *stores = reader->stores;
    int i, part = announce_part(name), n = reader->store_n;
    announce_store_t *store;

    announce_stores_read(&reader->host, stores, n, part, deadline(reader));
    for (i = 0; i < n; i++) {
        store = &stores[i];
        if (store->skip) {
            continue;
        }
        if (store->result != STORE_DONE && store->result != STORE_ABSENT) {
            report_line("%s: could not be asked: %s",
                        store_url_shown(store->url, reader->host.pool), store->why);
            ++*pfailed;
        }
        store->skip = !announce_find(&store->set, name);
        *pfound |= !store->skip;
        store->set = announce_without(&store->set, name, reader->host.pool);
    }
    announce_stores_write(&reader->host, stores, n, part, deadline(reader));
    for (i = 0; i < n; i++) {
        store = &stores[i];
        if (!store->skip && store->result != STORE_CHANGED) {
            if (store->result != STORE_DONE) {
                report_line("%s: could not be written: %s",
                            store_url_shown(store->url, reader->host.pool), store->why);
                ++*pfailed;
            }
            store->skip = 1;
        }
    }
}

ctl_exit_e fleet_reader_forget(fleet_reader_t *reader, const char *name)
{
    int i, try_n, left = reader->store_n, found = 0, failed = 0;

    for (i = 0; i < reader->store_n; i++) {
        reader->stores[i].skip = 0;
    }
    for (try_n = 0; left > 0 && try_n < FORGET_TRIES; try_n++) {
        forget_once(reader, name, &found, &failed);
        for (i = 0, left = 0; i < reader->store_n; i++) {
            left += !reader->stores[i].skip;
        }
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
