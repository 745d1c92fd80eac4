/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says about virtual hosts at start (mod_stek_vhost_notices.h).  Glue; parent only.
 */
#include "mod_stek_vhost_notices.h"

#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"
#include <string.h>

#include "mod_stek_words.h"
#include "mod_stek_vhost.h"
#include "stek_time.h"

APLOG_USE_MODULE(stek_rotate);

/* Number i in the order of the configuration; NULL: there are no more.  httpd lists virtual
 * hosts in reverse order. */
static const mod_stek_vhost_t *vhost_at(int i)
{
    int n;
    mod_stek_vhost_t *const *vhosts = mod_stek_vhosts(&n);

    return i < n ? vhosts[n - 1 - i] : NULL;
}

static int has_address(const server_rec *s, const server_addr_rec *addr)
{
    const server_addr_rec *own;

    for (own = s->addrs; own; own = own->next) {
        if (own->host_port == addr->host_port
            && apr_sockaddr_equal(own->host_addr, addr->host_addr)) {
            return 1;
        }
    }
    return 0;
}

static int share_address(const server_rec *a, const server_rec *b)
{
    const server_addr_rec *addr;

    for (addr = a->addrs; addr; addr = addr->next) {
        if (has_address(b, addr)) {
            return 1;
        }
    }
    return 0;
}

/* The vhost that OpenSSL asks for all behind an address: the first in the configuration. */
static const mod_stek_vhost_t *first_at(const server_addr_rec *addr)
{
    const mod_stek_vhost_t *vhost;
    int i;

    for (i = 0; (vhost = vhost_at(i)); i++) {
        if (vhost->server->is_virtual && has_address(vhost->server, addr)) {
            return vhost;
        }
    }
    return NULL;
}

/* The first vhost on one of vhost's addresses that is something; NULL: on none. */
static const mod_stek_vhost_t *first_that(const mod_stek_vhost_t *vhost,
                                          int (*is)(const mod_stek_vhost_t *first))
{
    const server_addr_rec *addr;
    const mod_stek_vhost_t *first;

    for (addr = vhost->server->addrs; addr; addr = addr->next) {
        first = first_at(addr);
        if (first && is(first)) {
            return first;
        }
    }
    return NULL;
}

static int has_several_addresses(const mod_stek_vhost_t *vhost)
{
    return vhost->server->addrs && vhost->server->addrs->next;
}

/* The vhosts that a message is about. */
typedef struct affected_t {
    const mod_stek_vhost_t *first;
    int n;
} affected_t;

static affected_t find_affected(int (*is_affected)(const mod_stek_vhost_t *vhost))
{
    affected_t found = {NULL, 0};
    const mod_stek_vhost_t *vhost;
    int i;

    for (i = 0; (vhost = vhost_at(i)); i++) {
        if (is_affected(vhost)) {
            found.first = found.first ? found.first : vhost;
            found.n++;
        }
    }
    return found;
}

/* "NAME and 3 more" */
static const char *affected_text(const affected_t *found, apr_pool_t *pool)
{
    const char *name = mod_stek_server_text(found->first->server, pool);

    return found->n > 1 ? apr_psprintf(pool, "%s and %d more", name, found->n - 1) : name;
}

static int keeps_key_file(const mod_stek_vhost_t *vhost)
{
    return mod_stek_vhost_left_to_key_file(vhost)
           && mod_stek_server_get(vhost->server)->rotate != 0;
}

/* mod_ssl reads a vhost's key file only if OpenSSL asks mod_ssl: if the first vhost on the address
 * has one too. */
static int key_file_is_used(const mod_stek_vhost_t *vhost)
{
    return keeps_key_file(vhost) && first_that(vhost, mod_stek_vhost_left_to_key_file);
}

static int key_file_is_unused(const mod_stek_vhost_t *vhost)
{
    return keeps_key_file(vhost) && !first_that(vhost, mod_stek_vhost_left_to_key_file);
}

