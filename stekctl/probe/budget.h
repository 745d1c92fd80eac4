/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections a probe may make.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_BUDGET_H
#define STEKCTL_PROBE_BUDGET_H

#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_MAC_MORE 8 /* connections of the MAC test beyond one for each place */

/* How many connections a test of one version may offer a ticket with, and how many full handshakes
 * without one there may be in all; earlier_n as above.  SUPPORT includes what is no test. */
int probe_budget_offers(const probe_options_t *options, int earlier_n, probe_test_e test);
int probe_budget_full(const probe_options_t *options);

/* Of all tests and versions together: the most connections to a host. */
int probe_budget_all(const probe_options_t *options, int earlier_n);

/* Time between two looks of watch. */
apr_interval_time_t probe_budget_look(const probe_options_t *options);

#pragma GCC visibility pop
#endif
