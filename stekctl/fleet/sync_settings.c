/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and configuration file of stekctl sync (sync_settings.h).
 */
#include "sync_settings.h"

#include <apr_strings.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "announce.h"
#include "loaded_ring.h"
#include "options.h"
#include "report.h"
#include "stek_file.h"
#include "store_url.h"
#include "stek_time.h"

#define CONFIG_MAX 65536
#define EVERY_MAX apr_time_from_sec(3600)
#define TIMEOUT_MAX apr_time_from_sec(60)

/* The options of the command line and of the configuration file.  An option without a value is only
 * for the command line. */
enum { WITH_VALUE = 1, IN_FILE = 2, FOR_FLEET = 4 /* also of the command fleet */ };

static const struct {
    const char *name;
    int kind;
} rows[] = {
    {"store", WITH_VALUE | IN_FILE | FOR_FLEET},
    {"fleet-secret", WITH_VALUE | IN_FILE | FOR_FLEET},
    {"password", WITH_VALUE | IN_FILE | FOR_FLEET},
    {"store-ca", WITH_VALUE | IN_FILE | FOR_FLEET},
    {"store-cert", WITH_VALUE | IN_FILE | FOR_FLEET},
    {"store-key", WITH_VALUE | IN_FILE | FOR_FLEET},
    {"floor", WITH_VALUE | IN_FILE},
    {"every", WITH_VALUE | IN_FILE},
    {"timeout", WITH_VALUE | IN_FILE | FOR_FLEET},
    {"interval", WITH_VALUE | IN_FILE},
    {"lifetime", WITH_VALUE | IN_FILE},
    {"ahead", WITH_VALUE | IN_FILE},
    {"generate", WITH_VALUE | IN_FILE},
    {"ring", WITH_VALUE | IN_FILE},
    {"secret", WITH_VALUE | IN_FILE},
    {"announce", WITH_VALUE | IN_FILE},
    {"metrics", WITH_VALUE | IN_FILE},
    {"httpd", WITH_VALUE | IN_FILE},
    {"no-generate", 0},
    {"once", 0},
    {"status", 0},
    {"check", 0},
    {"json", FOR_FLEET},
    {"config", WITH_VALUE | FOR_FLEET},
};

#define ROWS_N ((int)(sizeof(rows) / sizeof(rows[0])))

static ctl_exit_e add_store(ctl_t *ctl, const char *url, sync_options_t *options)
{
    int at;

    if (options->store_n == SYNC_STORES_MAX) {
        return report_usage(ctl, "'%s' is one store too many: the limit is %d",
                            store_url_shown(url, ctl->pool), SYNC_STORES_MAX);
    }
    for (at = options->store_n; at > 0 && strcmp(options->urls[at - 1], url) > 0; at--) {
        options->urls[at] = options->urls[at - 1];
    }
    options->urls[at] = url;
    options->store_n++;
    return CTL_DONE;
}

/* Sets the option name; value belongs to the pool or points into argv. */
static ctl_exit_e set(ctl_t *ctl, sync_settings_t *settings, const char *name, const char *value)
{
    sync_options_t *options = &settings->options;
    stek_params_t *params = &options->rules.params;

    if (!strcmp(name, "store")) {
        return add_store(ctl, value, options);
    }
    if (!strcmp(name, "every")) {
        return options_span(ctl, name, value, apr_time_from_sec(1), EVERY_MAX, &options->every);
    }
    if (!strcmp(name, "timeout")) {
        return options_span(ctl, name, value, apr_time_from_sec(1), TIMEOUT_MAX, &options->timeout);
    }
    if (!strcmp(name, "interval")) {
        return options_span(ctl, name, value, apr_time_from_sec(1), STEK_TIME_MAX,
                            &params->interval);
    }
    if (!strcmp(name, "lifetime")) {
        return options_span(ctl, name, value, apr_time_from_sec(1), STEK_TIME_MAX,
                            &params->lifetime);
    }
    if (!strcmp(name, "ahead")) {
        return options_ahead(ctl, value, &params->ahead);
    }
    if (!strcmp(name, "generate")) {
        options->rules.generate = !strcmp(value, "on");
        return options->rules.generate || !strcmp(value, "off")
                   ? CTL_DONE
                   : report_usage(ctl, "invalid value '%s' for 'generate': must be on or off",
                                  value);
    }
    if (!strcmp(name, "httpd")) {
        const char *wrong = loaded_ring_check(value);

        options->httpd_url = value;
        return wrong ? report_usage(ctl, "invalid URL '%s' for 'httpd': %s", value, wrong)
                     : CTL_DONE;
    }
    if (!strcmp(name, "announce")) {
        settings->silent = !strcmp(value, "off");
        options->announce = value;
        return announce_is_name(value)
                   ? CTL_DONE
                   : report_usage(ctl,
                                  "invalid name '%s' for 'announce': must be up to %d letters, "
                                  "digits, '.', '-' and '_', or off",
                                  value, ANNOUNCE_NAME_MAX);
    }
    if (!*value) {
        return report_usage(ctl, "%s: the path must not be empty", name);
    }
    *(!strcmp(name, "fleet-secret") ? &options->fleet_secret_path
      : !strcmp(name, "password")   ? &options->password_path
      : !strcmp(name, "store-ca")   ? &options->ca_path
      : !strcmp(name, "store-cert") ? &options->cert_path
      : !strcmp(name, "store-key")  ? &options->key_path
      : !strcmp(name, "floor")      ? &options->floor_path
      : !strcmp(name, "metrics")    ? &options->metrics_path
      : !strcmp(name, "ring")       ? &settings->ring_path
                                    : &settings->secret_path) = value;
    return CTL_DONE;
}

