/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests that open connections: mac.c, forgery.c, spare_keys.c, padding.c, confusion.c, offers.c,
 * change.c.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_TESTS_H
#define STEKCTL_PROBE_TESTS_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* Each test on run->version, which has tickets. */
void probe_test_mac(probe_run_t *run);
void probe_test_forgery(probe_run_t *run, int earlier_n);
void probe_test_spare_keys(probe_run_t *run, int earlier_n);
void probe_test_padding(probe_run_t *run);
void probe_test_confusion(probe_run_t *run, const probe_host_t *earlier, int earlier_n);
void probe_test_rotation(probe_run_t *run);
void probe_test_reuse(probe_run_t *run);
void probe_test_change(probe_run_t *run);
void probe_test_expiry(probe_run_t *run);

#pragma GCC visibility pop
#endif
