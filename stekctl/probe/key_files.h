/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guessable files of ticket keys, as servers on OpenSSL read them, and tickets under their keys.
 * Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_KEY_FILES_H
#define STEKCTL_PROBE_KEY_FILES_H

#include <apr_pools.h>

#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_KEY_FILES_MAX 32

/* The keys of file n, from 0, of which the most likely ones come first; of those in own, the ones
 * that are as long as a file are taken, too.  0: there are not so many, or n is
 * PROBE_KEY_FILES_MAX. */
int probe_key_files_get(const probe_own_keys_t *own, int n, probe_spare_t *spare);

/* A ticket in OpenSSL's layout that holds text[len], in pool; NULL: OpenSSL cannot. */
unsigned char *probe_key_files_seal(const probe_spare_t *spare, const unsigned char *text,
                                    apr_size_t len, apr_size_t *plen, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
