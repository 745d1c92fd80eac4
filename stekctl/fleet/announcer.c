/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Announcing and looking (announcer.h).  stekctl; one thread.
 */
#include "announcer.h"

#include <apr_strings.h>
#include <string.h>

#include "loaded_ring.h"
#include "monotonic.h"
#include "notify.h"
#include "report.h"
#include "stek_version.h"
#include "store_url.h"
#include "sync_ring_file.h"
#include "sync_stores.h"

#define TRIES 3
#define PERIOD_MIN_S 60
#define PERIOD_MAX_S 300
/* One in a part, more or less, is a fleet of some dozens; from there on hosts speak less often. */
#define PART_CROWDED 3
/* A host that runs under cron may be silent for so long. */
#define ONCE_PERIOD apr_time_from_sec(3600)
/* A store that failed is asked again after. */
#define RETRY_MS 30000
/* One look of somebody for each host of the fleet in that time. */
#define LOOK_SHARE_MS 30000
#define LOOK_MIN_MS 60000
#define LOOK_ONCE apr_time_from_sec(600)
/* The status page is on this machine. */
#define HTTPD_LIMIT apr_time_from_sec(1)
/* A host that has just started announces itself in every cycle for so long; one that may have found another of
 * its name does until the other has spoken again, in a small fleet. */
#define HURRY_CYCLES 3
#define HURRY_MS 30000
#define HURRY_TWIN_MS (PERIOD_MIN_S * 1000 + 15000)

/* ---- what this host is ---- */

static apr_time_t earlier(apr_time_t a, apr_time_t t, apr_time_t now)
{
    return t > now && (a == 0 || t < a) ? t : a;
}

/* When the digest changes by itself. */
static apr_time_t next_end_of(const stek_ring_t *ring, apr_time_t now)
{
    apr_time_t next = 0;
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        next = earlier(next, ring->keys[i].decrypt_until, now);
    }
    for (i = 0; i < ring->tombstone_n; i++) {
        next = earlier(next, ring->tombstones[i].until, now);
    }
    return next;
}

static void describe_ring(announcer_t *announcer, const stek_ring_t *ring, apr_time_t now)
{
    announce_t *self = &announcer->self;
    unsigned char digest[ANNOUNCE_DIGEST_LEN] = {0};

    if (ring && announce_digest(ring, now, digest) != APR_SUCCESS) {
        return;
    }
    if (self->since == 0 || memcmp(digest, self->digest, sizeof(digest)) != 0) {
        self->since = now;
    }
    memcpy(self->digest, digest, sizeof(digest));
    self->epoch = ring ? ring->epoch : 0;
    self->generation = ring ? ring->generation : 0;
    announcer->next_end = ring ? next_end_of(ring, now) : 0;
}

static void read_ring(announcer_t *announcer, sync_host_t *host, apr_time_t now)
{
    stek_ring_t *ring = NULL;
    stek_stamp_t stamp, first = host->first_stamp, shared = host->ring_stamp;
    int news = host->ring_news;

    (void)stek_file_stamp(host->ctl->ring_path, &stamp);
    if (announcer->self.since != 0 && stek_stamp_equal(&stamp, &announcer->stamp)
        && (announcer->next_end == 0 || now < announcer->next_end)) {
        return;
    }
    if (sync_ring_file_load(host, &ring) == APR_SUCCESS) {
        describe_ring(announcer, ring, now);
        announcer->stamp = stamp;
        announcer->number = host->ring_number;
        stek_ring_destroy(ring);
    }
    /* What is new in it has yet to go to the stores. */
    host->first_stamp = first;
    host->ring_stamp = shared;
    host->ring_news = news;
}