static void lint_key_files(const affected_t *found, const char *effect, apr_pool_t *ptemp)
{
    if (found->n > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, found->first->server,
                     "STEK3002: %s: %s; to rotate keys, remove SSLSessionTicketKeyFile or add "
                     "'StekRotate on'",
                     affected_text(found, ptemp), effect);
    }
}

/* One notice for the vhosts whose file is used, one for those whose file is not. */
static void lint_all_key_files(apr_pool_t *ptemp)
{
    const affected_t used = find_affected(key_file_is_used),
                     unused = find_affected(key_file_is_unused);

    lint_key_files(&used, "SSLSessionTicketKeyFile provides the ticket key, which does not rotate",
                   ptemp);
    lint_key_files(&unused,
                   "SSLSessionTicketKeyFile has no effect, because the first virtual host on the "
                   "address does not use one; OpenSSL's own key seals tickets and does not rotate",
                   ptemp);
}

/* Behind a first vhost with a key file, mod_ssl looks for the vhost's own. */
static const char *key_file_effect(const mod_stek_vhost_t *vhost)
{
    return mod_stek_server_get(vhost->server)->ticket_key_file
               ? "the key in this virtual host's own file seals its tickets"
               : "handshakes fail here, because this virtual host has no such file";
}

static void lint_shared_addresses(apr_pool_t *ptemp)
{
    const mod_stek_vhost_t *vhost, *first;
    int i;

    for (i = 0; (vhost = vhost_at(i)); i++) {
        if (!vhost->ring || !vhost->server->is_virtual) {
            continue;
        }
        first = first_that(vhost, mod_stek_vhost_left_to_key_file);
        if (first) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, vhost->server,
                         "STEK3003: %s does not rotate its ticket keys: %s, the first virtual host "
                         "on %s, uses SSLSessionTicketKeyFile, so %s; add 'StekRotate on' to the "
                         "first",
                         mod_stek_server_text(vhost->server, ptemp),
                         mod_stek_server_text(first->server, ptemp),
                         has_several_addresses(vhost) ? "one of its addresses" : "its address",
                         key_file_effect(vhost));
        }
    }
}

static int has_no_ticket_option(const mod_stek_vhost_t *vhost)
{
    return (SSL_CTX_get_options(vhost->ctx) & SSL_OP_NO_TICKET) != 0;
}

/* Asked for, but mod_ssl has the last word. */
static int is_overruled(const mod_stek_vhost_t *vhost)
{
    const mod_stek_server_t *config = mod_stek_server_get(vhost->server);

    return vhost->ring && config->tickets > MOD_STEK_TICKETS_OFF && config->ssl_tickets == 0;
}

static void lint_overruled(apr_pool_t *ptemp)
{
    const affected_t found = find_affected(is_overruled);

    if (found.n > 0) {
        ap_log_error(
            APLOG_MARK, APLOG_NOTICE, 0, found.first->server,
            "STEK3017: %s: 'StekTickets %s' has no effect, because 'SSLSessionTickets off' "
            "applies; set 'SSLSessionTickets on' after that line, or remove StekTickets",
            affected_text(&found, ptemp),
            mod_stek_server_get(found.first->server)->tickets == MOD_STEK_TICKETS_ON ? "on"
                                                                                     : "tls1.3");
    }
}

/* OpenSSL takes the option from the first vhost on an address, whichever SNI chooses. */
static void lint_tickets_off(apr_pool_t *ptemp)
{
    const mod_stek_vhost_t *vhost, *first;
    int i;

    for (i = 0; (vhost = vhost_at(i)); i++) {
        if (!vhost->server->is_virtual || has_no_ticket_option(vhost)) {
            continue;
        }
        first = first_that(vhost, has_no_ticket_option);
        if (first) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, vhost->server,
                         "STEK3006: %s issues no tickets%s, because they are off for %s, the first "
                         "virtual host %s; put another one first",
                         mod_stek_server_text(vhost->server, ptemp),
                         has_several_addresses(vhost) ? " on one of its addresses" : "",
                         mod_stek_server_text(first->server, ptemp),
                         has_several_addresses(vhost) ? "there" : "on its address");
        }
    }
}

