/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live keyrings as they may be shown (mod_stek_live_view.h).  Glue; any thread.
 */
#include "mod_stek_live_view.h"

#include <string.h>

#include "mod_stek_live_private.h"

void mod_stek_live_view(mod_stek_live_t *live, apr_interval_time_t interval, stek_source_t *source,
                        apr_time_t now, apr_pool_t *pool, mod_stek_view_t *view)
{
    const stek_key_t *current;
    const stek_ring_t *ring;
    apr_size_t i;

    memset(view, 0, sizeof(*view));
    pthread_rwlock_rdlock(&live->lock);
    ring = live->ring;
    source->issues = live->issue;
    stek_health_judge(ring, interval, source, now, &view->health);
    current = stek_ring_current(ring, now);
    if (current) {
        stek_key_hex(current->name, view->current_hex);
    }
    if (view->health.next) {
        stek_key_hex(view->health.next->name, view->next_hex);
        view->health.next = NULL;
    }
    view->epoch = ring->epoch;
    view->generation = ring->generation;
    view->written_at = ring->written_at;
    view->number = live->number;
    view->tombstone_n = ring->tombstone_n;
    view->key_n = ring->key_n;
    view->keys = apr_palloc(pool, (ring->key_n + 1) * sizeof(*view->keys));
    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[ring->by_start[i]];

        stek_key_hex(key->name, view->keys[i].hex);
        view->keys[i].state = stek_ring_key_state(ring, key, now, live->lifetime);
        view->keys[i].not_before = key->not_before;
        view->keys[i].encrypt_until = key->encrypt_until;
        view->keys[i].decrypt_until = stek_key_end(key, live->lifetime);
    }
    pthread_rwlock_unlock(&live->lock);
}
