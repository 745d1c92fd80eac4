/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd's part for a program that links all of the module's glue: a main server with one TLS
 * virtual host, directives through the module's own table, a log that remembers the last message,
 * and time that the program sets.  Included once.
 */
#ifndef HTTPD_PART_H
#define HTTPD_PART_H

/* httpd itself ends where there is no memory for what is retained. */
#define calloc __real_calloc
#include "../unit/httpd_stub.h"
#undef calloc

#include "ap_listen.h"
#include "http_ssl.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "unixd.h"
#include <apr_lib.h>
#include <apr_strings.h>
#include <strings.h>

#include "mod_stek_config.h"
#include "mod_stek_directives.h"
#include "mod_stek_vhost.h"

module AP_MODULE_DECLARE_DATA stek_rotate_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, mod_stek_server_create, mod_stek_server_merge,
    mod_stek_commands,       NULL, 0};
unixd_config_rec ap_unixd_config;
ap_listen_rec *ap_listeners;

static apr_time_t part_now;
static char part_log[512]; /* the last message at warn or above */
static int part_troubles;

apr_time_t __wrap_apr_time_now(void);

apr_time_t __wrap_apr_time_now(void)
{
    return part_now;
}

AP_DECLARE(void)
ap_log_error_(const char *file, int line, int module_index, int level, apr_status_t rv,
              const server_rec *s, const char *format, ...)
{
    va_list args;

    (void)file;
    (void)line;
    (void)module_index;
    (void)rv;
    (void)s;
    /* Where the test's directory lies is not its concern. */
    if ((level & APLOG_LEVELMASK) <= APLOG_WARNING && strncmp(format, "STEK2010", 8) != 0) {
        va_start(args, format);
        apr_vsnprintf(part_log, sizeof(part_log), format, args);
        va_end(args);
        part_troubles++;
    }
}

static module part_ssl = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, NULL, 0};

AP_DECLARE(module *) ap_find_linked_module(const char *name)
{
    return strcmp(name, "mod_ssl.c") == 0 ? &part_ssl : NULL;
}

AP_DECLARE(const command_rec *) ap_find_command(const char *name, const command_rec *commands)
{
    /* mod_ssl has all that ours has of its names. */
    commands = mod_stek_commands;
    while (commands->name && strcasecmp(commands->name, name) != 0) {
        commands++;
    }
    return commands->name ? commands : NULL;
}

AP_DECLARE(const char *) ap_check_cmd_context(cmd_parms *cmd, unsigned forbidden)
{
    (void)cmd;
    (void)forbidden;
    return NULL;
}

AP_DECLARE(char *) ap_getword_conf(apr_pool_t *p, const char **line)
{
    const char *at = *line + strspn(*line, " "), *end = at + strcspn(at, " ");

    *line = end + strspn(end, " ");
    return apr_pstrmemdup(p, at, (apr_size_t)(end - at));
}

AP_DECLARE(const char *)
ap_ssl_var_lookup(apr_pool_t *p, server_rec *s, conn_rec *c, request_rec *r, const char *name)
{
    (void)p;
    (void)s;
    (void)c;
    (void)r;
    return strcmp(name, "SSL_CLIENT_VERIFY") == 0 ? "SUCCESS" : NULL;
}

AP_DECLARE(char *) ap_server_root_relative(apr_pool_t *p, const char *path)
{
    return apr_pstrdup(p, path);
}

AP_DECLARE(char *) ap_runtime_dir_relative(apr_pool_t *p, const char *path)
{
    return apr_pstrdup(p, path);
}

AP_DECLARE(void) ap_str_tolower(char *text)
{
    for (; *text; text++) {
        *text = apr_tolower(*text);
    }
}

AP_DECLARE(int) ap_exists_config_define(const char *name)
{
    (void)name;
    return 0;
}

AP_DECLARE(int) ap_state_query(int query)
{
    return query == AP_SQ_MAIN_STATE ? AP_SQ_MS_CREATE_CONFIG : 1;
}

AP_DECLARE(int) ap_array_str_contains(const apr_array_header_t *array, const char *text)
{
    (void)array;
    (void)text;
    return 0;
}

/* One directive, "Name args", into the server's configuration. */
static void part_directive(server_rec *s, const char *line, apr_pool_t *p)
{
    ap_directive_t here = {0};
    cmd_parms cmd = {0};
    const char *rest = line, *words[16];
    int n = 0;

    cmd.cmd = ap_find_command(ap_getword_conf(p, &rest), mod_stek_commands);
    cmd.info = cmd.cmd->cmd_data;
    cmd.pool = p;
    cmd.server = s;
    cmd.directive = &here;
    if (cmd.cmd->args_how == RAW_ARGS) {
        (void)cmd.cmd->AP_RAW_ARGS(&cmd, NULL, rest);
        return;
    }
    while (*rest && n < 16) {
        words[n++] = ap_getword_conf(p, &rest);
    }
    if (cmd.cmd->args_how == TAKE_ARGV) {
        (void)cmd.cmd->AP_TAKE_ARGV(&cmd, NULL, n, (char *const *)words);
    }
    else {
        (void)cmd.cmd->AP_TAKE1(&cmd, NULL, words[0]);
    }
}

static server_rec *part_server(apr_pool_t *p)
{
    server_rec *s = apr_pcalloc(p, sizeof(*s));
    server_addr_rec *addr = apr_pcalloc(p, sizeof(*addr));

    stek_rotate_module.module_index = 1;
    s->module_config = apr_pcalloc(p, 64 * sizeof(void *));
    s->server_hostname = (char *)"a.test";
    s->log.level = APLOG_INFO;
    addr->host_port = 443;
    s->addrs = addr;
    ap_set_module_config(s->module_config, &stek_rotate_module, mod_stek_server_create(p, s));
    return s;
}

#endif
