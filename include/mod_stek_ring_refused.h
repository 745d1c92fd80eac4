/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves a ring that httpd refuses out of the way, and says so.  Parent only, one thread.
 */
#ifndef MOD_STEK_RING_REFUSED_H
#define MOD_STEK_RING_REFUSED_H

#include "mod_stek_task.h"

#pragma GCC visibility push(hidden)

/* The task's ring, refused for the reason why, makes room for a good one.  APR_SUCCESS also if there is
 * none any more.  STEK_EFOREIGN: what is at its path is no ring, and stays; the task's culprit says
 * what it is. */
apr_status_t mod_stek_ring_set_aside(mod_stek_task_t *task, apr_status_t why);

#pragma GCC visibility pop
#endif
