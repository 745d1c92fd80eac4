/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says about a ring that has a problem.  Parent only (in one-process mode: the timer thread), one
 * thread.
 */
#ifndef MOD_STEK_RING_LOG_H
#define MOD_STEK_RING_LOG_H

#include "mod_stek_task.h"

#pragma GCC visibility push(hidden)

/* Logs a problem with the ring, or its end: at once when it changes, then every minute. */
void mod_stek_ring_log_state(const mod_stek_task_t *task, apr_status_t rv);

/* Logs the task's secret_status. */
void mod_stek_ring_log_secret(const mod_stek_task_t *task);

/* What a message is about; where access is refused, with the owner and mode that were found.  In
 * the task's pool. */
const char *mod_stek_ring_describe(const mod_stek_task_t *task, const char *path, apr_status_t rv);

/* Until when the existing keys let httpd issue tickets. */
apr_time_t mod_stek_ring_covered_until(const mod_stek_task_t *task);

#pragma GCC visibility pop
#endif
