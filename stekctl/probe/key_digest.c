/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of keys (key_digest.h).
 */
#include "key_digest.h"

#include <apr_strings.h>
#include <openssl/evp.h>

#include "hex.h"

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
