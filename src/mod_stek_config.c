/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives of mod_stek_rotate, and those of mod_ssl that it has to know about.  Glue.
 *
 * httpd calls every module that lists a directive's name, so the table below names some of
 * mod_ssl's directives: their values are noted here, mod_ssl still handles them.  Runs in the
 * parent while the configuration is read; a fault in a directive fails `configtest`, the state of
 * files never does.
 */
#include "mod_stek_config.h"
#include "mod_stek_log.h"

#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"
#include "apr_lib.h"
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "stek_ring_file.h"
#include "stek_time.h"

APLOG_USE_MODULE(stek_rotate);

#define RING_NAME_MAX 64
#define POLL_MIN apr_time_from_sec(1)
#define POLL_MAX apr_time_from_sec(3600)
#define POLL_DEFAULT apr_time_from_sec(5)
#define MAX_SESSION_AGE_MAX apr_time_from_sec(365 * 24 * 3600)
#define MAX_SESSION_AGE_DEFAULT apr_time_from_sec(24 * 3600)
#define CACHE_TIMEOUT_DEFAULT apr_time_from_sec(300) /* mod_ssl's */
#define DEFAULT_RING "default"

/* Rings of the configuration being read or in force; in pconf, made anew by pre_config. */
static apr_array_header_t *rings;

int mod_stek_have_ssl(void)
{
    return ap_find_linked_module("mod_ssl.c") != NULL;
}

const mod_stek_server_t *mod_stek_server_get(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &stek_rotate_module);
}

static mod_stek_server_t *server_config(cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config, &stek_rotate_module);
}

void *mod_stek_server_create(apr_pool_t *p, server_rec *s)
{
    mod_stek_server_t *config = apr_pcalloc(p, sizeof(*config));

    (void)s;
#define MOD_STEK_FIELD(type, member, unset) config->member = unset;
    MOD_STEK_SERVER_FIELDS(MOD_STEK_FIELD)
#undef MOD_STEK_FIELD
    config->policy = mod_stek_policy_create(p);
    return config;
}

void *mod_stek_server_merge(apr_pool_t *p, void *basev, void *addv)
{
    const mod_stek_server_t *base = basev, *add = addv;
    mod_stek_server_t *config = apr_pcalloc(p, sizeof(*config));

#define MOD_STEK_FIELD(type, member, unset)                                                        \
    config->member = add->member != (type)unset ? add->member : base->member;
    MOD_STEK_SERVER_FIELDS(MOD_STEK_FIELD)
#undef MOD_STEK_FIELD
    config->policy = mod_stek_policy_merge(p, base->policy, add->policy);
    return config;
}

mod_stek_ring_t *const *mod_stek_rings(int *n)
{
    *n = rings ? rings->nelts : 0;
    return rings ? (mod_stek_ring_t *const *)rings->elts : NULL;
}

static mod_stek_ring_t *ring_find(const char *name)
{
    int i, n;
    mod_stek_ring_t *const *all = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}

static mod_stek_ring_t *ring_define(const char *name)
{
    const stek_params_t params = STEK_PARAMS_DEFAULT;
    mod_stek_ring_t *ring = apr_pcalloc(rings->pool, sizeof(*ring));

    ring->name = name;
    /* Resolved in check_config: DefaultRuntimeDir may be set further down. */
    ring->path = apr_pstrcat(rings->pool, "stek_rotate/", name, ".ring", NULL);
    ring->secret_is_default = 1;
    ring->params = params;
    ring->generate = 1;
    ring->poll = POLL_DEFAULT;
    APR_ARRAY_PUSH(rings, mod_stek_ring_t *) = ring;
    return ring;
}

int mod_stek_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    rings = apr_array_make(pconf, 4, sizeof(mod_stek_ring_t *));
    ring_define(DEFAULT_RING);
    mod_stek_policy_reset(pconf);
    return OK;
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
                            "not beginning with '.'",
                            name, RING_NAME_MAX);
    }
    return NULL;
}

static const char *set_span(const char *value, apr_interval_time_t min, apr_interval_time_t max,
                            apr_interval_time_t *pspan, apr_pool_t *pool)
{
    apr_interval_time_t span;

    if (stek_time_parse(value, &span) != APR_SUCCESS) {
        return apr_psprintf(pool,
                            "'%s': must be a number with a unit (s, min, h or d), "
                            "such as 90s or 1h",
                            value);
    }
    if (span < min || span > max) {
        return apr_psprintf(pool, "'%s': must be between %s and %s", value,
                            stek_time_text(min, pool), stek_time_text(max, pool));
    }
    *pspan = span;
    return NULL;
}

