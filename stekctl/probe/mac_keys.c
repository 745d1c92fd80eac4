/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of HMACs (mac_keys.h).
 */
#include "mac_keys.h"

#include <stdlib.h>
#include <string.h>

#include "derived_keys.h"

static const apr_size_t lengths[PROBE_MAC_KEYS_N] = {32, 16, 48, 64, 20};

/* A key without the zeros at its end. */
typedef struct core_t {
    const unsigned char *bytes;
    apr_size_t len;
} core_t;

static core_t core_of(const probe_keys_t *keys, apr_size_t i)
{
    core_t core = {keys->bytes + i * keys->len, keys->len};

    while (core.len > 0 && core.bytes[core.len - 1] == 0) {
        core.len--;
    }
    return core;
}

static apr_size_t hash(const core_t *core)
{
    apr_uint64_t sum = core->len;
    apr_size_t i;

    for (i = 0; i < core->len; i++) {
        sum = (sum ^ core->bytes[i]) * APR_UINT64_C(0x100000001b3);
    }
    return (apr_size_t)(sum ^ sum >> 32);
}

/* 0: it was there. */
static int enter(core_t *table, apr_size_t size, core_t core)
{
    apr_size_t at = hash(&core) & (size - 1);

    for (; table[at].bytes; at = (at + 1) & (size - 1)) {
        if (table[at].len == core.len && memcmp(table[at].bytes, core.bytes, core.len) == 0) {
            return 0;
        }
    }
    table[at] = core;
    return 1;
}

static int find_repeats(probe_mac_keys_t *all)
{
    apr_size_t size = 64, keys_n = 0, i, j;
    core_t *table;
    int is_good;

    for (i = 0; i < all->n; i++) {
        keys_n += all->of[i].keys.n;
    }
    while (size < 2 * keys_n) {
        size *= 2;
    }
    table = calloc(size, sizeof(*table));
    for (i = 0; table && i < all->n; i++) {
        for (j = 0; j < all->of[i].keys.n; j++) {
            all->of[i].repeats[j] = !enter(table, size, core_of(&all->of[i].keys, j));
        }
    }
    is_good = table != NULL;
    free(table);
    return is_good;
}

int probe_mac_keys_make(probe_mac_keys_t *all, apr_size_t n, const probe_keys_for_t *what)
{
    memset(all, 0, sizeof(*all));
    for (all->n = 0; all->n < n; all->n++) {
        probe_keys_t *keys = &all->of[all->n].keys;

        if (!probe_keys_make(keys, lengths[all->n], what)) {
            break;
        }
        all->of[all->n].repeats = calloc(keys->n + 1, 1);
        if (!all->of[all->n].repeats) {
            probe_keys_free(keys);
            break;
        }
    }
    if (all->n < n || !find_repeats(all)) {
        probe_mac_keys_free(all);
        return 0;
    }
    return 1;
}

void probe_mac_keys_free(probe_mac_keys_t *all)
{
    apr_size_t i;

    for (i = 0; i < all->n; i++) {
        probe_keys_free(&all->of[i].keys);
        free(all->of[i].repeats);
    }
    memset(all, 0, sizeof(*all));
}
