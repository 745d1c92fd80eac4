/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command sync: keeps file ring and stores equal.  Options and configuration file, the loop with
 * its signals, what is logged and what --status shows; the cycle is in sync.c, what it works with
 * in sync_host.c.  stekctl; main thread.
 */
#include <apr_strings.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "notify.h"
#include "report.h"
#include "ringio.h"
#include "stek_claim.h"
#include "stek_error.h"
#include "stek_ring_file.h"
#include "stek_time.h"
#include "stekctl.h"
#include "sync_host.h"

#define CONFIG_MAX 65536
#define STATE_MAX 8192
#define EVERY_MAX apr_time_from_sec(3600)
#define TIMEOUT_MAX apr_time_from_sec(60)

/* ---- options ---- */

/* One row for the command line and for the configuration file; an option without a value is for the
 * command line only. */
enum { WITH_VALUE = 1, IN_FILE = 2 };

static const struct {
    const char *name;
    int kind;
} rows[] = {
    {"store", WITH_VALUE | IN_FILE},
    {"fleet-secret", WITH_VALUE | IN_FILE},
    {"password", WITH_VALUE | IN_FILE},
    {"every", WITH_VALUE | IN_FILE},
    {"timeout", WITH_VALUE | IN_FILE},
    {"interval", WITH_VALUE | IN_FILE},
    {"lifetime", WITH_VALUE | IN_FILE},
    {"ahead", WITH_VALUE | IN_FILE},
    {"generate", WITH_VALUE | IN_FILE},
    {"ring", WITH_VALUE | IN_FILE},
    {"secret", WITH_VALUE | IN_FILE},
    {"no-generate", 0},
    {"once", 0},
    {"status", 0},
    {"json", 0},
    {"config", WITH_VALUE},
};

#define ROWS_N ((int)(sizeof(rows) / sizeof(rows[0])))

typedef struct command_t {
    sync_options_t options;
    const char *config_path;
    const char *ring_path, *secret_path; /* of the configuration file */
    int once, status;
} command_t;

static ctl_exit_e set_span(ctl_t *ctl, const char *name, const char *value,
                           apr_interval_time_t span_max, apr_interval_time_t *pspan)
{
    if (stek_time_parse(value, pspan) != APR_SUCCESS || *pspan < apr_time_from_sec(1)
        || *pspan > span_max) {
        return report_usage(ctl, "%s '%s': must be a number and s, min, h or d, between 1s and %s",
                            name, value, stek_time_text(span_max, ctl->pool));
    }
    return CTL_DONE;
}

static ctl_exit_e set_ahead(ctl_t *ctl, const char *value, int *pahead)
{
    char *end;
    long n = strtol(value, &end, 10);

    if (!isdigit((unsigned char)*value) || *end || n > STEK_KEYS_MAX) {
        return report_usage(ctl, "ahead '%s': must be between 0 and %d", value, STEK_KEYS_MAX);
    }
    *pahead = (int)n;
    return CTL_DONE;
}

static ctl_exit_e add_store(ctl_t *ctl, const char *url, sync_options_t *options)
{
    int at;

    if (options->store_n == SYNC_STORES_MAX) {
        return report_usage(ctl, "store '%s': at most %d stores", url, SYNC_STORES_MAX);
    }
    for (at = options->store_n; at > 0 && strcmp(options->urls[at - 1], url) > 0; at--) {
        options->urls[at] = options->urls[at - 1];
    }
    options->urls[at] = url;
    options->store_n++;
    return CTL_DONE;
}

