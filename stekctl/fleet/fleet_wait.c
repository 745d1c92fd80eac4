/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a fleet (fleet.h): what all hosts announce is compared with what the file ring here is and
 * has been since the change.  stekctl; main thread.
 */
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"
#include "fleet_config.h"
#include "fleet_reader.h"
#include "fleet_view.h"
#include "json.h"
#include "monotonic.h"
#include "options.h"
#include "report.h"
#include "ringio.h"
#include "sync_state.h"
#include "sync_ask_stores.h"
#include "sync_settings_check.h"
#include "store_url.h"

#define WAIT_DEFAULT apr_time_from_sec(60)
#define WAIT_MAX apr_time_from_sec(86400)
#define POLL apr_time_from_msec(250)
#define DIGESTS_MAX 64
/* So many are named; the rest are counted. */
#define NAMED_MAX 20

typedef struct waiting_t {
    fleet_reader_t reader;
    fleet_view_t view;
    apr_int64_t end_ms;                                      /* monotonic */
    apr_uint64_t epoch;                                      /* 0: the digest counts */
    unsigned char digests[DIGESTS_MAX][ANNOUNCE_DIGEST_LEN]; /* of the file ring since the change */
    apr_size_t digest_n;
    apr_size_t behind_n, gone_n;     /* hosts that lack the change; of those, the silent ones */
    const apr_array_header_t *known; /* hosts that this one has seen */
    apr_array_header_t *missing;     /* of those: no store shows them, so they lack it, too */
    const announce_store_t
        *refused;               /* has objects that do not open, and may hide hosts; NULL: none */
    int wanted[ANNOUNCE_PARTS]; /* where they are */
    const announce_store_t
        *silent; /* NULL: all stores have answered; or else it may know more hosts */
} waiting_t;

ctl_exit_e fleet_wait_option(ctl_t *ctl, int option, const char *value, fleet_wait_t *wait)
{
    switch (option) {
    case 'w':
        wait->wanted = 1;
        wait->time = WAIT_DEFAULT;
        return value ? options_span(ctl, "wait", value, apr_time_from_sec(1), WAIT_MAX, &wait->time)
                     : CTL_DONE;
    case 'f':
        wait->fleet = value;
        return *value ? CTL_DONE : report_usage(ctl, "missing fleet name");
    default:
        wait->secret_path = value;
        return *value ? CTL_DONE : report_usage(ctl, "fleet-secret: the path must not be empty");
    }
}

/* The fleet's settings.  The command's ring stays the one that it changes, and must be the fleet's. */
static ctl_exit_e find_fleet(ctl_t *ctl, const fleet_wait_t *wait, sync_settings_t *settings)
{
    const char *ring_path = ctl->ring_path, *secret_path = ctl->secret_path;
    ctl_exit_e code;

    sync_settings_init(settings);
    settings->config_path = wait->fleet ? fleet_config_path(wait->fleet, ctl->pool)
                                        : fleet_config_find(ring_path, ctl->pool);
    if (!settings->config_path) {
        return report_usage(ctl, "--wait: /etc/stek has no configuration, or several; name one "
                                 "with --fleet NAME");
    }
    code = sync_settings_read(ctl, settings);
    if (code == CTL_DONE && settings->ring_path && strcmp(settings->ring_path, ring_path) != 0) {
        return report_usage(ctl, "--wait: the ring of %s is %s, not %s; use --ring %s",
                            settings->config_path, settings->ring_path, ring_path,
                            settings->ring_path);
    }
    if (wait->secret_path) {
        settings->options.fleet_secret_path = wait->secret_path;
    }
    if (code == CTL_DONE) {
        code = sync_settings_complete(ctl, settings);
    }
    ctl->ring_path = ring_path;
    ctl->secret_path = secret_path;
    return code;
}

