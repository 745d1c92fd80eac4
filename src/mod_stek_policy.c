/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtual host demands of a client, and its digest.  Glue; parent only, while it configures.
 *
 * Rules of the server level are kept by directive, the last one counts, as in mod_ssl.  Rules of
 * sections, and of SSLOpenSSLConfCmd, are kept as a list.  Files are read once for all vhosts that
 * name them.
 */
#include "mod_stek_policy.h"

#include "http_core.h"
#include "http_log.h"
#include "ap_listen.h"
#include "apr_file_io.h"
#include "apr_hash.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "stek_error.h"

const mod_stek_note_t mod_stek_notes[MOD_STEK_NOTE_N] = {
#define MOD_STEK_NOTE(directive, kind, where) {#directive, kind},
    MOD_STEK_NOTES(MOD_STEK_NOTE)
#undef MOD_STEK_NOTE
};

/* One rule of a section, or of SSLOpenSSLConfCmd. */
typedef struct rule_t {
    const char *section; /* its path; "" at server level */
    const char *name;    /* of the directive or command */
    int kind;
    const char *value;
} rule_t;

struct mod_stek_policy_t {
    const char *values[MOD_STEK_NOTE_N]; /* server level; NULL: not set */
    apr_array_header_t *rules;           /* rule_t */
};

/* SHA-256 of a certificate's or revocation list's part; also of whole sets. */
typedef struct digest_t {
    unsigned char bytes[STEK_DIGEST_LEN];
} digest_t;

/* Path to digest_t; of one configuration. */
static apr_hash_t *files;

void mod_stek_policy_reset(apr_pool_t *pconf)
{
    files = apr_hash_make(pconf);
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

    for (i = 0; i < MOD_STEK_NOTE_N; i++) {
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
        {"VerifyCAFile", MOD_STEK_KIND_CERTS},
        {"VerifyCAPath", MOD_STEK_KIND_CERTS},
        {"VerifyCAStore", MOD_STEK_KIND_CERTS},
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

void mod_stek_policy_note(mod_stek_policy_t *policy, cmd_parms *cmd, const char *args)
{
    const mod_stek_note_t *note = cmd->info;
    const char *value;

    /* .htaccess is read at request time, in threads that must not change what all share. */
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        return;
    }
    if (note->kind == MOD_STEK_KIND_CONF_CMD) {
        note_conf_cmd(policy, cmd, args);
        return;
    }
    /* Some have several words; a path may be quoted. */
    value = note->kind == MOD_STEK_KIND_TEXT ? apr_pstrdup(cmd->pool, args)
                                             : ap_getword_conf(cmd->pool, &args);
    if (cmd->path) {
        add_rule(policy, cmd, note->directive, note->kind, value);
    }
    else {
        policy->values[note - mod_stek_notes] = value;
    }
}

static int is_none(const char *value)
{
    return !value || strcasecmp(value, "none") == 0 || strcasecmp(value, "off") == 0;
}

int mod_stek_policy_asks_clients(const mod_stek_policy_t *policy)
{
    int i;

    if (!is_none(policy->values[MOD_STEK_NOTE_SSLVerifyClient])
        || policy->values[MOD_STEK_NOTE_SSLSRPVerifierFile]) {
        return 1;
    }
    for (i = 0; i < policy->rules->nelts; i++) {
        const rule_t *rule = &APR_ARRAY_IDX(policy->rules, i, rule_t);

        if (strcasecmp(rule->name, "SSLVerifyClient") == 0 && !is_none(rule->value)) {
            return 1;
        }
        if (strcasecmp(rule->name, "VerifyMode") == 0) {
            return 1;
        }
    }
    return 0;
}

/* One digest in the making. */
typedef struct scan_t {
    apr_pool_t *pool;
    int failed; /* OpenSSL could not digest something */
} scan_t;

static void sha256(scan_t *scan, const void *bytes, apr_size_t len, digest_t *digest)
{
    if (!EVP_Digest(bytes, len, digest->bytes, NULL, EVP_sha256(), NULL)) {
        scan->failed = 1;
    }
}

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(digest_t));
}