static void ask_httpd(announcer_t *announcer, const sync_host_t *host)
{
    const char *url = host->options->httpd_url, *why;
    announce_t *self = &announcer->self;
    loaded_ring_t status = {0, 0, 0};

    announcer->httpd_number = 0;
    if (!url) {
        return;
    }
    why = loaded_ring_read(url, HTTPD_LIMIT, &status, host->pool);
    if (why && !announcer->httpd_told) {
        report_line("%s: does not say what httpd has loaded: %s; fix this, or remove 'httpd' from "
                    "sync's settings",
                    url, why);
    }
    announcer->httpd_told = why != NULL;
    self->flags |= why ? ANNOUNCE_MUTE : ANNOUNCE_HTTPD;
    self->httpd_epoch = status.epoch;
    self->httpd_generation = status.generation;
    announcer->httpd_number = status.number;
}

/* httpd was asked first, so it cannot be ahead of the ring.  It is with another ring, of its own or of before the
 * file was lost; of those, the generation says nothing. */
static void check_loaded(announcer_t *announcer)
{
    announce_t *self = &announcer->self;

    if (self->flags & ANNOUNCE_HTTPD && announcer->httpd_number && announcer->number
        && self->httpd_epoch == self->epoch && self->httpd_generation >= self->generation
        && announcer->httpd_number != announcer->number) {
        self->httpd_generation = 0;
    }
}

static void hurry(announcer_t *announcer, apr_interval_time_t every, apr_int64_t least_ms)
{
    apr_int64_t cycles_ms = HURRY_CYCLES * apr_time_as_msec(every);

    announcer->hurry_until_ms = monotonic_ms() + (cycles_ms > least_ms ? cycles_ms : least_ms);
}

static void describe(announcer_t *announcer, sync_host_t *host, apr_status_t rv,
                     const sync_result_t *result, apr_time_t now)
{
    const sync_options_t *options = host->options;
    announce_t *self = &announcer->self;

    if (!*self->name) {
        apr_cpystrn(self->name, options->announce, sizeof(self->name));
        apr_cpystrn(self->version, STEK_VERSION, sizeof(self->version));
        (void)stek_rng_system(self->process, sizeof(self->process));
        hurry(announcer, options->every, HURRY_MS);
    }
    self->flags = options->rules.generate ? ANNOUNCE_GENERATES : 0;
    self->flags |= monotonic_ms() < announcer->twin_until_ms ? ANNOUNCE_TWIN : 0;
    ask_httpd(announcer, host);
    self->every = options->once ? ONCE_PERIOD : options->every;
    self->clock = now;
    if (sync_stores_agree(host, rv, result)) {
        self->agreed = now;
    }
    read_ring(announcer, host, now);
    check_loaded(announcer);
}

/* The longest silence, in a part of so many hosts. */
static apr_interval_time_t period_for(const sync_options_t *options, apr_size_t host_n)
{
    apr_int64_t s = PERIOD_MIN_S * (apr_int64_t)(host_n > PART_CROWDED ? host_n : PART_CROWDED)
                    / PART_CROWDED;
    apr_interval_time_t period = apr_time_from_sec(s > PERIOD_MAX_S ? PERIOD_MAX_S : s);

    return options->once ? ONCE_PERIOD : period > 2 * options->every ? period : 2 * options->every;
}

/* ---- announcing ---- */

static int has_changed(const announce_t *self, const announce_t *told)
{
    return memcmp(self->digest, told->digest, sizeof(self->digest)) != 0
           || self->epoch != told->epoch || self->flags != told->flags
           || (self->behind > 0) != (told->behind > 0) || self->httpd_epoch != told->httpd_epoch
           || self->httpd_generation != told->httpd_generation;
}

/* Where it is due: the stores that this cycle has heard from. */
static int choose_stores(announcer_t *announcer, const sync_host_t *host)
{
    apr_int64_t ms = monotonic_ms();
    int i, chosen_n = 0;

    for (i = 0; i < host->options->store_n; i++) {
        const announce_t *told = &announcer->told[i];

        if (host->stores[i].answer == SYNC_ABSENT && !announcer->store_refuses[i]) {
            announcer->again_ms[i] = 0; /* it has lost everything */
        }
        announcer->stores[i].skip = host->stores[i].answer == SYNC_SILENT
                                    || (ms < announcer->again_ms[i]
                                        && (announcer->store_refuses[i]
                                            || !has_changed(&announcer->self, told)));
        chosen_n += !announcer->stores[i].skip;
    }
    return chosen_n;
}

