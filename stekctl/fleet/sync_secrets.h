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
 * the days around it.  Failures are reported, each once; then all is as it was. */
apr_status_t sync_secrets_load_fleet(sync_host_t *host, apr_int32_t day);

/* Whether the file at path is a fleet secret.  CTL_DONE, or the code of what was reported. */
ctl_exit_e sync_secrets_check_fleet(ctl_t *ctl, const char *path);

/* The random bytes with which this host seals objects (stek_ring_seal).  If the secret has a ratchet, they
 * are always the same, so that this host can tell its own objects from those of others, although both are
 * sealed alike: sealing what it has read gives the same bytes only then.  They need not be secret. */
apr_status_t sync_secrets_seal_random(const sync_host_t *host,
                                      unsigned char random[STEK_RING_SALT_RANDOM_LEN]);

#pragma GCC visibility pop
#endif