/* Sorts, drops doubles, and digests the set. */
static void digest_set(scan_t *scan, apr_array_header_t *set, digest_t *digest)
{
    digest_t *elts = (digest_t *)set->elts;
    int i, n = 0;

    qsort(set->elts, (size_t)set->nelts, sizeof(digest_t), compare_digests);
    for (i = 0; i < set->nelts; i++) {
        if (n == 0 || compare_digests(&elts[n - 1], &elts[i]) != 0) {
            elts[n++] = elts[i];
        }
    }
    sha256(scan, elts, (apr_size_t)n * sizeof(digest_t), digest);
}

static void add_certificate(scan_t *scan, X509 *cert, apr_array_header_t *set)
{
    digest_t *digest = apr_array_push(set);

    if (!X509_digest(cert, EVP_sha256(), digest->bytes, NULL)) {
        scan->failed = 1;
    }
}

/* Of a CRL what it says, not when: a list re-issued with the same entries is the same. */
static void add_crl(scan_t *scan, X509_CRL *crl, apr_array_header_t *set)
{
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    int i, n = revoked ? sk_X509_REVOKED_num(revoked) : 0;
    apr_array_header_t *serials = apr_array_make(scan->pool, n + 1, sizeof(digest_t));
    struct {
        digest_t issuer, entries;
    } says;

    for (i = 0; i < n; i++) {
        const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(
            sk_X509_REVOKED_value(revoked, i));

        sha256(scan, ASN1_STRING_get0_data(serial), (apr_size_t)ASN1_STRING_length(serial),
               apr_array_push(serials));
    }
    digest_set(scan, serials, &says.entries);
    if (!X509_NAME_digest(X509_CRL_get_issuer(crl), EVP_sha256(), says.issuer.bytes, NULL)) {
        scan->failed = 1;
    }
    sha256(scan, &says, sizeof(says), apr_array_push(set));
}

/* A file that cannot be read just now must not pass for an empty one: its digest would be that of
 * other rules.  What is not there, or shut, is mod_ssl's to judge. */
static int is_passing(apr_status_t rv)
{
    return rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv) && !APR_STATUS_IS_ENOTDIR(rv)
           && !APR_STATUS_IS_EACCES(rv);
}

