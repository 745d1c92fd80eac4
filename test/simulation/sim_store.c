/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated stores behind the interface of stekctl's (store.h): an object that is replaced by
 * compare-and-swap, and what a network, a server or a liar makes of it.  One thread.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "fleet/store.h"

struct store_t {
    int server;
    sim_host_t *host;
    int writes;           /* the call under way */
    unsigned char *bytes; /* to be written */
    apr_size_t len;
    sim_object_t answer; /* to the last read */
    uint64_t seen;       /* version that was read; 0: none was there */
    const char *why;
};

void sim_object_free(sim_object_t *object)
{
    free(object->bytes);
    memset(object, 0, sizeof(*object));
}

void sim_object_copy(sim_object_t *to, const sim_object_t *from)
{
    sim_object_t copy = *from;

    if (from->bytes) {
        copy.bytes = malloc(from->len + 1);
        memcpy(copy.bytes, from->bytes, from->len);
    }
    sim_object_free(to);
    *to = copy;
}

void sim_server_free(sim_server_t *server)
{
    int i;

    sim_object_free(&server->object);
    sim_object_free(&server->saved);
    sim_object_free(&server->frozen);
    sim_object_free(&server->late.object);
    for (i = 0; i < SIM_SNAPSHOTS_MAX; i++) {
        sim_object_free(&server->past[i]);
    }
    for (i = 0; i < SIM_HOSTS_MAX; i++) {
        sim_object_free(&server->forks[i]);
    }
}

void sim_server_put(sim_server_t *server, const unsigned char *bytes, apr_size_t len)
{
    sim_object_t object = {(unsigned char *)(uintptr_t)bytes, len, ++sim->version};

    if (server->object.bytes) {
        sim_object_copy(&server->past[server->past_n++ % SIM_SNAPSHOTS_MAX], &server->object);
    }
    sim_object_copy(&server->object, &object);
    sim->write_n++;
}

void sim_server_deliver(sim_server_t *server)
{
    if (server->late.used && server->late.expected == server->object.version) {
        sim_server_put(server, server->late.object.bytes, server->late.object.len);
    }
    server->late.used = 0;
}

int sim_server_is_honest(const sim_server_t *server)
{
    return server->lie == SIM_HONEST && !server->lags;
}

const char *store_open(const char *url, const char *object, const store_login_t *login,
                       int timeout_ms, apr_pool_t *pool, store_t **pstore)
{
    store_t *store = calloc(1, sizeof(*store));

    (void)object;
    (void)login;
    (void)timeout_ms;
    (void)pool;
    store->server = url[strlen(url) - 1] - '0';
    store->host = sim_host;
    store->why = "";
    *pstore = store;
    return NULL;
}

void store_close(store_t *store)
{
    if (store) {
        free(store->bytes);
        sim_object_free(&store->answer);
        free(store);
    }
}

void store_begin_read(store_t *store)
{
    store->writes = 0;
}

void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len)
{
    free(store->bytes);
    store->bytes = malloc(len + 1);
    memcpy(store->bytes, bytes, len);
    store->len = len;
    store->writes = 1;
}

const char *store_unconfined(const store_t *store)
{
    (void)store;
    return NULL;
}

const char *store_why(const store_t *store)
{
    return store->why;
}

/* What a store that forks has for this host: the common object, until the host has written. */
static const sim_object_t *own_object(const store_t *store, const sim_server_t *server)
{
    const sim_object_t *own = &server->forks[sim_number(store->host)];

    return own->bytes ? own : &server->object;
}

/* In this call. */
static sim_lie_e lie_of(const sim_server_t *server)
{
    return server->lie == SIM_LIE_FICKLE ? (sim_lie_e)sim_below(SIM_LIE_SLOW) : server->lie;
}

/* What a liar shows in place of its object. */
static void lie_to(store_t *store, const sim_server_t *server, sim_lie_e lie)
{
    static const unsigned char garbage[] = "STEKRINGxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    sim_object_t part = server->object;
    int n = server->past_n < SIM_SNAPSHOTS_MAX ? server->past_n : SIM_SNAPSHOTS_MAX;

    switch (lie) {
    case SIM_LIE_CONFLICT:
    case SIM_LIE_SLOW:
        sim_object_free(&store->answer);
        break;
    case SIM_LIE_REPLAY:
        sim_object_copy(&store->answer,
                        n > 0 ? &server->past[sim_below((unsigned)n)] : &server->object);
        break;
    case SIM_LIE_SWAP:
        sim_object_copy(&store->answer, &sim->foreign);
        break;
    case SIM_LIE_GARBAGE:
        part.bytes = part.bytes && sim_below(2) ? part.bytes : (unsigned char *)(uintptr_t)garbage;
        part.len = part.bytes == server->object.bytes
                       ? sim_below((unsigned)part.len) + (part.len > 0)
                       : sizeof(garbage);
        sim_object_copy(&store->answer, &part);
        break;
    case SIM_LIE_FORK:
        sim_object_copy(&store->answer, own_object(store, server));
        break;
    default:
        sim_object_copy(&store->answer, &server->object);
    }
}

