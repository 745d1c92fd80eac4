/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaches a host through a proxy: SOCKS 5 (RFC 1928) or HTTP CONNECT (RFC 9110, 9.3.6), with a user's
 * name and password (RFC 1929, RFC 7617) if they are given.  The proxy resolves the host's name.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_PROXY_H
#define STEKCTL_PROBE_PROXY_H

#include "link.h"
#include "reach.h"

#pragma GCC visibility push(hidden)

/* On a connection to the proxy (NULL: there is none, nothing to do).  0: it refuses, and the reply
 * says why. */
int probe_proxy_connect(probe_link_t *link, const probe_proxy_t *proxy, const char *name, int port);

#pragma GCC visibility pop
#endif
