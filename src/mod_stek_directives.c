/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives of mod_stek_rotate, and those of mod_ssl that it has to know about.  Glue.
 *
 * httpd calls every module that lists a directive's name, so the table below names some of
 * mod_ssl's directives: their values are recorded here, mod_ssl still handles them.  Runs in the
 * parent while the configuration is read; a fault in a directive fails `configtest`, the state of
 * files never does.
 */
#include "mod_stek_directives.h"

#include "http_core.h"
#include "apr_strings.h"
#include "apr_lib.h"
#include <string.h>
#include <strings.h>

#include "mod_stek_config.h"
#include "stek_nearest.h"
#include "stek_time.h"

#define RING_NAME_MAX 64
#define POLL_MIN apr_time_from_sec(1)
#define POLL_MAX apr_time_from_sec(3600)
#define MAX_SESSION_AGE_MAX apr_time_from_sec(365 * 24 * 3600)

static mod_stek_server_t *server_config(cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config, &stek_rotate_module);
}

/* " (did you mean 'interval'?)", or "". */
static const char *did_you_mean(const char *word, const char *const *words, apr_size_t n,
                                apr_pool_t *pool)
{
    const char *nearest = stek_nearest(word, words, n);

    return nearest ? apr_pstrcat(pool, " (did you mean '", nearest, "'?)", NULL) : "";
}

/* NULL, or what is wrong with a ring's name: it becomes part of a file name. */
static const char *ring_name_fault(const char *name, apr_pool_t *pool)
{
    const char *c;

    for (c = name; apr_isalnum(*c) || *c == '-' || *c == '_' || (*c == '.' && c != name); c++) {
    }
    if (*name == '\0' || *c != '\0' || c - name > RING_NAME_MAX) {
        return apr_psprintf(pool,
                            "ring name '%s': must be 1 to %d letters, digits, '-', '_' or '.', "
                            "not beginning with '.'%s",
                            name, RING_NAME_MAX,
                            strchr(name, '=') ? "; the ring's name comes first: default interval=1h"
                                              : "");
    }
    return NULL;
}

static const char *set_span(const char *value, apr_interval_time_t min, apr_interval_time_t max,
                            apr_interval_time_t *pspan, apr_pool_t *pool)
{
    apr_interval_time_t span;

    if (stek_time_parse(value, &span) != APR_SUCCESS) {
        return apr_psprintf(pool,
                            "'%s': must be a number with a unit (s, min, h or d), without a "
                            "space, such as 90s or 1h",
                            value);
    }
    if (span < min || span > max) {
        return apr_psprintf(pool, "'%s': must be between %s and %s", value,
                            stek_time_text(min, pool), stek_time_text(max, pool));
    }
    *pspan = span;
    return NULL;
}

static const char *set_number(const char *value, const char *of_what, int max, int *pnumber,
                              apr_pool_t *pool)
{
    apr_size_t digits_n = strspn(value, "0123456789");
    apr_int64_t number = apr_atoi64(value);

    if (digits_n == 0 || value[digits_n] != '\0' || number > max) {
        return apr_psprintf(pool, "'%s': must be a number of %s between 0 and %d", value, of_what,
                            max);
    }
    *pnumber = (int)number;
    return NULL;
}

static const char *set_on_off(const char *value, int *pflag, apr_pool_t *pool)
{
    if (strcasecmp(value, "on") != 0 && strcasecmp(value, "off") != 0) {
        return apr_psprintf(pool, "'%s': must be 'on' or 'off'", value);
    }
    *pflag = strcasecmp(value, "on") == 0;
    return NULL;
}

static const char *set_path(const char *value, const char **ppath, apr_pool_t *pool)
{
    if (*value == '\0') {
        return "'': must be a path";
    }
    *ppath = apr_pstrdup(pool, value);
    return NULL;
}

static const char unknown_key[] =
    "must be one of file, secret, interval, lifetime, ahead, generate, poll";

static const char *nearest_key(const char *key, apr_pool_t *pool)
{
    static const char *const keys[] = {"file",  "secret",   "interval", "lifetime",
                                       "ahead", "generate", "poll"};

    return did_you_mean(key, keys, sizeof(keys) / sizeof(keys[0]), pool);
}

