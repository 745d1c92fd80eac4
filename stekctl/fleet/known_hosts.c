/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of hosts (known_hosts.h).
 */
#include "known_hosts.h"

#include <apr_strings.h>
#include <string.h>

apr_array_header_t *known_hosts_make(apr_pool_t *pool)
{
    return apr_array_make(pool, 8, sizeof(known_host_t));
}

static known_host_t *find(const apr_array_header_t *known, const char *name)
{
    int i;

    for (i = 0; i < known->nelts; i++) {
        known_host_t *host = &APR_ARRAY_IDX(known, i, known_host_t);

        if (!strcmp(host->name, name)) {
            return host;
        }
    }
    return NULL;
}

apr_time_t known_hosts_seen(const apr_array_header_t *known, const char *name)
{
    const known_host_t *host = find(known, name);

    return host ? host->seen : 0;
}

static void drop(apr_array_header_t *known, known_host_t *host)
{
    *host = APR_ARRAY_IDX(known, known->nelts - 1, known_host_t);
    known->nelts--;
}

/* Where to put one more. */
static known_host_t *room_in(apr_array_header_t *known)
{
    known_host_t *oldest;
    int i;

    if (known->nelts < KNOWN_HOSTS_MAX) {
        return &APR_ARRAY_PUSH(known, known_host_t);
    }
    oldest = &APR_ARRAY_IDX(known, 0, known_host_t);
    for (i = 1; i < known->nelts; i++) {
        known_host_t *host = &APR_ARRAY_IDX(known, i, known_host_t);

        oldest = host->seen < oldest->seen ? host : oldest;
    }
    return oldest;
}

void known_hosts_add(apr_array_header_t *known, const char *name, apr_time_t seen)
{
    known_host_t *host;

    if (!announce_is_name(name)) {
        return;
    }
    host = find(known, name);
    if (!host) {
        host = room_in(known);
        apr_cpystrn(host->name, name, sizeof(host->name));
    }
    host->seen = seen;
}

static int is_over(apr_time_t seen, apr_time_t now)
{
    return seen + ANNOUNCE_FORGET <= now;
}

/* Whether that was said before the host, which may be NULL, was last seen. */
static int is_older(const announce_t *said, const known_host_t *host, apr_time_t now)
{
    apr_time_t last = host && host->seen <= now ? host->seen : 0; /* else this clock was ahead */

    return said->clock + said->behind < last;
}

/* A store may show again what was said long ago: that makes no host older, and forgets none that has spoken since. */
static void take_in(apr_array_header_t *known, const announce_t *said, apr_time_t now)
{
    apr_time_t at = said->clock + said->behind;
    known_host_t *host = find(known, said->name);

    if (is_older(said, host, now)) {
        return;
    }
    if (!(said->flags & ANNOUNCE_FORGOTTEN)) {
        known_hosts_add(known, said->name, at < now ? at : now);
    }
    else if (host) {
        drop(known, host);
    }
}

void known_hosts_update(apr_array_header_t *known, const announce_set_t *set, apr_time_t now)
{
    apr_size_t i;
    int n;

    for (i = 0; i < set->n; i++) {
        take_in(known, &set->hosts[i], now);
    }
    for (n = known->nelts - 1; n >= 0; n--) {
        if (is_over(APR_ARRAY_IDX(known, n, known_host_t).seen, now)) {
            drop(known, &APR_ARRAY_IDX(known, n, known_host_t));
        }
    }
}

/* Whether the set shows the host, or that it is to be forgotten: sync may not have looked since.  An old mark that a
 * store shows again is none. */
static int is_shown(const announce_set_t *set, const known_host_t *host, apr_time_t now)
{
    const announce_t *said = announce_find(set, host->name);

    return said && (!(said->flags & ANNOUNCE_FORGOTTEN) || !is_older(said, host, now));
}

apr_array_header_t *known_hosts_missing(const apr_array_header_t *known, const announce_set_t *set,
                                        apr_time_t now, apr_pool_t *pool)
{
    apr_array_header_t *missing = known_hosts_make(pool);
    int i;

    for (i = 0; i < known->nelts; i++) {
        const known_host_t *host = &APR_ARRAY_IDX(known, i, known_host_t);

        if (!is_shown(set, host, now) && !is_over(host->seen, now)) {
            APR_ARRAY_PUSH(missing, known_host_t) = *host;
        }
    }
    return missing;
}
