/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums (checksum.h): CRC-32 (ISO 3309), as Ethernet and zlib have it, in either byte order.
 */
#include "checksum.h"

#include <string.h>

#include "mac_spans.h"

/* Begins with, and ends in, all bits inverted. */
static apr_uint32_t crc32_of(apr_uint32_t crc, const unsigned char *bytes, apr_size_t len)
{
    apr_size_t i;
    int bit;

    for (i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
        }
    }
    return crc;
}

void probe_checksum_make(const unsigned char *first, apr_size_t first_len,
                         const unsigned char *second, apr_size_t second_len, unsigned char *out)
{
    apr_uint32_t crc = ~crc32_of(crc32_of(0xffffffff, first, first_len), second, second_len);
    int i;

    for (i = 0; i < PROBE_CRC_LEN; i++) {
        out[i] = (unsigned char)(crc >> (24 - 8 * i));
    }
}

static int is_crc(const probe_ticket_t *ticket, const probe_span_t *span)
{
    const unsigned char *at = ticket->bytes + span->mac_at;
    unsigned char crc[PROBE_CRC_LEN];

    probe_checksum_make(ticket->bytes + span->from, span->len, ticket->bytes + span->second_from,
                        span->second_len, crc);
    return memcmp(at, crc, PROBE_CRC_LEN) == 0
           || (at[0] == crc[3] && at[1] == crc[2] && at[2] == crc[1] && at[3] == crc[0]);
}

static void choose(probe_spans_t *spans, const probe_ticket_t *ticket, const probe_format_t *format)
{
    spans->n = 0;
    if (ticket->len <= PROBE_TEXT_MAX) {
        probe_mac_spans(spans, ticket->len, format, PROBE_CRC_LEN, PROBE_NORMAL, 0);
    }
}

/* Place i, which the first ticket has, fits the others. */
static int others_have_crc(const probe_ticket_t *tickets, apr_size_t n,
                           const probe_format_t *format, apr_size_t i)
{
    probe_spans_t spans;
    apr_size_t j;

    for (j = 1; j < n; j++) {
        choose(&spans, &tickets[j], format);
        if (i >= spans.n || !is_crc(&tickets[j], &spans.all[i])) {
            return 0;
        }
    }
    return 1;
}

static int find(const probe_ticket_t *tickets, apr_size_t n, const probe_format_t *format,
                probe_hit_t *hit)
{
    probe_spans_t spans;
    apr_size_t i;

    choose(&spans, &tickets[0], format);
    for (i = 0; i < spans.n; i++) {
        if (is_crc(&tickets[0], &spans.all[i]) && others_have_crc(tickets, n, format, i)) {
            hit->algorithm = "CRC-32";
            hit->text_at = spans.all[i].from;
            hit->mac_at = spans.all[i].mac_at;
            hit->mac_len = hit->mac_full_len = PROBE_CRC_LEN;
            return 1;
        }
    }
    return 0;
}

int probe_checksum_find(const probe_ticket_t *tickets, apr_size_t n, const probe_format_t *format,
                        probe_hit_t *hit)
{
    memset(hit, 0, sizeof(*hit));
    return n >= 2 && find(tickets, n, format, hit);
}

int probe_checksum_find_inside(const probe_ticket_t *text, const probe_format_t *format,
                               probe_hit_t *hit)
{
    memset(hit, 0, sizeof(*hit));
    return find(text, 1, format, hit);
}

void probe_checksum_change(unsigned char mask, apr_size_t left_n, int is_big, unsigned char *out)
{
    static const unsigned char zero = 0;
    apr_uint32_t crc = crc32_of(0, &mask, 1);
    int i;

    while (left_n-- > 0) {
        crc = crc32_of(crc, &zero, 1);
    }
    for (i = 0; i < PROBE_CRC_LEN; i++) {
        out[i] ^= (unsigned char)(crc >> 8 * (is_big ? PROBE_CRC_LEN - 1 - i : i));
    }
}