/* What httpd has made of the line where an argument has no '='. */
static const char *no_value(const char *arg, apr_pool_t *pool)
{
    return apr_psprintf(
        pool,
        "StekRing: '%s': must be key=value, such as interval=1h, without spaces; put "
        "quotes around all of it if the value has a space: \"file=/a b/c.ring\"",
        arg);
}

/* Sets one key=value of StekRing; NULL, or the fault without its "key " in front; or unknown_key. */
static const char *ring_set(mod_stek_ring_config_t *ring, const char *key, const char *value,
                            apr_pool_t *pool)
{
    if (strcmp(key, "file") == 0) {
        if (strcmp(value, "memory") == 0) {
            ring->path = NULL;
            return NULL;
        }
        if (strcasecmp(value, "memory") == 0) {
            return apr_psprintf(pool, "'%s': write 'memory' in lower case, or a path with '/'",
                                value);
        }
        return set_path(value, &ring->path, pool);
    }
    if (strcmp(key, "secret") == 0) {
        ring->secret_is_default = 0;
        return set_path(value, &ring->secret_path, pool);
    }
    if (strcmp(key, "interval") == 0) {
        ring->interval_is_default = 0;
        return set_span(value, apr_time_from_sec(1), STEK_TIME_MAX, &ring->params.interval, pool);
    }
    if (strcmp(key, "lifetime") == 0) {
        ring->lifetime_is_default = 0;
        return set_span(value, apr_time_from_sec(1), STEK_TIME_MAX, &ring->params.lifetime, pool);
    }
    if (strcmp(key, "ahead") == 0) {
        return set_number(value, "slots", STEK_KEYS_MAX, &ring->params.ahead, pool);
    }
    if (strcmp(key, "generate") == 0) {
        return set_on_off(value, &ring->generate, pool);
    }
    if (strcmp(key, "poll") == 0) {
        return set_span(value, POLL_MIN, POLL_MAX, &ring->poll, pool);
    }
    return unknown_key;
}

/* Nonzero if one of n arguments begins with prefix. */
static int is_given(char *const *argv, int n, const char *prefix, apr_size_t prefix_len)
{
    int i;

    for (i = 0; i < n; i++) {
        if (strncmp(argv[i], prefix, prefix_len) == 0) {
            return 1;
        }
    }
    return 0;
}

static const char *cmd_ring(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const char *fault = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    mod_stek_ring_config_t *ring;
    int i;

    (void)dir;
    if (fault) {
        return fault;
    }
    if (argc < 1) {
        return "StekRing: missing ring name; use StekRing NAME [key=value...]";
    }
    fault = ring_name_fault(argv[0], cmd->pool);
    if (fault) {
        return apr_pstrcat(cmd->pool, "StekRing: ", fault, NULL);
    }
    ring = mod_stek_ring_find(argv[0]);
    if (!ring) {
        ring = mod_stek_ring_define(apr_pstrdup(cmd->pool, argv[0]));
    }
    if (!ring->at) {
        ring->at = cmd->directive;
    }
    else if (!ring->again) {
        ring->again = cmd->directive;
    }
    for (i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        const char *key;

        if (!equals) {
            return no_value(argv[i], cmd->pool);
        }
        key = apr_pstrmemdup(cmd->pool, argv[i], (apr_size_t)(equals - argv[i]));
        if (is_given(argv + 1, i - 1, argv[i], (apr_size_t)(equals - argv[i]) + 1)) {
            return apr_psprintf(cmd->pool, "StekRing: %s is given twice", key);
        }
        fault = ring_set(ring, key, equals + 1, cmd->pool);
        if (fault) {
            return fault == unknown_key
                       ? apr_psprintf(cmd->pool, "StekRing: unknown key '%s'%s: %s", key,
                                      nearest_key(key, cmd->pool), fault)
                       : apr_psprintf(cmd->pool, "StekRing: %s %s", key, fault);
        }
    }
    return NULL;
}

