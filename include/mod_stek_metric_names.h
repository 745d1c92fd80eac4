/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters as programs read them: the names that the JSON and the Prometheus form of the status
 * share.
 */
#ifndef MOD_STEK_METRIC_NAMES_H
#define MOD_STEK_METRIC_NAMES_H

#include "mod_stek_counters.h"

#pragma GCC visibility push(hidden)

/* One counter, or several that differ in one label. */
typedef struct mod_stek_family_t {
    const char *member; /* in JSON */
    const char *metric, *help;
    const char *label; /* NULL: one counter */
    int first, n;
    const char *values[8];
} mod_stek_family_t;

#define MOD_STEK_FAMILY_N 9
#define MOD_STEK_LOAD_FAMILY_N 2

extern const mod_stek_family_t mod_stek_metric_names[MOD_STEK_FAMILY_N];

/* The same, distinguished by the process that loads the ring's file: parent or child. */
extern const mod_stek_family_t mod_stek_load_families[MOD_STEK_LOAD_FAMILY_N];

#pragma GCC visibility pop
#endif
