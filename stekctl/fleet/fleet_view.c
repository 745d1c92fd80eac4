/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judgement of all hosts (fleet_view.h).  stekctl; no state.
 */
#include "fleet_view.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_MARGIN apr_time_from_sec(5)
#define PERIODS_MAX 3                    /* of silence */
#define HTTPD_POLL apr_time_from_sec(10) /* and what is left of a reload */

const char *fleet_trouble_name(fleet_trouble_e trouble)
{
    static const char *const names[] = {"disagrees", "twin", "lags", "clock",
                                        "version",   "gone", "good"};

    return names[trouble];
}

fleet_trouble_e fleet_trouble_worst(unsigned troubles)
{
    int trouble = 0;

    while (trouble < FLEET_TROUBLES_N && !(troubles & 1u << trouble)) {
        trouble++;
    }
    return (fleet_trouble_e)trouble;
}

static int is_gone(const fleet_host_t *host)
{
    return (host->troubles & 1u << FLEET_GONE) != 0;
}

/* How long a host may take to follow, and to say so. */
static apr_interval_time_t grace_of(const announce_t *host)
{
    return 2 * host->every + CLOCK_MARGIN;
}

static void look_at(const announce_t *said, apr_time_t now, fleet_host_t *host)
{
    /* By others whose clocks were years ahead: then it is not behind. */
    int is_behind = said->behind > 0 && said->clock + said->behind <= now + ANNOUNCE_AHEAD_MAX;
    apr_time_t clock = said->clock + (is_behind ? said->behind : 0);

    host->host = said;
    host->behind = is_behind ? said->behind : 0;
    host->age = now > clock ? now - clock : 0;
    host->ahead = said->clock - now > CLOCK_MARGIN ? said->clock - now : 0;
    if (host->behind > 0 || host->ahead > 0) {
        host->troubles |= 1u << FLEET_CLOCK;
    }
    if (host->age > PERIODS_MAX * said->period + grace_of(said)) {
        host->troubles = 1u << FLEET_GONE; /* what else it said is history */
    }
    else if (said->flags & ANNOUNCE_TWIN) {
        host->troubles |= 1u << FLEET_TWIN;
    }
}

/* ---- rings ---- */

static void count_ring(fleet_view_t *view, const announce_t *host)
{
    apr_time_t since = host->since + host->behind;
    apr_size_t i = 0;

    while (i < view->ring_n
           && memcmp(view->rings[i].digest, host->digest, ANNOUNCE_DIGEST_LEN) != 0) {
        i++;
    }
    if (i == view->ring_n) {
        fleet_ring_t ring = {host->digest, host->epoch, 0, since};

        view->rings[view->ring_n++] = ring;
    }
    view->rings[i].host_n++;
    if (since < view->rings[i].since) {
        view->rings[i].since = since;
    }
}

static int by_weight(const void *a, const void *b)
{
    const fleet_ring_t *x = a, *y = b;

    return x->epoch != y->epoch     ? (x->epoch < y->epoch ? 1 : -1)
           : x->host_n != y->host_n ? (x->host_n < y->host_n ? 1 : -1)
           : x->since != y->since   ? (x->since < y->since ? 1 : -1)
                                    : memcmp(x->digest, y->digest, ANNOUNCE_DIGEST_LEN);
}

/* httpd polls its ring; then its host says that it has it. */
static int httpd_lags(const announce_t *said, apr_time_t now)
{
    return said->flags & ANNOUNCE_HTTPD
           && (said->httpd_epoch != said->epoch || said->httpd_generation < said->generation)
           && now - said->since - said->behind > grace_of(said) + HTTPD_POLL;
}