static const char *cmd_use_ring(cmd_parms *cmd, void *dir, const char *name)
{
    const char *fault = ring_name_fault(name, cmd->pool);

    (void)dir;
    if (fault) {
        return apr_pstrcat(cmd->pool, "StekUseRing: ", fault, NULL);
    }
    server_config(cmd)->ring_name = name;
    server_config(cmd)->ring_name_at = cmd->directive;
    return NULL;
}

static const char *cmd_rotate(cmd_parms *cmd, void *dir, const char *value)
{
    const char *fault = set_on_off(value, &server_config(cmd)->rotate, cmd->pool);

    (void)dir;
    return fault ? apr_pstrcat(cmd->pool, "StekRotate: ", fault, NULL) : NULL;
}

static const char *cmd_ticket_lifetime(cmd_parms *cmd, void *dir, const char *value)
{
    const char *fault = set_span(value, apr_time_from_sec(1), STEK_TIME_MAX,
                                 &server_config(cmd)->ticket_lifetime, cmd->pool);

    (void)dir;
    server_config(cmd)->ticket_lifetime_at = cmd->directive;
    return fault ? apr_pstrcat(cmd->pool, "StekTicketLifetime: ", fault, NULL) : NULL;
}

static const char *cmd_binding(cmd_parms *cmd, void *dir, const char *value)
{
    (void)dir;
    if (strcasecmp(value, "policy") != 0 && strcasecmp(value, "off") != 0) {
        return apr_psprintf(cmd->pool, "StekBinding: '%s': must be 'policy' or 'off'", value);
    }
    server_config(cmd)->binding = strcasecmp(value, "policy") == 0;
    return NULL;
}

static const char *cmd_max_session_age(cmd_parms *cmd, void *dir, const char *value)
{
    mod_stek_server_t *config = server_config(cmd);
    const char *fault;

    (void)dir;
    if (strcasecmp(value, "off") == 0) {
        config->max_session_age = 0;
        return NULL;
    }
    fault = set_span(value, apr_time_from_sec(1), MAX_SESSION_AGE_MAX, &config->max_session_age,
                     cmd->pool);
    return fault ? apr_pstrcat(cmd->pool, "StekMaxSessionAge: ", fault, ", or 'off'", NULL) : NULL;
}

/* Has httpd execute `SSLOpenSSLConfCmd args` next, as if it followed this directive:
 * so it shows in the dump of the configuration too. */
static void emit_conf_cmd(cmd_parms *cmd, const char *args)
{
    ap_directive_t *here = (ap_directive_t *)cmd->directive;
    ap_directive_t *node = apr_pcalloc(cmd->pool, sizeof(*node));

    node->directive = "SSLOpenSSLConfCmd";
    node->args = args;
    node->filename = here->filename;
    node->line_num = here->line_num;
    node->parent = here->parent;
    node->next = here->next;
    here->next = node;
}

/* Its words, and what OpenSSL is told; in the order of MOD_STEK_TICKETS_*.  Each differs from the
 * others, and so keeps a connection to a virtual host with another value from serving this one. */
static const struct {
    const char *word, *options;
} tickets_values[] = {
    {"off", "Options -SessionTicket"},
    {"on", "Options SessionTicket"},
    {"tls1.3", "Options SessionTicket,-AllowNoDHEKEX"},
};

static const char *cmd_tickets(cmd_parms *cmd, void *dir, const char *value)
{
    mod_stek_server_t *config = server_config(cmd);
    const char *words[MOD_STEK_TICKETS_TLS13 + 1];
    int i, previous = config->tickets;

    (void)dir;
    for (i = 0; i <= MOD_STEK_TICKETS_TLS13; i++) {
        words[i] = tickets_values[i].word;
    }
    i = 0;
    while (i <= MOD_STEK_TICKETS_TLS13 && strcasecmp(value, tickets_values[i].word) != 0) {
        i++;
    }
    if (i > MOD_STEK_TICKETS_TLS13) {
        return apr_psprintf(cmd->pool, "StekTickets: '%s'%s: must be 'on', 'off' or 'tls1.3'",
                            value,
                            did_you_mean(value, words, MOD_STEK_TICKETS_TLS13 + 1, cmd->pool));
    }
    config->tickets = i;
    if (i != previous && mod_stek_have_ssl()) {
        emit_conf_cmd(cmd, tickets_values[i].options);
        config->tickets_said = apr_pstrcat(cmd->pool, config->tickets_said, tickets_values[i].word,
                                           ";", NULL);
    }
    return NULL;
}

