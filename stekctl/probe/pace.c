/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paces (pace.h).  Those of addresses are forgotten when the last one leaves, so memory depends on
 * how many hosts are probed at a time.
 */
#include "pace.h"

#include <apr_hash.h>
#include <stdlib.h>
#include <string.h>

#include "wait.h"

typedef struct address_t {
    probe_pace_t pace; /* first: see probe_paces_leave */
    int users_n;
    apr_size_t len;
    unsigned char bytes[256];
} address_t;

struct probe_paces_t {
    probe_pace_t all;
    apr_interval_time_t gap;
    apr_hash_t *addresses;
};

probe_paces_t *probe_paces_create(int per_second_each, int per_second_all, apr_pool_t *pool)
{
    probe_paces_t *paces = apr_pcalloc(pool, sizeof(*paces));

    paces->gap = APR_USEC_PER_SEC / per_second_each;
    paces->all.gap = APR_USEC_PER_SEC / per_second_all;
    paces->addresses = apr_hash_make(pool);
    return paces;
}

probe_pace_t *probe_paces_enter(probe_paces_t *paces, const void *bytes, apr_size_t len)
{
    address_t *address;

    len = len < sizeof(address->bytes) ? len : sizeof(address->bytes);
    address = apr_hash_get(paces->addresses, bytes, (apr_ssize_t)len);
    if (!address) {
        address = calloc(1, sizeof(*address));
        if (!address) {
            return NULL;
        }
        address->pace.gap = paces->gap;
        address->len = len;
        memcpy(address->bytes, bytes, len);
        apr_hash_set(paces->addresses, address->bytes, (apr_ssize_t)len, address);
    }
    address->users_n++;
    return &address->pace;
}

void probe_paces_leave(probe_paces_t *paces, probe_pace_t *pace)
{
    address_t *address = (address_t *)pace;

    if (--address->users_n == 0) {
        apr_hash_set(paces->addresses, address->bytes, (apr_ssize_t)address->len, NULL);
        free(address);
    }
}

/* Takes the next turn: nobody catches up after a delay. */
static void keep(probe_pace_t *pace)
{
    apr_time_t now = apr_time_now(), turn = pace->next_at > now ? pace->next_at : now;

    pace->next_at = turn + pace->gap;
    probe_wait_until(turn);
}

void probe_pace_keep(probe_pace_t *pace, probe_paces_t *paces)
{
    keep(pace);
    if (paces) {
        keep(&paces->all);
    }
}