/* Sets what a name says; value is the pool's, or the command line's. */
static ctl_exit_e set(ctl_t *ctl, command_t *command, const char *name, const char *value)
{
    sync_options_t *options = &command->options;
    stek_params_t *params = &options->rules.params;

    if (!strcmp(name, "store")) {
        return add_store(ctl, value, options);
    }
    if (!strcmp(name, "every")) {
        return set_span(ctl, name, value, EVERY_MAX, &options->every);
    }
    if (!strcmp(name, "timeout")) {
        return set_span(ctl, name, value, TIMEOUT_MAX, &options->timeout);
    }
    if (!strcmp(name, "interval")) {
        return set_span(ctl, name, value, STEK_TIME_MAX, &params->interval);
    }
    if (!strcmp(name, "lifetime")) {
        return set_span(ctl, name, value, STEK_TIME_MAX, &params->lifetime);
    }
    if (!strcmp(name, "ahead")) {
        return set_ahead(ctl, value, &params->ahead);
    }
    if (!strcmp(name, "generate")) {
        options->rules.generate = !strcmp(value, "on");
        return options->rules.generate || !strcmp(value, "off")
                   ? CTL_DONE
                   : report_usage(ctl, "generate '%s': must be on or off", value);
    }
    if (!*value) {
        return report_usage(ctl, "%s: a path is wanted, not an empty text", name);
    }
    *(!strcmp(name, "fleet-secret") ? &options->fleet_secret_path
      : !strcmp(name, "password")   ? &options->password_path
      : !strcmp(name, "ring")       ? &command->ring_path
                                    : &command->secret_path) = value;
    return CTL_DONE;
}

/* A line "name value"; blank ones and comments are none. */
static ctl_exit_e set_line(ctl_t *ctl, command_t *command, char *line, int line_n)
{
    char *end = line + strlen(line), *value;
    ctl_exit_e code;
    int i;

    while (end > line && isspace((unsigned char)end[-1])) {
        *--end = '\0';
    }
    line += strspn(line, " \t");
    if (!*line || *line == '#') {
        return CTL_DONE;
    }
    value = line + strcspn(line, " \t");
    if (*value) {
        *value++ = '\0';
        value += strspn(value, " \t");
    }
    for (i = 0; i < ROWS_N; i++) {
        if (!strcmp(rows[i].name, line) && rows[i].kind & IN_FILE) {
            code = *value ? set(ctl, command, line, value)
                          : report_usage(ctl, "'%s' wants a value", line);
            if (code != CTL_DONE) {
                report_line("%s: line %d is at fault", command->config_path, line_n);
            }
            return code;
        }
    }
    report_line("%s: line %d: '%s' is unknown; see 'stekctl sync --help'", command->config_path,
                line_n, line);
    return CTL_USAGE;
}

/* The file says which secrets are used and where they go: it must be as safe as a ring. */
static ctl_exit_e read_config(ctl_t *ctl, command_t *command)
{
    char *text = apr_palloc(ctl->pool, CONFIG_MAX + 1), *line, *next;
    const char *culprit = NULL;
    ctl_exit_e code = CTL_DONE;
    apr_size_t len = 0;
    apr_status_t rv;
    int line_n = 0;

    rv = stek_file_read(command->config_path, STEK_FILE_RING, ctl->owner, text, CONFIG_MAX, &len,
                        NULL, &culprit, ctl->pool);
    if (rv != APR_SUCCESS) {
        return report_status(ctl, command->config_path, rv, culprit);
    }
    text[len] = '\0';
    for (line = text; code == CTL_DONE && line; line = next) {
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        code = set_line(ctl, command, line, ++line_n);
    }
    return code;
}

/* One option of the command line, which goes before the file's. */
static ctl_exit_e set_option(ctl_t *ctl, command_t *command, const char *name, int *pstores)
{
    if (!strcmp(name, "no-generate")) {
        command->options.rules.generate = 0;
    }
    else if (!strcmp(name, "once")) {
        command->once = 1;
    }
    else if (!strcmp(name, "status")) {
        command->status = 1;
    }
    else if (!strcmp(name, "json")) {
        ctl->json = 1;
    }
    else if (strcmp(name, "config") != 0) {
        if (!strcmp(name, "store") && !(*pstores)++) {
            command->options.store_n = 0;
        }
        return set(ctl, command, name, optarg);
    }
    return CTL_DONE;
}