/* Sets resumed=NUMBER or max=NUMBER; NULL, or the fault. */
static const char *count_set(mod_stek_ticket_count_t *count, const char *arg, apr_pool_t *pool)
{
    static const char *const keys[] = {"resumed", "max"};
    int is_max = strncmp(arg, "max=", 4) == 0, *pnumber = is_max ? &count->max : &count->resumed;
    const char *fault;

    if (!is_max && strncmp(arg, "resumed=", 8) != 0) {
        return apr_psprintf(
            pool, "'%s'%s: must be resumed=NUMBER or max=NUMBER, without spaces", arg,
            did_you_mean(apr_pstrmemdup(pool, arg, strcspn(arg, "=")), keys, 2, pool));
    }
    if (*pnumber != MOD_STEK_UNSET) {
        return apr_psprintf(pool, "%s is given twice", is_max ? "max" : "resumed");
    }
    fault = set_number(strchr(arg, '=') + 1, "tickets", MOD_STEK_TICKETS_MAX, pnumber, pool);
    return fault ? apr_pstrcat(pool, is_max ? "max " : "resumed ", fault, NULL) : NULL;
}

static const char *cmd_ticket_count(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    mod_stek_ticket_count_t *count = apr_pcalloc(cmd->pool, sizeof(*count));
    const char *fault;
    int i, most;

    (void)dir;
    if (argc < 1) {
        return "StekTicketCount: missing number; use StekTicketCount NUMBER [resumed=NUMBER] "
               "[max=NUMBER]";
    }
    count->resumed = count->max = MOD_STEK_UNSET;
    fault = set_number(argv[0], "tickets", MOD_STEK_TICKETS_MAX, &count->full, cmd->pool);
    for (i = 1; i < argc && !fault; i++) {
        fault = count_set(count, argv[i], cmd->pool);
    }
    if (fault) {
        return apr_pstrcat(cmd->pool, "StekTicketCount: ", fault, NULL);
    }
    if (count->resumed == MOD_STEK_UNSET) {
        count->resumed = count->full > 0;
    }
    most = count->resumed > count->full ? count->resumed : count->full;
    if (count->max == MOD_STEK_UNSET) {
        count->max = most;
    }
    if (count->max != 0 && count->max < most) {
        return apr_psprintf(cmd->pool,
                            "StekTicketCount: max '%d': must be at least %d, the number that "
                            "clients get without asking; or 0, to ignore what they ask for",
                            count->max, most);
    }
    server_config(cmd)->ticket_count = count;
    return NULL;
}

/* httpd's own words for a directive that no module has: a name that mod_ssl, as it is loaded and
 * built here, does not have must not become valid because we list it. */
static const char *without_ssl(cmd_parms *cmd)
{
    return mod_stek_ssl_has(cmd->cmd->name)
               ? NULL
               : apr_pstrcat(
                   cmd->pool, "Invalid command '", cmd->cmd->name,
                   "', perhaps misspelled or defined by a module not included in the server "
                   "configuration",
                   NULL);
}

static const char *note_ticket_key_file(cmd_parms *cmd, void *dir, const char *value)
{
    (void)dir;
    server_config(cmd)->ticket_key_file = value;
    return without_ssl(cmd);
}

static const char *note_session_tickets(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    server_config(cmd)->ssl_tickets = flag != 0;
    return without_ssl(cmd);
}

static const char *note_cache_timeout(cmd_parms *cmd, void *dir, const char *value)
{
    apr_int64_t timeout_s = apr_atoi64(value);

    (void)dir;
    /* A value out of range is mod_ssl's to refuse. */
    server_config(cmd)->cache_timeout = apr_time_from_sec(
        timeout_s > 0 && timeout_s <= APR_INT32_MAX ? timeout_s : 1);
    return without_ssl(cmd);
}

