/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of tests and verdicts, and what findings mean.  The names are an interface: JSON.  Pure;
 * stekctl.
 */
#ifndef STEKCTL_PROBE_WORDS_H
#define STEKCTL_PROBE_WORDS_H

#include "model.h"

#pragma GCC visibility push(hidden)

/* "mac-key" */
const char *probe_test_name(probe_test_e test);

/* "broken" */
const char *probe_verdict_name(probe_verdict_e verdict);

/* "accepted", "not-tried": one word. */
const char *probe_forged_word(probe_forged_e forged);

/* "TLS 1.2" */
const char *probe_version_name(int version);

/* What a finding means and how to fix it, in sentences. */
const char *probe_test_meaning(probe_test_e test);
const char *probe_test_remedy(probe_test_e test);

#pragma GCC visibility pop
#endif