/* Two passes: the configuration file comes first. */
static ctl_exit_e parse_line(ctl_t *ctl, command_t *command, int argc, char **argv, int first)
{
    struct option options[ROWS_N + 2];
    int i, option, stores = 0;
    ctl_exit_e code = CTL_DONE;

    memset(options, 0, sizeof(options));
    for (i = 0; i < ROWS_N; i++) {
        options[i].name = rows[i].name;
        options[i].has_arg = rows[i].kind & WITH_VALUE ? required_argument : no_argument;
        options[i].val = 1000 + i;
    }
    options[ROWS_N].name = "help";
    options[ROWS_N].val = 'h';
    optind = 0;
    while (code == CTL_DONE && (option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        if (!first) {
            code = set_option(ctl, command, rows[option - 1000].name, &stores);
        }
        else if (!strcmp(rows[option - 1000].name, "config")) {
            command->config_path = optarg;
        }
    }
    return code;
}

static ctl_exit_e check(ctl_t *ctl, command_t *command)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY"); /* NOLINT(concurrency-mt-unsafe) */
    sync_options_t *options = &command->options;
    const char *wrong = stek_schedule_check(&options->rules.params, ctl->pool);

    if (wrong) {
        return report_usage(ctl, "%s", wrong);
    }
    if (options->store_n == 0) {
        return report_usage(ctl, "a store is wanted: --store URL, or a configuration file that "
                                 "names one");
    }
    if (!options->fleet_secret_path && directory && *directory) {
        options->fleet_secret_path = apr_pstrcat(ctl->pool, directory, "/fleet-secret", NULL);
    }
    if (!options->fleet_secret_path) {
        return report_usage(ctl, "--fleet-secret PATH is wanted");
    }
    if (command->ring_path) {
        ctl->ring_path = command->ring_path;
        ctl->secret_path = stek_secret_path_beside(ctl->ring_path, ctl->pool);
    }
    if (command->secret_path) {
        ctl->secret_path = command->secret_path;
    }
    return CTL_DONE;
}

static ctl_exit_e parse(ctl_t *ctl, int argc, char **argv, command_t *command)
{
    ctl_exit_e code = parse_line(ctl, command, argc, argv, 1);

    if (code == CTL_DONE && optind < argc) {
        if (command->config_path || optind + 1 < argc || strchr(argv[optind], '/')) {
            return report_usage(ctl, "'%s' is too much", argv[argc - 1]);
        }
        command->config_path = apr_psprintf(ctl->pool, "/etc/stek/%s.conf", argv[optind]);
    }
    if (code == CTL_DONE && command->config_path) {
        code = read_config(ctl, command);
    }
    if (code == CTL_DONE) {
        code = parse_line(ctl, command, argc, argv, 0);
    }
    return code == CTL_DONE ? check(ctl, command) : code;
}

/* ---- what is kept for --status ---- */

static const char *state_path(const ctl_t *ctl, apr_pool_t *pool)
{
    return apr_pstrcat(pool, ctl->ring_path, ".sync", NULL);
}

/* Whether each line is such as write_state writes. */
static int is_state(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    const char *line = (const char *)bytes, *end;
    apr_size_t digits, scheme;

    (void)baton;
    while ((end = memchr(line, '\n', len))) {
        digits = strspn(line, "0123456789");
        scheme = line[digits] == ' ' ? strspn(line + digits + 1, "abcdefghijklmnopqrstuvwxyz+") : 0;
        if (digits == 0 || scheme == 0 || strncmp(line + digits + 1 + scheme, "://", 3) != 0) {
            return 0;
        }
        len -= (apr_size_t)(end + 1 - line);
        line = end + 1;
    }
    return len == 0;
}

static const stek_claim_t state_claim = {"a state of stekctl sync", STATE_MAX, 1, is_state, NULL};

