/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that have to fit together (sync_settings_check.h).  stekctl; one thread.
 */
#include "sync_settings_check.h"

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "announce_format.h"
#include "json.h"
#include "login_files.h"
#include "notify.h"
#include "report.h"
#include "stek_ring_file.h"
#include "stek_schedule.h"
#include "store_url.h"
#include "sync_own_files.h"
#include "sync_secrets.h"
#include "sync_ask_stores.h"
#include "stek_secret_file.h"

#define OTHER_MAX 65536

/* How long a cycle can take if no store answers: all are read at once, and written in turn. */
static apr_interval_time_t longest_cycle(const sync_options_t *options)
{
    return (1 + options->store_n) * sync_ask_stores_call_max(options);
}

/* Two cycles have to fit into what is prepared, so that one may fail. */
static ctl_exit_e check_cycle(ctl_t *ctl, const sync_options_t *options)
{
    apr_interval_time_t horizon = stek_schedule_horizon(&options->rules.params);
    apr_interval_time_t longest = longest_cycle(options);

    if (!options->rules.generate || 2 * (options->every + longest) <= horizon) {
        return CTL_DONE;
    }
    return report_usage(
        ctl,
        "with every %s and timeout %s, a cycle takes up to %s, and two must fit into the %s for "
        "which keys are prepared (interval %s, ahead %d); lower every or timeout, or raise ahead",
        report_span(options->every, ctl->pool), report_span(options->timeout, ctl->pool),
        report_span(options->every + longest, ctl->pool), report_span(horizon, ctl->pool),
        report_span(options->rules.params.interval, ctl->pool), options->rules.params.ahead);
}

/* systemd must not take a slow store for a hung sync. */
static ctl_exit_e check_watchdog(ctl_t *ctl, const sync_options_t *options)
{
    apr_interval_time_t watchdog = notify_watchdog(), call = sync_ask_stores_call_max(options);

    if (watchdog == 0 || watchdog >= 2 * call) {
        return CTL_DONE;
    }
    return report_usage(ctl,
                        "timeout %s is too long for the unit's WatchdogSec of %s: a store may take "
                        "%s to answer, and WatchdogSec must be at least twice that; lower timeout, "
                        "or raise WatchdogSec to %s",
                        report_span(options->timeout, ctl->pool), report_span(watchdog, ctl->pool),
                        report_span(call, ctl->pool), report_span(2 * call, ctl->pool));
}

static int same_store(const char *a, const char *b, apr_pool_t *pool)
{
    const store_driver_t *driver_a = NULL, *driver_b = NULL;
    store_target_t target_a = {0}, target_b = {0};

    if (store_url_parse(a, &driver_a, &target_a, pool)
        || store_url_parse(b, &driver_b, &target_b, pool)) {
        return 0;
    }
    return store_url_same(driver_a, &target_a, driver_b, &target_b, pool);
}

/* Certificates are of use only if there is TLS. */
static ctl_exit_e check_tls(ctl_t *ctl, const sync_options_t *options)
{
    int i, used = 0;

    if (options->key_path && !options->cert_path) {
        return report_usage(ctl, "--store-key requires --store-cert");
    }
    for (i = 0; i < options->store_n; i++) {
        const store_driver_t *driver = NULL;
        store_target_t target = {0};

        used = used
               || (!store_url_parse(options->urls[i], &driver, &target, ctl->pool)
                   && driver->has_tls);
    }
    if (used || (!options->ca_path && !options->cert_path)) {
        return CTL_DONE;
    }
    return report_usage(ctl, "%s is given, but no store uses TLS: use rediss:// or etcds://",
                        options->ca_path ? "--store-ca" : "--store-cert");
}

static ctl_exit_e check_stores(ctl_t *ctl, const sync_options_t *options)
{
    int i, j;

    for (i = 0; i < options->store_n; i++) {
        const store_driver_t *driver = NULL;
        store_target_t target = {0};
        const char *wrong = store_url_parse(options->urls[i], &driver, &target, ctl->pool);

        if (wrong) {
            return report_usage(ctl, "store '%s': %s", store_url_shown(options->urls[i], ctl->pool),
                                wrong);
        }
        for (j = 0; j < i; j++) {
            if (same_store(options->urls[i], options->urls[j], ctl->pool)) {
                return report_usage(ctl,
                                    "store '%s' is named twice, also as '%s': name each store once",
                                    store_url_shown(options->urls[i], ctl->pool),
                                    store_url_shown(options->urls[j], ctl->pool));
            }
        }
    }
    return CTL_DONE;
}

