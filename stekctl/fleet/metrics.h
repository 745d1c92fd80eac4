/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of a running sync, as Prometheus text for node_exporter's textfile collector (format 0.0.4),
 * replaced in one step after every cycle.  One thread.
 */
#ifndef STEKCTL_METRICS_H
#define STEKCTL_METRICS_H

#include "announcer.h"

#pragma GCC visibility push(hidden)

/* Starts zeroed. */
typedef struct metrics_t {
    apr_uint64_t cycle_n, failed_n; /* cycles since the start */
    apr_uint64_t made_n;            /* keys */
    apr_uint64_t left_out_n;        /* keys: what each cycle left out more than the one before */
    apr_size_t left_out_before;
    apr_time_t agreed;      /* when file ring and all stores last were the same; 0: never */
    apr_status_t failed_rv; /* of writing the file, as last reported */
} metrics_t;

/* After every cycle; options->metrics_path NULL: does nothing.  A failure is reported once. */
void metrics_cycle(metrics_t *metrics, const sync_host_t *host, const announcer_t *announcer,
                   apr_status_t rv, const sync_result_t *result, apr_time_t now);

#pragma GCC visibility pop
#endif
