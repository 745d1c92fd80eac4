/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a weak cipher key (search.h): on the ticket as it is, and on what it stands for if
 * it is text.
 */
#include "search_parts.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "text_ticket.h"

static int search_both(probe_search_t *search, const probe_needles_t *needles)
{
    return probe_search_block(search, needles) || probe_search_stream(search, needles);
}

int probe_search_cipher(probe_search_t *search)
{
    const probe_ticket_t *ticket = search->ticket;
    const probe_format_t *format = search->format;
    probe_format_t unknown = {.len_max = 0};
    probe_needles_t needles;
    probe_ticket_t decoded;
    int found;

    probe_needles_make(&needles, ticket);
    if (needles.n == 0) {
        search->missing = "a secret that proves a key";
        return 0;
    }
    found = search_both(search, &needles);
    if (!found && probe_text_ticket_decode(ticket, &decoded)) {
        search->ticket = &decoded;
        search->format = &unknown;
        found = search_both(search, &needles);
        search->hit.is_decoded = found;
        search->ticket = ticket;
        search->format = format;
        free((void *)decoded.bytes);
    }
    OPENSSL_cleanse(&needles, sizeof(needles));
    ERR_clear_error();
    return found;
}