/* Lines "TIME URL": the last success of each store. */
static void write_state(const sync_host_t *host)
{
    const stek_file_how_t how = {host->ctl->owner, (uid_t)-1, (gid_t)-1, 0640, 0};
    const char *path = state_path(host->ctl, host->pool), *text = "", *found;
    apr_status_t rv;
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        text = apr_psprintf(host->pool, "%s%" APR_TIME_T_FMT " %s\n", text,
                            apr_time_sec(host->stores[i].last_success), host->stores[i].url);
    }
    rv = stek_claim_check(&state_claim, path, host->ctl->owner, &found, host->pool);
    if (rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv)) {
        (void)stek_file_replace(path, text, strlen(text), &how, host->pool);
    }
}

static void read_state(sync_host_t *host)
{
    char *text = apr_palloc(host->pool, STATE_MAX + 1), *line, *last = NULL;
    apr_size_t len = 0;
    int i;

    if (stek_file_read(state_path(host->ctl, host->pool), STEK_FILE_RING, host->ctl->owner, text,
                       STATE_MAX, &len, NULL, NULL, host->pool)
        != APR_SUCCESS) {
        return;
    }
    text[len] = '\0';
    for (line = apr_strtok(text, "\n", &last); line; line = apr_strtok(NULL, "\n", &last)) {
        const char *url = strchr(line, ' ');
        apr_int64_t at_s = strtoll(line, NULL, 10);

        /* Whatever stands there: what cannot be a time is none. */
        at_s = at_s >= 0 && at_s <= STEK_SEAL_TIME_MAX_S ? at_s : 0;
        for (i = 0; url && i < host->options->store_n; i++) {
            if (!strcmp(host->stores[i].url, url + 1)) {
                host->stores[i].last_success = apr_time_from_sec(at_s);
            }
        }
    }
}

/* ---- log: once per change of state ---- */

typedef struct log_t {
    apr_status_t file_rv; /* of the last cycle */
    unsigned file_n;      /* cycles since */
    int keyless;
    apr_interval_time_t skew;
} log_t;

static const char *store_state(const sync_store_t *store)
{
    switch (store->answer) {
    case SYNC_SILENT:
        return "no answer";
    case SYNC_REFUSED:
        return "what it holds is refused";
    default:
        return store->write_failed ? "can be read, but not written" : NULL;
    }
}

static void log_store(sync_store_t *store)
{
    const char *state = store_state(store);

    if (state == store->logged || (state && store->logged && !strcmp(state, store->logged))) {
        store->failed_n += state != NULL;
        return;
    }
    if (!state) {
        report_line("%s: good again, after %u failed cycle%s", store->url, store->failed_n,
                    store->failed_n == 1 ? "" : "s");
    }
    else {
        report_line("%s: %s: %s; the file ring serves on%s", store->url, state, store->why,
                    store->answer == SYNC_REFUSED ? ", and is written there" : "");
    }
    store->failed_n = state ? store->failed_n * (store->logged != NULL) + 1 : 0;
    store->logged = state;
}

static void log_cycle(sync_host_t *host, log_t *log, apr_status_t rv, const sync_result_t *result,
                      apr_time_t now)
{
    int i, keyless = rv == APR_SUCCESS && result->covered_until <= now;

    for (i = 0; i < host->options->store_n; i++) {
        log_store(&host->stores[i]);
    }
    if (rv != log->file_rv) {
        if (rv != APR_SUCCESS) {
            (void)report_status(host->ctl, host->ctl->ring_path, rv, NULL);
        }
        else {
            report_line("%s: good again, after %u failed cycle%s", host->ctl->ring_path,
                        log->file_n, log->file_n == 1 ? "" : "s");
        }
        log->file_n = 0;
    }
    log->file_rv = rv;
    log->file_n += rv != APR_SUCCESS;
    if (keyless != log->keyless) {
        report_line("%s: %s", host->ctl->ring_path,
                    keyless
                        ? "no key encrypts now, so no tickets are issued; a store, or a host that "
                          "generates, is wanted"
                        : "has a key for now again");
    }
    log->keyless = keyless;
    if (rv == APR_SUCCESS && result->made > 0) {
        report_line("%s: %d key%s made, generation %" APR_UINT64_T_FMT, host->ctl->ring_path,
                    (int)result->made, result->made == 1 ? "" : "s", result->generation);
    }
    /* Above what NTP leaves, and only when it has grown. */
    if (result->skew > log->skew + apr_time_from_sec(5)) {
        report_line("%s: a host's clock is %s or more ahead of this one's", host->ctl->ring_path,
                    report_span(result->skew, host->pool));
        log->skew = result->skew;
    }
}

