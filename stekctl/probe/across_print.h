/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what hosts have in common.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_ACROSS_PRINT_H
#define STEKCTL_PROBE_ACROSS_PRINT_H

#include "across.h"

#pragma GCC visibility push(hidden)

/* For people; nothing if there is nothing. */
void probe_across_print(probe_across_t *across, int redacts, apr_pool_t *pool);

/* As a line of its own; none if there is nothing. */
void probe_across_print_json_line(probe_across_t *across, int redacts, apr_pool_t *pool);

/* As members of an object. */
void probe_across_json(json_t *json, probe_across_t *across, int redacts, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
