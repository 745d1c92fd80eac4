/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL reads not when mod_ssl configures it but in handshakes: directories of authorities and
 * CRLs, and stores.  The parent notes how children saw it when it was digested (mod_stek_trust.h).
 */
#ifndef MOD_STEK_TRUST_WATCH_H
#define MOD_STEK_TRUST_WATCH_H

#include "stek_file.h"

#pragma GCC visibility push(hidden)

typedef struct mod_stek_trust_watch_t {
    const char *path;
    stek_stamp_t stamp; /* zero: children cannot see it */
} mod_stek_trust_watch_t;

/* Nonzero if it has changed since: what OpenSSL decides by it need not be what the digest says.  Any
 * process, any thread; looks, and reads nothing. */
int mod_stek_trust_watch_changed(const mod_stek_trust_watch_t *watch);

#pragma GCC visibility pop
#endif
