/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtual host demands of a client, and its digest.  Glue; parent only, while it configures.
 *
 * Rules of the server level are kept by directive, the last one counts, as in mod_ssl.  Rules of
 * sections, and of SSLOpenSSLConfCmd, are kept as a list.
 */
#include "mod_stek_policy_digest.h"

#include "http_core.h"
#include "http_log.h"
#include "ap_listen.h"
#include "unixd.h"
#include "apr_strings.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mod_stek_hello.h"
#include "mod_stek_retained.h"
#include "mod_stek_trust_digest.h"
#include "stek_error.h"

const mod_stek_client_directive_t mod_stek_client_directives[MOD_STEK_CLIENT_DIRECTIVE_N] = {
#define MOD_STEK_DIRECTIVE(directive, kind, where) {#directive, kind},
    MOD_STEK_CLIENT_DIRECTIVES(MOD_STEK_DIRECTIVE)
#undef MOD_STEK_DIRECTIVE
};

/* One rule of a section, or of SSLOpenSSLConfCmd. */
typedef struct rule_t {
    const char *section; /* its path; "" at server level */
    const char *name;    /* of the directive or command */
    int kind;
    const char *value;
} rule_t;

struct mod_stek_policy_t {
    const char *values[MOD_STEK_CLIENT_DIRECTIVE_N]; /* server level; NULL: not set */
    apr_array_header_t *rules;                       /* rule_t */
};

void mod_stek_policy_reset(apr_pool_t *pconf)
{
    mod_stek_trust_digest_reset(pconf);
}

mod_stek_policy_t *mod_stek_policy_create(apr_pool_t *p)
{
    mod_stek_policy_t *policy = apr_pcalloc(p, sizeof(*policy));

    policy->rules = apr_array_make(p, 0, sizeof(rule_t));
    return policy;
}

mod_stek_policy_t *mod_stek_policy_merge(apr_pool_t *p, const mod_stek_policy_t *base,
                                         const mod_stek_policy_t *add)
{
    mod_stek_policy_t *policy = apr_pcalloc(p, sizeof(*policy));
    int i;

    for (i = 0; i < MOD_STEK_CLIENT_DIRECTIVE_N; i++) {
        policy->values[i] = add->values[i] ? add->values[i] : base->values[i];
    }
    policy->rules = apr_array_append(p, base->rules, add->rules);
    return policy;
}

/* "<Location /x>", or "<Files y> in <Directory /x>"; "" at server level.  Not the virtual host
 * itself, whose addresses are not in the digest. */
static const char *section_of(const cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive->parent;
    const char *text = "";

    for (; section && strcasecmp(section->directive, "<VirtualHost") != 0;
         section = section->parent) {
        text = apr_pstrcat(cmd->pool, text, *text ? " in " : "", section->directive, " ",
                           section->args, NULL);
    }
    return text;
}

static void add_rule(mod_stek_policy_t *policy, cmd_parms *cmd, const char *name, int kind,
                     const char *value)
{
    rule_t *rule = apr_array_push(policy->rules);

    rule->section = section_of(cmd);
    rule->name = name;
    rule->kind = kind;
    rule->value = value;
}

/* Commands of OpenSSL that decide which client certificate is good. */
static void note_conf_cmd(mod_stek_policy_t *policy, cmd_parms *cmd, const char *args)
{
    static const struct {
        const char *name;
        int kind;
    } commands[] = {
        {"VerifyMode", MOD_STEK_KIND_TEXT},
        {"VerifyCAFile", MOD_STEK_KIND_FILE},
        {"VerifyCAPath", MOD_STEK_KIND_DIRECTORY},
        {"VerifyCAStore", MOD_STEK_KIND_STORE},
        {"CipherString", MOD_STEK_KIND_TEXT},
        {"SignatureAlgorithms", MOD_STEK_KIND_TEXT},
        {"ClientSignatureAlgorithms", MOD_STEK_KIND_TEXT},
    };
    const char *name = ap_getword_conf(cmd->pool, &args);
    const char *value = ap_getword_conf(cmd->pool, &args);
    apr_size_t i;

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcasecmp(name, commands[i].name) == 0) {
            add_rule(policy, cmd, commands[i].name, commands[i].kind, value);
        }
    }
}

/* mod_ssl keeps the suites of TLS 1.3 apart.  They do not decide about certificates. */
static int is_for_tls13(cmd_parms *cmd, const char *args)
{
    return strcmp(ap_getword_conf(cmd->pool, &args), "TLSv1.3") == 0 && *args;
}

/* mod_ssl has one SSLVHostSNIPolicy for all, and keeps it over reloads that do not set it again. */
typedef struct sni_policy_t {
    char value[16];
} sni_policy_t;

