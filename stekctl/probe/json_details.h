/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs want to know of a finding and of a host, as members of a JSON object that is open.
 * stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_JSON_DETAILS_H
#define STEKCTL_PROBE_JSON_DETAILS_H

#include "json.h"
#include "model.h"

#pragma GCC visibility push(hidden)

void probe_json_finding(json_t *json, const probe_finding_t *finding, int redacts,
                        apr_pool_t *pool);

/* Verdict, time, address, and what was not tested. */
void probe_json_host(json_t *json, const probe_host_t *host, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
