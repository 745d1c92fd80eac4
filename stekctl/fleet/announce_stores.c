/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Announcements in the stores (announce_stores.h).  stekctl; one thread.
 */
#include "announce_stores.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "monotonic.h"
#include "stek_error.h"
#include "store_words.h"
#include "sync_stores.h"

/* All parts of a fleet are on one node of a Redis Cluster: the braces say so. */
static const char *object_name(const sync_host_t *host, int part)
{
    char hex[2 * STEK_FLEET_ID_LEN + 1];
    int i;

    for (i = 0; i < STEK_FLEET_ID_LEN; i++) {
        snprintf(hex + (apr_size_t)2 * i, 3, "%02x", host->fleet->fleet_id[i]);
    }
    return apr_psprintf(host->pool, "stek:{%s}:hosts:%02d", hex, part);
}

ctl_exit_e announce_stores_open(sync_host_t *host, const char *const *urls, int n,
                                announce_store_t *stores)
{
    apr_size_t room = (apr_size_t)n + 1;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): these are pointers */
    store_t **opened = apr_pcalloc(host->ctl->pool, room * sizeof(*opened));
    ctl_exit_e code = sync_stores_open_beside(host, urls, n, object_name(host, 0), opened);
    int i;

    memset(stores, 0, (apr_size_t)n * sizeof(*stores));
    for (i = 0; code == CTL_DONE && i < n; i++) {
        stores[i].url = urls[i];
        stores[i].store = opened[i];
    }
    return code;
}

void announce_stores_close(announce_store_t *stores, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        store_close(stores[i].store);
        stores[i].store = NULL;
    }
}

void announce_stores_rest(announce_store_t *stores, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        store_rest(stores[i].store);
    }
}

/* Opens a part under the secrets of today, yesterday or tomorrow. */
static apr_status_t open_part(const sync_host_t *host, const unsigned char *bytes, apr_size_t len,
                              int part, announce_set_t *set)
{
    static const int order[] = {1, 0, 2};
    apr_status_t rv = STEK_ESECRET;
    int i;

    for (i = 0; i < 3 && rv == STEK_ESECRET; i++) {
        if (host->keys[order[i]]) {
            rv = announce_open(bytes, len, part, host->keys[order[i]], set, host->pool);
        }
    }
    return rv;
}

static void fail(announce_store_t *store, const char *why)
{
    store->result = STORE_SILENT;
    apr_cpystrn(store->why, why, sizeof(store->why));
}

/* One object that is too large says nothing about the others; it cannot be replaced unread. */
static void note_failure(announce_store_t *store, const char *object)
{
    const char *why = store_why(store->store);

    store->too_large = store_words_is_announced(why);
    if (store->too_large) {
        store->result = STORE_REFUSED;
        store->refused = 1;
        apr_snprintf(store->why, sizeof(store->why), "%s: %s", object, why);
    }
    else {
        apr_cpystrn(store->why, why, sizeof(store->why));
    }
}

void announce_stores_read(sync_host_t *host, announce_store_t *stores, int n, int part,
                          apr_int64_t deadline_ms)
{
    const char *object = object_name(host, part);
    int i;

    for (i = 0; i < n; i++) {
        stores[i].set.n = 0;
        stores[i].refused = 0;
        stores[i].too_large = 0;
        if (!stores[i].skip) {
            stores[i].result = STORE_DONE;
            if (store_select(stores[i].store, object)) {
                store_begin_read(stores[i].store);
            }
            else {
                fail(&stores[i], "out of memory");
            }
        }
    }
    for (i = 0; i < n; i++) {
        announce_store_t *store = &stores[i];
        const unsigned char *bytes = NULL;
        apr_size_t len = 0;
        apr_int64_t begin = monotonic_ms();

        if (store->skip || store->result != STORE_DONE) {
            continue;
        }
        store->result = store_finish(store->store, deadline_ms, &bytes, &len);
        store->waited_ms += monotonic_ms() - begin;
        if (store->result == STORE_DONE) {
            apr_status_t rv = bytes ? open_part(host, bytes, len, part, &store->set) : STEK_ETOOBIG;

            store->refused = rv != APR_SUCCESS;
            if (store->refused) {
                store->set.n = 0;
                (void)stek_strerror(rv, store->why, sizeof(store->why));
            }
        }
        else if (store->result != STORE_ABSENT) {
            note_failure(store, object);
        }
    }
}

static void note_refusal(announce_store_t *store, int part)
{
    store->refused_parts[part] = store->refused != 0;
    if (store->refused) {
        apr_cpystrn(store->refused_why, store->why, sizeof(store->refused_why));
    }
}

int announce_stores_refused_n(const announce_store_t *store)
{
    int i, n = 0;

    for (i = 0; i < ANNOUNCE_PARTS; i++) {
        n += store->refused_parts[i];
    }
    return n;
}

int announce_stores_gather(sync_host_t *host, announce_store_t *stores, int n, int part,
                           apr_int64_t deadline_ms, apr_time_t now, announce_set_t *set,
                           apr_pool_t *pool)
{
    int i, answered_n = 0;

    set->n = 0;
    announce_stores_read(host, stores, n, part, deadline_ms);
    for (i = 0; i < n; i++) {
        if (stores[i].skip) {
            continue;
        }
        stores[i].skip = stores[i].result != STORE_DONE && stores[i].result != STORE_ABSENT
                         && !stores[i].too_large;
        if (!stores[i].skip) {
            answered_n++;
            note_refusal(&stores[i], part);
            *set = announce_merge(set, &stores[i].set, now, ANNOUNCE_PART_HOSTS_MAX, pool);
        }
    }
    return answered_n;
}

static apr_status_t begin_write(sync_host_t *host, announce_store_t *store, int part,
                                const stek_secret_t *secret)
{
    unsigned char random[STEK_BOX_RANDOM_LEN], *sealed = NULL;
    apr_size_t len = 0;
    apr_status_t rv = stek_rng_system(random, sizeof(random));

    if (rv == APR_SUCCESS) {
        rv = announce_seal(&store->set, part, secret, random, &sealed, &len, host->pool);
    }
    if (rv == APR_SUCCESS) {
        store_begin_write(store->store, sealed, len);
    }
    return rv;
}

void announce_stores_write(sync_host_t *host, announce_store_t *stores, int n, int part,
                           apr_int64_t deadline_ms)
{
    const stek_secret_t *secret = NULL;
    stek_secrets_t *made = NULL;
    apr_status_t rv = sync_stores_secret(host, &made, &secret);
    char text[STORE_WHY_LEN];
    int i;

    for (i = 0; i < n; i++) {
        apr_status_t begun;

        if (stores[i].skip) {
            continue;
        }
        stores[i].result = STORE_DONE;
        begun = rv == APR_SUCCESS ? begin_write(host, &stores[i], part, secret) : rv;
        if (begun != APR_SUCCESS) {
            fail(&stores[i], stek_strerror(begun, text, sizeof(text)));
        }
    }
    for (i = 0; i < n; i++) {
        if (!stores[i].skip && stores[i].result == STORE_DONE) {
            stores[i].result = store_finish(stores[i].store, deadline_ms, NULL, NULL);
            if (stores[i].result != STORE_DONE && stores[i].result != STORE_CHANGED) {
                apr_cpystrn(stores[i].why, store_why(stores[i].store), sizeof(stores[i].why));
            }
        }
    }
    stek_secrets_destroy(made);
}
