/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's secrets: the local one seals its file ring, those derived from the fleet secret seal the
 * objects in the stores.  One thread.
 */
#ifndef STEKCTL_SYNC_SECRETS_H
#define STEKCTL_SYNC_SECRETS_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Reads the local secret; if its file is missing, writes the one in use, or a new one.  Codes of what
 * was reported; then host->local is as it was. */
ctl_exit_e sync_secrets_load_local(sync_host_t *host);

/* Reads the fleet secret, advances its ratchet, and derives what seals in the stores on that day and
 * the days around it.  Failures are reported; then all is as it was. */
apr_status_t sync_secrets_load_fleet(sync_host_t *host, apr_int32_t day);

#pragma GCC visibility pop
#endif
