/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of stores (store_url.h).
 */
#include "store_url.h"

#include <apr_strings.h>
#include <string.h>

#include "options.h"
#include "store_kinds.h"

#define SYNTAX "must be memcached://HOST[:PORT] or redis://[USER@]HOST[:PORT][/DB]"

/* Splits rest, which belongs to the pool: [user@]host[:port][/db]. */
static const char *parse_rest(char *rest, const store_driver_t *driver, store_target_t *target)
{
    char *at, *slash, *port = NULL;

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
            return driver->has_db
                       ? "do not put a password in the URL; put it in the file given by --password"
                       : "a memcached URL has no user";
        }
    }
    if (*rest == '[' && strchr(rest, ']')) {
        rest++;
        port = strchr(rest, ']');
        *port++ = '\0';
        port = *port == ':' ? port + 1 : NULL;
    }
    else if (strchr(rest, ':')) {
        port = strchr(rest, ':');
        *port++ = '\0';
    }
    target->host = rest;
    target->port = port ? options_number(port, 0, 65535) : driver->port;
    if (!*rest || target->port <= 0) {
        return SYNTAX;
    }
    return NULL;
}

const char *store_url_parse(const char *url, const store_driver_t **pdriver, store_target_t *target,
                            apr_pool_t *pool)
{
    const char *end = strstr(url, "://"), *why = NULL;

    *pdriver = end ? store_kinds_find(url, (apr_size_t)(end - url), &why) : NULL;
    if (!*pdriver) {
        return why ? why : SYNTAX;
    }
    return parse_rest(apr_pstrdup(pool, end + 3), *pdriver, target);
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
