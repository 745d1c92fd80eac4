/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings and virtual hosts at one moment, as the status shows them in every form.  It contains no
 * key, only the first four bytes of names.  Made by the child that answers a request, in the
 * request's pool; any thread.
 */
#ifndef MOD_STEK_SNAPSHOT_H
#define MOD_STEK_SNAPSHOT_H

#include "mod_stek_live_view.h"
#include "mod_stek_vhost.h"

#pragma GCC visibility push(hidden)

typedef struct mod_stek_reason_t {
    const char *code; /* of stek_health_code, or MOD_STEK_*_CODE */
    const char *text; /* a sentence's part, not escaped */
} mod_stek_reason_t;

typedef struct mod_stek_ring_snapshot_t {
    const mod_stek_ring_config_t *ring;
    const char *source;     /* path of the file, or "memory" */
    const char *instead_of; /* the path of the configuration, if that could not be used; or NULL */
    mod_stek_view_t view;
    mod_stek_totals_t totals;
    mod_stek_rate_t rate_now, rate_hour;
    apr_time_t looked_at;       /* when this process last found the file good; 0: never */
    apr_status_t source_status; /* how its last look ended */
    int vhost_n;
    int secret_vhost_n; /* of these, with StekTickets tls1.3 */
    int reason_n;       /* 0: healthy */
    mod_stek_reason_t reasons[9];
    const char
        *parent_trouble; /* what keeps the parent from following or writing the file; or NULL */
} mod_stek_ring_snapshot_t;

/* The parent, which makes and writes keys, cannot read or write the ring's file. */
#define MOD_STEK_PARENT_CODE "parent"

/* The ring is not kept where the configuration says, so stekctl changes a file that httpd does not
 * follow. */
#define MOD_STEK_MEMORY_CODE "memory"

/* What is wrong with a lost ring. */
#define MOD_STEK_LOST_CODE "no-memory"
#define MOD_STEK_LOST_TEXT "there is not enough memory for its keys, so clients get no tickets"

typedef struct mod_stek_snapshot_t {
    apr_time_t now;
    int healthy; /* all rings */
    int ring_n;
    mod_stek_ring_snapshot_t *rings; /* those that serve a virtual host */
    int lost_n;
    const char **lost; /* names of those for whose keys there was no memory (STEK2013) */
    int vhost_n;
    const mod_stek_vhost_t **vhosts; /* in the order of the configuration */
} mod_stek_snapshot_t;

mod_stek_snapshot_t *mod_stek_snapshot_take(apr_time_t now, apr_pool_t *pool);

/* "12 min 3 s", the two greatest units; in pool. */
const char *mod_stek_span_text(apr_interval_time_t span, apr_pool_t *pool);

/* The ring's state in a sentence, not escaped; in pool. */
const char *mod_stek_snapshot_sentence(const mod_stek_ring_snapshot_t *ring, apr_time_t now,
                                       apr_pool_t *pool);

#pragma GCC visibility pop
#endif