static int speaks_h2(const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);

    return core->protocols && ap_array_str_contains(core->protocols, "h2");
}

/* Compares a vhost with the first on each of its addresses, and tells of one that differs. */
static void note_shared_connections(const mod_stek_vhost_t *vhost, apr_pool_t *pool)
{
    const mod_stek_server_t *own = mod_stek_server_get(vhost->server), *other;
    const mod_stek_vhost_t *first;
    const server_addr_rec *addr;

    for (addr = vhost->server->addrs; addr; addr = addr->next) {
        first = first_at(addr);
        other = first ? mod_stek_server_get(first->server) : own;
        if (strcmp(other->tickets_said, own->tickets_said) != 0) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, vhost->server,
                         "STEK3007: %s and %s %s, so an HTTP/2 connection to one cannot be used "
                         "for the other; clients that try get status 421",
                         mod_stek_server_text(first->server, pool),
                         mod_stek_server_text(vhost->server, pool),
                         other->tickets != own->tickets
                             ? "differ in StekTickets"
                             : "have the same StekTickets, but one of them repeats what it "
                               "inherits");
            return;
        }
    }
}

/* Before it had this directive (httpd 2.4.66), mod_ssl did not compare SSLOpenSSLConfCmd. */
static int has_sni_policy(void)
{
    return mod_stek_ssl_has("SSLVHostSNIPolicy");
}

/* Nonzero: mod_ssl does not count SSLOpenSSLConfCmd among what two vhosts must share for one
 * connection to serve both. */
static int ignores_tickets(void)
{
    return mod_stek_policy_ignores_hosts() || !has_sni_policy();
}

static void lint_shared_connections(apr_pool_t *ptemp)
{
    const mod_stek_vhost_t *vhost;
    int i;

    if (!ap_find_linked_module("mod_http2.c") || ignores_tickets()) {
        return;
    }
    for (i = 0; (vhost = vhost_at(i)); i++) {
        if (vhost->server->is_virtual && speaks_h2(vhost->server)) {
            note_shared_connections(vhost, ptemp);
        }
    }
}

/* How much StekTickets keeps a vhost from resuming. */
static int strictness(const mod_stek_vhost_t *vhost)
{
    return vhost->no_tickets ? 2 : vhost->forward_secret ? 1 : 0;
}

/* A vhost on the same address that resumes more. */
static const mod_stek_vhost_t *laxer_neighbour(const mod_stek_vhost_t *vhost)
{
    const mod_stek_vhost_t *other;
    int i;

    for (i = 0; (other = vhost_at(i)); i++) {
        if (other->server->is_virtual && strictness(other) < strictness(vhost)
            && share_address(other->server, vhost->server)) {
            return other;
        }
    }
    return NULL;
}

/* What lets requests in, and what to do. */
static const char *ignoring_text(void)
{
    return has_sni_policy()
               ? ", because of 'SSLVHostSNIPolicy insecure'; set it to 'secure' (httpd keeps a value "
                 "that is only removed), or give both the same StekTickets"
               : ", if both have the same certificate and the same rules for client certificates, "
                 "because httpd before 2.4.66 does not compare StekTickets; give both the same "
                 "StekTickets, or install a later httpd";
}

/* A request finds its vhost in any connection. */
static void lint_ignored_hosts(apr_pool_t *ptemp)
{
    const mod_stek_vhost_t *vhost, *other;
    int i;

    for (i = 0; ignores_tickets() && (vhost = vhost_at(i)); i++) {
        if (!vhost->server->is_virtual || strictness(vhost) == 0) {
            continue;
        }
        other = laxer_neighbour(vhost);
        if (other) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, vhost->server,
                         "STEK3018: %s: 'StekTickets %s' does not hold for requests that come in a "
                         "connection to %s%s",
                         mod_stek_server_text(vhost->server, ptemp),
                         vhost->no_tickets ? "off" : "tls1.3",
                         mod_stek_server_text(other->server, ptemp), ignoring_text());
        }
    }
}

