/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile tickets and sessions before all that stekctl probe does with them.  The first byte
 * chooses: is it TLS 1.3, the secret's length, how many tickets; then tickets, each behind a
 * two-byte length.  Session DER is edited from the same bytes.
 */
#include "fuzz.h"

#include <openssl/ssl.h>

#include "probe/analysis.h"
#include "probe/checksum.h"
#include "probe/session.h"
#include "probe/search.h"

#define TICKETS_MAX 6

/* The search for keys takes milliseconds even with one of each length: only some inputs ask for
 * it. */
static void look_at(probe_ticket_t *tickets, size_t n, int searches)
{
    probe_format_t format;
    probe_hit_t hit;

    probe_analysis_format(tickets, n, &format);
    (void)probe_analysis_layout(format.layout);
    (void)probe_analysis_plain(tickets, n, &hit);
    (void)probe_analysis_nonce(tickets, n, &format, &hit);
    (void)probe_checksum_find(tickets, n, &format, &hit);
    if (n > 0 && searches) {
        probe_search_t search = {.ticket = &tickets[0], .format = &format, .level = PROBE_ONE_KEY};

        (void)probe_search_cipher(&search);
        (void)probe_search_mac(&search);
    }
}

static void edit(const uint8_t *data, size_t size, apr_pool_t *pool)
{
    size_t half = size / 2, len = 0;
    const unsigned char *out, *at;
    SSL_SESSION *session;

    at = out = probe_session_with_ticket(data, size - half, data + half, half, &len, pool);
    if (!out) {
        return;
    }
    session = d2i_SSL_SESSION(NULL, &at, (long)len);
    SSL_SESSION_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    probe_ticket_t tickets[TICKETS_MAX];
    size_t n = 0, at = 1;

    if (size < 2) {
        return 0;
    }
    memset(tickets, 0, sizeof(tickets));
    while (n < TICKETS_MAX && size - at >= 2) {
        probe_ticket_t *ticket = &tickets[n++];
        size_t len = (size_t)data[at] << 8 | data[at + 1];

        at += 2;
        ticket->bytes = data + at;
        ticket->len = len < size - at ? len : size - at;
        ticket->is_tls13 = data[0] & 1;
        ticket->secret_len = data[0] & 2 ? 32 : data[0] & 4 ? 48 : data[0] & 8 ? 0 : 16;
        ticket->nonce_len = data[0] >> 4;
        memset(ticket->secret, (int)(n * 37), ticket->secret_len);
        ticket->more_n = ticket->secret_len >= 32 ? n % (PROBE_MORE_N + 1) : 0;
        at += ticket->len;
    }
    look_at(tickets, n, (data[0] & 0xe0) == 0xe0);
    edit(data + 1, size - 1, pool);
    apr_pool_clear(pool);
    return 0;
}