ctl_exit_e fleet_wait_check(ctl_t *ctl, fleet_wait_t *wait)
{
    sync_settings_t settings;
    fleet_reader_t reader;
    ctl_exit_e code;

    if (!wait->wanted) {
        return wait->fleet || wait->secret_path
                   ? report_usage(ctl, "--fleet and --fleet-secret require --wait")
                   : CTL_DONE;
    }
    code = find_fleet(ctl, wait, &settings);
    if (code != CTL_DONE) {
        return code;
    }
    code = fleet_reader_open(ctl, &settings, &reader);
    fleet_reader_close(&reader);
    return code;
}

/* ---- who has applied the change ---- */

static void note_digest(waiting_t *waiting, const stek_ring_t *ring, apr_time_t now)
{
    unsigned char digest[ANNOUNCE_DIGEST_LEN];
    apr_size_t i;

    if (announce_digest(ring, now, digest) != APR_SUCCESS) {
        return;
    }
    for (i = 0; i < waiting->digest_n; i++) {
        if (!memcmp(waiting->digests[i], digest, sizeof(digest))) {
            return;
        }
    }
    memcpy(waiting->digests[waiting->digest_n % DIGESTS_MAX], digest, sizeof(digest));
    waiting->digest_n += waiting->digest_n < DIGESTS_MAX;
}

/* What the file ring is now, after others have added to it. */
static void note_ring(ctl_t *ctl, waiting_t *waiting, apr_time_t now)
{
    const char *culprit = NULL, *fault_path = NULL;
    ringio_t io = {0};

    if (ringio_try(ctl, ctl->ring_path, 0, &io, &culprit, &fault_path) == APR_SUCCESS) {
        note_digest(waiting, io.ring, now);
        ringio_release(&io);
    }
}

/* Where sync asks httpd, that has to have it, too. */
static int httpd_has_it(const announce_t *host)
{
    return !(host->flags & (ANNOUNCE_HTTPD | ANNOUNCE_MUTE))
           || (!(host->flags & ANNOUNCE_MUTE) && host->httpd_epoch == host->epoch
               && host->httpd_generation >= host->generation);
}

static int has_applied(const waiting_t *waiting, const announce_t *host)
{
    apr_size_t i;

    if (host->flags & ANNOUNCE_TWIN) {
        return 0; /* one of them may not have */
    }
    if (waiting->epoch > 0) {
        return host->epoch >= waiting->epoch && httpd_has_it(host);
    }
    for (i = 0; i < waiting->digest_n; i++) {
        if (!memcmp(waiting->digests[i], host->digest, ANNOUNCE_DIGEST_LEN)) {
            return httpd_has_it(host);
        }
    }
    return 0;
}

/* What may hide hosts: objects that do not open, and hosts that no store shows. */
static void note_unseen(waiting_t *waiting, apr_time_t now)
{
    int i, part;

    waiting->refused = fleet_reader_refused(&waiting->reader);
    for (i = 0; waiting->refused && i < waiting->reader.store_n; i++) {
        for (part = 0; part < ANNOUNCE_PARTS; part++) {
            waiting->wanted[part] |= waiting->reader.stores[i].refused_parts[part];
        }
    }
    waiting->missing = known_hosts_missing(waiting->known, &waiting->reader.said, now,
                                           waiting->reader.pool);
    for (i = 0; i < waiting->missing->nelts; i++) {
        waiting->wanted[announce_part(APR_ARRAY_IDX(waiting->missing, i, known_host_t).name)] = 1;
    }
    waiting->behind_n += (apr_size_t)waiting->missing->nelts;
}

/* For a look: what is left, but at least as long as one call to a store may take. */
static apr_interval_time_t time_left(const waiting_t *waiting)
{
    apr_interval_time_t left = apr_time_from_msec(waiting->end_ms - monotonic_ms());
    apr_interval_time_t call = sync_ask_stores_call_max(&waiting->reader.options);

    return left > call ? left : call;
}