static const char *set_ahead(const char *value, int *pahead, apr_pool_t *pool)
{
    apr_size_t digits_n = strspn(value, "0123456789");
    apr_int64_t ahead = apr_atoi64(value);

    if (digits_n == 0 || value[digits_n] != '\0' || ahead > STEK_KEYS_MAX) {
        return apr_psprintf(pool, "'%s': must be a number of slots between 0 and %d", value,
                            STEK_KEYS_MAX);
    }
    *pahead = (int)ahead;
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

/* Sets one key=value of StekRing; NULL, or the fault without its "key " in front. */
static const char *ring_set(mod_stek_ring_t *ring, const char *key, const char *value,
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
        return set_span(value, apr_time_from_sec(1), STEK_TIME_MAX, &ring->params.interval, pool);
    }
    if (strcmp(key, "lifetime") == 0) {
        return set_span(value, apr_time_from_sec(1), STEK_TIME_MAX, &ring->params.lifetime, pool);
    }
    if (strcmp(key, "ahead") == 0) {
        return set_ahead(value, &ring->params.ahead, pool);
    }
    if (strcmp(key, "generate") == 0) {
        return set_on_off(value, &ring->generate, pool);
    }
    if (strcmp(key, "poll") == 0) {
        return set_span(value, POLL_MIN, POLL_MAX, &ring->poll, pool);
    }
    return "unknown key: must be one of file, secret, interval, lifetime, ahead, generate, poll";
}

