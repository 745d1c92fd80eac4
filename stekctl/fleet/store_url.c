/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of stores (store_url.h).
 */
#include "store_url.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

#include "options.h"
#include "report.h"
#include "store_kinds.h"
#include "store_member.h"
#include "suggestion.h"

#define SYNTAX                                                                                       \
    "must be memcached://HOST[:PORT], redis[s]://[USER@]HOST[:PORT][/DB], "                          \
    "etcd[s]://[USER@]HOST[:PORT][,HOST[:PORT]...]/PREFIX, or another of the forms that stekctl(8) " \
    "shows"
#define NO_PASSWORD "do not put a password in the URL; put it in the file given by --password"
#define NO_DB "the database must be a number"
#define SCHEMES                                                                                    \
    "memcached, memcached+unix, redis, rediss, redis+unix, redis+sentinel, rediss+sentinel, etcd, etcds"
#define MEMBERS_MAX 16

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

static int is_printable(const char *text)
{
    for (; *text > 0x20 && *text < 0x7f; text++) {
    }
    return !*text;
}

/* Takes the user off what stands before a path. */
static const char *take_user(char **prest, store_target_t *target)
{
    char *at = strrchr(*prest, '@');

    if (at) {
        *at = '\0';
        target->user = *prest;
        *prest = at + 1;
        if (!*target->user || strchr(target->user, ':')) {
            return *target->user ? NO_PASSWORD : SYNTAX;
        }
    }
    return NULL;
}

static const char *take_db(const char *text, store_target_t *target)
{
    target->db = *text ? options_number(text, 0, 65535) : 0;
    return target->db < 0 ? NO_DB : NULL;
}

/* [user@]/path[?db=DB] */
static const char *parse_socket(char *rest, const store_driver_t *driver, store_target_t *target,
                                apr_pool_t *pool)
{
    char *slash = strchr(rest, '/'), *query = slash ? strchr(slash, '?') : NULL;
    const char *wrong = NULL;

    if (!slash) {
        return SYNTAX;
    }
    if (query) {
        *query = '\0';
        wrong = !(driver->url & STORE_URL_DB) ? "a memcached URL has no path behind its socket"
                : strncmp(query + 1, "db=", 3) != 0 ? "only ?db=NUMBER may follow the socket's path"
                                                    : take_db(query + 4, target);
    }
    target->host = apr_pstrdup(pool, slash);
    target->port = 0;
    *slash = '\0';
    if (!wrong && *rest) {
        wrong = slash[-1] == '@' ? take_user(&rest, target) : SYNTAX;
    }
    if (!wrong && !target->host[1]) {
        wrong = "missing path of the socket, as in redis+unix:///run/redis/redis.sock";
    }
    return wrong;
}

/* What may follow the hosts; NULL: nothing does. */
static const char *parse_path(char *path, const store_driver_t *driver, store_target_t *target)
{
    char *end;

    if (driver->url & STORE_URL_PREFIX) {
        if (!path) {
            return "missing key prefix, as in etcd://HOST/stek";
        }
        target->prefix = path;
        for (end = path + strlen(path); end > path && end[-1] == '/'; end--) {
            end[-1] = '\0';
        }
        return *path && is_printable(path)
                   ? NULL
                   : "the key prefix must be printable ASCII, as in etcd://HOST/stek";
    }
    if (driver->url & STORE_URL_MASTER) {
        target->master = path;
        path = path ? strchr(path, '/') : NULL;
        if (path) {
            *path++ = '\0';
        }
        if (!target->master || !*target->master || !is_printable(target->master)) {
            return "missing name of the primary, as in redis+sentinel://HOST/mymaster";
        }
    }
    if (!path || !*path) {
        return NULL;
    }
    return driver->url & STORE_URL_DB ? take_db(path, target) : "a memcached URL has no path";
}

