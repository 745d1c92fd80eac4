/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers behind a URL (store_addresses.h).
 */
#include "store_addresses.h"

#include <apr_strings.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "store_connect.h"
#include "store_kinds.h"
#include "store_member.h"

/* A URL around its hosts. */
typedef struct parts_t {
    const char *before; /* the scheme, and the user if there is one */
    const char *behind; /* the path */
    int listed;
} parts_t;

static void add(apr_array_header_t *found, const parts_t *parts, const char *member,
                const char *number, const char *shown, apr_pool_t *pool)
{
    store_address_t one = {
        .url = apr_pstrcat(pool, parts->before, member, parts->behind, NULL),
        .number = number,
        .shown = apr_pstrcat(pool, parts->before, shown, parts->behind, NULL),
        .listed = parts->listed,
    };
    int i;

    for (i = 0; i < found->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(found, i, store_address_t).shown, one.shown)) {
            return;
        }
    }
    APR_ARRAY_PUSH(found, store_address_t) = one;
}

/* "NUMBER:PORT" with the port of the member, if it has one. */
static const char *with_port(const char *number, const char *member, apr_pool_t *pool)
{
    const char *bracket = strrchr(member, ']'), *port = strchr(bracket ? bracket : member, ':');

    return apr_psprintf(pool, strchr(number, ':') ? "[%s]%s" : "%s%s", number, port ? port : "");
}

static void add_member(apr_array_header_t *found, const parts_t *parts, const char *member,
                       apr_pool_t *pool)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct addrinfo *addresses[STORE_CONNECT_ADDRESSES_MAX];
    struct addrinfo *first = NULL;
    char number[NI_MAXHOST], *host = NULL;
    int i, n;

    (void)store_member_split(apr_pstrdup(pool, member), 1, &host);
    if (getaddrinfo(host, NULL, &hints, &first) != 0) {
        first = NULL;
    }
    n = store_connect_choose(first, addresses);
    if (n < 2) {
        add(found, parts, member, NULL, member, pool);
    }
    for (i = 0; i < n && n > 1; i++) {
        if (getnameinfo(addresses[i]->ai_addr, addresses[i]->ai_addrlen, number, sizeof(number),
                        NULL, 0, NI_NUMERICHOST)
            == 0) {
            add(found, parts, member, apr_pstrdup(pool, number), with_port(number, member, pool),
                pool);
        }
    }
    if (first) {
        freeaddrinfo(first);
    }
}

apr_array_header_t *store_addresses(const char *url, apr_pool_t *pool)
{
    apr_array_header_t *found = apr_array_make(pool, 2, sizeof(store_address_t));
    const char *begin = strstr(url, "://"), *why;
    const store_driver_t *driver = begin ? store_kinds_find(url, (apr_size_t)(begin - url), &why)
                                         : NULL;
    char *hosts, *at, *member, *state = NULL;
    parts_t parts = {"", "", 0};

    if (driver && !(driver->url & STORE_URL_SOCKET)) {
        begin += strlen("://");
        parts.behind = begin + strcspn(begin, "/");
        hosts = apr_pstrmemdup(pool, begin, (apr_size_t)(parts.behind - begin));
        at = strrchr(hosts, '@'); /* a user may have one, too */
        at = at ? at + 1 : hosts;
        parts.before = apr_pstrmemdup(pool, url, (apr_size_t)(begin - url + (at - hosts)));
        parts.listed = driver->url & STORE_URL_LIST && strchr(at, ',');
        for (member = apr_strtok(at, ",", &state); member; member = apr_strtok(NULL, ",", &state)) {
            add_member(found, &parts, member, pool);
        }
    }
    if (found->nelts == 0) {
        store_address_t whole = {url, NULL, url, 0};

        APR_ARRAY_PUSH(found, store_address_t) = whole;
    }
    return found;
}