static void report_twin(announcer_t *announcer, const announce_t *found, apr_pool_t *pool)
{
    const announce_t *self = &announcer->self;
    apr_interval_time_t period = found->period > self->period ? found->period : self->period;
    apr_int64_t ms = monotonic_ms();

    if (ms >= announcer->twin_until_ms) {
        report_line(
            "another host also announces itself as '%s', so 'stekctl fleet' shows only one of "
            "them; give each its own name ('announce NAME'). Its sync has the mark %s, this "
            "one %s: the other host's log has the same line with the marks exchanged",
            self->name, announce_hex(found->process, pool), announce_hex(self->process, pool));
    }
    announcer->twin_until_ms = ms + 3 * apr_time_as_msec(period);
    announcer->self.flags |= ANNOUNCE_TWIN; /* with what is told next */
}

/* Another process may say that it is this host.  One that says so once may be this host's sync as it was before a
 * restart, or a sync --once; one that says so again runs elsewhere. */
static void note_namesake(announcer_t *announcer, int i, apr_pool_t *pool)
{
    const announce_t *self = &announcer->self;
    const announce_t *found = announce_find(&announcer->stores[i].set, self->name);
    namesake_t *known = announcer->namesakes[i];
    int n;

    if (!found || found->flags & ANNOUNCE_FORGOTTEN
        || memcmp(found->process, self->process, sizeof(self->process)) == 0) {
        return;
    }
    for (n = 0; n < ANNOUNCER_NAMESAKES; n++) {
        if (known[n].clock != 0
            && memcmp(found->process, known[n].process, sizeof(known[n].process)) == 0) {
            if (found->clock > known[n].clock) {
                report_twin(announcer, found, pool);
                known[n].clock = found->clock;
            }
            return;
        }
    }
    known += announcer->namesake_next++ % ANNOUNCER_NAMESAKES;
    memcpy(known->process, found->process, sizeof(known->process));
    known->clock = found->clock;
    hurry(announcer, self->every, HURRY_TWIN_MS);
}

/* A store that takes no ring either has been reported for that. */
static void report_refusal(announcer_t *announcer, const sync_host_t *host, int i)
{
    const announce_store_t *store = &announcer->stores[i];
    int refuses = store->result == STORE_REFUSED;
    int is_news = refuses && !announcer->refusal_told[i] && !host->stores[i].write_failed;

    if (is_news) {
        report_line("%s: refuses this host's announcement: %s; fix this, or 'stekctl fleet' does "
                    "not show this host there",
                    store_url_shown(store->url, host->pool), store->why);
    }
    announcer->store_refuses[i] = refuses;
    announcer->only_one[i] = store->too_large;
    announcer->refusal_told[i] = refuses && (is_news || announcer->refusal_told[i]);
}

/* One try with the stores that are not skipped; afterwards those that are left to try again. */
static int tell(announcer_t *announcer, sync_host_t *host, int part, apr_int64_t deadline,
                apr_time_t now)
{
    announce_store_t *stores = announcer->stores;
    int i, left = 0, n = host->options->store_n;

    announce_stores_read(host, stores, n, part, deadline);
    for (i = 0; i < n; i++) {
        if (stores[i].skip) {
            continue;
        }
        if (stores[i].result != STORE_DONE && stores[i].result != STORE_ABSENT) {
            report_refusal(announcer, host, i);
            announcer->again_ms[i] = monotonic_ms() + RETRY_MS;
            stores[i].skip = 1;
            continue;
        }
        note_namesake(announcer, i, host->pool);
        announcer->self.period = period_for(host->options, stores[i].set.n + 1);
        stores[i].set = announce_put(&stores[i].set, &announcer->self, now, host->pool);
    }
    announce_stores_write(host, stores, n, part, deadline);
    for (i = 0; i < n; i++) {
        if (stores[i].skip || stores[i].result == STORE_CHANGED) {
            left += !stores[i].skip;
            continue;
        }
        report_refusal(announcer, host, i);
        stores[i].skip = 1;
        announcer->again_ms[i] = monotonic_ms() + RETRY_MS;
        if (stores[i].result == STORE_DONE) {
            announcer->told[i] = announcer->self;
            announcer->again_ms[i] = monotonic_ms();
            announcer->again_ms[i] += announcer->again_ms[i] < announcer->hurry_until_ms
                                          ? 0
                                          : apr_time_as_msec(announcer->self.period);
        }
    }
    return left;
}

