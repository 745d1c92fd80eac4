/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of announcements (announce_set.h): their order, and what follows from them.  stekctl; no state.
 */
#include "announce_set.h"

#include <apr_strings.h>
#include <string.h>

#include "stek_ring_digest.h"
#include "stek_version.h"

/* Clocks that NTP keeps differ by less. */
#define CLOCK_MARGIN apr_time_from_sec(5)

static int by_number(apr_int64_t a, apr_int64_t b)
{
    return (a > b) - (a < b);
}

/* When it was said, as far as the host knows by how much its clock is behind. */
static apr_time_t said_at(const announce_t *host)
{
    return host->clock + host->behind;
}

int announce_compare(const announce_t *a, const announce_t *b, apr_time_t now)
{
    unsigned char bytes_a[ANNOUNCE_HOST_MAX], bytes_b[ANNOUNCE_HOST_MAX];
    apr_size_t len_a, len_b;
    int order = by_number(said_at(b) > now + ANNOUNCE_AHEAD_MAX,
                          said_at(a) > now + ANNOUNCE_AHEAD_MAX);

    if (order == 0) {
        order = by_number(said_at(a), said_at(b));
    }
    /* A host may say two things within a second. */
    if (order == 0) {
        order = (a->epoch > b->epoch) - (a->epoch < b->epoch);
    }
    if (order == 0) {
        order = (a->generation > b->generation) - (a->generation < b->generation);
    }
    if (order == 0) {
        len_a = announce_encode(a, bytes_a);
        len_b = announce_encode(b, bytes_b);
        order = by_number((apr_int64_t)len_a, (apr_int64_t)len_b);
        order = order ? order : memcmp(bytes_a, bytes_b, len_a);
    }
    return order;
}

static announce_set_t room_for(apr_size_t n, apr_pool_t *pool)
{
    announce_set_t set = {apr_palloc(pool, (n + 1) * sizeof(announce_t)), 0};

    return set;
}

/* Without those that are to be forgotten: first of all, or one of them could displace a living one. */
static announce_set_t living(const announce_set_t *set, apr_time_t now, apr_pool_t *pool)
{
    announce_set_t kept = room_for(set->n, pool);
    apr_size_t i;

    for (i = 0; i < set->n; i++) {
        if (said_at(&set->hosts[i]) + ANNOUNCE_FORGET > now) {
            kept.hosts[kept.n++] = set->hosts[i];
        }
    }
    return kept;
}

/* The union, of each host the announcement that counts. */
static announce_set_t unite(const announce_set_t *a, const announce_set_t *b, apr_time_t now,
                            apr_pool_t *pool)
{
    announce_set_t all = room_for(a->n + b->n, pool);
    apr_size_t i = 0, j = 0;

    while (i < a->n || j < b->n) {
        int order = i == a->n ? 1 : j == b->n ? -1 : strcmp(a->hosts[i].name, b->hosts[j].name);

        if (order == 0) {
            all.hosts[all.n++] = announce_compare(&a->hosts[i], &b->hosts[j], now) >= 0
                                     ? a->hosts[i]
                                     : b->hosts[j];
            i++;
            j++;
        }
        else {
            all.hosts[all.n++] = order < 0 ? a->hosts[i++] : b->hosts[j++];
        }
    }
    return all;
}

/* How many of the set count more than host. */
static apr_size_t before_n(const announce_set_t *set, const announce_t *host, apr_time_t now)
{
    apr_size_t i, n = 0;

    for (i = 0; i < set->n; i++) {
        const announce_t *other = &set->hosts[i];
        int order = announce_compare(other, host, now);

        n += order > 0;
    }
    return n;
}

announce_set_t announce_merge(const announce_set_t *a, const announce_set_t *b, apr_time_t now,
                              apr_size_t max, apr_pool_t *pool)
{
    announce_set_t living_a = living(a, now, pool), living_b = living(b, now, pool);
    announce_set_t all = unite(&living_a, &living_b, now, pool), kept = room_for(all.n, pool);
    apr_size_t i;

    for (i = 0; i < all.n; i++) {
        if (all.n <= max || before_n(&all, &all.hosts[i], now) < max) {
            kept.hosts[kept.n++] = all.hosts[i];
        }
    }
    return kept;
}

announce_set_t announce_without(const announce_set_t *set, const char *name, apr_pool_t *pool)
{
    announce_set_t rest = room_for(set->n, pool);
    apr_size_t i;

    for (i = 0; i < set->n; i++) {
        if (strcmp(set->hosts[i].name, name) != 0) {
            rest.hosts[rest.n++] = set->hosts[i];
        }
    }
    return rest;
}

