/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the announcements of all hosts come to: who holds which ring, and who is in trouble.  A store can
 * hide announcements, or show old ones again: then a host seems to have gone, never to agree.  Pure
 * functions of the set and the time; any thread.
 */
#ifndef STEKCTL_FLEET_VIEW_H
#define STEKCTL_FLEET_VIEW_H

#include "announce_set.h"

#pragma GCC visibility push(hidden)

/* The worst first. */
typedef enum fleet_trouble_e {
    FLEET_DISAGREES, /* has another ring than the fleet, although it has spoken since */
    FLEET_TWIN,      /* another host has the same name, so that only one of them is seen */
    FLEET_LAGS, /* has not yet, has not agreed with its stores lately, or its httpd has an older ring, or
                    * does not answer */
    FLEET_CLOCK,   /* its clock is off */
    FLEET_VERSION, /* runs another version than most */
    FLEET_GONE,    /* has been silent for three of its periods */
    FLEET_TROUBLES_N
} fleet_trouble_e;

typedef struct fleet_host_t {
    const announce_t *host;
    unsigned troubles;          /* bits: 1 << fleet_trouble_e */
    apr_interval_time_t age;    /* since it last spoke, as far as its clock tells */
    apr_interval_time_t ahead;  /* how far at least its clock is ahead of now */
    apr_interval_time_t behind; /* the same: behind now, by what it has said */
    int httpd_lags;             /* FLEET_LAGS: its httpd has not loaded its ring */
    int httpd_mute;             /* FLEET_LAGS: its httpd does not answer */
    apr_interval_time_t apart;  /* FLEET_DISAGREES, FLEET_LAGS: for how long */
} fleet_host_t;

/* Hosts, not gone, with one digest. */
typedef struct fleet_ring_t {
    const unsigned char *digest; /* ANNOUNCE_DIGEST_LEN */
    apr_uint64_t epoch;
    apr_size_t host_n;
    apr_time_t since; /* when the first of them had it */
} fleet_ring_t;

typedef struct fleet_view_t {
    fleet_host_t *hosts; /* by their troubles, then by name */
    apr_size_t n;
    fleet_ring_t *rings; /* the fleet's first: that of the greatest epoch, then of most hosts */
    apr_size_t ring_n;
    apr_size_t trouble_n[FLEET_TROUBLES_N]; /* hosts that have it */
    int now_is_behind; /* most hosts are ahead: it is rather this clock that is off */
} fleet_view_t;

/* The view of a set, in any order, at now; in pool, and it points into the set. */
fleet_view_t fleet_view_make(const announce_set_t *set, apr_time_t now, apr_pool_t *pool);

/* "disagrees", "twin", "lags", "clock", "version" or "gone"; constant. */
const char *fleet_trouble_name(fleet_trouble_e trouble);

/* The worst of a host's troubles; FLEET_TROUBLES_N: none. */
fleet_trouble_e fleet_trouble_worst(unsigned troubles);

#pragma GCC visibility pop
#endif