static void judge_ring(const fleet_ring_t *ring, apr_time_t now, fleet_host_t *host)
{
    const announce_t *said = host->host;
    apr_interval_time_t grace = grace_of(said);

    if (memcmp(said->digest, ring->digest, ANNOUNCE_DIGEST_LEN) != 0) {
        host->apart = now > ring->since ? now - ring->since : 0;
        host->troubles |= 1u << (said->clock + said->behind > ring->since + grace
                                         && host->apart > grace
                                     ? FLEET_DISAGREES
                                     : FLEET_LAGS);
    }
    else if (said->agreed == 0 || said->clock - said->agreed > 2 * grace) {
        host->apart = said->agreed ? said->clock - said->agreed : 0;
        host->troubles |= 1u << FLEET_LAGS;
    }
    else if (said->flags & ANNOUNCE_MUTE) {
        host->httpd_mute = 1;
        host->troubles |= 1u << FLEET_LAGS;
    }
    else if (httpd_lags(said, now)) {
        host->httpd_lags = 1;
        host->troubles |= 1u << FLEET_LAGS;
    }
}

/* ---- versions ---- */

static apr_size_t runs_n(const fleet_view_t *view, const char *version)
{
    apr_size_t i, n = 0;

    for (i = 0; i < view->n; i++) {
        n += !is_gone(&view->hosts[i]) && !strcmp(view->hosts[i].host->version, version);
    }
    return n;
}

/* What most hosts run; of two, the later in the alphabet. */
static const char *common_version(const fleet_view_t *view)
{
    const char *common = "";
    apr_size_t i, n, most = 0;

    for (i = 0; i < view->n; i++) {
        const char *version = view->hosts[i].host->version;

        if (is_gone(&view->hosts[i]) || !strcmp(version, common)) {
            continue;
        }
        n = runs_n(view, version);
        if (n > most || (n == most && strcmp(version, common) > 0)) {
            most = n;
            common = version;
        }
    }
    return common;
}

/* ---- the view ---- */

static int by_trouble(const void *a, const void *b)
{
    const fleet_host_t *x = a, *y = b;
    int worst_x = (int)fleet_trouble_worst(x->troubles);
    int worst_y = (int)fleet_trouble_worst(y->troubles);

    return worst_x != worst_y ? worst_x - worst_y : strcmp(x->host->name, y->host->name);
}

static void count_troubles(fleet_view_t *view)
{
    apr_size_t i, ahead_n = 0, present_n = 0;
    int trouble;

    for (i = 0; i < view->n; i++) {
        present_n += !is_gone(&view->hosts[i]);
        ahead_n += view->hosts[i].ahead > 0;
        for (trouble = 0; trouble < FLEET_TROUBLES_N; trouble++) {
            view->trouble_n[trouble] += view->hosts[i].troubles >> trouble & 1u;
        }
    }
    view->now_is_behind = ahead_n >= 2 && 2 * ahead_n > present_n;
}

fleet_view_t fleet_view_make(const announce_set_t *set, apr_time_t now, apr_pool_t *pool)
{
    fleet_view_t view = {.n = set->n};
    const char *version;
    apr_size_t i;

    view.hosts = apr_pcalloc(pool, (set->n + 1) * sizeof(*view.hosts));
    view.rings = apr_pcalloc(pool, (set->n + 1) * sizeof(*view.rings));
    for (i = 0; i < set->n; i++) {
        look_at(&set->hosts[i], now, &view.hosts[i]);
        if (!is_gone(&view.hosts[i])) {
            count_ring(&view, &set->hosts[i]);
        }
    }
    qsort(view.rings, view.ring_n, sizeof(*view.rings), by_weight);
    version = common_version(&view);
    for (i = 0; i < view.n; i++) {
        if (!is_gone(&view.hosts[i])) {
            judge_ring(&view.rings[0], now, &view.hosts[i]);
            if (strcmp(view.hosts[i].host->version, version) != 0) {
                view.hosts[i].troubles |= 1u << FLEET_VERSION;
            }
        }
    }
    qsort(view.hosts, view.n, sizeof(*view.hosts), by_trouble);
    count_troubles(&view);
    return view;
}