/* Nonzero if one of n arguments begins as prefix does. */
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
    mod_stek_ring_t *ring;
    int i;

    (void)dir;
    if (fault) {
        return fault;
    }
    if (argc < 1) {
        return "StekRing: needs a ring's name, then key=value pairs";
    }
    fault = ring_name_fault(argv[0], cmd->pool);
    if (fault) {
        return apr_pstrcat(cmd->pool, "StekRing: ", fault, NULL);
    }
    ring = ring_find(argv[0]);
    if (!ring) {
        ring = ring_define(apr_pstrdup(cmd->pool, argv[0]));
    }
    for (i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        const char *key;

        if (!equals) {
            return apr_psprintf(cmd->pool, "StekRing: '%s': must be key=value, such as interval=1h",
                                argv[i]);
        }
        key = apr_pstrmemdup(cmd->pool, argv[i], (apr_size_t)(equals - argv[i]));
        if (is_given(argv + 1, i - 1, argv[i], (apr_size_t)(equals - argv[i]) + 1)) {
            return apr_psprintf(cmd->pool, "StekRing: %s is given twice", key);
        }
        fault = ring_set(ring, key, equals + 1, cmd->pool);
        if (fault) {
            return apr_psprintf(cmd->pool, "StekRing: %s %s", key, fault);
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

/* Has httpd execute `SSLOpenSSLConfCmd args` next, as if it stood below the directive at hand:
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

static const char *cmd_tickets(cmd_parms *cmd, void *dir, const char *value)
{
    mod_stek_server_t *config = server_config(cmd);
    int former = config->tickets;
    const char *fault = set_on_off(value, &config->tickets, cmd->pool);

    (void)dir;
    if (fault) {
        return apr_pstrcat(cmd->pool, "StekTickets: ", fault, NULL);
    }
    if (config->tickets != former && mod_stek_have_ssl()) {
        emit_conf_cmd(cmd, config->tickets ? "Options SessionTicket" : "Options -SessionTicket");
    }
    return NULL;
}

/* httpd's own words for a directive that no module has: a name that mod_ssl, as it is loaded and
 * built here, does not have must not become valid because we list it. */
static const char *without_ssl(cmd_parms *cmd)
{
    const module *ssl = ap_find_linked_module("mod_ssl.c");

    return ssl && ap_find_command(cmd->cmd->name, ssl->cmds)
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

static const char *note_policy(cmd_parms *cmd, void *dir, const char *args)
{
    (void)dir;
    mod_stek_policy_note(server_config(cmd)->policy, cmd, args);
    return without_ssl(cmd);
}

#define NOTED "mod_ssl's; mod_stek_rotate only takes note of it"

const command_rec mod_stek_commands[] = {
    AP_INIT_TAKE_ARGV("StekRing", cmd_ring, NULL, RSRC_CONF,
                      "a ring's name, then any of file=PATH|memory secret=PATH interval=1h "
                      "lifetime=18h ahead=1 generate=on|off poll=5s; times in s, min, h, d"),
    AP_INIT_TAKE1("StekUseRing", cmd_use_ring, NULL, RSRC_CONF,
                  "the ring that serves this virtual host; default: default"),
    AP_INIT_TAKE1("StekRotate", cmd_rotate, NULL, RSRC_CONF,
                  "'on' (default) or 'off': leave this virtual host's tickets to mod_ssl"),
    AP_INIT_TAKE1("StekTicketLifetime", cmd_ticket_lifetime, NULL, RSRC_CONF,
                  "life of a ticket in s, min, h or d; default: the ring's lifetime, with client "
                  "certificates SSLSessionCacheTimeout"),
    AP_INIT_TAKE1("StekTickets", cmd_tickets, NULL, RSRC_CONF,
                  "'off': no tickets and no resumable sessions; 'on': undoes an inherited off"),
    AP_INIT_TAKE1("StekBinding", cmd_binding, NULL, RSRC_CONF,
                  "'policy' (default): a ticket opens only where the same is asked of clients; or "
                  "'off'"),
    AP_INIT_TAKE1(
        "StekMaxSessionAge", cmd_max_session_age, NULL, RSRC_CONF,
        "a full handshake at least this often, in s, min, h or d, or 'off'; default: 24h, or the "
        "life of a ticket if longer; with client certificates SSLSessionCacheTimeout"),
    /* mod_ssl's, noted: it is mod_ssl that carries them out. */
    AP_INIT_TAKE1("SSLSessionTicketKeyFile", note_ticket_key_file, NULL, RSRC_CONF, NOTED),
    AP_INIT_FLAG("SSLSessionTickets", note_session_tickets, NULL, RSRC_CONF, NOTED),
    AP_INIT_TAKE1("SSLSessionCacheTimeout", note_cache_timeout, NULL, RSRC_CONF, NOTED),
#define MOD_STEK_NOTE(directive, kind, where)                                                      \
    AP_INIT_RAW_ARGS(#directive, note_policy, (void *)&mod_stek_notes[MOD_STEK_NOTE_##directive],  \
                     where, NOTED),
    MOD_STEK_NOTES(MOD_STEK_NOTE)
#undef MOD_STEK_NOTE
        {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};

mod_stek_ring_t *mod_stek_server_ring(const server_rec *s)
{
    const char *name = mod_stek_server_get(s)->ring_name;

    return ring_find(name ? name : DEFAULT_RING);
}

int mod_stek_server_rotates(const server_rec *s)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);

    return config->rotate != MOD_STEK_UNSET ? config->rotate : config->ticket_key_file == NULL;
}

static apr_interval_time_t cache_timeout(const mod_stek_server_t *config)
{
    return config->cache_timeout != MOD_STEK_UNSET ? config->cache_timeout : CACHE_TIMEOUT_DEFAULT;
}

mod_stek_limits_t mod_stek_server_limits(const server_rec *s, int client_cert)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    apr_interval_time_t ring_lifetime = mod_stek_server_ring(s)->params.lifetime;
    apr_interval_time_t wanted = config->ticket_lifetime != MOD_STEK_UNSET ? config->ticket_lifetime
                                                                           : ring_lifetime;
    mod_stek_limits_t limits = {ring_lifetime, MAX_SESSION_AGE_DEFAULT};

    if (client_cert || mod_stek_policy_asks_clients(config->policy)) {
        limits.max_age = cache_timeout(config);
        limits.lifetime = limits.max_age < ring_lifetime ? limits.max_age : ring_lifetime;
    }
    else if (wanted > limits.max_age) {
        /* Who wants tickets that live for days wants clients to use them. */
        limits.max_age = wanted;
    }
    if (config->ticket_lifetime != MOD_STEK_UNSET) {
        limits.lifetime = config->ticket_lifetime;
    }
    if (config->max_session_age != MOD_STEK_UNSET) {
        limits.max_age = config->max_session_age;
    }
    return limits;
}

int mod_stek_server_outlives_cache(const server_rec *s)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    mod_stek_limits_t limits = mod_stek_server_limits(s, 1);

    return mod_stek_policy_asks_clients(config->policy)
           && (limits.max_age == 0 || limits.max_age > cache_timeout(config));
}

/* Makes the ring's paths absolute; 0 if one cannot be. */
static int resolve_paths(server_rec *s, mod_stek_ring_t *ring, apr_pool_t *pconf)
{
    const char *fault = NULL, *path = ring->path, *secret_path = ring->secret_path;

    if (path) {
        ring->path = ap_runtime_dir_relative(pconf, path);
        fault = ring->path ? NULL : "file";
    }
    if (ring->secret_is_default) {
        ring->secret_path = ring->path ? stek_secret_path_beside(ring->path, pconf) : NULL;
    }
    else {
        ring->secret_path = ap_runtime_dir_relative(pconf, secret_path);
        fault = ring->secret_path ? fault : "secret";
    }
    if (fault) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "STEK1008: StekRing: ring '%s': %s '%.200s' is not a usable path", ring->name,
                     fault, strcmp(fault, "file") == 0 ? path : secret_path);
    }
    return !fault;
}

