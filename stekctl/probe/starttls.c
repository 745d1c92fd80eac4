/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STARTTLS (starttls.h).  Every length comes from the server, so every one is checked.
 */
#include "starttls.h"

#include <apr_strings.h>
#include <string.h>

#include "wire.h"

#define LINE_SIZE 1024
#define LINES_MAX 100
#define PACKET_MAX 4096

/* A command of the client (NULL: none, the server begins) and how a good answer begins. */
typedef struct exchange_t {
    const char *command, *good;
} exchange_t;

static const exchange_t smtp[] = {
    {NULL, "220"}, {"EHLO probe.invalid\r\n", "250"}, {"STARTTLS\r\n", "220"}, {NULL, NULL}};
static const exchange_t imap[] = {{NULL, "* OK"}, {"1 STARTTLS\r\n", "1 OK"}, {NULL, NULL}};
static const exchange_t pop3[] = {{NULL, "+OK"}, {"STLS\r\n", "+OK"}, {NULL, NULL}};

static int refused(probe_link_t *link, const char *answer)
{
    if (answer) {
        probe_link_fail(link, PROBE_NOT_TLS,
                        apr_pstrcat(link->pool, "refuses STARTTLS: ", answer, NULL));
    }
    else if (apr_time_now() >= link->deadline) {
        probe_link_fail(link, PROBE_TIMEOUT, "took too long to answer STARTTLS");
    }
    else {
        probe_link_fail(link, PROBE_CLOSED, "closed the connection before TLS");
    }
    return 0;
}

/* More lines belong to this answer: "250-" in SMTP, "* " before the tagged one in IMAP. */
static int goes_on(const exchange_t *exchange, const char *line)
{
    return (strspn(line, "0123456789") == 3 && line[3] == '-')
           || (exchange->command && !strncmp(line, "* ", 2));
}

static int talk(probe_link_t *link, const exchange_t *exchange)
{
    char line[LINE_SIZE];
    int lines_n = 0, got;

    for (; exchange->good; exchange++) {
        if (exchange->command
            && !probe_wire_send(link->fd, exchange->command, strlen(exchange->command),
                                link->deadline)) {
            return refused(link, NULL);
        }
        do {
            got = lines_n++ < LINES_MAX
                      ? probe_wire_line(link->fd, line, sizeof(line), link->deadline)
                      : -1;
            if (got <= 0) {
                return refused(link, got < 0 ? "the answer is too long" : NULL);
            }
        } while (goes_on(exchange, line));
        if (strncmp(line, exchange->good, strlen(exchange->good)) != 0) {
            return refused(link, line);
        }
    }
    return 1;
}

/* The length of a BER element whose first length byte is at *pat; moves to its value.  -1: it does
 * not fit. */
static int ber_len(const unsigned char *bytes, int len, int *pat)
{
    int n, found;

    if (*pat >= len) {
        return -1;
    }
    found = bytes[(*pat)++];
    if (found & 0x80) {
        n = found & 0x7f;
        if (n > 4 || n > len - *pat) {
            return -1;
        }
        for (found = 0; n > 0 && found <= PACKET_MAX; n--) {
            found = found << 8 | bytes[(*pat)++];
        }
    }
    return found <= PACKET_MAX && found <= len - *pat ? found : -1;
}

/* The result code of an LDAP message's ExtendedResponse: MessageID, [APPLICATION 24] { ENUMERATED.
 * -1: it is not one. */
static int ldap_result(const unsigned char *bytes, int len)
{
    static const int tags[] = {0x02, 0x78, 0x0a};
    int at = 0, i, n;

    for (i = 0; i < 3; i++) {
        if (at >= len || bytes[at++] != tags[i]) {
            return -1;
        }
        n = ber_len(bytes, len, &at);
        if (n < 0) {
            return -1;
        }
        at += i == 0 ? n : 0;
    }
    return n == 1 ? bytes[at] : -1;
}