static sni_policy_t *sni_policy_kept(void)
{
    return mod_stek_retained("sni policy", 1, sizeof(sni_policy_t), 0);
}

void mod_stek_policy_add(mod_stek_policy_t *policy, cmd_parms *cmd, const char *args)
{
    const mod_stek_client_directive_t *note = cmd->info;
    const char *value;

    /* .htaccess is read at request time, in threads that must not change what all share. */
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        return;
    }
    if (note->kind == MOD_STEK_KIND_CONF_CMD) {
        note_conf_cmd(policy, cmd, args);
        return;
    }
    if (note == &mod_stek_client_directives[MOD_STEK_DIRECTIVE_SSLCipherSuite]
        && is_for_tls13(cmd, args)) {
        return;
    }
    /* Some have several words; a path may be quoted. */
    if (note->kind == MOD_STEK_KIND_TEXT) {
        value = "";
        while (*args) {
            value = apr_pstrcat(cmd->pool, value, *value ? " " : "",
                                ap_getword_conf(cmd->pool, &args), NULL);
        }
    }
    else {
        value = ap_getword_conf(cmd->pool, &args);
    }
    if (note == &mod_stek_client_directives[MOD_STEK_DIRECTIVE_SSLVHostSNIPolicy]) {
        apr_cpystrn(sni_policy_kept()->value, value, sizeof(sni_policy_kept()->value));
        return;
    }
    /* mod_ssl takes the authorities that a section names for the whole virtual host. */
    if (cmd->path && note->kind != MOD_STEK_KIND_TOGETHER) {
        add_rule(policy, cmd, note->directive, note->kind, value);
    }
    else {
        policy->values[note - mod_stek_client_directives] = value;
    }
}

static int is_none(const char *value)
{
    return !value || strcasecmp(value, "none") == 0 || strcasecmp(value, "off") == 0;
}

static int server_asks(const mod_stek_policy_t *policy)
{
    int i;

    for (i = 0; i < policy->rules->nelts; i++) {
        if (strcasecmp(APR_ARRAY_IDX(policy->rules, i, rule_t).name, "VerifyMode") == 0) {
            return 1;
        }
    }
    return !is_none(policy->values[MOD_STEK_DIRECTIVE_SSLVerifyClient])
           || policy->values[MOD_STEK_DIRECTIVE_SSLSRPVerifierFile];
}

static int is_about_verifying(const rule_t *rule)
{
    return strcasecmp(rule->name, "SSLVerifyClient") == 0
           || strcasecmp(rule->name, "SSLVerifyDepth") == 0;
}

int mod_stek_policy_asks_clients(const mod_stek_policy_t *policy)
{
    int i;

    for (i = 0; i < policy->rules->nelts; i++) {
        const rule_t *rule = &APR_ARRAY_IDX(policy->rules, i, rule_t);

        if (strcasecmp(rule->name, "SSLVerifyClient") == 0 && !is_none(rule->value)) {
            return 1;
        }
    }
    return server_asks(policy);
}

int mod_stek_policy_asks_twice(const mod_stek_policy_t *policy)
{
    return server_asks(policy) && mod_stek_policy_has_section_rules(policy);
}

int mod_stek_policy_has_section_rules(const mod_stek_policy_t *policy)
{
    int i;

    for (i = 0; i < policy->rules->nelts; i++) {
        if (is_about_verifying(&APR_ARRAY_IDX(policy->rules, i, rule_t))) {
            return 1;
        }
    }
    return 0;
}

int mod_stek_policy_unbindable(const mod_stek_policy_t *policy)
{
    int i, directories = policy->values[MOD_STEK_DIRECTIVE_SSLCACertificatePath]
                         || policy->values[MOD_STEK_DIRECTIVE_SSLCARevocationPath];

    if (!mod_stek_policy_asks_clients(policy)) {
        return 0;
    }
    for (i = 0; i < policy->rules->nelts; i++) {
        const rule_t *rule = &APR_ARRAY_IDX(policy->rules, i, rule_t);

        if (rule->kind == MOD_STEK_KIND_STORE) {
            return 1;
        }
        directories |= rule->kind == MOD_STEK_KIND_DIRECTORY;
    }
    return directories && ap_unixd_config.chroot_dir;
}

int mod_stek_policy_mixes_hosts(void)
{
    return mod_stek_policy_ignores_hosts() || strcasecmp(sni_policy_kept()->value, "authonly") == 0;
}

int mod_stek_policy_ignores_hosts(void)
{
    return strcasecmp(sni_policy_kept()->value, "insecure") == 0;
}

int mod_stek_policy_server_asks(const mod_stek_policy_t *policy)
{
    return server_asks(policy);
}

/* One digest in the making. */
typedef struct scan_t {
    apr_pool_t *pool;
    SSL_CTX *ctx;
    apr_array_header_t *watched;
    int failed; /* a file could not be read, or OpenSSL could not digest something */
} scan_t;

