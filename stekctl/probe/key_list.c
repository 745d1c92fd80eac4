/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of keys (key_list.h).  After a failure nothing is added, so that one check at the end is
 * enough.
 */
#include "key_list.h"

#include <stdlib.h>
#include <string.h>

static unsigned char *next_key(probe_keys_t *keys)
{
    if (keys->is_failed) {
        return NULL;
    }
    if (keys->n == keys->room) {
        apr_size_t room = keys->room ? 2 * keys->room : 512;
        unsigned char *more = realloc(keys->bytes, room * keys->len);

        if (!more) {
            keys->is_failed = 1;
            return NULL;
        }
        keys->bytes = more;
        keys->room = room;
    }
    return memset(keys->bytes + keys->len * keys->n++, 0, keys->len);
}

void probe_keys_add(probe_keys_t *keys, const unsigned char *text, apr_size_t len)
{
    unsigned char *key = next_key(keys);

    if (key) {
        memcpy(key, text, len < keys->len ? len : keys->len);
    }
}

void probe_keys_repeat(probe_keys_t *keys, const unsigned char *text, apr_size_t len)
{
    unsigned char *key = next_key(keys);
    apr_size_t i;

    for (i = 0; key && i < keys->len; i++) {
        key[i] = text[i % len];
    }
}

void probe_keys_tell(const probe_keys_t *keys, apr_size_t i, probe_hit_t *hit)
{
    apr_size_t r;

    memcpy(hit->key, keys->bytes + i * keys->len, keys->len);
    hit->key_len = keys->len;
    hit->scheme = NULL;
    for (r = 0; r < keys->ranges_n && i >= keys->ranges[r].first; r++) {
        const probe_range_t *range = &keys->ranges[r];
        apr_size_t from = (i - range->first) / range->per;

        hit->scheme = range->scheme;
        memcpy(hit->configured, range->raw + from * range->raw_len, range->raw_len);
        hit->configured_len = range->raw_len;
    }
}

void probe_keys_free(probe_keys_t *keys)
{
    apr_size_t r;

    for (r = 0; r < keys->ranges_n; r++) {
        free(keys->ranges[r].raw);
    }
    free(keys->bytes);
    memset(keys, 0, sizeof(*keys));
}
