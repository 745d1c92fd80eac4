/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl probe --hosts: probes a list of hosts, many at a time, in one thread.  stekctl.
 */
#ifndef STEKCTL_PROBE_SCAN_H
#define STEKCTL_PROBE_SCAN_H

#include "outputs.h"

#pragma GCC visibility push(hidden)

typedef struct probe_scan_options_t {
    const char *list_path;   /* "-": standard input; NULL: no list */
    const char *resume_path; /* NULL: do not remember what is done */
    int at_once;             /* hosts */
    int per_second;          /* connections, to all hosts */
    probe_starttls_e starttls;
} probe_scan_options_t;

/* options and outputs as for single hosts, but for paces.  Reports errors. */
ctl_exit_e probe_scan(ctl_t *ctl, const probe_scan_options_t *scan_options,
                      probe_options_t *options, probe_outputs_t *outputs);

#pragma GCC visibility pop
#endif
