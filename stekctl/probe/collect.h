/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first step of a probe: collects tickets, and finds out whether the server gives any.
 * stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_COLLECT_H
#define STEKCTL_PROBE_COLLECT_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* Collects tickets from some connections into run->version.  0: the host cannot be tested. */
int probe_collect(probe_run_t *run);

/* Nonzero: the server still gives full handshakes, in run->version. */
int probe_collect_answers(probe_run_t *run);

/* TLS 1.2: whether a session resumes by its id. */
void probe_collect_session_id(probe_run_t *run);

#pragma GCC visibility pop
#endif
