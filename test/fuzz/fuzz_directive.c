/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration: lines of directives through the module's own command table, then what
 * check_config finds between them, then each server's limits and policy digest.  "<VirtualHost"
 * begins a virtual host, "<Location" a section in it, "</" ends either; behind a line of "---"
 * stands what every file and directory that a directive names holds.  httpd's part is played here;
 * files come from the input, by --wrap.
 */
#include "fuzz.h"

#include "ap_listen.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "unixd.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mod_stek_config_check.h"
#include "mod_stek_config.h"
#include "mod_stek_directives.h"
#include "mod_stek_limits.h"
#include "mod_stek_retained.h"
#include "mod_stek_reach.h"
#include "mod_stek_trust_watch.h"
#include "mod_stek_vhost.h"

#define LINES_MAX 64
#define SERVERS_MAX 8

module AP_MODULE_DECLARE_DATA stek_rotate_module;
ap_listen_rec *ap_listeners;
unixd_config_rec ap_unixd_config;

static const uint8_t *file_bytes;
static size_t file_len;

/* ---- httpd ---- */

static const command_rec ssl_commands[] = {
#define MOD_STEK_DIRECTIVE(directive, kind, where)                                                 \
    AP_INIT_RAW_ARGS(#directive, NULL, NULL, where, ""),
    MOD_STEK_CLIENT_DIRECTIVES(MOD_STEK_DIRECTIVE)
#undef MOD_STEK_DIRECTIVE
        {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};

static module ssl_module = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, ssl_commands, NULL, 0};

AP_DECLARE(module *) ap_find_linked_module(const char *name)
{
    return strcmp(name, "mod_ssl.c") == 0 ? &ssl_module : NULL;
}

AP_DECLARE(const command_rec *) ap_find_command(const char *name, const command_rec *commands)
{
    while (commands->name && strcasecmp(commands->name, name) != 0) {
        commands++;
    }
    return commands->name ? commands : NULL;
}

AP_DECLARE(const char *) ap_check_cmd_context(cmd_parms *cmd, unsigned forbidden)
{
    return (forbidden & NOT_IN_VIRTUALHOST) && cmd->server->is_virtual ? "not here" : NULL;
}

/* The next word: quoted, or up to a blank. */
AP_DECLARE(char *) ap_getword_conf(apr_pool_t *p, const char **line)
{
    const char *at = *line, *end;
    char *word;

    at += strspn(at, " \t");
    if (*at == '"' && strchr(at + 1, '"')) {
        end = strchr(++at, '"');
        word = apr_pstrmemdup(p, at, (apr_size_t)(end - at));
        end++;
    }
    else {
        end = at + strcspn(at, " \t");
        word = apr_pstrmemdup(p, at, (apr_size_t)(end - at));
    }
    *line = end + strspn(end, " \t");
    return word;
}

/* httpd's paths: those with a NUL or too many ".." are none. */
static char *relative(apr_pool_t *p, const char *root, const char *path)
{
    char *whole = NULL;
    apr_status_t rv = apr_filepath_merge(&whole, root, path, APR_FILEPATH_TRUENAME, p);

    return rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv) ? whole
                                                                                      : NULL;
}

AP_DECLARE(char *) ap_server_root_relative(apr_pool_t *p, const char *path)
{
    return relative(p, "/nowhere", path);
}

AP_DECLARE(char *) ap_runtime_dir_relative(apr_pool_t *p, const char *path)
{
    return relative(p, "/nowhere/run", path);
}

AP_DECLARE(void) ap_str_tolower(char *text)
{
    for (; *text; text++) {
        *text = apr_tolower(*text);
    }
}

AP_DECLARE(void)
ap_log_error_(const char *file, int line, int module_index, int level, apr_status_t rv,
              const server_rec *s, const char *format, ...)
{
    va_list args;

    (void)file;
    (void)line;
    (void)module_index;
    (void)level;
    (void)rv;
    (void)s;
    va_start(args, format);
    HOLDS(apr_pvsprintf(fuzz_pool(), format, args));
    va_end(args);
}

/* ---- what outlives a reload: SSLVHostSNIPolicy; each input is an httpd of its own ---- */

static char retained[64];

void *mod_stek_retained(const char *what, int layout, apr_size_t size, apr_size_t reach)
{
    (void)what;
    (void)layout;
    (void)reach;
    HOLDS(size <= sizeof(retained));
    return retained;
}

/* ---- virtual hosts that mod_ssl has made ready: none, before post_config ---- */

mod_stek_vhost_t *const *mod_stek_vhosts(int *n)
{
    *n = 0;
    return NULL;
}

/* ---- files ---- */

int ap_state_query(int query)
{
    (void)query;
    return AP_SQ_NOT_SUPPORTED;
}

char *__wrap_realpath(const char *path, char *real);
apr_status_t __wrap_apr_stat(apr_finfo_t *finfo, const char *path, apr_int32_t wanted,
                             apr_pool_t *pool);
