/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests by backend: a host with tickets of several key names gets each test for every one, because
 * what is good on one says nothing about the others.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_BY_BACKEND_H
#define STEKCTL_PROBE_BY_BACKEND_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* Finds out whether unaltered tickets resume, and how often one has to be offered for that: sets
 * is_accepted and is_alone, and repeats_n of every backend.  The same for those below: run->version
 * has tickets, and its backends are known. */
void probe_by_backend_try(probe_run_t *run, int earlier_n);

/* Why no ticket resumes. */
const char *probe_by_backend_why(const probe_version_t *version);

/* What the tickets themselves show. */
void probe_by_backend_examine(probe_run_t *run);

/* The tests that offer tickets, for a version that is not alone. */
void probe_by_backend_test(probe_run_t *run, const probe_host_t *earlier, int earlier_n);

/* Back to the whole version. */
void probe_by_backend_leave(probe_run_t *run, probe_version_t *whole);

#pragma GCC visibility pop
#endif