/* The value of an option in the text of a configuration file, in pool; NULL if it has none. */
static const char *value_in(const char *text, const char *name, apr_pool_t *pool)
{
    char *line, *state = NULL, *copy = apr_pstrdup(pool, text), *value = NULL;
    apr_size_t len = strlen(name);

    for (line = apr_strtok(copy, "\r\n", &state); line; line = apr_strtok(NULL, "\r\n", &state)) {
        line += strspn(line, " \t");
        if (!strncmp(line, name, len) && strchr(" \t", line[len]) && line[len]) {
            value = line + len + strspn(line + len, " \t");
            apr_collapse_spaces(value, value);
        }
    }
    return value;
}

/* Whether both files belong to one fleet, as far as this user can read them. */
static int same_fleet(const ctl_t *ctl, const char *a, const char *b)
{
    stek_secrets_t *of_a = NULL, *of_b = NULL;
    int same = sync_own_files_same(a, b, ctl->pool);

    if (!same && stek_secret_file_load(a, ctl->owner, &of_a, NULL, ctl->pool) == APR_SUCCESS
        && stek_secret_file_load(b, ctl->owner, &of_b, NULL, ctl->pool) == APR_SUCCESS) {
        same = of_a->has_fleet_id && of_b->has_fleet_id
               && !memcmp(of_a->fleet_id, of_b->fleet_id, STEK_FLEET_ID_LEN);
    }
    stek_secrets_destroy(of_a);
    stek_secrets_destroy(of_b);
    return same;
}

/* The fleet secret of the configuration at path: what it names, else NAME.secret beside it, which
 * the systemd unit uses. */
static const char *secret_of(const char *path, const char *text, apr_pool_t *pool)
{
    const char *named = value_in(text, "fleet-secret", pool);

    return named ? named
                 : apr_pstrcat(pool, apr_pstrmemdup(pool, path, strlen(path) - strlen(".conf")),
                               ".secret", NULL);
}

/* No file of the configuration at path, with that text, is this one's floor. */
static ctl_exit_e check_other_floor(ctl_t *ctl, const sync_settings_t *settings, const char *path,
                                    const char *text)
{
    static const char *const names[] = {"floor",        "ring",      "secret",
                                        "fleet-secret", "password",  "store-ca",
                                        "store-cert",   "store-key", "metrics"};
    const char *floor_path = settings->options.floor_path;
    apr_size_t i;

    for (i = 0; floor_path && i < sizeof(names) / sizeof(names[0]); i++) {
        const char *named = value_in(text, names[i], ctl->pool);

        if (named && sync_own_files_same(named, floor_path, ctl->pool)) {
            return report_usage(ctl, "the floor %s of %s is also the '%s' of %s: give each its own",
                                floor_path, settings->config_path, names[i], path);
        }
    }
    return CTL_DONE;
}

/* A fleet secret is one ring's: with two, hosts would put the keys of both into each. */
static ctl_exit_e check_other(ctl_t *ctl, const sync_settings_t *settings, const char *path)
{
    char *text = apr_palloc(ctl->pool, OTHER_MAX + 1);
    const char *ring, *secret;
    apr_size_t len = 0;

    if (sync_own_files_same(path, settings->config_path, ctl->pool)
        || stek_file_read(path, STEK_FILE_RING, ctl->owner, text, OTHER_MAX, &len, NULL, NULL,
                          ctl->pool)
               != APR_SUCCESS) {
        return CTL_DONE;
    }
    text[len] = '\0';
    secret = secret_of(path, text, ctl->pool);
    if (same_fleet(ctl, secret, settings->options.fleet_secret_path)) {
        return report_usage(
            ctl,
            "%s and %s have the same fleet secret (%s and %s), which would mix "
            "their rings; make one for each: 'stekctl --secret PATH secret new --fleet'",
            settings->config_path, path, settings->options.fleet_secret_path, secret);
    }
    ring = value_in(text, "ring", ctl->pool);
    if (ring && settings->ring_path && sync_own_files_same(ring, settings->ring_path, ctl->pool)) {
        return report_usage(ctl, "%s and %s have the same ring %s: give each its own",
                            settings->config_path, path, ring);
    }
    return check_other_floor(ctl, settings, path, text);
}

