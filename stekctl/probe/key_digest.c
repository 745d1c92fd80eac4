/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of keys (key_digest.h).
 */
#include "key_digest.h"

#include <apr_strings.h>
#include <openssl/evp.h>

#include "hex.h"
#include "ticket.h"

const char *probe_key_digest(const unsigned char *key, apr_size_t len, apr_pool_t *pool)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned int digest_len = 0;

    if (EVP_Digest(key, len, digest, &digest_len, EVP_sha256(), NULL) != 1) {
        return "sha256:unknown";
    }
    return apr_pstrcat(pool, "sha256:", probe_hex(digest, digest_len, text), NULL);
}

const char *probe_key_text(const unsigned char *key, apr_size_t len, int redacts, apr_pool_t *pool)
{
    char text[2 * PROBE_KEY_MAX + 1];
    apr_size_t i;

    if (redacts) {
        return probe_key_digest(key, len, pool);
    }
    for (i = 1; i < len && key[i] == key[0]; i++) {
    }
    return i == len ? apr_psprintf(pool, "%02x x %d", key[0], (int)len)
                    : apr_pstrdup(pool, probe_hex(key, len, text));
}