/* Sets the option in a line "name value"; ignores blank lines and comments. */
static ctl_exit_e set_line(ctl_t *ctl, sync_settings_t *settings, char *line, int line_n)
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
            code = *value ? set(ctl, settings, line, value)
                          : report_usage(ctl, "option '%s' requires a value", line);
            if (code != CTL_DONE) {
                report_line("%s: error on line %d", settings->config_path, line_n);
            }
            return code;
        }
    }
    /* Not what it says: it may be another file, with passwords. */
    report_line("%s: line %d: unknown option; see 'stekctl sync --help'", settings->config_path,
                line_n);
    return CTL_USAGE;
}

/* The file names the secrets and the stores, so it needs the same protection as a ring. */
ctl_exit_e sync_settings_read(ctl_t *ctl, sync_settings_t *settings)
{
    char *text = apr_palloc(ctl->pool, CONFIG_MAX + 1), *line, *next;
    const char *culprit = NULL;
    ctl_exit_e code = CTL_DONE;
    apr_size_t len = 0;
    apr_status_t rv;
    int line_n = 0;

    rv = stek_file_read(settings->config_path, STEK_FILE_RING, ctl->owner, text, CONFIG_MAX, &len,
                        NULL, &culprit, ctl->pool);
    if (rv != APR_SUCCESS) {
        return report_status(ctl, settings->config_path, rv, culprit);
    }
    text[len] = '\0';
    for (line = text; code == CTL_DONE && line; line = next) {
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        code = set_line(ctl, settings, line, ++line_n);
    }
    return code;
}

/* Sets an option of the command line, which takes precedence over the file. */
static ctl_exit_e set_option(ctl_t *ctl, sync_settings_t *settings, const char *name, int *pstores)
{
    if (!strcmp(name, "no-generate")) {
        settings->options.rules.generate = 0;
    }
    else if (!strcmp(name, "once")) {
        settings->options.once = 1;
    }
    else if (!strcmp(name, "status")) {
        settings->status = 1;
    }
    else if (!strcmp(name, "check")) {
        settings->check = 1;
    }
    else if (!strcmp(name, "json")) {
        ctl->json = 1;
    }
    else if (strcmp(name, "config") != 0) {
        if (!strcmp(name, "store") && !(*pstores)++) {
            settings->options.store_n = 0;
        }
        return set(ctl, settings, name, optarg);
    }
    return CTL_DONE;
}

/* Two passes: the first only finds the configuration file. */
static ctl_exit_e parse_line(ctl_t *ctl, sync_settings_t *settings, int argc, char **argv,
                             int first)
{
    struct option options[ROWS_N + 2];
    int i, n = 0, option, stores = 0;
    ctl_exit_e code = CTL_DONE;

    memset(options, 0, sizeof(options));
    for (i = 0; i < ROWS_N; i++) {
        if (!settings->viewer || rows[i].kind & FOR_FLEET) {
            options[n].name = rows[i].name;
            options[n].has_arg = rows[i].kind & WITH_VALUE ? required_argument : no_argument;
            options[n++].val = 1000 + i;
        }
    }
    options[n].name = "help";
    options[n].val = 'h';
    optind = 0;
    while (code == CTL_DONE && (option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        if (!first) {
            code = set_option(ctl, settings, rows[option - 1000].name, &stores);
        }
        else if (!strcmp(rows[option - 1000].name, "config")) {
            settings->config_path = optarg;
        }
    }
    return code;
}

void sync_settings_init(sync_settings_t *settings)
{
    static const stek_params_t params = STEK_PARAMS_DEFAULT;

    memset(settings, 0, sizeof(*settings));
    settings->options.rules.params = params;
    settings->options.rules.generate = 1;
    settings->options.every = apr_time_from_sec(10);
    settings->options.timeout = apr_time_from_sec(3);
}

ctl_exit_e sync_settings_parse(ctl_t *ctl, int argc, char **argv, sync_settings_t *settings)
{
    ctl_exit_e code = parse_line(ctl, settings, argc, argv, 1);

    if (code == CTL_DONE && optind < argc) {
        if (settings->config_path || optind + 1 < argc || strchr(argv[optind], '/')) {
            return report_usage(ctl, "unexpected argument '%s'", argv[argc - 1]);
        }
        settings->config_path = apr_psprintf(ctl->pool, "/etc/stek/%s.conf", argv[optind]);
    }
    if (code == CTL_DONE && settings->config_path) {
        code = sync_settings_read(ctl, settings);
    }
    if (code == CTL_DONE) {
        code = parse_line(ctl, settings, argc, argv, 0);
    }
    return code;
}