/* Looks once; afterwards only where a host lacks the change.  Returns how many stores answered. */
static int look(ctl_t *ctl, waiting_t *waiting, int first)
{
    apr_time_t now = ringio_now();
    int answered_n;
    apr_size_t i;

    note_ring(ctl, waiting, now);
    answered_n = fleet_reader_read(&waiting->reader, first ? NULL : waiting->wanted,
                                   time_left(waiting), now);
    waiting->view = fleet_view_make(&waiting->reader.all, now, waiting->reader.pool);
    waiting->silent = fleet_reader_silent(&waiting->reader);
    waiting->behind_n = 0;
    waiting->gone_n = 0;
    memset(waiting->wanted, 0, sizeof(waiting->wanted));
    for (i = 0; i < waiting->view.n; i++) {
        const fleet_host_t *host = &waiting->view.hosts[i];

        if (!has_applied(waiting, host->host)) {
            waiting->behind_n++;
            waiting->gone_n += (host->troubles & 1u << FLEET_GONE) != 0;
            waiting->wanted[announce_part(host->host->name)] = 1;
        }
    }
    note_unseen(waiting, now);
    return answered_n;
}

/* There may be hosts that nobody shows. */
static int is_unsure(const waiting_t *waiting)
{
    return waiting->silent || waiting->refused;
}

/* ---- what it says ---- */

static void name_host(const fleet_reader_t *reader, const fleet_host_t *host, apr_pool_t *pool)
{
    if (host->troubles & 1u << FLEET_GONE) {
        report_line("%s: has not applied the change, and has been silent for %s; if it is out of "
                    "service, run %s",
                    host->host->name, report_span(host->age, pool),
                    fleet_reader_forget_words(reader, host->host->name, pool));
    }
    else if (host->host->flags & ANNOUNCE_TWIN) {
        report_line("%s: two hosts have this name, so it is unknown whether both have applied the "
                    "change; give each its own ('announce NAME')",
                    host->host->name);
    }
    else if (host->host->flags & ANNOUNCE_MUTE) {
        report_line(
            "%s: is not known to have applied the change: httpd at %s does not answer; last heard "
            "from %s ago",
            host->host->name, host->host->name, report_span(host->age, pool));
    }
    else {
        report_line("%s: has not applied the change%s; last heard from %s ago", host->host->name,
                    httpd_has_it(host->host) ? "" : ": its httpd has not loaded the ring",
                    report_span(host->age, pool));
    }
}

static void name_missing(const fleet_reader_t *reader, const known_host_t *host, apr_pool_t *pool)
{
    report_line("%s: no store shows it now, so it is not known to have applied the change; last "
                "heard from %s ago. If it is out of service, run %s",
                host->name, report_span(ringio_now() - host->seen, pool),
                fleet_reader_forget_words(reader, host->name, pool));
}

