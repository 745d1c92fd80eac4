/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections a probe may make.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_BUDGET_H
#define STEKCTL_PROBE_BUDGET_H

#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_MAC_MORE 16 /* connections of the MAC test besides one per place */

/* How many connections with a ticket a test may make for one version, and how many full handshakes
 * without one all tests may make together.  earlier_n: hosts probed before this one.  SUPPORT
 * includes connections that belong to no test. */
int probe_budget_offers(const probe_options_t *options, int earlier_n, probe_test_e test);
int probe_budget_full(const probe_options_t *options);

/* The most connections to a host, for all tests and versions together. */
int probe_budget_all(const probe_options_t *options, int earlier_n);

/* How many connections a host may have seen when n versions have been tested, if nothing was found:
 * tests leave out what is optional then.  A version counts once for every backend that has keys of its
 * own.  INT_MAX: there is no such limit. */
int probe_budget_clean(const probe_options_t *options, int earlier_n, int n);

/* The time between two checks of --watch. */
apr_interval_time_t probe_budget_look(const probe_options_t *options);

#pragma GCC visibility pop
#endif
