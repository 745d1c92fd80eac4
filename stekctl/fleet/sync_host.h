/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cycle works with on a real host, behind the port of sync.h: the file ring (sync_ring_file.h), its
 * secrets and the fleet's (sync_secrets.h), the stores (sync_stores.h).  One thread.
 */
#ifndef STEKCTL_SYNC_HOST_H
#define STEKCTL_SYNC_HOST_H

#include "sync_model.h"

#pragma GCC visibility push(hidden)

/* Reads secrets, creates the local one and the ring's directory if they are missing, prepares the
 * stores.  Codes of what was reported. */
ctl_exit_e sync_host_open(ctl_t *ctl, const sync_options_t *options, sync_host_t *host);

/* The same for a host that writes nothing: it creates no ring, secret or directory, and replaces no
 * file. */
ctl_exit_e sync_host_open_reader(ctl_t *ctl, const sync_options_t *options, sync_host_t *host);

/* Re-reads all secrets; what cannot be read stays as it was, with a report. */
void sync_host_reload(sync_host_t *host);

/* Before every cycle: clears the pool and advances the secrets to the day of now. */
void sync_host_begin(sync_host_t *host, apr_time_t now);

void sync_host_close(sync_host_t *host);

/* The port; its baton is host. */
void sync_host_port(sync_host_t *host, sync_port_t *port);

#pragma GCC visibility pop
#endif
