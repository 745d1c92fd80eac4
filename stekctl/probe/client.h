/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS client that offers any ticket, altered or not, and reports what the server does with it.
 * One connection at a time, each within its time limit, whatever the peer does.  It does not verify
 * certificates: the hosts are the administrator's own, and only their tickets matter.  stekctl; one
 * thread.
 */
#ifndef STEKCTL_PROBE_CLIENT_H
#define STEKCTL_PROBE_CLIENT_H

#include <apr_pools.h>
#include <apr_time.h>

#include "model.h"

#pragma GCC visibility push(hidden)

typedef struct probe_client_t probe_client_t;

/* One per host.  Uses of host how it is reached, and of options contexts, proxy, timeout and
 * per_second; both must outlive the client.  On APR_EGENERAL, *pwhy says why, such as a name that
 * does not resolve. */
apr_status_t probe_client_create(probe_client_t **pclient, const probe_host_t *host,
                                 const probe_options_t *options, const char **pwhy,
                                 apr_pool_t *pool);

/* From that time on, every connection fails with PROBE_TIMEOUT without being tried. */
void probe_client_end_at(probe_client_t *client, apr_time_t end);

/* How many more connections may be made: without a session, and with one.  Both start at 0. */
void probe_client_allow_full(probe_client_t *client, int n);
void probe_client_allow_offers(probe_client_t *client, int n);
int probe_client_full_left(const probe_client_t *client);
int probe_client_offers_left(const probe_client_t *client);

/* Connects, makes the offer, waits for the outcome and closes.  The reply's parts are in pool. */
void probe_client_connect(probe_client_t *client, const probe_offer_t *offer, probe_reply_t *reply,
                          apr_pool_t *pool);

/* The number of connections so far. */
apr_size_t probe_client_count(const probe_client_t *client);

/* The address that answers, as text in pool; NULL: none did. */
const char *probe_client_address(const probe_client_t *client, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