static void announce(announcer_t *announcer, sync_host_t *host, apr_int64_t deadline,
                     apr_time_t now)
{
    int try_n = 0, left = choose_stores(announcer, host);

    while (left > 0 && try_n++ < TRIES) {
        left = tell(announcer, host, announce_part(announcer->self.name), deadline, now);
    }
}

/* ---- looking ---- */

static void report_apart(announcer_t *announcer, const fleet_view_t *view, apr_pool_t *pool)
{
    apr_size_t i, n = view->trouble_n[FLEET_DISAGREES];
    const char *names = "";

    if (n > 0 && announcer->told_apart_n == 0) {
        for (i = 0; i < n && i < 5; i++) {
            names = apr_pstrcat(pool, names, i ? ", " : "", view->hosts[i].host->name, NULL);
        }
        report_line(
            "the fleet has %d rings: %s%s disagree%s with the others; run 'stekctl fleet' to see which",
            (int)view->ring_n, names, n > 5 ? " and more" : "", n == 1 ? "s" : "");
    }
    if (n == 0 && announcer->told_apart_n > 0) {
        report_line("all visible hosts of the fleet have the same ring again");
    }
    announcer->told_apart_n = n;
}

static void finish_look(announcer_t *announcer, sync_host_t *host, apr_time_t now)
{
    const announce_set_t all = {(announce_t *)(void *)announcer->seen->elts,
                                (apr_size_t)announcer->seen->nelts};
    announce_set_t seen = announce_present(&all, host->pool);
    fleet_view_t view = fleet_view_make(&seen, now, host->pool);
    apr_int64_t share_ms = (apr_int64_t)view.n * LOOK_SHARE_MS;

    if (!host->known) {
        host->known = known_hosts_make(host->ctl->pool);
    }
    known_hosts_update(host->known, &all, now);
    announcer->look.looked_at = now;
    announcer->look.host_n = view.n;
    announcer->look.ring_n = view.ring_n;
    memcpy(announcer->look.trouble_n, view.trouble_n, sizeof(announcer->look.trouble_n));
    announcer->self.behind = announce_behind(&seen, announcer->self.name, now);
    report_apart(announcer, &view, host->pool);
    apr_pool_destroy(announcer->look_pool);
    announcer->look_pool = NULL;
    announcer->look_due_ms = monotonic_ms() + (share_ms > LOOK_MIN_MS ? share_ms : LOOK_MIN_MS);
}

/* A store that has lost this host's announcement, and one with an object that nobody can read. */
static void repair(announcer_t *announcer, sync_host_t *host, const announce_set_t *set,
                   apr_int64_t deadline)
{
    announce_store_t *stores = announcer->stores;
    int i, part = announcer->look_part, n = host->options->store_n, refused_n = 0;
    int was_skipped[SYNC_STORES_MAX];

    for (i = 0; i < n; i++) {
        was_skipped[i] = stores[i].skip;
        if (!stores[i].skip && part == announce_part(announcer->self.name)) {
            note_namesake(announcer, i, host->pool);
        }
        if (!stores[i].skip && part == announce_part(announcer->self.name)
            && announcer->told[i].clock != 0
            && !announce_find(&stores[i].set, announcer->self.name)) {
            announcer->again_ms[i] = 0;
        }
        stores[i].skip |= !stores[i].refused || stores[i].too_large;
        stores[i].set = *set;
        refused_n += !stores[i].skip;
    }
    if (refused_n > 0) {
        announce_stores_write(host, stores, n, part, deadline);
    }
    for (i = 0; i < n; i++) {
        stores[i].skip = was_skipped[i];
    }
}