apr_status_t __wrap_apr_dir_open(apr_dir_t **dir, const char *path, apr_pool_t *pool);
apr_status_t __wrap_apr_dir_read(apr_finfo_t *finfo, apr_int32_t wanted, apr_dir_t *dir);
apr_status_t __wrap_apr_dir_close(apr_dir_t *dir);

char *__wrap_realpath(const char *path, char *real)
{
    return real ? NULL : strdup(path);
}

void mod_stek_reach_reset(void)
{
}

apr_status_t mod_stek_reach_check(const char *path, int readable, const char **pculprit,
                                  apr_pool_t *pool)
{
    (void)readable;
    (void)pool;
    *pculprit = path;
    return strstr(path, "shut") ? APR_EACCES : APR_SUCCESS;
}

/* In a directory, OpenSSL goes on to the next number until there is no such file. */
static int is_there(const char *path)
{
    const char *last = strrchr(path, '.');

    return !last || last[1 + (last[1] == 'r')] <= '2';
}

apr_status_t mod_stek_reach_stat(const char *path, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    return is_there(path) ? APR_SUCCESS : APR_FROM_OS_ERROR(ENOENT);
}

/* A file in memory of what stands behind the configuration. */
apr_status_t mod_stek_reach_open(const char *path, int *pfd)
{
    int fd = is_there(path) ? memfd_create("fuzz", MFD_CLOEXEC) : -1;

    if (fd < 0) {
        return APR_FROM_OS_ERROR(ENOENT);
    }
    HOLDS(write(fd, file_bytes ? file_bytes : (const uint8_t *)"", file_len) == (ssize_t)file_len
          && lseek(fd, 0, SEEK_SET) == 0);
    *pfd = fd;
    return APR_SUCCESS;
}

apr_status_t __wrap_apr_stat(apr_finfo_t *finfo, const char *path, apr_int32_t wanted,
                             apr_pool_t *pool)
{
    (void)wanted;
    (void)pool;
    finfo->filetype = strstr(path, "dir") ? APR_DIR : APR_REG;
    return strstr(path, "none") ? APR_ENOENT : APR_SUCCESS;
}

static int dir_at;

apr_status_t __wrap_apr_dir_open(apr_dir_t **dir, const char *path, apr_pool_t *pool)
{
    (void)pool;
    dir_at = 0;
    *dir = NULL;
    return strstr(path, "shut") ? APR_EACCES : APR_SUCCESS;
}

apr_status_t __wrap_apr_dir_read(apr_finfo_t *finfo, apr_int32_t wanted, apr_dir_t *dir)
{
    static const char *const names[] = {".", "README", "0a1b2c3d.0", "0a1b2c3d.r0", "0a1b2c3d.x"};

    (void)wanted;
    (void)dir;
    finfo->name = names[dir_at];
    return (size_t)dir_at++ < sizeof(names) / sizeof(names[0]) - 1 ? APR_SUCCESS : APR_ENOENT;
}

apr_status_t __wrap_apr_dir_close(apr_dir_t *dir)
{
    (void)dir;
    return APR_SUCCESS;
}

/* ---- the configuration ---- */

typedef struct conf_t {
    apr_pool_t *pool;
    server_rec *servers[SERVERS_MAX];
    int server_n;
    server_rec *server;
    ap_directive_t *section;
} conf_t;

static server_rec *add_server(conf_t *conf, const char *name)
{
    server_rec *s = apr_pcalloc(conf->pool, sizeof(*s));
    server_addr_rec *addr = apr_pcalloc(conf->pool, sizeof(*addr));

    stek_rotate_module.module_index = 1;
    s->module_config = apr_pcalloc(conf->pool, 64 * sizeof(void *));
    s->is_virtual = conf->server_n > 0;
    s->server_hostname = apr_pstrdup(conf->pool, name);
    addr->host_port = (apr_port_t)(443 + conf->server_n % 3);
    addr->virthost = "*";
    s->addrs = addr;
    ap_set_module_config(s->module_config, &stek_rotate_module,
                         mod_stek_server_create(conf->pool, s));
    conf->servers[conf->server_n++] = s;
    return s;
}

/* Words of one directive, by the way in which the table wants them. */
static void call(cmd_parms *cmd, const char *args)
{
    const command_rec *rec = cmd->cmd;
    char *words[LINES_MAX];
    const char *rest = args;
    int n = 0;

    if (rec->args_how == RAW_ARGS) {
        (void)rec->AP_RAW_ARGS(cmd, NULL, args);
        return;
    }
    while (*rest && n < LINES_MAX) {
        words[n++] = ap_getword_conf(cmd->pool, &rest);
    }
    if (rec->args_how == TAKE_ARGV) {
        (void)rec->AP_TAKE_ARGV(cmd, NULL, n, words);
    }
    else if (n == 1 && rec->args_how == TAKE1) {
        (void)rec->AP_TAKE1(cmd, NULL, words[0]);
    }
    else if (n == 1 && rec->args_how == FLAG) {
        (void)rec->AP_FLAG(cmd, NULL, strcasecmp(words[0], "on") == 0);
    }
}