static int says_tickets(const mod_stek_vhost_t *vhost)
{
    return *mod_stek_server_get(vhost->server)->tickets_said != '\0';
}

static void log_vhost(const mod_stek_vhost_t *vhost, apr_pool_t *pool)
{
    const char *name = mod_stek_server_text(vhost->server, pool);

    if (!vhost->ring) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, vhost->server,
                     "STEK3010: %s: mod_ssl handles its tickets", name);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, vhost->server,
                 "STEK3011: %s: ring '%s', tickets %s, binding %s, ticket lifetime %s, "
                 "maximum session age %s",
                 name, vhost->ring->name, mod_stek_vhost_tickets_text(vhost),
                 vhost->bound ? "policy" : "off", stek_time_text(vhost->limits.lifetime, pool),
                 vhost->limits.max_age ? stek_time_text(vhost->limits.max_age, pool)
                                       : "not limited");
}

void mod_stek_vhost_notices_log(apr_pool_t *ptemp)
{
    const mod_stek_vhost_t *vhost;
    apr_pool_t *pool;
    int i;

    if (apr_pool_create(&pool, ptemp) != APR_SUCCESS) {
        return;
    }
    for (i = 0; (vhost = vhost_at(i)); i++) {
        if (APLOG_IS_LEVEL(vhost->server, APLOG_INFO)) {
            log_vhost(vhost, pool);
            apr_pool_clear(pool);
        }
    }
    apr_pool_destroy(pool);
}

static int is_on(const mod_stek_vhost_t *vhost)
{
    return !has_no_ticket_option(vhost) || mod_stek_server_get(vhost->server)->ssl_tickets != 0;
}

static int rotates(const mod_stek_vhost_t *vhost)
{
    return vhost->ring != NULL;
}

/* Debian's ssl.conf turns tickets off: keys that nobody uses should not go unnoticed. */
static void lint_all_off(server_rec *main_server)
{
    if (find_affected(is_on).n == 0 && find_affected(rotates).n > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server,
                     "STEK3008: no virtual host issues tickets: 'SSLSessionTickets off' applies "
                     "to all of them, as in Debian's ssl.conf; set 'SSLSessionTickets on' after "
                     "ssl.conf");
    }
}

static int outlives_cache(const mod_stek_vhost_t *vhost)
{
    return vhost->ring && mod_stek_limits_outlive_cache(vhost->server);
}

/* Explicit limits override the default, careful ones; if they are set for the whole server, that
 * may be more than was meant. */
static void lint_client_limits(apr_pool_t *ptemp)
{
    const affected_t found = find_affected(outlives_cache);

    if (found.n > 0) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, found.first->server,
                     "STEK3009: %s: asks for client certificates, and StekTicketLifetime or "
                     "StekMaxSessionAge lets sessions last longer than SSLSessionCacheTimeout; "
                     "httpd checks certificates only in full handshakes, so shorten these times "
                     "unless you intend that",
                     affected_text(&found, ptemp));
    }
}

static int asks_twice(const mod_stek_vhost_t *vhost)
{
    return vhost->asks_twice && !mod_stek_vhost_tickets_off(vhost);
}

static void lint_asked_twice(apr_pool_t *ptemp)
{
    const affected_t found = find_affected(asks_twice);

    if (found.n > 0) {
        ap_log_error(
            APLOG_MARK, APLOG_NOTICE, 0, found.first->server,
            "STEK3013: %s: no TLS 1.3 session is resumed, because client certificate rules are set "
            "both in virtual hosts and in sections, or SSLVHostSNIPolicy is not 'secure'; set "
            "SSLVerifyClient and SSLVerifyDepth in one place only, and 'SSLVHostSNIPolicy secure'",
            affected_text(&found, ptemp));
    }
}

