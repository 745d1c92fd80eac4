/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of stores (store_url.h).
 */
#include "store_url.h"

#include <apr_strings.h>
#include <string.h>

#include "options.h"
#include "store_kinds.h"
#include "store_member.h"

#define SYNTAX                                                                                     \
    "must be memcached://HOST[:PORT], redis://[USER@]HOST[:PORT][/DB] or "                         \
    "etcd[s]://[USER@]HOST[:PORT][,HOST[:PORT]...]/PREFIX"
#define NO_PASSWORD "do not put a password in the URL; put it in the file given by --password"
#define MEMBERS_MAX 16

/* Splits rest, which belongs to the pool: [user@]host[:port][/db]. */
static const char *parse_rest(char *rest, const store_driver_t *driver, store_target_t *target)
{
    char *at, *slash;

    slash = strchr(rest, '/');
    if (slash) {
        *slash++ = '\0';
        target->db = *slash ? options_number(slash, 0, 65535) : 0;
        if (target->db < 0 || (!driver->has_db && *slash)) {
            return driver->has_db ? "the database must be a number" : "a memcached URL has no path";
        }
    }
    at = strrchr(rest, '@');
    if (at) {
        *at = '\0';
        target->user = rest;
        rest = at + 1;
        if (!driver->has_db || strchr(target->user, ':')) {
            return driver->has_db ? NO_PASSWORD : "a memcached URL has no user";
        }
    }
    target->port = store_member_split(rest, driver->port, &target->host);
    return target->port > 0 ? NULL : SYNTAX;
}

/* Whether every member of the list has a host and a port. */
static int is_list(char *list, int default_port)
{
    char *host;
    int n = 0;

    while (list) {
        if (store_member_next(&list, default_port, &host) <= 0 || ++n > MEMBERS_MAX) {
            return 0;
        }
    }
    return 1;
}

/* Splits rest, which belongs to the pool: [user@]host[:port][,host[:port]...]/prefix. */
static const char *parse_cluster(char *rest, const store_driver_t *driver, store_target_t *target,
                                 apr_pool_t *pool)
{
    char *slash = strchr(rest, '/'), *at, *end;

    if (!slash) {
        return "missing key prefix, as in etcd://HOST/stek";
    }
    *slash = '\0';
    target->prefix = slash + 1;
    for (end = slash + strlen(slash + 1); end > slash && *end == '/'; end--) {
        *end = '\0';
    }
    for (at = target->prefix; *at > 0x20 && *at < 0x7f; at++) {
    }
    if (!*target->prefix || *at) {
        return "the key prefix must be printable ASCII, as in etcd://HOST/stek";
    }
    at = strrchr(rest, '@');
    if (at) {
        *at = '\0';
        target->user = rest;
        rest = at + 1;
        if (!*target->user || strchr(target->user, ':')) {
            return *target->user ? NO_PASSWORD : SYNTAX;
        }
    }
    target->host = rest;
    target->port = driver->port;
    return is_list(apr_pstrdup(pool, rest), driver->port) ? NULL : SYNTAX;
}

const char *store_url_parse(const char *url, const store_driver_t **pdriver, store_target_t *target,
                            apr_pool_t *pool)
{
    const char *end = strstr(url, "://"), *why = NULL;

    *pdriver = end ? store_kinds_find(url, (apr_size_t)(end - url), &why) : NULL;
    if (!*pdriver) {
        return why ? why : SYNTAX;
    }
    return (*pdriver)->has_prefix
               ? parse_cluster(apr_pstrdup(pool, end + 3), *pdriver, target, pool)
               : parse_rest(apr_pstrdup(pool, end + 3), *pdriver, target);
}

const char *store_url_shown(const char *url, apr_pool_t *pool)
{
    const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
    const char *colon = strchr(scheme ? scheme + 3 : url, ':');

    if (!at || !colon || colon > at) {
        return url;
    }
    return apr_pstrcat(pool, apr_pstrmemdup(pool, url, (apr_size_t)(colon - url)), ":***", at,
                       NULL);
}
