/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts and proxies as a user names them.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_TARGET_H
#define STEKCTL_PROBE_TARGET_H

#include <apr_pools.h>

#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_TARGET_FORMS "HOST, HOST:PORT, [IPV6]:PORT or a URL such as https://HOST:PORT/PATH"

/* Nonzero: ASCII, without blanks or control characters, as in host names. */
int probe_target_is_printable(const char *text);

/* "smtp"; 0: unknown. */
int probe_target_starttls(const char *text, probe_starttls_e *pprotocol);

/* Sets how host is reached.  wanted: how a host is asked for TLS unless a URL says it; this also
 * decides the default port.  0: malformed. */
int probe_target_parse(const char *text, probe_starttls_e wanted, probe_host_t *host,
                       apr_pool_t *pool);

/* socks5://[USER:PASSWORD@]HOST[:PORT] or http://...; user and password may be percent-encoded.  0:
 * malformed. */
int probe_target_proxy(const char *text, probe_proxy_t *proxy, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
