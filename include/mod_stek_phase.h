/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which part of its life httpd is in.  Any thread.
 */
#ifndef MOD_STEK_PHASE_H
#define MOD_STEK_PHASE_H

#pragma GCC visibility push(hidden)

/* Nonzero in the first round of configuration at start, which only tries it. */
int mod_stek_trial_run(void);

/* Nonzero in one-process mode (httpd -X): no monitor hook, rings in memory. */
int mod_stek_one_process(void);

#pragma GCC visibility pop
#endif