static void begin_section(conf_t *conf, char *line)
{
    ap_directive_t *section = apr_pcalloc(conf->pool, sizeof(*section));
    char *args = line + strcspn(line, " \t");

    if (*args) {
        *args++ = '\0';
    }
    if (strcasecmp(line, "<VirtualHost") == 0 && conf->server_n < SERVERS_MAX) {
        conf->server = add_server(conf, args);
        conf->section = NULL;
    }
    section->directive = line;
    section->args = args;
    section->parent = conf->section;
    conf->section = section;
}

static void end_section(conf_t *conf)
{
    if (conf->section) {
        conf->section = conf->section->parent;
    }
    if (!conf->section) {
        conf->server = conf->servers[0];
    }
}

static void execute(conf_t *conf, char *line)
{
    ap_directive_t *here = apr_pcalloc(conf->pool, sizeof(*here)); /* rings and servers keep it */
    cmd_parms cmd = {0};
    char *args = line + strcspn(line, " \t");

    if (*args) {
        *args++ = '\0';
        args += strspn(args, " \t");
    }
    cmd.cmd = ap_find_command(line, mod_stek_commands);
    if (!cmd.cmd) {
        return;
    }
    here->directive = line;
    here->args = args;
    here->parent = conf->section;
    cmd.info = cmd.cmd->cmd_data;
    cmd.pool = conf->pool;
    cmd.server = conf->server;
    cmd.directive = here;
    cmd.path = conf->section && strcasecmp(conf->section->directive, "<VirtualHost") != 0
                   ? (char *)conf->section->args
                   : NULL;
    call(&cmd, args);
}

static void merge_servers(conf_t *conf)
{
    int i;

    for (i = 1; i < conf->server_n; i++) {
        void *base = ap_get_module_config(conf->servers[0]->module_config, &stek_rotate_module);
        void *add = ap_get_module_config(conf->servers[i]->module_config, &stek_rotate_module);

        ap_set_module_config(conf->servers[i]->module_config, &stek_rotate_module,
                             mod_stek_server_merge(conf->pool, base, add));
        conf->servers[i - 1]->next = conf->servers[i];
    }
}

static void ask(const conf_t *conf)
{
    static SSL_CTX *ctx;
    unsigned char digest[STEK_DIGEST_LEN], again[STEK_DIGEST_LEN];
    apr_array_header_t *watched = apr_array_make(conf->pool, 4, sizeof(mod_stek_trust_watch_t));
    int i;

    ctx = ctx ? ctx : SSL_CTX_new(TLS_server_method());
    HOLDS(ctx != NULL);

    for (i = 0; i < conf->server_n; i++) {
        const server_rec *s = conf->servers[i];
        mod_stek_limits_t limits = mod_stek_limits_of(s, i & 1);

        HOLDS(limits.lifetime >= apr_time_from_sec(1) && limits.max_age >= 0);
        (void)mod_stek_server_rotates(s);
        (void)mod_stek_limits_outlive_cache(s);
        HOLDS(mod_stek_policy_digest(s, mod_stek_server_get(s)->policy, ctx, watched, digest,
                                     conf->pool)
              == APR_SUCCESS);
        HOLDS(mod_stek_policy_digest(s, mod_stek_server_get(s)->policy, ctx, watched, again,
                                     conf->pool)
              == APR_SUCCESS);
        HOLDS(memcmp(digest, again, sizeof(digest)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char border[] = "\n---\n";
    conf_t conf = {.pool = fuzz_pool()};
    const uint8_t *end = memmem(data, size, border, sizeof(border) - 1);
    size_t text_len = end ? (size_t)(end - data) : size;
    char *text = apr_pstrmemdup(conf.pool, (const char *)data, text_len), *line, *last = NULL;
    int line_n = 0;

    file_bytes = end ? end + sizeof(border) - 1 : NULL;
    file_len = end ? size - text_len - (sizeof(border) - 1) : 0;
    memset(retained, 0, sizeof(retained));
    mod_stek_config_reset(conf.pool, conf.pool, conf.pool);
    conf.server = add_server(&conf, "main");
    for (line = apr_strtok(text, "\n", &last); line && line_n < LINES_MAX;
         line = apr_strtok(NULL, "\n", &last), line_n++) {
        line += strspn(line, " \t");
        if (line[0] == '<' && line[1] == '/') {
            end_section(&conf);
        }
        else if (line[0] == '<') {
            begin_section(&conf, line);
        }
        else {
            execute(&conf, line);
        }
    }
    merge_servers(&conf);
    if (mod_stek_config_check_settings(conf.pool, conf.pool, conf.pool, conf.servers[0]) == OK) {
        ask(&conf);
    }
    apr_pool_clear(conf.pool);
    return 0;
}
