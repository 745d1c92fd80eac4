/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as JSON.  Any thread of a child.
 */
#ifndef MOD_STEK_STATUS_JSON_H
#define MOD_STEK_STATUS_JSON_H

#include "mod_stek_snapshot.h"

#pragma GCC visibility push(hidden)

/* Writes the snapshot to r. */
void mod_stek_status_json(request_rec *r, const mod_stek_snapshot_t *snapshot);

#pragma GCC visibility pop
#endif
