/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections a probe may make (budget.h): full handshakes, limited by --tickets, and
 * offers of tickets, limited for every test by level and names.  The client enforces the limits,
 * whatever a test does; the sum is printed before the first connection.  Pure; stekctl.
 */
#include "budget.h"

#include <limits.h>

#define SUPPORT_N 8 /* unaltered tickets, up to seven; a session id */
#define FORGED_N 20 /* for a key of the cipher, and as many for one of the MAC alone */
#define SPARE_N 40  /* from level normal on: for keys that make no tickets, if none was found */
#define REUSE_N 2
#define CHANGE_N 3 /* another version, another suite, another server's ticket */
#define EXPIRY_N 1
#define LOOK_MIN apr_time_from_sec(1)
#define LOOK_MAX apr_time_from_sec(30)
#define LOOKS 120 /* per watch, unless they would be too close or too far apart */

/* By level.  MAC: altered places, and the additional offers that some results need; those of normal
 * are every byte of most tickets, and less than 1,000 connections for two versions.  Padding: 256
 * values of a byte for every possible length of the MAC, and three times as many to confirm, or for
 * a second backend. */
static const int mac_n[] = {24 + PROBE_MAC_MORE, 384 + PROBE_MAC_MORE, 4096 + PROBE_MAC_MORE};
static const int padding_n[] = {0, 2048, 5120};

/* At level normal: of all versions together, with the default of --tickets and of names. */
#define CLEAN_N 1000
#define CLEAN_TICKETS 10
#define CLEAN_NAMES 1

apr_interval_time_t probe_budget_look(const probe_options_t *options)
{
    apr_interval_time_t every = options->watch / LOOKS;

    return every < LOOK_MIN ? LOOK_MIN : every > LOOK_MAX ? LOOK_MAX : every;
}

/* The last look comes at the end. */
static int looks_n(const probe_options_t *options)
{
    return options->watch ? (int)(options->watch / probe_budget_look(options)) + 1 : 0;
}

int probe_budget_offers(const probe_options_t *options, int earlier_n, probe_test_e test)
{
    switch (test) {
    case PROBE_TEST_SUPPORT:
        return SUPPORT_N;
    case PROBE_TEST_CIPHER_KEY:
        return options->level == PROBE_QUICK ? FORGED_N : SPARE_N;
    case PROBE_TEST_MAC_KEY:
        return FORGED_N;
    case PROBE_TEST_MAC:
        return mac_n[options->level];
    case PROBE_TEST_PADDING:
        return padding_n[options->level];
    case PROBE_TEST_CONFUSION:
        return (options->names->nelts > 1 ? options->names->nelts : 1) + earlier_n
               + (options->samples != NULL);
    case PROBE_TEST_ROTATION:
        return looks_n(options);
    case PROBE_TEST_REUSE:
        return REUSE_N;
    case PROBE_TEST_CHANGE:
        return CHANGE_N;
    case PROBE_TEST_EXPIRY:
        return EXPIRY_N;
    default:
        return 0;
    }
}

int probe_budget_full(const probe_options_t *options)
{
    return options->tickets_n + (options->watch ? looks_n(options) + 1 : 0);
}

static int versions_n(const probe_options_t *options)
{
    int n = 0, i;

    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        n += options->has[i];
    }
    return n;
}

int probe_budget_clean(const probe_options_t *options, int earlier_n, int n)
{
    int more_n = probe_budget_full(options) - CLEAN_TICKETS + looks_n(options)
                 + probe_budget_offers(options, earlier_n, PROBE_TEST_CONFUSION) - CLEAN_NAMES;

    return options->level == PROBE_NORMAL
               ? n * (CLEAN_N / versions_n(options) + (more_n > 0 ? more_n : 0))
               : INT_MAX;
}

int probe_budget_all(const probe_options_t *options, int earlier_n)
{
    int n = probe_budget_full(options), test;

    for (test = 0; test < PROBE_TEST_N; test++) {
        n += probe_budget_offers(options, earlier_n, (probe_test_e)test);
    }
    return n * versions_n(options);
}