/* ---- the loop ---- */

typedef struct loop_t {
    sync_host_t host;
    sync_port_t port;
    log_t log;
    int silent_n; /* cycles in a row in which a store did not answer */
    int ready;
} loop_t;

/* One cycle, logged.  CTL_IO unless a store answered and the file ring is good. */
static ctl_exit_e run_cycle(loop_t *loop)
{
    const sync_options_t *options = loop->host.options;
    sync_view_t views[SYNC_STORES_MAX];
    sync_result_t result = {0};
    apr_time_t now = ringio_now();
    apr_status_t rv;
    int i, silent = 0;

    sync_host_begin(&loop->host, now);
    for (i = 0; i < options->store_n; i++) {
        loop->host.stores[i].write_failed = 0;
    }
    rv = sync_cycle(&loop->port, &options->rules, now, stek_rng_system, views, &result);
    log_cycle(&loop->host, &loop->log, rv, &result, now);
    write_state(&loop->host);
    for (i = 0; i < options->store_n; i++) {
        silent += loop->host.stores[i].answer == SYNC_SILENT;
    }
    loop->silent_n = silent || rv != APR_SUCCESS ? loop->silent_n + 1 : 0;
    notify_send("%sWATCHDOG=1\nSTATUS=generation %" APR_UINT64_T_FMT ", %d of %d stores answer%s",
                loop->ready++ ? "" : "READY=1\n", result.generation, result.answered_n,
                options->store_n, rv == APR_SUCCESS ? "" : ", file ring in trouble");
    return rv == APR_SUCCESS && result.answered_n > 0 && !loop->log.keyless ? CTL_DONE : CTL_IO;
}

/* The cycle's length, a little less by chance so that hosts spread out; while a store is silent an
 * eighth of it at first, then twice that, never more than the whole. */
static apr_interval_time_t delay(const loop_t *loop)
{
    apr_interval_time_t span = loop->host.options->every;
    unsigned char random = 0;

    if (loop->silent_n > 0 && loop->silent_n < 4) {
        span >>= 4 - loop->silent_n;
    }
    (void)stek_rng_system(&random, 1);
    return span - span / 5 * random / 255;
}

/* Waits for the next cycle, or a signal, which it returns; 0: it is time. */
static int wait_next(apr_interval_time_t span, const sigset_t *signals)
{
    apr_int64_t end = store_clock_ms() + apr_time_as_msec(span);
    apr_interval_time_t watchdog = notify_watchdog() / 2;

    for (;;) {
        apr_int64_t left = end - store_clock_ms();
        struct timespec limit;
        int got;

        if (left <= 0) {
            return 0;
        }
        if (watchdog > 0 && left > apr_time_as_msec(watchdog)) {
            left = apr_time_as_msec(watchdog);
        }
        limit.tv_sec = (time_t)(left / 1000);
        limit.tv_nsec = (long)(left % 1000 * 1000000);
        got = sigtimedwait(signals, NULL, &limit);
        if (got > 0) {
            return got;
        }
        notify_send("WATCHDOG=1");
    }
}

static ctl_exit_e run(ctl_t *ctl, const command_t *command)
{
    loop_t loop = {0};
    sigset_t signals;
    ctl_exit_e code;
    int got = 0;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    code = sync_host_open(ctl, &command->options, &loop.host);
    if (code == CTL_DONE) {
        sync_host_port(&loop.host, &loop.port);
        read_state(&loop.host);
        do {
            if (got == SIGHUP) {
                notify_send("RELOADING=1");
                sync_host_reload(&loop.host);
                notify_send("READY=1");
            }
            code = run_cycle(&loop);
            got = command->once ? SIGTERM : wait_next(delay(&loop), &signals);
        } while (got == 0 || got == SIGHUP);
        if (!command->once) {
            notify_send("STOPPING=1");
            code = CTL_DONE;
        }
    }
    sync_host_close(&loop.host);
    return code;
}