/* Whether TLS 1.3 may resume without a key exchange; not what StekTickets itself says of it. */
static void note_options(cmd_parms *cmd, const char *args)
{
    char *options, *option, *last;

    if (strcmp(args, tickets_values[MOD_STEK_TICKETS_TLS13].options) == 0
        || strcasecmp(ap_getword_conf(cmd->pool, &args), "Options") != 0) {
        return;
    }
    options = ap_getword_conf(cmd->pool, &args);
    for (option = apr_strtok(options, ", ", &last); option;
         option = apr_strtok(NULL, ", ", &last)) {
        if (strcasecmp(option + strspn(option, "+-"), "AllowNoDHEKEX") == 0) {
            server_config(cmd)->allows_no_kex = *option != '-';
        }
    }
}

static const char *note_policy(cmd_parms *cmd, void *dir, const char *args)
{
    (void)dir;
    if (cmd->info == &mod_stek_client_directives[MOD_STEK_DIRECTIVE_SSLOpenSSLConfCmd]) {
        note_options(cmd, args);
    }
    mod_stek_policy_add(server_config(cmd)->policy, cmd, args);
    return without_ssl(cmd);
}

#define NOTED "a directive of mod_ssl; mod_stek_rotate only reads its value"

const command_rec mod_stek_commands[] = {
    AP_INIT_TAKE_ARGV("StekRing", cmd_ring, NULL, RSRC_CONF,
                      "a ring's name, then any of file=PATH|memory secret=PATH interval=1h "
                      "lifetime=18h ahead=1 generate=on|off poll=5s; times in s, min, h, d"),
    AP_INIT_TAKE1("StekUseRing", cmd_use_ring, NULL, RSRC_CONF,
                  "the ring that serves this virtual host; default: default"),
    AP_INIT_TAKE1("StekRotate", cmd_rotate, NULL, RSRC_CONF,
                  "'on' (default); 'off' leaves this virtual host's tickets to mod_ssl"),
    AP_INIT_TAKE1("StekTicketLifetime", cmd_ticket_lifetime, NULL, RSRC_CONF,
                  "life of a ticket in s, min, h or d; default: the ring's lifetime, with client "
                  "certificates SSLSessionCacheTimeout"),
    AP_INIT_TAKE1("StekTickets", cmd_tickets, NULL, RSRC_CONF,
                  "'off': no tickets and no resumable sessions; 'tls1.3': none in TLS 1.2; 'on': "
                  "undoes an inherited value"),
    AP_INIT_TAKE_ARGV("StekTicketCount", cmd_ticket_count, NULL, RSRC_CONF,
                      "tickets after a full handshake in TLS 1.3, 0 to 16, then any of resumed=N, "
                      "after a resumed one, and max=N, for clients that ask; default: 2 resumed=1"),
    AP_INIT_TAKE1("StekBinding", cmd_binding, NULL, RSRC_CONF,
                  "'policy' (default): a ticket opens only where the same is demanded of clients; "
                  "or 'off'"),
    AP_INIT_TAKE1(
        "StekMaxSessionAge", cmd_max_session_age, NULL, RSRC_CONF,
        "a full handshake at least this often, in s, min, h or d, or 'off'; default: 24h, or the "
        "life of a ticket if longer; with client certificates SSLSessionCacheTimeout"),
    /* mod_ssl's, noted: it is mod_ssl that carries them out. */
    AP_INIT_TAKE1("SSLSessionTicketKeyFile", note_ticket_key_file, NULL, RSRC_CONF, NOTED),
    AP_INIT_FLAG("SSLSessionTickets", note_session_tickets, NULL, RSRC_CONF, NOTED),
    AP_INIT_TAKE1("SSLSessionCacheTimeout", note_cache_timeout, NULL, RSRC_CONF, NOTED),
#define MOD_STEK_DIRECTIVE(directive, kind, where)                                                 \
    AP_INIT_RAW_ARGS(#directive, note_policy,                                                      \
                     (void *)&mod_stek_client_directives[MOD_STEK_DIRECTIVE_##directive], where,   \
                     NOTED),
    MOD_STEK_CLIENT_DIRECTIVES(MOD_STEK_DIRECTIVE)
#undef MOD_STEK_DIRECTIVE
        {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};
