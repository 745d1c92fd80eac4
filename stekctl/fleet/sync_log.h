/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of stekctl sync's cycles: one line per change of state.  One thread.
 */
#ifndef STEKCTL_SYNC_LOG_H
#define STEKCTL_SYNC_LOG_H

#include "sync_host.h"

#pragma GCC visibility push(hidden)

typedef struct sync_log_t {
    apr_status_t file_rv; /* of the last cycle */
    unsigned file_n;      /* cycles since */
    int keyless;
    int slow;
    int ahead; /* the ring's epoch, of the clock */
    apr_size_t left_out_n, doubled_n;
    apr_interval_time_t skew;
} sync_log_t;

/* rv and result are those of the cycle that began at now.  log starts zeroed. */
void sync_log_cycle(sync_host_t *host, sync_log_t *log, apr_status_t rv,
                    const sync_result_t *result, apr_time_t now);

#pragma GCC visibility pop
#endif
