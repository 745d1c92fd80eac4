/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer thread: one in every child, from child_init until the child's pool is destroyed, so
 * that a child that drains a long download still drops ended keys; and one in every process that a
 * child forks for a connection, as mpm-itk does.  It wakes every `poll` of the rings and at the
 * next key's end, lets every live keyring follow its file, and does nothing else.
 */
#ifndef MOD_STEK_TIMER_H
#define MOD_STEK_TIMER_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* child_init.  pchild: the thread ends, and the keys of this process are wiped, when it is
 * destroyed.  In one-process mode, where httpd runs no monitor hook, the thread makes the keys
 * too. */
void mod_stek_timer_start(apr_pool_t *pchild, server_rec *s);

/* process_connection, in whatever process serves the connection: starts what a process that the MPM
 * has not forked lacks.  DECLINED. */
int mod_stek_timer_follow_fork(conn_rec *c);

/* log_transaction: such a process ends without destroying its pools, so it says here what its timer
 * would say at the end.  DECLINED. */
int mod_stek_timer_log_follower(request_rec *r);

#pragma GCC visibility pop
#endif
