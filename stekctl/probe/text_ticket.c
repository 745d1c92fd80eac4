/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets that are text (text_ticket.h).  By chance, a run of 64 digits of base64 does not occur in
 * random bytes.
 */
#include "text_ticket.h"

#include <stdlib.h>
#include <string.h>

#include "own_keys.h"

#define RUN_MIN 64

static int is_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+'
           || c == '/' || c == '-' || c == '_';
}

/* The longest run of digits. */
static apr_size_t longest_run(const probe_ticket_t *ticket, apr_size_t *pat)
{
    apr_size_t best = 0, at = 0, i;

    for (i = 0; i <= ticket->len; i++) {
        if (i < ticket->len && is_digit(ticket->bytes[i])) {
            continue;
        }
        if (i - at > best) {
            best = i - at;
            *pat = at;
        }
        at = i + 1;
    }
    return best;
}

int probe_text_ticket_decode(const probe_ticket_t *ticket, probe_ticket_t *decoded)
{
    apr_size_t at = 0, len = longest_run(ticket, &at), n;
    unsigned char *bytes;

    if (len < RUN_MIN || len < ticket->len / 2) {
        return 0;
    }
    bytes = malloc(len);
    if (!bytes) {
        return 0;
    }
    n = probe_decode_hex(ticket->bytes + at, len, bytes);
    if (!n) {
        n = probe_decode_base64(ticket->bytes + at, len - (len % 4 == 1), bytes);
    }
    if (!n) {
        free(bytes);
        return 0;
    }
    *decoded = *ticket;
    decoded->bytes = bytes;
    decoded->len = n;
    return 1;
}