static int same_file(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Nonzero if b is the lock of the ring at a. */
static int is_lock(const char *a, const char *b)
{
    size_t len = a ? strlen(a) : 0;

    return a && b && strncmp(a, b, len) == 0 && strcmp(b + len, ".lock") == 0;
}

/* The path of b's that is the lock of a's ring; NULL: none. */
static const char *lock_taken(const mod_stek_ring_t *a, const mod_stek_ring_t *b)
{
    return is_lock(a->path, b->path)          ? b->path
           : is_lock(a->path, b->secret_path) ? b->secret_path
                                              : NULL;
}

/* Nonzero if ring i shares its file with no ring before it, and with no secret.  Two rings may
 * share a secret. */
static int files_differ(server_rec *s, int i)
{
    int j, n;
    mod_stek_ring_t *const *all = mod_stek_rings(&n);
    const mod_stek_ring_t *ring = all[i];

    for (j = 0; j <= i; j++) {
        const char *taken = lock_taken(ring, all[j]);

        taken = taken ? taken : lock_taken(all[j], ring);
        if (taken) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "STEK1011: StekRing: %s is the lock of a ring (rings '%s' and '%s'): name "
                         "another file",
                         taken, all[j]->name, ring->name);
            return 0;
        }
        if (j < i && same_file(ring->path, all[j]->path)) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "STEK1002: StekRing: rings '%s' and '%s' use the same file %s: each ring "
                         "must have its own file",
                         all[j]->name, ring->name, ring->path);
            return 0;
        }
        if (same_file(ring->path, all[j]->secret_path)
            || same_file(all[j]->path, ring->secret_path)) {
            ap_log_error(
                APLOG_MARK, APLOG_EMERG, 0, s,
                "STEK1001: StekRing: %s is a file ring and a secret (rings '%s' and '%s'): "
                "they must be different files",
                same_file(ring->path, all[j]->secret_path) ? ring->path : all[j]->path,
                all[j]->name, ring->name);
            return 0;
        }
    }
    return 1;
}

static int rings_valid(server_rec *s, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    int i, n, valid = 1;
    mod_stek_ring_t *const *all = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        const char *fault = stek_schedule_check(&all[i]->params, ptemp);

        if (fault) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "STEK1003: StekRing: ring '%s': %s",
                         all[i]->name, fault);
            valid = 0;
        }
        if (!all[i]->path && !all[i]->generate) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "STEK1007: StekRing: ring '%s': generate=off needs a file: nothing else "
                         "can write file=memory",
                         all[i]->name);
            valid = 0;
        }
        valid = resolve_paths(s, all[i], pconf) && valid;
    }
    for (i = 0; valid && i < n; i++) {
        valid = files_differ(s, i);
    }
    return valid;
}

static int server_valid(const server_rec *s, apr_pool_t *ptemp)
{
    const mod_stek_server_t *config = mod_stek_server_get(s);
    const mod_stek_ring_t *ring = mod_stek_server_ring(s);

    if (!ring) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "STEK1004: StekUseRing: ring '%s' of %s is not defined: write 'StekRing %s' "
                     "in the main server's configuration",
                     config->ring_name, mod_stek_server_text(s, ptemp), config->ring_name);
        return 0;
    }
    if (config->ticket_lifetime > ring->params.lifetime) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "STEK1005: StekTicketLifetime: '%s' of %s: must be at most the lifetime of "
                     "its ring '%s', %s",
                     stek_time_text(config->ticket_lifetime, ptemp), mod_stek_server_text(s, ptemp),
                     ring->name, stek_time_text(ring->params.lifetime, ptemp));
        return 0;
    }
    return 1;
}

int mod_stek_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    int valid;

    (void)plog;
    if (OpenSSL_version_num() < 0x30000000UL) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "STEK1006: mod_stek_rotate needs OpenSSL 3.0 or later, found %s",
                     OpenSSL_version(OPENSSL_VERSION));
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    valid = rings_valid(s, pconf, ptemp);
    for (; s; s = s->next) {
        valid = server_valid(s, ptemp) && valid;
    }
    return valid ? OK : HTTP_INTERNAL_SERVER_ERROR;
}
