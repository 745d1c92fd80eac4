/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a session's secret in a text (secret.h).
 */
#include "secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* How far a text is searched for a resumption master secret, because that costs an HMAC per byte.
 * */
#define MASTER_TEXT_MAX 1024

const unsigned char *probe_secret_find(const unsigned char *text, apr_size_t len,
                                       const probe_ticket_t *ticket)
{
    /* Without its first block, because that may have been decrypted with a wrong IV. */
    apr_size_t skip = ticket->secret_len >= 32 ? 16 : 0;
    apr_size_t want = ticket->secret_len - skip;

    if (want < 16 || len < want) {
        return NULL;
    }
    return memmem(text, len, ticket->secret + skip, want);
}

/* Nonzero: the ticket's PSK is derived from window[ticket->secret_len]. */
static int expands(const unsigned char *window, const probe_ticket_t *ticket)
{
    /* HkdfLabel of RFC 8446, 7.1; one block of HKDF-Expand. */
    static const char label[] = "tls13 resumption";
    unsigned char info[4 + sizeof(label) + PROBE_NONCE_MAX + 1], out[EVP_MAX_MD_SIZE];
    const EVP_MD *md = ticket->secret_len == 48 ? EVP_sha384() : EVP_sha256();
    apr_size_t len = 0;
    unsigned int out_len = sizeof(out);

    info[len++] = 0;
    info[len++] = (unsigned char)ticket->secret_len;
    info[len++] = sizeof(label) - 1;
    memcpy(info + len, label, sizeof(label) - 1);
    len += sizeof(label) - 1;
    info[len++] = (unsigned char)ticket->nonce_len;
    memcpy(info + len, ticket->nonce, ticket->nonce_len);
    len += ticket->nonce_len;
    info[len++] = 1;
    return HMAC(md, window, (int)ticket->secret_len, info, len, out, &out_len) != NULL
           && out_len == ticket->secret_len && memcmp(out, ticket->secret, out_len) == 0;
}

const unsigned char *probe_secret_find_master(const unsigned char *text, apr_size_t len,
                                              const probe_ticket_t *ticket)
{
    apr_size_t i;

    if (!ticket->is_tls13 || (ticket->secret_len != 32 && ticket->secret_len != 48)) {
        return NULL;
    }
    for (i = 0; i + ticket->secret_len <= len && i < MASTER_TEXT_MAX; i++) {
        if (expands(text + i, ticket)) {
            return text + i;
        }
    }
    return NULL;
}