/* The other configurations in the same directory. */
static ctl_exit_e check_others(ctl_t *ctl, const sync_settings_t *settings)
{
    const char *slash = settings->config_path ? strrchr(settings->config_path, '/') : NULL;
    const char *directory = slash ? apr_pstrmemdup(ctl->pool, settings->config_path,
                                                   (apr_size_t)(slash - settings->config_path + 1))
                                  : "./";
    DIR *dir = settings->config_path ? opendir(directory) : NULL;
    ctl_exit_e code = CTL_DONE;
    struct dirent *entry;

    while (dir && code == CTL_DONE && (entry = readdir(dir)) != NULL) {
        if (apr_fnmatch("*.conf", entry->d_name, APR_FNM_PERIOD) == APR_SUCCESS) {
            code = check_other(ctl, settings,
                               apr_pstrcat(ctl->pool, directory, entry->d_name, NULL));
        }
    }
    if (dir) {
        closedir(dir);
    }
    return code;
}

/* The directory that systemd makes by StateDirectory=, also for a command that somebody else runs: that
 * of the unit of the configuration's name. */
static const char *state_directory(const ctl_t *ctl, const sync_settings_t *settings)
{
    const char *directory = getenv("STATE_DIRECTORY"); /* NOLINT(concurrency-mt-unsafe) */
    const char *name = settings->config_path ? strrchr(settings->config_path, '/') : NULL;
    struct stat st;

    if (directory && *directory) {
        return apr_pstrmemdup(ctl->pool, directory, strcspn(directory, ":"));
    }
    if (!name) {
        return NULL;
    }
    directory = apr_psprintf(ctl->pool, "/var/lib/stek-%.*s", (int)strcspn(name + 1, "."),
                             name + 1);
    return stat(directory, &st) == 0 && S_ISDIR(st.st_mode) ? directory : NULL;
}

/* The floor there, named after the ring. */
static const char *default_floor(const ctl_t *ctl, const sync_settings_t *settings)
{
    const char *directory = state_directory(ctl, settings);
    const char *name = ctl->ring_path ? strrchr(ctl->ring_path, '/') : NULL;
    const char *dot = name ? strrchr(name, '.') : NULL;

    if (!directory || !name) {
        return NULL;
    }
    return apr_pstrcat(ctl->pool, directory,
                       dot ? apr_pstrmemdup(ctl->pool, name, (apr_size_t)(dot - name)) : name,
                       ".floor", NULL);
}

/* What systemd gives the unit; for a command that somebody else runs, the file that the unit of the
 * configuration's name takes it from, or that unit's copy.  NULL: nowhere. */
static const char *default_fleet_secret(const ctl_t *ctl, const sync_settings_t *settings)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY"); /* NOLINT(concurrency-mt-unsafe) */
    const char *config = settings->config_path, *path;
    const char *name = config ? strrchr(config, '/') : NULL;
    apr_size_t len = name ? strlen(name + 1) : 0, end = strlen(".conf");

    if (directory && *directory) {
        return apr_pstrcat(ctl->pool, directory, "/fleet-secret", NULL);
    }
    if (len <= end || strcmp(name + 1 + len - end, ".conf") != 0) {
        return NULL;
    }
    path = apr_psprintf(ctl->pool, "%.*s.secret", (int)(strlen(config) - end), config);
    if (access(path, R_OK) != 0) {
        path = apr_psprintf(ctl->pool, "/run/credentials/stek-sync@%.*s.service/fleet-secret",
                            (int)(len - end), name + 1);
    }
    return access(path, R_OK) == 0 ? path : NULL;
}

/* This host's name, with '-' for what a name cannot have. */
static const char *default_name(const ctl_t *ctl)
{
    char *name = apr_pcalloc(ctl->pool, ANNOUNCE_NAME_MAX + 1), *at;

    if (gethostname(name, ANNOUNCE_NAME_MAX + 1) != 0 || !*name) {
        return "unnamed";
    }
    for (at = name; *at; at++) {
        char one[] = {*at, '\0'};

        *at = announce_is_name(one) ? *at : '-';
    }
    return name;
}