/* ---- --status ---- */

static const char *answer_text(sync_answer_e answer)
{
    static const char *const texts[] = {"silent", "empty", "refused", "good"};

    return texts[answer];
}

typedef struct status_t {
    const sync_host_t *host;
    const stek_ring_t *file_ring; /* NULL: none */
    const sync_plan_t *plan;
    apr_status_t rv; /* of reading and planning */
    apr_time_t now, covered_until;
    apr_size_t behind_n; /* keys of the stores that the file lacks */
    const char *next[SYNC_STORES_MAX + 2];
    int next_n;
} status_t;

static apr_interval_time_t skew_of(const sync_store_t *store, apr_time_t now)
{
    return store->has_header && store->header.written_at > now ? store->header.written_at - now : 0;
}

/* What a cycle would do. */
static void find_next(status_t *status)
{
    const stek_ring_t *shared = status->plan->shared;
    apr_size_t i;
    int n;

    for (i = 0; shared && i < shared->key_n; i++) {
        status->behind_n += !status->file_ring
                            || !stek_ring_find(status->file_ring, shared->keys[i].name);
    }
    if (status->plan->made > 0) {
        status->next[status->next_n++] = apr_psprintf(status->host->pool, "make %d key%s",
                                                      (int)status->plan->made,
                                                      status->plan->made == 1 ? "" : "s");
    }
    for (n = 0; n < status->host->options->store_n; n++) {
        if (status->plan->write[n]) {
            status->next[status->next_n++] = apr_pstrcat(status->host->pool, "write ",
                                                         status->host->stores[n].url, NULL);
        }
    }
    if (status->plan->wanted
        && (!status->file_ring || !stek_ring_equal(status->file_ring, status->plan->wanted))) {
        status->next[status->next_n++] = "write the file ring";
    }
}

