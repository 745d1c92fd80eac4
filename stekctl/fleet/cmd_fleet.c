/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command fleet: shows all hosts of a fleet, those in trouble first, or forgets some.  stekctl; main
 * thread.
 */
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "announce_format.h"
#include "fleet.h"
#include "fleet_config.h"
#include "fleet_reader.h"
#include "fleet_view.h"
#include "json.h"
#include "report.h"
#include "ringio.h"
#include "sync_state.h"
#include "sync_settings_check.h"
#include "store_url.h"

typedef struct shown_t {
    const fleet_reader_t *reader;
    const fleet_view_t *view;
    const apr_array_header_t *missing; /* known_host_t: hosts that no store shows */
    apr_time_t now;
    int good;
    apr_pool_t *pool;
} shown_t;

static const char *plural(apr_size_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- words ---- */

static const char *ring_words(const fleet_host_t *host, unsigned trouble, apr_pool_t *pool)
{
    if (trouble == FLEET_DISAGREES) {
        return apr_psprintf(pool, "has had a different ring for %s",
                            report_span(host->apart, pool));
    }
    if (host->httpd_mute) {
        return "its httpd does not answer, so it is unknown which ring it has loaded";
    }
    if (host->httpd_lags) {
        return "its httpd has not loaded its ring";
    }
    if (host->host->agreed == 0) {
        return "has never been in step with all its stores";
    }
    return host->apart > 0 ? apr_psprintf(pool, "behind for %s", report_span(host->apart, pool))
                           : "behind";
}

static const char *clock_words(const fleet_host_t *host, apr_pool_t *pool)
{
    return host->ahead > 0
               ? apr_psprintf(pool, "clock at least %s ahead", report_span(host->ahead, pool))
               : apr_psprintf(pool, "clock at least %s behind", report_span(host->behind, pool));
}

static const char *words_of(const fleet_host_t *host, unsigned trouble, apr_pool_t *pool)
{
    switch (trouble) {
    case FLEET_TWIN:
        return apr_psprintf(
            pool,
            "another host announces itself under the same name, so only one of them is "
            "shown, now the one that has the mark %s in the log; give each its own "
            "('announce NAME')",
            announce_hex(host->host->process, pool));
    case FLEET_CLOCK:
        return clock_words(host, pool);
    case FLEET_VERSION:
        return "not the version that most hosts run";
    case FLEET_GONE:
        return apr_psprintf(pool, "silent for %s", report_span(host->age, pool));
    default:
        return ring_words(host, trouble, pool);
    }
}

static const char *note_of(const fleet_host_t *host, apr_pool_t *pool)
{
    const char *note = "";
    unsigned trouble;

    for (trouble = 0; trouble < FLEET_TROUBLES_N; trouble++) {
        if (host->troubles >> trouble & 1u) {
            note = apr_pstrcat(pool, note, *note ? "; " : "", words_of(host, trouble, pool), NULL);
        }
    }
    return note;
}

/* ---- the table ---- */

static int name_width(const fleet_view_t *view)
{
    apr_size_t i, width = strlen("HOST");

    for (i = 0; i < view->n; i++) {
        apr_size_t len = strlen(view->hosts[i].host->name);

        width = len > width ? len : width;
    }
    return (int)width;
}

static void print_host(const shown_t *shown, const fleet_host_t *host, int width)
{
    const announce_t *said = host->host;
    const char *httpd = said->flags & ANNOUNCE_HTTPD ? apr_psprintf(
                            shown->pool, "%" APR_UINT64_T_FMT, said->httpd_generation)
                        : said->flags & ANNOUNCE_MUTE ? "silent"
                                                      : "-";

    printf("%-*s  %-9s  %s  %10" APR_UINT64_T_FMT "  %8" APR_UINT64_T_FMT "  %6s  %8s  %s", width,
           said->name, fleet_trouble_name(fleet_trouble_worst(host->troubles)),
           announce_hex(said->digest, shown->pool), said->epoch, said->generation, httpd,
           report_span(host->age, shown->pool), said->version);
    printf(host->troubles ? "  %s\n" : "%s\n", note_of(host, shown->pool));
}

/* As far as can be seen; and nothing is known that may be hidden. */
static int all_agree(const shown_t *shown)
{
    const fleet_view_t *view = shown->view;

    return view->n > 0 && view->ring_n == 1 && view->trouble_n[FLEET_GONE] == 0
           && view->trouble_n[FLEET_TWIN] == 0 && view->trouble_n[FLEET_LAGS] == 0
           && shown->missing->nelts == 0 && !fleet_reader_refused(shown->reader)
           && !fleet_reader_silent(shown->reader);
}

static void print_summary(const shown_t *shown)
{
    const fleet_view_t *view = shown->view;
    apr_size_t i;
    int trouble;

    printf("%d host%s", (int)view->n, plural(view->n));
    for (trouble = 0; trouble < FLEET_TROUBLES_N; trouble++) {
        if (view->trouble_n[trouble] > 0) {
            printf(", %d %s", (int)view->trouble_n[trouble],
                   trouble == FLEET_TWIN           ? "with a name that another host has"
                   : trouble == FLEET_CLOCK        ? "with a wrong clock"
                   : trouble == FLEET_VERSION      ? "with another version"
                   : trouble == FLEET_LAGS         ? "behind"
                   : trouble == FLEET_GONE         ? "gone"
                   : view->trouble_n[trouble] == 1 ? "disagrees"
                                                   : "disagree");
        }
    }
    puts(all_agree(shown) ? ": all agree" : "");
    /* With another secret, a host is in a fleet of its own, and content. */
    if (view->n == 0 || (view->n == 1 && all_agree(shown))) {
        printf(
            "no %shost has announced itself under this fleet secret; where one is missing, look at the "
            "log of its stekctl sync, and compare the secrets\n",
            view->n == 0 ? "" : "other ");
    }
    for (i = 0; view->ring_n > 1 && i < view->ring_n; i++) {
        printf("ring %s: %d host%s, epoch %" APR_UINT64_T_FMT "\n",
               announce_hex(view->rings[i].digest, shown->pool), (int)view->rings[i].host_n,
               plural(view->rings[i].host_n), view->rings[i].epoch);
    }
    if (view->now_is_behind) {
        puts("most hosts' clocks are ahead of this host's: check this host's clock first");
    }
}

/* Only those about which there is something to say. */
static void print_store(const shown_t *shown, int i)
{
    const announce_store_t *store = &shown->reader->stores[i];
    const char *url = report_path(store_url_shown(store->url, shown->pool), shown->pool);

    if (store->skip) {
        printf("%s: silent: %s%s\n", url, store->why,
               fleet_reader_is_spare(shown->reader, i) ? "; another server of this store answers"
                                                       : "");
    }
    if (announce_stores_refused_n(store) > 0) {
        printf("%s: %s\n", url, fleet_reader_refusal(store, shown->pool));
    }
}

static void print_missing(const shown_t *shown)
{
    int i;

    for (i = 0; i < shown->missing->nelts; i++) {
        const known_host_t *host = &APR_ARRAY_IDX(shown->missing, i, known_host_t);

        printf("%s: no store shows it now; last heard from %s ago. If it is out of service, run "
               "%s\n",
               host->name, report_span(shown->now - host->seen, shown->pool),
               fleet_reader_forget_words(shown->reader, host->name, shown->pool));
    }
}

static void print_text(const shown_t *shown)
{
    int i, width = name_width(shown->view);

    for (i = 0; i < shown->reader->store_n; i++) {
        print_store(shown, i);
    }
    print_summary(shown);
    print_missing(shown);
    if (shown->view->n > 0) {
        printf("%-*s  %-9s  %-8s  %10s  %8s  %6s  %8s  %s\n", width, "HOST", "STATE", "RING",
               "EPOCH", "GEN", "HTTPD", "SEEN", "VERSION");
    }
    for (i = 0; i < (int)shown->view->n; i++) {
        print_host(shown, &shown->view->hosts[i], width);
    }
}

/* ---- JSON ---- */

static void json_host(json_t *json, const shown_t *shown, const fleet_host_t *host)
{
    const announce_t *said = host->host;
    int trouble;

    json_open(json, NULL, '{');
    json_string(json, "host", said->name);
    json_string(json, "state", fleet_trouble_name(fleet_trouble_worst(host->troubles)));
    json_open(json, "troubles", '[');
    for (trouble = 0; trouble < FLEET_TROUBLES_N; trouble++) {
        if (host->troubles >> trouble & 1u) {
            json_string(json, NULL, fleet_trouble_name((fleet_trouble_e)trouble));
        }
    }
    json_close(json, ']');
    json_string(json, "note", host->troubles ? note_of(host, shown->pool) : NULL);
    json_string(json, "version", said->version);
    json_string(json, "ring", announce_hex(said->digest, shown->pool));
    json_count(json, "epoch", said->epoch);
    json_count(json, "generation", said->generation);
    json_bool(json, "generate", (said->flags & ANNOUNCE_GENERATES) != 0);
    json_time(json, "clock", said->clock);
    json_span(json, "age", host->age);
    json_time(json, "since", said->since);
    json_time(json, "agreed_at", said->agreed);
    json_span(json, "ahead", host->ahead);
    json_span(json, "behind", host->behind);
    json_span(json, "every", said->every);
    json_span(json, "period", said->period);
    json_bool(json, "httpd_silent", (said->flags & ANNOUNCE_MUTE) != 0);
    if (said->flags & ANNOUNCE_HTTPD) {
        json_count(json, "httpd_epoch", said->httpd_epoch);
        json_count(json, "httpd_generation", said->httpd_generation);
    }
    else {
        json_null(json, "httpd_epoch");
        json_null(json, "httpd_generation");
    }
    json_close(json, '}');
}

/* Stores, and hosts that none of them shows. */
static void json_seen(json_t *json, const shown_t *shown)
{
    int n;

    json_open(json, "stores", '[');
    for (n = 0; n < shown->reader->store_n; n++) {
        const announce_store_t *store = &shown->reader->stores[n];

        json_open(json, NULL, '{');
        json_string(json, "store", store_url_shown(store->url, shown->pool));
        json_bool(json, "answered", !store->skip);
        json_string(json, "why", store->skip ? store->why : NULL);
        json_bool(json, "spare", store->skip && fleet_reader_is_spare(shown->reader, n));
        json_count(json, "unusable_objects", (apr_uint64_t)announce_stores_refused_n(store));
        json_close(json, '}');
    }
    json_close(json, ']');
    json_open(json, "missing", '[');
    for (n = 0; n < shown->missing->nelts; n++) {
        const known_host_t *host = &APR_ARRAY_IDX(shown->missing, n, known_host_t);

        json_open(json, NULL, '{');
        json_string(json, "host", host->name);
        json_time(json, "seen", host->seen);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void print_json(const shown_t *shown)
{
    const fleet_view_t *view = shown->view;
    json_t json;
    apr_size_t i;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_bool(&json, "good", shown->good);
    json_time(&json, "now", shown->now);
    json_bool(&json, "now_is_behind", view->now_is_behind);
    json_seen(&json, shown);
    json_open(&json, "rings", '[');
    for (i = 0; i < view->ring_n; i++) {
        json_open(&json, NULL, '{');
        json_string(&json, "ring", announce_hex(view->rings[i].digest, shown->pool));
        json_count(&json, "epoch", view->rings[i].epoch);
        json_count(&json, "hosts", view->rings[i].host_n);
        json_time(&json, "since", view->rings[i].since);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_open(&json, "hosts", '[');
    for (i = 0; i < view->n; i++) {
        json_host(&json, shown, &view->hosts[i]);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

/* ---- the command ---- */

static int is_good(const shown_t *shown)
{
    const fleet_view_t *view = shown->view;
    int i, good = view->n > 0 && shown->missing->nelts == 0 && !fleet_reader_refused(shown->reader)
                  && !fleet_reader_silent(shown->reader);

    for (i = 0; i < (int)view->n; i++) {
        good = good && view->hosts[i].troubles == 0;
    }
    return good;
}

static ctl_exit_e show(ctl_t *ctl, fleet_reader_t *reader)
{
    apr_time_t now = ringio_now();
    int answered_n = fleet_reader_read(reader, NULL, FLEET_READER_MOST, now);
    fleet_view_t view = fleet_view_make(&reader->all, now, ctl->pool);
    apr_array_header_t *missing = known_hosts_missing(sync_state_known(ctl, ctl->pool),
                                                      &reader->said, now, ctl->pool);
    shown_t shown = {reader, &view, missing, now, 0, ctl->pool};

    shown.good = is_good(&shown);
    if (ctl->json) {
        print_json(&shown);
    }
    else {
        print_text(&shown);
    }
    return shown.good ? CTL_DONE : answered_n > 0 ? CTL_FINDING : CTL_STORE;
}

static ctl_exit_e forget(ctl_t *ctl, fleet_reader_t *reader, char **names, int n)
{
    const apr_array_header_t *known = sync_state_known(ctl, ctl->pool);
    ctl_exit_e worst = CTL_DONE;
    int i;

    for (i = 0; i < n; i++) {
        ctl_exit_e code = fleet_reader_forget(reader, names[i],
                                              known_hosts_seen(known, names[i]) > 0);

        if (code == CTL_DONE && !ctl->json) {
            printf(
                "%s: forgotten; if it still runs 'stekctl sync', it will be back within minutes\n",
                names[i]);
        }
        worst = code > worst ? code : worst;
    }
    if (ctl->json) {
        json_t json;

        json_begin(&json, stdout);
        json_open(&json, NULL, '{');
        json_string(&json, "done", worst == CTL_DONE ? "forgotten" : NULL);
        json_close(&json, '}');
        json_end(&json);
    }
    return worst;
}

/* Everything in front of the word "forget"; the hosts come after it. */
static int words_before_forget(int argc, char **argv)
{
    int i = 1;

    while (i < argc && strcmp(argv[i], "forget") != 0) {
        i++;
    }
    return i;
}

static ctl_exit_e check_names(ctl_t *ctl, char **names, int n)
{
    int i;

    if (n == 0) {
        return report_usage(ctl, "missing host name after 'forget'");
    }
    for (i = 0; i < n; i++) {
        if (!announce_is_name(names[i])) {
            return report_usage(
                ctl, "invalid host '%s': put options before 'forget', and host names after it",
                names[i]);
        }
    }
    return CTL_DONE;
}

ctl_exit_e cmd_fleet(ctl_t *ctl, int argc, char **argv)
{
    int own_n = words_before_forget(argc, argv), forgets = own_n < argc;
    sync_settings_t settings;
    fleet_reader_t reader;
    ctl_exit_e code;

    sync_settings_init(&settings);
    settings.viewer = 1;
    code = sync_settings_parse(ctl, own_n, argv, &settings);
    if (code == CTL_DONE && forgets) {
        code = check_names(ctl, argv + own_n + 1, argc - own_n - 1);
    }
    if (code == CTL_DONE && !settings.config_path && settings.options.store_n == 0) {
        settings.config_path = fleet_config_find(ctl->ring_path, ctl->pool);
        if (settings.config_path) {
            code = sync_settings_read(ctl, &settings);
        }
    }
    if (code == CTL_DONE) {
        code = sync_settings_complete(ctl, &settings);
    }
    if (code != CTL_DONE) {
        return code;
    }
    code = fleet_reader_open(ctl, &settings, &reader);
    if (code == CTL_DONE) {
        code = forgets ? forget(ctl, &reader, argv + own_n + 1, argc - own_n - 1)
                       : show(ctl, &reader);
    }
    fleet_reader_close(&reader);
    return code;
}
