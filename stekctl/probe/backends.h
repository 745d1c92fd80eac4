/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tickets of a version belong together: those with the same key name.  Others come from
 * another backend, or the server's keys have rotated.  Pure functions over hostile bytes; stekctl.
 */
#ifndef STEKCTL_PROBE_BACKENDS_H
#define STEKCTL_PROBE_BACKENDS_H

#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_BACKENDS_MAX 64 /* more are counted, but not told apart */

/* Sets backends and format of a version from its tickets, of which it has some. */
void probe_backends_sort(probe_version_t *version, apr_pool_t *pool);

/* "key name 6120...", or the layout of tickets without a name. */
const char *probe_backend_text(const probe_backend_t *backend, apr_pool_t *pool);

/* The key's name in hex; NULL: there is none. */
const char *probe_backend_name(const probe_backend_t *backend, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
