/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and configuration file of stekctl sync (sync_settings.h).
 */
#include "sync_settings.h"

#include <apr_strings.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "announce_format.h"
#include "loaded_ring.h"
#include "options.h"
#include "report.h"
#include "stek_file.h"
#include "store_url.h"
#include "stek_time.h"
#include "suggestion.h"

#define CONFIG_MAX 65536
#define EVERY_MAX apr_time_from_sec(3600)
#define TIMEOUT_MAX apr_time_from_sec(60)

static ctl_exit_e add_store(ctl_t *ctl, void *settings, const option_row_t *row, const char *url)
{
    sync_options_t *options = &((sync_settings_t *)settings)->options;
    int at;

    (void)row;
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

static ctl_exit_e set_ahead(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    return options_ahead(ctl, value, options_member(settings, row));
}

static ctl_exit_e set_generate(ctl_t *ctl, void *settings, const option_row_t *row,
                               const char *value)
{
    int *generate = options_member(settings, row);

    *generate = value && !strcmp(value, "on");
    return !value || *generate || !strcmp(value, "off")
               ? CTL_DONE
               : report_usage(ctl, "invalid value '%s' for '%s': must be on or off", value,
                              options_shown(ctl, row->name));
}

static ctl_exit_e set_httpd(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    const char *wrong = loaded_ring_check(value);

    return wrong ? report_usage(ctl, "invalid URL '%s' for '%s': %s", value,
                                options_shown(ctl, row->name), wrong)
                 : options_set_text(ctl, settings, row, value);
}

static ctl_exit_e set_announce(ctl_t *ctl, void *settings, const option_row_t *row,
                               const char *value)
{
    ((sync_settings_t *)settings)->silent = !strcmp(value, "off");
    return announce_is_name(value)
               ? options_set_text(ctl, settings, row, value)
               : report_usage(ctl,
                              "invalid name '%s' for '%s': must be up to %d letters, "
                              "digits, '.', '-' and '_', or off",
                              value, options_shown(ctl, row->name), ANNOUNCE_NAME_MAX);
}

/* Where an option may stand besides the command line of sync. */
enum {
    IN_FILE = 2 | OPTION_VALUE,
    FOR_FLEET = 4 /* command line of fleet */
};

#define AT(member) offsetof(sync_settings_t, member)

static const option_row_t rows[] = {
    {"store", add_store, IN_FILE | FOR_FLEET, 0, 0},
    {"fleet-secret", options_set_path, IN_FILE | FOR_FLEET, AT(options.fleet_secret_path), 0},
    {"password", options_set_path, IN_FILE | FOR_FLEET, AT(options.password_path), 0},
    {"store-ca", options_set_path, IN_FILE | FOR_FLEET, AT(options.ca_path), 0},
    {"store-cert", options_set_path, IN_FILE | FOR_FLEET, AT(options.cert_path), 0},
    {"store-key", options_set_path, IN_FILE | FOR_FLEET, AT(options.key_path), 0},
    {"floor", options_set_path, IN_FILE, AT(options.floor_path), 0},
    {"every", options_set_span, IN_FILE, AT(options.every), EVERY_MAX},
    {"timeout", options_set_span, IN_FILE | FOR_FLEET, AT(options.timeout), TIMEOUT_MAX},
    {"interval", options_set_span, IN_FILE, AT(options.rules.params.interval), STEK_TIME_MAX},
    {"lifetime", options_set_span, IN_FILE, AT(options.rules.params.lifetime), STEK_TIME_MAX},
    {"ahead", set_ahead, IN_FILE, AT(options.rules.params.ahead), 0},
    {"generate", set_generate, IN_FILE, AT(options.rules.generate), 0},
    {"ring", options_set_path, IN_FILE, AT(ring_path), 0},
    {"secret", options_set_path, IN_FILE, AT(secret_path), 0},
    {"announce", set_announce, IN_FILE, AT(options.announce), 0},
    {"metrics", options_set_path, IN_FILE, AT(options.metrics_path), 0},
    {"httpd", set_httpd, IN_FILE, AT(options.httpd_url), 0},
    {"no-generate", set_generate, 0, AT(options.rules.generate), 0},
    {"once", options_set_flag, 0, AT(options.once), 0},
    {"status", options_set_flag, 0, AT(status), 0},
    {"check", options_set_flag, 0, AT(check), 0},
    {"json", options_set_json, FOR_FLEET, 0, 0},
    {"config", options_set_text, OPTION_VALUE | FOR_FLEET, AT(config_path), 0},
};

#define ROWS_N ((int)(sizeof(rows) / sizeof(rows[0])))

/* Some editors put it in front of UTF-8. */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* *pset_on: the line that has set the option before; 0: none. */
static ctl_exit_e set_value(ctl_t *ctl, sync_settings_t *settings, const option_row_t *row,
                            const char *value, int line_n, int *pset_on)
{
    int before = *pset_on;

    *pset_on = line_n;
    if (strchr("=\"'", *value) && *value) {
        return report_usage(ctl, "option '%s': write '%s VALUE', without '=' and quotes", row->name,
                            row->name);
    }
    if (!*value) {
        return report_usage(ctl, "option '%s' requires a value", row->name);
    }
    if (before > 0 && row->set != add_store) {
        return report_usage(ctl, "option '%s' is already set on line %d; remove one of the lines",
                            row->name, before);
    }
    return row->set(ctl, settings, row, value);
}

/* Sets the option in a line "name value"; ignores blank lines and comments.  set_on: for every row, as
 * set_value has it. */
static ctl_exit_e set_line(ctl_t *ctl, sync_settings_t *settings, char *line, int line_n,
                           int set_on[ROWS_N])
{
    const char *names[ROWS_N];
    char *end = line + strlen(line), *value;
    apr_size_t n = 0;
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
        if ((rows[i].kind & IN_FILE) != IN_FILE) {
            continue;
        }
        if (!strcmp(rows[i].name, line)) {
            code = set_value(ctl, settings, &rows[i], value, line_n, &set_on[i]);
            if (code != CTL_DONE) {
                report_line("%s: error on line %d", settings->config_path, line_n);
            }
            return code;
        }
        names[n++] = rows[i].name;
    }
    /* Not what it says: it may be another file, with passwords. */
    report_line("%s: line %d: unknown option%s; see 'stekctl sync --help'", settings->config_path,
                line_n, suggestion(line, names, n, "", ctl->pool));
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
    int line_n = 0, set_on[ROWS_N] = {0};

    rv = stek_file_read(settings->config_path, STEK_FILE_RING, ctl->owner, text, CONFIG_MAX, &len,
                        NULL, &culprit, ctl->pool);
    if (rv != APR_SUCCESS) {
        return report_status(ctl, settings->config_path, rv, culprit);
    }
    text[len] = '\0';
    if (!strncmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK))) {
        text += strlen(BYTE_ORDER_MARK);
    }
    ctl->from_file = 1;
    for (line = text; code == CTL_DONE && line; line = next) {
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        code = set_line(ctl, settings, line, ++line_n, set_on);
    }
    ctl->from_file = 0;
    return code;
}