announce_set_t announce_present(const announce_set_t *set, apr_pool_t *pool)
{
    announce_set_t rest = room_for(set->n, pool);
    apr_size_t i;

    for (i = 0; i < set->n; i++) {
        if (!(set->hosts[i].flags & ANNOUNCE_FORGOTTEN)) {
            rest.hosts[rest.n++] = set->hosts[i];
        }
    }
    return rest;
}

announce_set_t announce_put(const announce_set_t *set, const announce_t *host, apr_time_t now,
                            apr_pool_t *pool)
{
    announce_set_t none = {NULL, 0}, one = room_for(1, pool);
    announce_set_t others = announce_without(set, host->name, pool);

    one.hosts[one.n++] = *host;
    others = announce_merge(&others, &none, now, ANNOUNCE_PART_HOSTS_MAX - 1, pool);
    return unite(&others, &one, now, pool);
}

announce_set_t announce_forget(const announce_set_t *set, const char *name, apr_time_t now,
                               apr_pool_t *pool)
{
    const announce_t *said = announce_find(set, name);
    announce_t mark = {.version = STEK_VERSION, .flags = ANNOUNCE_FORGOTTEN, .clock = now};
    apr_time_t last = said ? said_at(said) : 0;

    apr_cpystrn(mark.name, name, sizeof(mark.name));
    if (last >= now && last <= now + ANNOUNCE_AHEAD_MAX) {
        mark.clock = last + apr_time_from_sec(1);
    }
    return announce_put(set, &mark, now, pool);
}

const announce_t *announce_find(const announce_set_t *set, const char *name)
{
    apr_size_t i;

    for (i = 0; i < set->n; i++) {
        if (!strcmp(set->hosts[i].name, name)) {
            return &set->hosts[i];
        }
    }
    return NULL;
}

const char *announce_hex(const unsigned char *bytes, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
}

/* ---- what a ring is ---- */

apr_status_t announce_digest(const stek_ring_t *ring, apr_time_t now,
                             unsigned char digest[ANNOUNCE_DIGEST_LEN])
{
    unsigned char whole[STEK_RING_DIGEST_LEN];
    apr_status_t rv = stek_ring_digest(ring, now, whole);

    if (rv == APR_SUCCESS) {
        memcpy(digest, whole, ANNOUNCE_DIGEST_LEN);
    }
    return rv;
}

/* ---- clocks ---- */

/* How far the others are ahead, if most of them are further ahead than any clock should be: as far as most of them
 * are at least.  0: they are not. */
static apr_interval_time_t far_behind(const announce_set_t *set, const char *name, apr_time_t now)
{
    apr_size_t i, j, other_n = 0, far_n = 0, more_n;
    apr_interval_time_t least = 0;

    for (i = 0; i < set->n; i++) {
        int other = strcmp(set->hosts[i].name, name) != 0;

        other_n += (apr_size_t)other;
        far_n += other && said_at(&set->hosts[i]) - now > ANNOUNCE_AHEAD_MAX;
    }
    for (i = 0; 2 * far_n > other_n && i < set->n; i++) {
        apr_interval_time_t ahead = said_at(&set->hosts[i]) - now;

        for (j = 0, more_n = 0; j < set->n; j++) {
            more_n += strcmp(set->hosts[j].name, name) != 0
                      && said_at(&set->hosts[j]) - now >= ahead;
        }
        if (strcmp(set->hosts[i].name, name) != 0 && 2 * more_n > other_n && ahead > least) {
            least = ahead;
        }
    }
    return least;
}

apr_interval_time_t announce_behind(const announce_set_t *set, const char *name, apr_time_t now)
{
    apr_interval_time_t most = 0, second = 0, far = far_behind(set, name, now);
    apr_size_t i, other_n = 0;

    for (i = 0; far == 0 && i < set->n; i++) {
        apr_interval_time_t ahead = set->hosts[i].clock - now;

        if (!strcmp(set->hosts[i].name, name) || ahead > ANNOUNCE_AHEAD_MAX) {
            continue;
        }
        other_n++;
        if (ahead > most) {
            second = most;
            most = ahead;
        }
        else if (ahead > second) {
            second = ahead;
        }
    }
    second = other_n == 1 ? most : second;
    second = far > 0 ? far : second;
    return second > CLOCK_MARGIN ? second : 0;
}