static void print_json(const status_t *status)
{
    const sync_host_t *host = status->host;
    const stek_ring_t *ring = status->file_ring;
    json_t json;
    int i;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_string(&json, "ring", host->ctl->ring_path);
    json_bool(&json, "readable", status->rv == APR_SUCCESS && ring);
    json_count(&json, "generation", ring ? ring->generation : 0);
    json_count(&json, "epoch", ring ? ring->epoch : 0);
    json_count(&json, "keys", ring ? ring->key_n : 0);
    json_time(&json, "covered_until", status->covered_until);
    json_count(&json, "keys_behind", status->behind_n);
    json_bool(&json, "generate", host->options->rules.generate);
    json_open(&json, "stores", '[');
    for (i = 0; i < host->options->store_n; i++) {
        const sync_store_t *store = &host->stores[i];

        json_open(&json, NULL, '{');
        json_string(&json, "store", store->url);
        json_string(&json, "answer", answer_text(store->answer));
        json_string(&json, "why",
                    store->answer == SYNC_SILENT || store->answer == SYNC_REFUSED ? store->why
                                                                                  : NULL);
        json_time(&json, "last_success", store->last_success);
        if (store->last_success) {
            json_span(&json, "lag", status->now - store->last_success);
        }
        else {
            json_null(&json, "lag");
        }
        json_count(&json, "generation", store->has_header ? store->header.generation : 0);
        json_time(&json, "written_at", store->has_header ? store->header.written_at : 0);
        json_span(&json, "skew", skew_of(store, status->now));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_open(&json, "next", '[');
    for (i = 0; i < status->next_n; i++) {
        json_string(&json, NULL, status->next[i]);
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

static void print_text(const status_t *status)
{
    const sync_host_t *host = status->host;
    const stek_ring_t *ring = status->file_ring;
    apr_pool_t *pool = host->pool;
    int i;

    if (ring) {
        printf("%s: generation %" APR_UINT64_T_FMT ", %d keys, covered until %s\n",
               report_path(host->ctl->ring_path, pool), ring->generation, (int)ring->key_n,
               report_time(status->covered_until, status->now, pool));
    }
    else {
        printf("%s: no ring\n", report_path(host->ctl->ring_path, pool));
    }
    for (i = 0; i < host->options->store_n; i++) {
        const sync_store_t *store = &host->stores[i];

        printf("%s: %s", report_path(store->url, pool), answer_text(store->answer));
        if (store->answer == SYNC_SILENT || store->answer == SYNC_REFUSED) {
            printf(" (%s)", store->why);
        }
        if (store->has_header) {
            printf(", generation %" APR_UINT64_T_FMT, store->header.generation);
        }
        if (skew_of(store, status->now) > 0) {
            printf(", written %s ahead of this clock",
                   report_span(skew_of(store, status->now), pool));
        }
        printf(", last success %s%s\n",
               store->last_success ? report_span(status->now - store->last_success, pool) : "never",
               store->last_success ? " ago" : "");
    }
    printf("next: ");
    for (i = 0; i < status->next_n; i++) {
        printf("%s%s", i ? ", " : "", status->next[i]);
    }
    puts(status->next_n ? "" : "nothing");
}

/* Reads as a cycle does, and writes nothing. */
static ctl_exit_e show_status(ctl_t *ctl, const command_t *command)
{
    sync_view_t views[SYNC_STORES_MAX] = {{0}};
    apr_time_t last[SYNC_STORES_MAX], now = ringio_now();
    stek_ring_t *file_ring = NULL;
    sync_plan_t plan = {0};
    sync_host_t host;
    sync_port_t port;
    status_t status = {.host = &host, .plan = &plan, .now = now};
    ctl_exit_e code = sync_host_open_reader(ctl, &command->options, &host);
    int i, n = command->options.store_n, good = 1;

    if (code != CTL_DONE) {
        sync_host_close(&host);
        return code;
    }
    sync_host_port(&host, &port);
    read_state(&host);
    for (i = 0; i < n; i++) {
        last[i] = host.stores[i].last_success;
    }
    status.rv = port.load(port.baton, &file_ring);
    port.read(port.baton, now, views);
    if (status.rv == APR_SUCCESS) {
        status.rv = sync_plan(file_ring, views, n, &command->options.rules, now, stek_rng_system,
                              &plan);
    }
    for (i = 0; i < n; i++) {
        host.stores[i].last_success = last[i];
        good = good && host.stores[i].answer == SYNC_GOOD;
    }
    status.file_ring = file_ring;
    status.covered_until = file_ring ? stek_schedule_covered_until(file_ring, now) : now;
    if (status.rv == APR_SUCCESS) {
        find_next(&status);
    }
    else {
        (void)report_status(ctl, ctl->ring_path, status.rv, NULL);
    }
    if (ctl->json) {
        print_json(&status);
    }
    else {
        print_text(&status);
    }
    good = good && status.rv == APR_SUCCESS && status.covered_until > now;
    sync_plan_release(&plan);
    sync_views_release(views, n);
    stek_ring_destroy(file_ring);
    sync_host_close(&host);
    return good ? CTL_DONE : CTL_FINDING;
}

ctl_exit_e cmd_sync(ctl_t *ctl, int argc, char **argv)
{
    command_t command = {.options = {.rules = {STEK_PARAMS_DEFAULT, 1},
                                     .every = apr_time_from_sec(10),
                                     .timeout = apr_time_from_sec(3)}};
    ctl_exit_e code;

    /* Not for people: store.c starts it so. */
    if (argc == 2 && !strcmp(argv[1], "--worker")) {
        return store_worker() == 0 ? CTL_DONE : CTL_IO;
    }
    code = parse(ctl, argc, argv, &command);
    if (code != CTL_DONE) {
        return code;
    }
    return command.status ? show_status(ctl, &command) : run(ctl, &command);
}