/* Appends a part: lengths of tag and bytes, so that no two lists of parts read the same. */
static void part(apr_array_header_t *parts, const char *tag, const void *bytes, apr_size_t len)
{
    const char *head = apr_psprintf(parts->pool, "%s %" APR_SIZE_T_FMT "\n", tag, len);
    apr_size_t head_len = strlen(head), i;

    for (i = 0; i < head_len; i++) {
        APR_ARRAY_PUSH(parts, char) = head[i];
    }
    for (i = 0; i < len; i++) {
        APR_ARRAY_PUSH(parts, char) = ((const char *)bytes)[i];
    }
}

static void part_text(apr_array_header_t *parts, const char *tag, const char *text)
{
    part(parts, tag, text, strlen(text));
}

static void part_lower(apr_array_header_t *parts, const char *tag, const char *text)
{
    char *lower = apr_pstrdup(parts->pool, text);

    ap_str_tolower(lower);
    part_text(parts, tag, lower);
}

static void part_sources(scan_t *scan, apr_array_header_t *parts, const char *tag,
                         const mod_stek_trust_source_t *sources, int n, int crls)
{
    unsigned char digest[STEK_DIGEST_LEN] = {0};

    if (mod_stek_trust_digest(sources, n, crls, scan->watched, digest, scan->pool) != APR_SUCCESS) {
        scan->failed = 1;
    }
    part(parts, tag, digest, sizeof(digest));
}

static void part_value(scan_t *scan, apr_array_header_t *parts, const char *tag, int kind,
                       const char *value)
{
    mod_stek_trust_source_t source = {MOD_STEK_TRUST_FILE, value, NULL};

    if (kind == MOD_STEK_KIND_URL) {
        part_text(parts, tag, value);
    }
    else if (kind == MOD_STEK_KIND_TEXT) {
        part_lower(parts, tag, value);
    }
    else if (kind != MOD_STEK_KIND_TOGETHER) {
        source.kind = kind == MOD_STEK_KIND_DIRECTORY ? MOD_STEK_TRUST_DIRECTORY
                      : kind == MOD_STEK_KIND_STORE   ? MOD_STEK_TRUST_STORE
                                                      : MOD_STEK_TRUST_FILE;
        part_sources(scan, parts, tag, &source, 1, 1);
    }
}

/* What the four directives name goes into one store: from files when mod_ssl reads them, which need
 * not be what they hold by now; from directories when a client's certificate needs it. */
static void part_store(scan_t *scan, apr_array_header_t *parts, const mod_stek_policy_t *policy,
                       int crls)
{
    const mod_stek_trust_source_t sources[] = {
        {MOD_STEK_TRUST_LOADED, NULL, SSL_CTX_get_cert_store(scan->ctx)},
        {MOD_STEK_TRUST_DIRECTORY, policy->values[MOD_STEK_DIRECTIVE_SSLCACertificatePath], NULL},
        {MOD_STEK_TRUST_DIRECTORY, policy->values[MOD_STEK_DIRECTIVE_SSLCARevocationPath], NULL},
    };
    mod_stek_trust_source_t other = {MOD_STEK_TRUST_LOADED, NULL, NULL};

    part_sources(scan, parts, "store", sources, (int)(sizeof(sources) / sizeof(sources[0])), crls);
    /* That of SSLOpenSSLConfCmd, in place of the first. */
    if (!SSL_CTX_get0_verify_cert_store(scan->ctx, &other.store)) {
        scan->failed = 1;
    }
    else if (other.store) {
        part_sources(scan, parts, "verify store", &other, 1, crls);
    }
}

