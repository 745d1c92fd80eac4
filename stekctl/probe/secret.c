/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a session's secret in a text (secret.h).
 */
#include "secret.h"

#include <string.h>

#include "schedule.h"

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
    unsigned char out[PROBE_SECRET_MAX];

    return probe_schedule_expand(window, ticket->secret_len, "resumption", ticket->nonce,
                                 ticket->nonce_len, out)
           && memcmp(out, ticket->secret, ticket->secret_len) == 0;
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