static store_result_e read_object(store_t *store, sim_server_t *server,
                                  const unsigned char **pbytes, apr_size_t *plen)
{
    sim_lie_e lie = lie_of(server);

    if (lie == SIM_LIE_HUGE) {
        *pbytes = NULL;
        *plen = (apr_size_t)1 << 31;
        return STORE_DONE;
    }
    if (lie != SIM_HONEST) {
        lie_to(store, server, lie);
    }
    else {
        sim_object_copy(&store->answer, server->lags ? &server->frozen : &server->object);
    }
    store->seen = server->lie == SIM_LIE_FORK ? own_object(store, server)->version
                  : server->lags              ? server->frozen.version
                                              : server->object.version;
    if (!store->answer.bytes) {
        return STORE_ABSENT;
    }
    *pbytes = store->answer.bytes;
    *plen = store->answer.len;
    return STORE_DONE;
}

/* Other hosts' cycles between this host's read and its write. */
static void let_race(sim_host_t *host)
{
    int racer = host->race;

    host->race = -1;
    if (racer >= 0 && racer < sim->history->host_n && !sim->hosts[racer].busy && sim->depth < 3) {
        sim_host_t *before = sim_host;

        sim_say("    before host %d writes:", sim_number(host));
        sim_host_cycle(&sim->hosts[racer]);
        sim_host = before;
    }
}

static store_result_e write_object(store_t *store, sim_server_t *server)
{
    sim_host_t *host = store->host;
    sim_lie_e lie = lie_of(server);

    if (lie == SIM_LIE_DROP) {
        return STORE_DONE;
    }
    if (lie == SIM_LIE_FORK) {
        sim_object_t object = {store->bytes, store->len, ++sim->version};

        sim_object_copy(&server->forks[sim_number(host)], &object);
        sim->write_n++;
        return STORE_DONE;
    }
    if (lie == SIM_LIE_CONFLICT || lie == SIM_LIE_SLOW
        || (server->object.version != store->seen && lie != SIM_LIE_BLIND)) {
        store->why = "another host wrote first";
        return STORE_CHANGED;
    }
    if (host->delay_next) {
        host->delay_next = 0;
        sim_object_copy(&server->late.object,
                        &(sim_object_t){store->bytes, store->len, server->object.version});
        server->late.expected = store->seen;
        server->late.used = 1;
        store->why = "no answer in time";
        return STORE_SILENT;
    }
    sim_server_put(server, store->bytes, store->len);
    store->seen = server->object.version;
    if (host->lose_next) {
        host->lose_next = 0;
        store->why = "no answer in time";
        return STORE_SILENT;
    }
    return STORE_DONE;
}

store_result_e store_finish(store_t *store, apr_int64_t deadline_ms, const unsigned char **pbytes,
                            apr_size_t *plen)
{
    sim_server_t *server = &sim->servers[store->server];
    sim_host_t *host = store->host;

    store->why = "no connection";
    if (store->writes) {
        let_race(host);
        if (sim_crash_point()) {
            return STORE_SILENT;
        }
    }
    if (host->frozen || !(host->reach >> store->server & 1)) {
        return STORE_SILENT;
    }
    store->why = "";
    if (server->lie == SIM_LIE_SLOW || server->lie == SIM_LIE_LATE) {
        sim_host_wait(host, deadline_ms - 100);
    }
    if (!store->writes) {
        return read_object(store, server, pbytes, plen);
    }
    if (host->readonly >> store->server & 1) {
        store->why = "out of memory";
        return STORE_REFUSED;
    }
    return write_object(store, server);
}

/* Simulated hosts do not announce themselves: their stores have the ring's object only. */
int store_select(store_t *store, const char *object)
{
    (void)store;
    (void)object;
    return 0;
}

int store_set_address(store_t *store, const char *address, int listed)
{
    (void)store;
    (void)address;
    (void)listed;
    return 1;
}

void store_rest(store_t *store)
{
    (void)store;
}

/* Simulated stores say nothing of themselves, and are read as a whole in every cycle. */
int store_keep(store_t *store)
{
    (void)store;
    return 0;
}

const char *store_mark(const store_t *store)
{
    (void)store;
    return "";
}

store_can_watch_e store_can_watch(const store_t *store)
{
    (void)store;
    return STORE_WATCH_NONE;
}

int store_begin_wait(store_t *store, const store_t *beside, int period_ms)
{
    (void)store;
    (void)beside;
    (void)period_ms;
    return 0;
}

int store_watch_fd(const store_t *store)
{
    (void)store;
    return -1;
}

store_result_e store_take_wait(store_t *store)
{
    (void)store;
    return STORE_SILENT;
}
