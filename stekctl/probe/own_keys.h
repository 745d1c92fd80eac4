/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of the user's own keys to try.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_OWN_KEYS_H
#define STEKCTL_PROBE_OWN_KEYS_H

#include <apr_pools.h>

#pragma GCC visibility push(hidden)

#define PROBE_OWN_KEY_MAX 256 /* bytes of a key */

typedef struct probe_own_key_t {
    const unsigned char *bytes;
    apr_size_t len;
} probe_own_key_t;

typedef struct probe_own_keys_t {
    const probe_own_key_t *keys;
    apr_size_t n;
} probe_own_keys_t;

/* Reads a file with one key per line: text, and if a line is hex or base64, the bytes that it
 * stands for, too.  Empty lines, and those that begin with '#', count for nothing.  Returns NULL
 * and why if that fails. */
const probe_own_keys_t *probe_own_keys_read(const char *path, const char **pwhy, apr_pool_t *pool);

/* Decodes hex or base64 (also that of URLs).  Both return the number of bytes in out, which has
 * room for len; 0: text[len] is something else. */
apr_size_t probe_decode_hex(const unsigned char *text, apr_size_t len, unsigned char *out);
apr_size_t probe_decode_base64(const unsigned char *text, apr_size_t len, unsigned char *out);

#pragma GCC visibility pop
#endif