/* The paths, each from the command line, the configuration file or the environment. */
static ctl_exit_e complete_paths(ctl_t *ctl, sync_settings_t *settings)
{
    sync_options_t *options = &settings->options;

    if (!options->fleet_secret_path) {
        options->fleet_secret_path = default_fleet_secret(ctl, settings);
    }
    if (!options->fleet_secret_path) {
        return report_usage(ctl, "missing fleet secret: use --fleet-secret PATH");
    }
    if (settings->ring_path) {
        ctl->ring_path = settings->ring_path;
        ctl->secret_path = stek_secret_path_beside(ctl->ring_path, ctl->pool);
    }
    if (settings->secret_path) {
        ctl->secret_path = settings->secret_path;
    }
    if (!options->floor_path) {
        options->floor_path = default_floor(ctl, settings);
    }
    if (options->floor_path && !strcmp(options->floor_path, "none")) {
        options->floor_path = NULL;
    }
    if (ctl->secret_path
        && sync_own_files_same(ctl->secret_path, options->fleet_secret_path, ctl->pool)) {
        return report_usage(ctl, "--secret and --fleet-secret are the same file: the host's ring "
                                 "needs a secret of its own");
    }
    return sync_own_files_check(ctl, settings);
}

ctl_exit_e sync_settings_complete(ctl_t *ctl, sync_settings_t *settings)
{
    sync_options_t *options = &settings->options;

    if (options->store_n == 0) {
        return report_usage(
            ctl, "missing store: name a fleet whose /etc/stek/NAME.conf has a 'store' line, or use "
                 "--store URL");
    }
    if (settings->silent) {
        options->announce = NULL;
    }
    else if (!options->announce) {
        options->announce = default_name(ctl);
    }
    return complete_paths(ctl, settings);
}

ctl_exit_e sync_settings_check(ctl_t *ctl, sync_settings_t *settings)
{
    sync_options_t *options = &settings->options;
    const char *wrong = stek_schedule_check(&options->rules.params, ctl->pool);
    ctl_exit_e code;

    if (wrong) {
        return report_usage(ctl, "%s", wrong);
    }
    code = sync_settings_complete(ctl, settings);
    if (code == CTL_DONE) {
        code = check_stores(ctl, options);
    }
    if (code == CTL_DONE) {
        code = check_tls(ctl, options);
    }
    if (code == CTL_DONE) {
        code = check_cycle(ctl, options);
    }
    if (code == CTL_DONE) {
        code = check_watchdog(ctl, options);
    }
    return code == CTL_DONE ? check_others(ctl, settings) : code;
}

static void show_json(const ctl_t *ctl, const sync_options_t *options)
{
    json_t json;
    int i;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_string(&json, "ring", ctl->ring_path);
    json_string(&json, "fleet_secret", options->fleet_secret_path);
    json_open(&json, "stores", '[');
    for (i = 0; i < options->store_n; i++) {
        json_string(&json, NULL, store_url_shown(options->urls[i], ctl->pool));
    }
    json_close(&json, ']');
    json_bool(&json, "generate", options->rules.generate);
    json_span(&json, "interval", options->rules.params.interval);
    json_span(&json, "lifetime", options->rules.params.lifetime);
    json_span(&json, "prepared", stek_schedule_horizon(&options->rules.params));
    json_span(&json, "every", options->every);
    json_span(&json, "longest_cycle", longest_cycle(options));
    json_close(&json, '}');
    json_end(&json);
}

static void show_text(const ctl_t *ctl, const sync_options_t *options)
{
    int i;

    printf("ring %s\n", report_path(ctl->ring_path, ctl->pool));
    for (i = 0; i < options->store_n; i++) {
        printf("store %s\n", report_path(store_url_shown(options->urls[i], ctl->pool), ctl->pool));
    }
    printf("a cycle every %s, at most %s long if no store answers (TimeoutStartSec= must be "
           "greater)\n",
           report_span(options->every, ctl->pool), report_span(longest_cycle(options), ctl->pool));
    if (options->rules.generate) {
        printf("a key every %s, prepared %s ahead, lifetime %s\n",
               report_span(options->rules.params.interval, ctl->pool),
               report_span(stek_schedule_horizon(&options->rules.params), ctl->pool),
               report_span(options->rules.params.lifetime, ctl->pool));
    }
    else {
        puts("this host makes no keys");
    }
    puts("the settings are valid");
}

ctl_exit_e sync_settings_show(ctl_t *ctl, const sync_settings_t *settings)
{
    ctl_exit_e code = sync_secrets_check_fleet(ctl, settings->options.fleet_secret_path);
    ctl_exit_e of_files = login_files_check(ctl, &settings->options);

    code = code == CTL_DONE ? of_files : code;
    if (code != CTL_DONE) {
        return code;
    }
    if (ctl->json) {
        show_json(ctl, &settings->options);
    }
    else {
        show_text(ctl, &settings->options);
    }
    return report_finish(CTL_DONE);
}