static void print_json(const waiting_t *waiting, apr_interval_time_t took)
{
    json_t json;
    apr_size_t i;
    int n;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_string(&json, "done",
                waiting->behind_n || is_unsure(waiting) || waiting->view.n == 0 ? NULL
                                                                                : "followed");
    json_count(&json, "hosts", waiting->view.n);
    json_span(&json, "took", took);
    json_open(&json, "behind", '[');
    for (i = 0; i < waiting->view.n; i++) {
        if (!has_applied(waiting, waiting->view.hosts[i].host)) {
            json_string(&json, NULL, waiting->view.hosts[i].host->name);
        }
    }
    for (n = 0; n < waiting->missing->nelts; n++) {
        json_string(&json, NULL, APR_ARRAY_IDX(waiting->missing, n, known_host_t).name);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

static void tell_unsure(const waiting_t *waiting, apr_pool_t *pool)
{
    if (waiting->silent) {
        report_line(
            "%s: silent: %s; hosts that reach no other store are not shown, so it is unknown "
            "whether all hosts have applied the change",
            store_url_shown(waiting->silent->url, pool), waiting->silent->why);
    }
    if (waiting->refused) {
        report_line("%s: %s; so it is unknown whether all hosts have applied the change",
                    store_url_shown(waiting->refused->url, pool),
                    fleet_reader_refusal(waiting->refused, pool));
    }
}

static void tell_behind(const waiting_t *waiting, apr_interval_time_t took, apr_pool_t *pool)
{
    apr_size_t i, named_n = 0, all_n = waiting->view.n + (apr_size_t)waiting->missing->nelts;
    int n;

    for (i = 0; i < waiting->view.n && named_n < NAMED_MAX; i++) {
        if (!has_applied(waiting, waiting->view.hosts[i].host)) {
            name_host(&waiting->reader, &waiting->view.hosts[i], pool);
            named_n++;
        }
    }
    for (n = 0; n < waiting->missing->nelts && named_n < NAMED_MAX; n++, named_n++) {
        name_missing(&waiting->reader, &APR_ARRAY_IDX(waiting->missing, n, known_host_t), pool);
    }
    report_line("%d of %d hosts %s not applied the change within %s", (int)waiting->behind_n,
                (int)all_n, waiting->behind_n == 1 ? "has" : "have", report_span(took, pool));
}

/* All of them. */
static void tell_silent(const fleet_reader_t *reader, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < reader->store_n; i++) {
        report_line("%s: silent: %s", store_url_shown(reader->stores[i].url, pool),
                    reader->stores[i].why);
    }
    report_line("no store answers, so it is unknown which hosts have applied the change");
}

static ctl_exit_e conclude(ctl_t *ctl, const waiting_t *waiting, int answered_n,
                           apr_interval_time_t took)
{
    if (ctl->json) {
        print_json(waiting, took);
    }
    if (answered_n == 0) {
        tell_silent(&waiting->reader, ctl->pool);
        return CTL_STORE;
    }
    tell_unsure(waiting, ctl->pool);
    if (waiting->behind_n > 0) {
        tell_behind(waiting, took, ctl->pool);
        return CTL_BEHIND;
    }
    if (waiting->view.n == 0) {
        report_line("no host has announced itself; is 'stekctl sync' running?");
        return CTL_BEHIND;
    }
    if (is_unsure(waiting)) {
        return CTL_STORE;
    }
    if (!ctl->json) {
        printf("%d host%s applied the change within %s\n", (int)waiting->view.n,
               waiting->view.n == 1 ? " has" : "s have", report_span(took, ctl->pool));
    }
    return CTL_DONE;
}

ctl_exit_e fleet_wait_run(ctl_t *ctl, const fleet_wait_t *wait, const stek_ring_t *ring,
                          apr_uint64_t epoch)
{
    apr_int64_t begin = monotonic_ms();
    waiting_t *waiting = apr_pcalloc(ctl->pool, sizeof(*waiting));
    sync_settings_t settings;
    ctl_exit_e code;
    int answered_n;

    code = find_fleet(ctl, wait, &settings);
    if (code != CTL_DONE) {
        return code;
    }
    code = fleet_reader_open(ctl, &settings, &waiting->reader);
    if (code == CTL_DONE) {
        waiting->end_ms = begin + apr_time_as_msec(wait->time);
        waiting->epoch = epoch;
        waiting->known = sync_state_known(ctl, ctl->pool);
        note_digest(waiting, ring, ringio_now());
        answered_n = look(ctl, waiting, 1);
        /* Those that are silent are not waited for, but named. */
        while ((is_unsure(waiting) || waiting->view.n == 0 || waiting->behind_n > waiting->gone_n)
               && monotonic_ms() < waiting->end_ms) {
            apr_sleep(POLL);
            answered_n = look(ctl, waiting, waiting->silent || waiting->view.n == 0);
        }
        code = conclude(ctl, waiting, answered_n, apr_time_from_msec(monotonic_ms() - begin));
    }
    fleet_reader_close(&waiting->reader);
    return code;
}
