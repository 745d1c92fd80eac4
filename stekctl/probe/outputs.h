/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the results of a host go, as soon as it has been probed or examined: standard output, a
 * table of verdicts (CSV), a recording.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_OUTPUTS_H
#define STEKCTL_PROBE_OUTPUTS_H

#include <stdio.h>

#include "across.h"
#include "model.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

typedef struct probe_outputs_t {
    const char *csv_path, *collect_path; /* NULL: not wanted */
    int prints_lines;                    /* JSON: one line per host */
    int names_hosts;                     /* text: a line with the host's name first */
    int is_resumed;                      /* goes on where earlier files ended */
    FILE *csv, *collected;
    probe_across_t *across;   /* what hosts have in common */
    int findings_n, failed_n; /* of hosts so far: hosts with findings, hosts not tested */
} probe_outputs_t;

/* Creates the files.  Reports errors. */
ctl_exit_e probe_outputs_open(probe_outputs_t *outputs);

/* Reports errors. */
ctl_exit_e probe_outputs_add(ctl_t *ctl, probe_outputs_t *outputs, const probe_host_t *host,
                             apr_pool_t *pool);

void probe_outputs_close(probe_outputs_t *outputs);

/* After the last host: what they have in common, but for JSON in one value. */
void probe_outputs_end(const ctl_t *ctl, probe_outputs_t *outputs, int redacts);

/* The exit code for all hosts: a finding wins. */
ctl_exit_e probe_outputs_code(const probe_outputs_t *outputs);

#pragma GCC visibility pop
#endif