/* Adds what the stores say of the next part; 0: none answered. */
static int look_at_part(announcer_t *announcer, sync_host_t *host, apr_int64_t deadline,
                        apr_time_t now)
{
    announce_set_t set = {NULL, 0};
    apr_size_t i;

    if (announce_stores_gather(host, announcer->stores, host->options->store_n,
                               announcer->look_part, deadline, now, &set, host->pool)
        == 0) {
        return 0;
    }
    repair(announcer, host, &set, deadline);
    for (i = 0; i < set.n; i++) {
        APR_ARRAY_PUSH(announcer->seen, announce_t) = set.hosts[i];
    }
    announcer->look_part++;
    return 1;
}

/* Goes on with a look, until there is something better to do. */
static void look(announcer_t *announcer, sync_host_t *host, apr_int64_t deadline, apr_time_t now)
{
    int i;

    if (!announcer->look_pool) {
        if (monotonic_ms() < announcer->look_due_ms
            || apr_pool_create(&announcer->look_pool, host->ctl->pool) != APR_SUCCESS) {
            return;
        }
        announcer->seen = apr_array_make(announcer->look_pool, 16, sizeof(announce_t));
        announcer->look_part = 0;
    }
    for (i = 0; i < host->options->store_n; i++) {
        announcer->stores[i].skip = host->stores[i].answer == SYNC_SILENT
                                    || (announcer->store_refuses[i] && !announcer->only_one[i]);
    }
    while (announcer->look_part < ANNOUNCE_PARTS && monotonic_ms() < deadline
           && !sync_ring_file_changed(host) && look_at_part(announcer, host, deadline, now)
           && !(announcer->is_called && announcer->is_called(announcer->baton))) {
    }
    if (announcer->look_part == ANNOUNCE_PARTS) {
        finish_look(announcer, host, now);
    }
}

/* For sync --once, which does not remember when it looked last: then it saw this host, too. */
static int is_look_due(const announcer_t *announcer, const sync_host_t *host, apr_time_t now)
{
    apr_time_t seen = host->known ? known_hosts_seen(host->known, announcer->self.name) : 0;

    return seen > now || now - seen > LOOK_ONCE;
}

/* A revocation on this host waits for none of them.  0: reported. */
static int open_stores(announcer_t *announcer, sync_host_t *host)
{
    const sync_options_t *options = host->options;
    int i;

    if (!announcer->is_open
        && announce_stores_open(host, options->urls, options->store_n, announcer->stores)
               == CTL_DONE) {
        announcer->is_open = 1;
        for (i = 0; i < options->store_n; i++) {
            store_set_urgent(announcer->stores[i].store, sync_ring_file_changed, host);
        }
    }
    return announcer->is_open;
}

void announcer_cycle(announcer_t *announcer, sync_host_t *host, apr_status_t rv,
                     const sync_result_t *result, apr_time_t now)
{
    const sync_options_t *options = host->options;
    apr_int64_t deadline;

    if (!options->announce || host->out_of_step || !open_stores(announcer, host)) {
        return;
    }
    notify_send("WATCHDOG=1");
    describe(announcer, host, rv, result, now);
    /* All of it takes no longer than a call to a store may. */
    deadline = monotonic_ms() + apr_time_as_msec(options->timeout);
    announce(announcer, host, deadline, now);
    if (!options->once || is_look_due(announcer, host, now)) {
        look(announcer, host, deadline, now);
    }
    announce_stores_rest(announcer->stores, options->store_n);
}

void announcer_close(announcer_t *announcer)
{
    if (announcer->is_open) {
        announce_stores_close(announcer->stores, SYNC_STORES_MAX);
        announcer->is_open = 0;
    }
    memset(announcer->store_refuses, 0, sizeof(announcer->store_refuses));
    memset(announcer->only_one, 0, sizeof(announcer->only_one));
    memset(announcer->refusal_told, 0, sizeof(announcer->refusal_told));
    memset(announcer->told, 0, sizeof(announcer->told));
    memset(announcer->again_ms, 0, sizeof(announcer->again_ms));
}