static int is_unbindable(const mod_stek_vhost_t *vhost)
{
    return vhost->unbindable && !mod_stek_vhost_tickets_off(vhost);
}

static void lint_unbindable(apr_pool_t *ptemp)
{
    const affected_t found = find_affected(is_unbindable);

    if (found.n > 0) {
        ap_log_error(
            APLOG_MARK, APLOG_NOTICE, 0, found.first->server,
            "STEK3014: %s: clients with a certificate get no tickets, because httpd's parent cannot "
            "read the CA certificates and CRLs that decide about them in the same way as its "
            "children: they are in VerifyCAStore, or in directories while ChrootDir is set; name "
            "them with SSLCACertificateFile and SSLCARevocationFile instead",
            affected_text(&found, ptemp));
    }
}

static int is_forward_secret(const mod_stek_vhost_t *vhost)
{
    return vhost->forward_secret;
}

static int allows_no_kex(const mod_stek_vhost_t *vhost)
{
    return (SSL_CTX_get_options(vhost->ctx) & SSL_OP_ALLOW_NO_DHE_KEX) != 0;
}

/* Where the option that is refused to vhost is set: in its own settings, or else in those of first. */
static const char *no_kex_source(const mod_stek_vhost_t *vhost, const mod_stek_vhost_t *first,
                                 apr_pool_t *pool)
{
    static const char option[] = "'SSLOpenSSLConfCmd Options AllowNoDHEKEX' of";

    if (vhost->no_kex_refused) {
        return apr_pstrcat(pool, option, " this virtual host or the main server", NULL);
    }
    if (mod_stek_server_get(first->server)->allows_no_kex == 1) {
        return apr_pstrcat(pool, option, " ", mod_stek_server_text(first->server, pool), NULL);
    }
    return apr_pstrcat(pool, "AllowNoDHEKEX, which OpenSSL's configuration file sets for ",
                       mod_stek_server_text(first->server, pool), ",", NULL);
}

/* OpenSSL takes the option from the first vhost on an address as well. */
static void lint_no_kex(apr_pool_t *ptemp)
{
    const mod_stek_vhost_t *vhost, *first;
    int i;

    for (i = 0; (vhost = vhost_at(i)); i++) {
        if (!vhost->forward_secret) {
            continue;
        }
        first = vhost->server->is_virtual ? first_that(vhost, allows_no_kex) : NULL;
        if (vhost->no_kex_refused || first) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, vhost->server,
                         "STEK3015: %s: 'StekTickets tls1.3' resumes no session without a key "
                         "exchange, so %s has no effect here; remove it",
                         mod_stek_server_text(vhost->server, ptemp),
                         no_kex_source(vhost, first, ptemp));
        }
    }
}

void mod_stek_vhost_notices_warn(server_rec *main_server, apr_pool_t *ptemp)
{
    lint_client_limits(ptemp);
    lint_asked_twice(ptemp);
    lint_unbindable(ptemp);
    /* What follows compares vhosts by pairs, so only if there is a reason: there may be
     * thousands. */
    if (find_affected(mod_stek_vhost_left_to_key_file).n > 0) {
        lint_all_key_files(ptemp);
        lint_shared_addresses(ptemp);
    }
    if (find_affected(mod_stek_vhost_tickets_off).n > 0) {
        lint_all_off(main_server);
        lint_overruled(ptemp);
        lint_tickets_off(ptemp);
    }
    if (find_affected(is_forward_secret).n > 0) {
        lint_no_kex(ptemp);
    }
    if (find_affected(says_tickets).n > 0) {
        lint_shared_connections(ptemp);
        lint_ignored_hosts(ptemp);
    }
}
