/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of stores that this build supports.
 */
#ifndef STEKCTL_STORE_KINDS_H
#define STEKCTL_STORE_KINDS_H

#include "store_driver.h"

#pragma GCC visibility push(hidden)

/* The driver for a URL's scheme[len].  NULL if there is none; *pwhy then says if it was left out of
 * this build, and is otherwise NULL. */
const store_driver_t *store_kinds_find(const char *scheme, apr_size_t len, const char **pwhy);

#pragma GCC visibility pop
#endif