static int add_provider(OSSL_PROVIDER *provider, void *names)
{
    APR_ARRAY_PUSH((apr_array_header_t *)names, const char *) = OSSL_PROVIDER_get0_name(provider);
    return 1;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Which signatures OpenSSL can check. */
static void part_providers(scan_t *scan, apr_array_header_t *parts)
{
    apr_array_header_t *names = apr_array_make(scan->pool, 4, sizeof(const char *));
    int i;

    if (!OSSL_PROVIDER_do_all(NULL, add_provider, names)) {
        scan->failed = 1;
    }
    qsort(names->elts, (size_t)names->nelts, sizeof(const char *), compare_names);
    for (i = 0; i < names->nelts; i++) {
        part_text(parts, "provider", APR_ARRAY_IDX(names, i, const char *));
    }
    part_text(parts, "fips", EVP_default_properties_is_fips_enabled(NULL) ? "yes" : "no");
}

/* Also what openssl.cnf says: not as it stands there by now, but as OpenSSL has read it. */
static void part_context(scan_t *scan, apr_array_header_t *parts)
{
    unsigned char groups[STEK_DIGEST_LEN], sigalgs[STEK_DIGEST_LEN] = {0};

    if (mod_stek_hello_digest(scan->ctx, groups, sigalgs) != APR_SUCCESS) {
        scan->failed = 1;
    }
    part(parts, "signature algorithms", sigalgs, sizeof(sigalgs));
    part_providers(scan, parts);
    part_text(parts, "security level",
              apr_psprintf(parts->pool, "%d", SSL_CTX_get_security_level(scan->ctx)));
}

static int compare_ports(const void *a, const void *b)
{
    return (int)*(const apr_port_t *)a - (int)*(const apr_port_t *)b;
}

/* Ports of the vhost's addresses; for a wildcard port and the main server, those that httpd listens
 * on. */
static void part_ports(apr_array_header_t *parts, const server_rec *s)
{
    apr_array_header_t *ports = apr_array_make(parts->pool, 4, sizeof(apr_port_t));
    const apr_port_t *elts;
    const server_addr_rec *addr;
    const ap_listen_rec *listener;
    int i, any = !s->is_virtual;

    for (addr = s->is_virtual ? s->addrs : NULL; addr; addr = addr->next) {
        APR_ARRAY_PUSH(ports, apr_port_t) = addr->host_port;
        any |= addr->host_port == 0;
    }
    for (listener = any ? ap_listeners : NULL; listener; listener = listener->next) {
        APR_ARRAY_PUSH(ports, apr_port_t) = listener->bind_addr->port;
    }
    elts = (const apr_port_t *)ports->elts;
    qsort(ports->elts, (size_t)ports->nelts, sizeof(apr_port_t), compare_ports);
    for (i = 0; i < ports->nelts; i++) {
        if (elts[i] != 0 && (i == 0 || elts[i - 1] != elts[i])) {
            part_text(parts, "port", apr_psprintf(parts->pool, "%u", (unsigned)elts[i]));
        }
    }
}

/* In order: of two rules for one thing the later counts. */
static void part_rules(scan_t *scan, apr_array_header_t *parts, const mod_stek_policy_t *policy)
{
    int i;

    for (i = 0; i < policy->rules->nelts; i++) {
        const rule_t *rule = &APR_ARRAY_IDX(policy->rules, i, rule_t);

        part_text(parts, "section", rule->section);
        part_lower(parts, "directive", rule->name);
        part_value(scan, parts, "value", rule->kind, rule->value);
    }
}

static void part_client_rules(scan_t *scan, apr_array_header_t *parts,
                              const mod_stek_policy_t *policy)
{
    int i, crls = !is_none(policy->values[MOD_STEK_DIRECTIVE_SSLCARevocationCheck]);

    for (i = 0; i < MOD_STEK_CLIENT_DIRECTIVE_N; i++) {
        const char *value = policy->values[i];

        if (!value && i == MOD_STEK_DIRECTIVE_SSLVerifyDepth) {
            value = "1"; /* mod_ssl's default */
        }
        if (!value || (i == MOD_STEK_DIRECTIVE_SSLVerifyClient && is_none(value))
            || (i == MOD_STEK_DIRECTIVE_SSLOCSPEnable && is_none(value))
            || (i == MOD_STEK_DIRECTIVE_SSLCARevocationCheck && !crls)) {
            continue;
        }
        part_value(scan, parts, mod_stek_client_directives[i].directive,
                   mod_stek_client_directives[i].kind, value);
    }
    part_store(scan, parts, policy, crls);
    part_context(scan, parts);
    part_rules(scan, parts, policy);
}

apr_status_t mod_stek_policy_digest(const server_rec *s, const mod_stek_policy_t *policy,
                                    SSL_CTX *ctx, apr_array_header_t *watched,
                                    unsigned char digest[STEK_DIGEST_LEN], apr_pool_t *pool)
{
    unsigned char whole[STEK_DIGEST_LEN];
    apr_array_header_t *parts;
    scan_t scan = {NULL, ctx, watched, 0};
    apr_status_t rv = apr_pool_create(&scan.pool, pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    parts = apr_array_make(scan.pool, 256, 1);
    part_lower(parts, "policy v1, server name", s->server_hostname ? s->server_hostname : "");
    part_ports(parts, s);
    if (mod_stek_policy_asks_clients(policy)) {
        part_client_rules(&scan, parts, policy);
    }
    if (!EVP_Digest(parts->elts, (apr_size_t)parts->nelts, whole, NULL, EVP_sha256(), NULL)
        || scan.failed) {
        ERR_clear_error();
        rv = STEK_ECRYPTO;
    }
    else {
        memcpy(digest, whole, sizeof(whole));
    }
    apr_pool_destroy(scan.pool);
    return rv;
}
