/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time line of a ring's keys on the status page.  Any thread of a child.
 */
#ifndef MOD_STEK_STATUS_LINE_H
#define MOD_STEK_STATUS_LINE_H

#include "mod_stek_snapshot.h"

#pragma GCC visibility push(hidden)

/* Writes the line and its legend to r.  The view has at least one key. */
void mod_stek_status_line(request_rec *r, const mod_stek_view_t *view, apr_time_t now);

#pragma GCC visibility pop
#endif
