/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child does when the file ring has changed, for a ring of KEYS keys: opens it (seal, audit
 * of each key), merges it with the keys that it has.  Prints milliseconds of CPU time, medians.
 *
 * Usage: ring_cost KEYS ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <apr_general.h>

#include "stek_key_make.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"
#include "stek_seal.h"

#define ROUNDS_MAX 1000
#define SLOT apr_time_from_sec(60)
#define LIFETIME apr_time_from_sec(7 * 86400)

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "ring_cost: %s failed\n", what);
        exit(1);
    }
}

static double cpu_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *ms, int n)
{
    qsort(ms, (size_t)n, sizeof(*ms), compare);
    return ms[n / 2];
}

static stek_ring_t *make_ring(int key_n, apr_time_t now)
{
    stek_ring_t *ring = NULL;
    stek_key_t key;
    int i;

    check(stek_ring_create((apr_size_t)key_n, 0, &ring) == APR_SUCCESS, "ring");
    ring->interval = SLOT;
    ring->lifetime = LIFETIME;
    for (i = 0; i < key_n; i++) {
        check(stek_key_make(now - SLOT * i, now - SLOT * (i - 1), LIFETIME, 0, now - SLOT * i,
                            stek_rng_system, &key)
                      == APR_SUCCESS
                  && stek_ring_add_key(ring, &key) == APR_SUCCESS,
              "key");
    }
    return ring;
}

int main(int argc, char **argv)
{
    static double open_ms[ROUNDS_MAX], merge_ms[ROUNDS_MAX];
    int key_n = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0, i;
    int round_n = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
    unsigned char random[STEK_RING_SALT_RANDOM_LEN], *sealed = NULL;
    apr_time_t now;
    apr_size_t len = 0;
    stek_secrets_t *secrets = NULL;
    stek_ring_t *ring;

    check(key_n > 0 && key_n <= STEK_KEYS_MAX && round_n > 0 && round_n <= ROUNDS_MAX,
          "usage: ring_cost KEYS ROUNDS");
    check(apr_initialize() == APR_SUCCESS, "APR");
    now = apr_time_from_sec(apr_time_sec(apr_time_now()));
    ring = make_ring(key_n, now);
    check(stek_secrets_make(0, stek_rng_system, &secrets) == APR_SUCCESS
              && stek_rng_system(random, sizeof(random)) == APR_SUCCESS
              && stek_ring_seal(ring, &secrets->secrets[0], random, &sealed, &len) == APR_SUCCESS,
          "seal");
    for (i = 0; i < round_n; i++) {
        stek_ring_t *opened = NULL, *merged = NULL;
        double from = cpu_ms(), between;

        check(stek_ring_unseal(sealed, len, secrets, 1, &opened, NULL) == APR_SUCCESS, "open");
        between = cpu_ms();
        check(stek_ring_merge(ring, opened, now, LIFETIME, &merged) == APR_SUCCESS, "merge");
        open_ms[i] = between - from;
        merge_ms[i] = cpu_ms() - between;
        stek_ring_destroy(opened);
        stek_ring_destroy(merged);
    }
    printf("{\"keys\": %d, \"bytes\": %lu, \"open_ms\": %.3f, \"merge_ms\": %.3f}\n", key_n,
           (unsigned long)len, median(open_ms, round_n), median(merge_ms, round_n));
    free(sealed);
    stek_secrets_destroy(secrets);
    stek_ring_destroy(ring);
    return 0;
}
