/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS client that offers tickets as it likes and tells what became of them.  One connection at a
 * time, each within its time limit, whatever the peer does.  Certificates are not verified: the
 * hosts are the administrator's own, and what counts is their tickets.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_CLIENT_H
#define STEKCTL_PROBE_CLIENT_H

#include <apr_pools.h>
#include <apr_time.h>

#include "exchange.h"

#pragma GCC visibility push(hidden)

typedef struct probe_client_t probe_client_t;

/* One per host.  timeout: for each connection; per_second: most connections.  *pwhy tells of
 * APR_EGENERAL (the name does not resolve). */
apr_status_t probe_client_create(probe_client_t **pclient, const char *host, int port,
                                 apr_interval_time_t timeout, int per_second, const char **pwhy,
                                 apr_pool_t *pool);

/* From then on no connection is tried: each one fails as PROBE_TIMEOUT. */
void probe_client_end_at(probe_client_t *client, apr_time_t end);

/* Connections that may follow: those that offer no session, those that offer one.  0 at first. */
void probe_client_allow_full(probe_client_t *client, int n);
void probe_client_allow_offers(probe_client_t *client, int n);
int probe_client_full_left(const probe_client_t *client);

/* Connects, offers, waits for the outcome, closes.  The reply's parts live in pool. */
void probe_client_connect(probe_client_t *client, const probe_offer_t *offer, probe_reply_t *reply,
                          apr_pool_t *pool);

/* Connections so far. */
apr_size_t probe_client_count(const probe_client_t *client);

#pragma GCC visibility pop
#endif