static int ask_ldap(probe_link_t *link)
{
    static const char request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
                                  "1.3.6.1.4.1.1466.20037";
    unsigned char bytes[PACKET_MAX], head[6] = {0};
    int len, n, result;

    if (!probe_wire_send(link->fd, request, sizeof(request) - 1, link->deadline)
        || !probe_wire_read(link->fd, head, 2, link->deadline)) {
        return refused(link, NULL);
    }
    len = head[1];
    if (len & 0x80) {
        n = len & 0x7f;
        if (n > 4 || !probe_wire_read(link->fd, head + 2, (apr_size_t)n, link->deadline)) {
            return refused(link, NULL);
        }
        for (len = 0; n > 0 && len <= PACKET_MAX; n--) {
            len = len << 8 | head[2 + (head[1] & 0x7f) - n];
        }
    }
    if (head[0] != 0x30 || len > (int)sizeof(bytes)) {
        return refused(link, "the answer is not LDAP");
    }
    if (!probe_wire_read(link->fd, bytes, (apr_size_t)len, link->deadline)) {
        return refused(link, NULL);
    }
    result = ldap_result(bytes, len);
    return result == 0
           || refused(link, result < 0 ? "the answer is not LDAP"
                                       : apr_psprintf(link->pool, "LDAP result code %d", result));
}

static int ask_postgres(probe_link_t *link)
{
    char answer;

    if (!probe_wire_send(link->fd, "\x00\x00\x00\x08\x04\xd2\x16\x2f", 8, link->deadline)
        || !probe_wire_read(link->fd, &answer, 1, link->deadline)) {
        return refused(link, NULL);
    }
    return answer == 'S'
           || refused(link,
                      answer == 'N' ? "PostgreSQL says no" : "the answer is not PostgreSQL's");
}

/* Initial handshake packet, version 10: version, text, NUL, thread 4, data 8, 0, capabilities. */
static int ask_mysql(probe_link_t *link)
{
    /* Protocol 4.1, TLS, authentication 4.1; 16 MiB; UTF-8. */
    static const char request[4 + 32] = "\x20\x00\x00\x01\x00\x8a\x00\x00\x00\x00\x00\x01\x21";
    unsigned char bytes[PACKET_MAX], head[4];
    const unsigned char *end;
    apr_size_t len, at;

    if (!probe_wire_read(link->fd, head, 4, link->deadline)) {
        return refused(link, NULL);
    }
    len = (apr_size_t)head[0] | (apr_size_t)head[1] << 8 | (apr_size_t)head[2] << 16;
    if (len > sizeof(bytes)) {
        return refused(link, "the greeting is not MySQL's");
    }
    if (!probe_wire_read(link->fd, bytes, len, link->deadline)) {
        return refused(link, NULL);
    }
    end = len > 0 ? memchr(bytes, 0, len) : NULL;
    at = end ? (apr_size_t)(end - bytes) + 1 + 4 + 8 + 1 : len;
    if (!end || bytes[0] != 10 || at + 2 > len) {
        return refused(link, len > 0 && bytes[0] == 0xff ? "MySQL answers with an error"
                                                         : "the greeting is not MySQL's");
    }
    if (!(bytes[at + 1] & 0x08)) {
        return refused(link, "MySQL has no TLS");
    }
    return probe_wire_send(link->fd, request, sizeof(request), link->deadline)
           || refused(link, NULL);
}

int probe_starttls(probe_link_t *link, probe_starttls_e protocol)
{
    switch (protocol) {
    case PROBE_STARTTLS_SMTP:
        return talk(link, smtp);
    case PROBE_STARTTLS_IMAP:
        return talk(link, imap);
    case PROBE_STARTTLS_POP3:
        return talk(link, pop3);
    case PROBE_STARTTLS_LDAP:
        return ask_ldap(link);
    case PROBE_STARTTLS_POSTGRES:
        return ask_postgres(link);
    case PROBE_STARTTLS_MYSQL:
        return ask_mysql(link);
    default:
        return 1;
    }
}
