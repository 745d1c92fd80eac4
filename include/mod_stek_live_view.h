/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live keyring as the status may show it: no key, only the first four bytes of names.
 */
#ifndef MOD_STEK_LIVE_VIEW_H
#define MOD_STEK_LIVE_VIEW_H

#include "mod_stek_live.h"
#include "stek_health.h"

#pragma GCC visibility push(hidden)

/* One key as it may be shown. */
typedef struct mod_stek_view_key_t {
    char hex[STEK_HEX_LEN];
    stek_state_e state;
    apr_time_t not_before;
    apr_time_t encrypt_until;
    apr_time_t decrypt_until; /* with the configured lifetime */
} mod_stek_view_key_t;

/* A live keyring as it may be shown. */
typedef struct mod_stek_view_t {
    stek_health_t health;           /* next is NULL: see next_hex */
    char next_hex[STEK_HEX_LEN];    /* of the key that encrypts next; "": none */
    char current_hex[STEK_HEX_LEN]; /* of the current key; "": none */
    apr_uint64_t epoch, generation;
    apr_time_t written_at;
    apr_uint64_t
        number; /* of the file as it was loaded or written last (stek_ring_digest.h); 0: not known */
    apr_size_t tombstone_n;
    apr_size_t key_n;
    mod_stek_view_key_t *keys; /* greatest not_before first; in pool */
} mod_stek_view_t;

/* Takes a view of the live keyring; arguments as stek_health_judge.  Any thread. */
void mod_stek_live_view(mod_stek_live_t *live, apr_interval_time_t interval, stek_source_t *source,
                        apr_time_t now, apr_pool_t *pool, mod_stek_view_t *view);

#pragma GCC visibility pop
#endif
