/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL reads not when mod_ssl configures it but in handshakes: directories of authorities and
 * CRLs, and stores.  The parent notes how children saw it when it was digested (mod_stek_trust.h).
 */
#ifndef MOD_STEK_TRUST_WATCH_H
#define MOD_STEK_TRUST_WATCH_H

#include <apr_tables.h>
#include <sys/stat.h>
#include "stek_file.h"

#pragma GCC visibility push(hidden)

typedef struct mod_stek_trust_watch_t {
    const char *path;
    stek_stamp_t stamp; /* zero: children cannot see it */
} mod_stek_trust_watch_t;

/* Parent, while it configures: appends a copy of path to watched.  st: what children see there; NULL:
 * nothing. */
void mod_stek_trust_watch_add(apr_array_header_t *watched, const char *path, const struct stat *st);

/* Nonzero if any of watched (may be NULL) has changed since: what OpenSSL decides by it need not be what
 * the digest says.  Any process, any thread; looks, and reads nothing. */
int mod_stek_trust_watch_changed(const apr_array_header_t *watched);

#pragma GCC visibility pop
#endif