/* Adds what a PEM file holds of the kind wanted. */
static void add_pem(scan_t *scan, const char *path, int kind, apr_array_header_t *set)
{
    BIO *bio = BIO_new_file(path, "r");
    apr_status_t rv = bio ? APR_SUCCESS : errno;
    STACK_OF(X509_INFO) *infos = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
    int i;

    if (is_passing(rv)
        || (bio && !infos && ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)) {
        scan->failed = 1;
    }
    for (i = 0; i < sk_X509_INFO_num(infos); i++) {
        X509_INFO *info = sk_X509_INFO_value(infos, i);

        if (kind == MOD_STEK_KIND_CERTS && info->x509) {
            add_certificate(scan, info->x509, set);
        }
        if (kind == MOD_STEK_KIND_CRLS && info->crl) {
            add_crl(scan, info->crl, set);
        }
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    BIO_free(bio);
    /* A file without the kind wanted is no error here: mod_ssl judges its files. */
    ERR_clear_error();
}

/* OpenSSL looks only at files named by their subject's hash: "0a1b2c3d.0", and ".r0" for CRLs. */
static int is_hashed_name(const char *name, int kind)
{
    const char *rest;

    if (strspn(name, "0123456789abcdefABCDEF") != 8 || name[8] != '.') {
        return 0;
    }
    rest = name + 9;
    if (kind == MOD_STEK_KIND_CRLS && *rest++ != 'r') {
        return 0;
    }
    return apr_isdigit(*rest);
}

static void add_directory(scan_t *scan, const char *path, int kind, apr_array_header_t *set)
{
    apr_finfo_t entry;
    apr_dir_t *dir;
    apr_status_t rv = apr_dir_open(&dir, path, scan->pool);

    scan->failed |= is_passing(rv);
    if (rv != APR_SUCCESS) {
        return;
    }
    while ((rv = apr_dir_read(&entry, APR_FINFO_NAME, dir)) == APR_SUCCESS) {
        if (is_hashed_name(entry.name, kind)) {
            add_pem(scan, apr_pstrcat(scan->pool, path, "/", entry.name, NULL), kind, set);
        }
    }
    /* At the end it is APR_ENOENT. */
    scan->failed |= is_passing(rv);
    apr_dir_close(dir);
}

/* The set of certificates or revocation lists in a file or directory. */
static void digest_path(scan_t *scan, const char *value, int kind, digest_t *digest)
{
    const char *path = ap_server_root_relative(scan->pool, value);
    const char *key = apr_psprintf(scan->pool, "%d %s", kind, path ? path : value);
    const digest_t *known = apr_hash_get(files, key, APR_HASH_KEY_STRING);
    apr_pool_t *pconf = apr_hash_pool_get(files);
    apr_array_header_t *set;
    apr_finfo_t finfo;
    apr_status_t rv = APR_ENOENT;

    if (known) {
        *digest = *known;
        return;
    }
    set = apr_array_make(scan->pool, 16, sizeof(digest_t));
    if (strncasecmp(value, "file:", 5) == 0) {
        path = value + 5; /* a store of OpenSSL's: RFC 8089, 2, in its short form */
    }
    if (path) {
        rv = apr_stat(&finfo, path, APR_FINFO_TYPE, scan->pool);
        scan->failed |= is_passing(rv);
    }
    if (rv == APR_SUCCESS) {
        if (finfo.filetype == APR_DIR) {
            add_directory(scan, path, kind, set);
        }
        else {
            add_pem(scan, path, kind, set);
        }
    }
    digest_set(scan, set, digest);
    if (!scan->failed) {
        apr_hash_set(files, apr_pstrdup(pconf, key), APR_HASH_KEY_STRING,
                     apr_pmemdup(pconf, digest, sizeof(*digest)));
    }
}

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

static void part_value(scan_t *scan, apr_array_header_t *parts, const char *tag, int kind,
                       const char *value)
{
    digest_t digest;

    if (kind == MOD_STEK_KIND_CERTS || kind == MOD_STEK_KIND_CRLS) {
        digest_path(scan, value, kind, &digest);
        part(parts, tag, &digest, sizeof(digest));
    }
    else if (kind == MOD_STEK_KIND_URL) {
        part_text(parts, tag, value);
    }
    else {
        part_lower(parts, tag, value);
    }
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

static int is_about_crls(int note)
{
    return note == MOD_STEK_NOTE_SSLCARevocationCheck || note == MOD_STEK_NOTE_SSLCARevocationFile
           || note == MOD_STEK_NOTE_SSLCARevocationPath;
}

static void part_client_rules(scan_t *scan, apr_array_header_t *parts,
                              const mod_stek_policy_t *policy)
{
    int i, crls = !is_none(policy->values[MOD_STEK_NOTE_SSLCARevocationCheck]);

    for (i = 0; i < MOD_STEK_NOTE_N; i++) {
        const char *value = policy->values[i];

        if (!value && i == MOD_STEK_NOTE_SSLVerifyDepth) {
            value = "1"; /* mod_ssl's default */
        }
        if (!value || (i == MOD_STEK_NOTE_SSLVerifyClient && is_none(value))
            || (!crls && is_about_crls(i))) {
            continue;
        }
        part_value(scan, parts, mod_stek_notes[i].directive, mod_stek_notes[i].kind, value);
    }
    part_rules(scan, parts, policy);
}

apr_status_t mod_stek_policy_digest(const server_rec *s, const mod_stek_policy_t *policy,
                                    unsigned char digest[STEK_DIGEST_LEN], apr_pool_t *pool)
{
    apr_array_header_t *parts;
    digest_t whole;
    scan_t scan = {NULL, 0};
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
    sha256(&scan, parts->elts, (apr_size_t)parts->nelts, &whole);
    if (scan.failed) {
        ERR_clear_error();
        rv = STEK_ECRYPTO;
    }
    else {
        memcpy(digest, &whole, sizeof(whole));
    }
    apr_pool_destroy(scan.pool);
    return rv;
}
