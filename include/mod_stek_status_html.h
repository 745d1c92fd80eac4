/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as a page.  Any thread of a child.
 */
#ifndef MOD_STEK_STATUS_HTML_H
#define MOD_STEK_STATUS_HTML_H

#include "mod_stek_snapshot.h"

#pragma GCC visibility push(hidden)

/* Writes the snapshot to r.  refresh_s: how often the browser asks again; 0: never. */
void mod_stek_status_html(request_rec *r, const mod_stek_snapshot_t *snapshot, int refresh_s);

#pragma GCC visibility pop
#endif
