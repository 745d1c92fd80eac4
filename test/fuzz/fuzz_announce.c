/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts' announcements as they lie in a store.  The first byte is the part, the rest the plaintext of one.
 * What is taken encodes to the same bytes, merges with itself to itself, and can be looked at; the same
 * bytes as a sealed part are refused.
 */
#include "fuzz.h"

#include "fleet/announce_set.h"
#include "fleet/fleet_view.h"
#include "stek_error.h"

#define NOW apr_time_from_sec(APR_INT64_C(1767225600))
#define PLAIN_MAX (64 * 1024)

static void check_bytes(const announce_set_t *set, const uint8_t *plain, size_t len)
{
    unsigned char bytes[ANNOUNCE_HOST_MAX];
    size_t at = 2;
    apr_size_t i, host_len;

    for (i = 0; i < set->n; i++) {
        host_len = announce_encode(&set->hosts[i], bytes);
        HOLDS(host_len <= sizeof(bytes) && at + host_len <= len);
        HOLDS(!memcmp(plain + at, bytes, host_len));
        at += host_len;
    }
    HOLDS(at == len);
}

/* More than a day only if most others are as far ahead. */
static void check_behind(const announce_set_t *set, const char *name)
{
    apr_interval_time_t behind = announce_behind(set, name, NOW);
    apr_size_t i, other_n = 0, ahead_n = 0;

    HOLDS(behind >= 0);
    for (i = 0; i < set->n; i++) {
        const announce_t *host = &set->hosts[i];
        int other = strcmp(host->name, name) != 0;

        other_n += (apr_size_t)other;
        ahead_n += other && host->clock + host->behind - NOW >= behind;
    }
    HOLDS(behind <= ANNOUNCE_AHEAD_MAX || 2 * ahead_n > other_n);
}

static void look_at(const announce_set_t *set)
{
    fleet_view_t view = fleet_view_make(set, NOW, fuzz_pool());
    apr_size_t i, in_rings = 0;

    HOLDS(view.n == set->n && view.ring_n <= set->n);
    for (i = 0; i < view.ring_n; i++) {
        in_rings += view.rings[i].host_n;
    }
    HOLDS(in_rings + view.trouble_n[FLEET_GONE] == view.n);
    for (i = 0; i < view.n; i++) {
        HOLDS(view.hosts[i].age >= 0 && view.hosts[i].ahead >= 0 && view.hosts[i].apart >= 0);
        HOLDS(view.hosts[i].behind >= 0);
        check_behind(set, view.hosts[i].host->name);
    }
}

static void merge_with_itself(const announce_set_t *set)
{
    announce_set_t once = announce_merge(set, set, NOW, ANNOUNCE_PART_HOSTS_MAX, fuzz_pool()),
                   again;
    apr_size_t i;

    again = announce_merge(&once, set, NOW, ANNOUNCE_PART_HOSTS_MAX, fuzz_pool());
    HOLDS(once.n == again.n && once.n <= set->n);
    for (i = 0; i < once.n; i++) {
        HOLDS(announce_compare(&once.hosts[i], &again.hosts[i], NOW) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static stek_secrets_t secrets = {.n = 1};
    announce_set_t set = {NULL, 0};
    int part;

    if (size < 1 || size > PLAIN_MAX) {
        return 0;
    }
    part = data[0] % ANNOUNCE_PARTS;
    HOLDS(announce_open(data + 1, size - 1, part, &secrets, &set, fuzz_pool()) != APR_SUCCESS);
    if (announce_decode(data + 1, size - 1, part, &set, fuzz_pool()) == APR_SUCCESS) {
        check_bytes(&set, data + 1, size - 1);
        look_at(&set);
        merge_with_itself(&set);
    }
    apr_pool_clear(fuzz_pool());
    return 0;
}
