/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of stores that this stekctl was built for.
 */
#ifndef STEKCTL_STORE_KINDS_H
#define STEKCTL_STORE_KINDS_H

#include "store_driver.h"

#pragma GCC visibility push(hidden)

/* The driver of a URL's scheme[len].  NULL: there is none; *pwhy tells of one that was left out of the
 * build, else NULL. */
const store_driver_t *store_kinds_find(const char *scheme, apr_size_t len, const char **pwhy);

#pragma GCC visibility pop
#endif
