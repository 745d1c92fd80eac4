/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a host, from its findings.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_VERDICT_H
#define STEKCTL_PROBE_VERDICT_H

#include <apr_pools.h>

#include "model.h"

#pragma GCC visibility push(hidden)

/* The worst that was found.  Without findings PROBE_OK, or PROBE_UNTESTED: nothing was tested, or
 * tickets could not be searched for weak keys. */
probe_verdict_e probe_verdict(const probe_host_t *host);

/* What the verdict is about, in a line: "TLS 1.2: cipher-key, mac-key". */
const char *probe_verdict_text(const probe_host_t *host, apr_pool_t *pool);

/* Nonzero: there was something to test, and it was not. */
int probe_verdict_is_untested(const probe_finding_t *finding);

#pragma GCC visibility pop
#endif