/* The first pass only finds the configuration file. */
static ctl_exit_e set_config(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    return !strcmp(row->name, "config") ? row->set(ctl, settings, row, value) : CTL_DONE;
}

/* The second takes precedence over the file: its stores replace those of the file. */
static ctl_exit_e set_option(ctl_t *ctl, void *settings, const option_row_t *row, const char *value)
{
    sync_settings_t *of = settings;

    if (row->set == add_store && !of->has_stores) {
        of->has_stores = 1;
        of->options.store_n = 0;
    }
    return row->set(ctl, settings, row, value);
}

static ctl_exit_e parse_line(ctl_t *ctl, sync_settings_t *settings, int argc, char **argv,
                             option_set_t *set)
{
    optind = 0;
    return options_parse(ctl, argc, argv, rows, ROWS_N, settings->viewer ? FOR_FLEET : 0, set,
                         settings);
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
    ctl_exit_e code = parse_line(ctl, settings, argc, argv, set_config);

    if (code == CTL_DONE && optind < argc) {
        int extra = settings->config_path || strchr(argv[optind], '/') ? optind : optind + 1;

        if (extra < argc) {
            return report_usage(ctl, "unexpected argument '%s'%s", argv[extra],
                                settings->viewer ? suggestion_of(argv[extra], "forget", ctl->pool)
                                                 : "");
        }
        settings->config_path = apr_psprintf(ctl->pool, "/etc/stek/%s.conf", argv[optind]);
    }
    if (code == CTL_DONE && settings->config_path) {
        code = sync_settings_read(ctl, settings);
    }
    if (code == CTL_DONE) {
        code = parse_line(ctl, settings, argc, argv, set_option);
    }
    return code;
}