/* [user@]hosts[/path] */
static const char *parse_hosts(char *rest, const store_driver_t *driver, store_target_t *target,
                               apr_pool_t *pool)
{
    char *slash = strchr(rest, '/');
    const char *wrong;

    if (slash) {
        *slash++ = '\0';
    }
    wrong = parse_path(slash, driver, target);
    if (!wrong) {
        wrong = take_user(&rest, target);
    }
    if (wrong) {
        return wrong;
    }
    if (!is_printable(rest)) {
        return "its host must be ASCII without spaces; nothing may follow the URL, and the ASCII form of "
               "a name with other letters begins with xn--";
    }
    if (driver->url & STORE_URL_LIST) {
        target->host = rest;
        target->port = driver->port;
        return is_list(apr_pstrdup(pool, rest), driver->port) ? NULL : SYNTAX;
    }
    target->port = store_member_split(rest, driver->port, &target->host);
    return target->port > 0 ? NULL : SYNTAX;
}

/* end: of the scheme, or NULL. */
static const char *unknown_scheme(const char *url, const char *end, apr_pool_t *pool)
{
    const char *scheme = end ? apr_pstrmemdup(pool, url, (apr_size_t)(end - url)) : "";
    const char *nearest = suggestion_of(scheme, SCHEMES, pool);

    return *nearest ? apr_pstrcat(pool, "unknown scheme", nearest, ": ", SYNTAX, NULL) : SYNTAX;
}

const char *store_url_parse(const char *url, const store_driver_t **pdriver, store_target_t *target,
                            apr_pool_t *pool)
{
    const char *end = strstr(url, "://"), *why = NULL;
    const store_driver_t *driver = end ? store_kinds_find(url, (apr_size_t)(end - url), &why)
                                       : NULL;

    if (!driver) {
        return why ? why : unknown_scheme(url, end, pool);
    }
    why = driver->url & STORE_URL_SOCKET
              ? parse_socket(apr_pstrdup(pool, end + 3), driver, target, pool)
              : parse_hosts(apr_pstrdup(pool, end + 3), driver, target, pool);
    *pdriver = target->user && driver->with_user ? driver->with_user : driver;
    return why;
}

static int equal(const char *a, const char *b)
{
    return !a || !b ? a == b : !strcmp(a, b);
}

/* Whether two lists share a member. */
static int share_member(const store_target_t *a, const store_target_t *b, apr_pool_t *pool)
{
    char *of_a = apr_pstrdup(pool, a->host), *of_b, *host_a, *host_b;

    while (of_a) {
        int port = store_member_next(&of_a, a->port, &host_a);

        for (of_b = apr_pstrdup(pool, b->host); of_b;) {
            if (store_member_next(&of_b, b->port, &host_b) == port && !strcasecmp(host_a, host_b)) {
                return 1;
            }
        }
    }
    return 0;
}

int store_url_same(const store_driver_t *driver_a, const store_target_t *a,
                   const store_driver_t *driver_b, const store_target_t *b, apr_pool_t *pool)
{
    if (driver_a != driver_b || a->db != b->db || !equal(a->prefix, b->prefix)
        || !equal(a->master, b->master)) {
        return 0;
    }
    return driver_a->url & STORE_URL_LIST     ? share_member(a, b, pool)
           : driver_a->url & STORE_URL_SOCKET ? !strcmp(a->host, b->host)
                                              : a->port == b->port && !strcasecmp(a->host, b->host);
}

const char *store_url_shown(const char *url, apr_pool_t *pool)
{
    const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
    const char *colon = strchr(scheme ? scheme + 3 : url, ':');
    const char *shown = url, *word;

    if (at && colon && colon < at) {
        shown = apr_pstrcat(pool, apr_pstrmemdup(pool, url, (apr_size_t)(colon - url)), ":***", at,
                            NULL);
    }
    word = strchr(shown, '?') ? strstr(shown, "password=") : NULL; /* as other programs take it */
    return word ? apr_pstrcat(pool, apr_pstrmemdup(pool, shown, (apr_size_t)(word - shown)),
                              "password=***", NULL)
                : shown;
}
