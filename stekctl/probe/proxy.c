/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proxies (proxy.h).
 */
#include "proxy.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "wire.h"

#define LINE_SIZE 256
#define LINES_MAX 100
#define ENCODED_SIZE 700 /* base64 of two credentials and a colon */
#define REQUEST_SIZE 2048
#define STATUS_AT 9 /* in "HTTP/1.1 200 OK" */
#define STATUS_LEN 3

#define REFUSES "the proxy refuses user and password"
#define REQUIRES "the proxy requires user and password"
#define NO_SOCKS "the proxy's answer is not SOCKS 5"

/* why: a clause; NULL: no answer came. */
static int refused(probe_link_t *link, const char *why)
{
    if (why) {
        probe_link_fail(link, PROBE_UNREACHABLE, why);
    }
    else if (apr_time_now() >= link->deadline) {
        probe_link_fail(link, PROBE_TIMEOUT, "the proxy took too long to answer");
    }
    else {
        probe_link_fail(link, PROBE_UNREACHABLE, "the proxy closed the connection");
    }
    return 0;
}

/* VER CMD RSV | ATYP address | port */
static apr_size_t socks_request(const char *name, int port, unsigned char *out)
{
    apr_size_t len = 0, name_len = strlen(name);

    memcpy(out, "\x05\x01\x00", 3);
    if (inet_pton(AF_INET, name, out + 4) == 1) {
        out[3] = 1;
        len = 4 + 4;
    }
    else if (inet_pton(AF_INET6, name, out + 4) == 1) {
        out[3] = 4;
        len = 4 + 16;
    }
    else {
        out[3] = 3;
        out[4] = (unsigned char)name_len;
        memcpy(out + 5, name, name_len);
        len = 5 + name_len;
    }
    out[len] = (unsigned char)(port >> 8);
    out[len + 1] = (unsigned char)port;
    return len + 2;
}

/* The address in SOCKS's answer, which says nothing new. */
static int skip_address(probe_link_t *link, int type)
{
    unsigned char bytes[255 + 2], len = 0;

    if (type == 3 && !probe_wire_read(link->fd, &len, 1, link->deadline)) {
        return 0;
    }
    len = type == 1 ? 4 : type == 4 ? 16 : len;
    return probe_wire_read(link->fd, bytes, (apr_size_t)len + 2, link->deadline);
}

/* VER | ULEN user | PLEN password (RFC 1929) */
static int give_password(probe_link_t *link, const probe_proxy_t *proxy)
{
    apr_size_t user_len = strlen(proxy->user), password_len = strlen(proxy->password);
    unsigned char request[3 + 255 + 255], answer[2];
    int is_sent;

    request[0] = 1;
    request[1] = (unsigned char)user_len;
    memcpy(request + 2, proxy->user, user_len);
    request[2 + user_len] = (unsigned char)password_len;
    memcpy(request + 3 + user_len, proxy->password, password_len);
    is_sent = probe_wire_send(link->fd, request, 3 + user_len + password_len, link->deadline);
    OPENSSL_cleanse(request, sizeof(request));
    if (!is_sent || !probe_wire_read(link->fd, answer, sizeof(answer), link->deadline)) {
        return refused(link, NULL);
    }
    return answer[1] == 0 || refused(link, REFUSES);
}

/* The first exchange: whether with a password. */
static int greet_socks(probe_link_t *link, const probe_proxy_t *proxy)
{
    const char *greeting = proxy->user ? "\x05\x02\x00\x02" : "\x05\x01\x00";
    unsigned char answer[2];

    if (!probe_wire_send(link->fd, greeting, proxy->user ? 4 : 3, link->deadline)
        || !probe_wire_read(link->fd, answer, sizeof(answer), link->deadline)) {
        return refused(link, NULL);
    }
    if (answer[0] != 5) {
        return refused(link, NO_SOCKS);
    }
    if (answer[1] == 2 && proxy->user) {
        return give_password(link, proxy);
    }
    return answer[1] == 0
           || refused(link, proxy->user ? "the proxy requires a login other than user and password"
                                        : REQUIRES);
}

static int ask_socks(probe_link_t *link, const probe_proxy_t *proxy, const char *name, int port)
{
    /* RFC 1928, 6 */
    static const char *const why[] = {
        "",
        "the proxy cannot reach the host, and does not say why",
        "the proxy does not allow connections to this host",
        "the proxy cannot reach the host's network",
        "the proxy cannot reach the host",
        "the host refuses connections from the proxy",
        "the host is too far away from the proxy",
        "the proxy does not support the command to connect",
        "the proxy does not support this kind of address",
    };
    unsigned char request[5 + 255 + 2], answer[4];
    apr_size_t len;

    if (strlen(name) > 255) {
        return refused(link, "the host's name is too long for SOCKS");
    }
    len = socks_request(name, port, request);
    if (!greet_socks(link, proxy)) {
        return 0;
    }
    if (!probe_wire_send(link->fd, request, len, link->deadline)
        || !probe_wire_read(link->fd, answer, 4, link->deadline)) {
        return refused(link, NULL);
    }
    if (answer[0] != 5) {
        return refused(link, NO_SOCKS);
    }
    if (answer[1] != 0) {
        return refused(link, answer[1] < sizeof(why) / sizeof(why[0])
                                 ? why[answer[1]]
                                 : apr_psprintf(link->pool,
                                                "the proxy cannot reach the host: error %d of "
                                                "SOCKS",
                                                answer[1]));
    }
    return skip_address(link, answer[3]) || refused(link, NULL);
}

/* CONNECT, with "Basic" credentials (RFC 7617), which are wiped after use. */
static int send_connect(probe_link_t *link, const probe_proxy_t *proxy, const char *where)
{
    char plain[2 * PROBE_CREDENTIAL_MAX + 2], encoded[ENCODED_SIZE], request[REQUEST_SIZE];
    int is_sent, len;

    *encoded = '\0';
    if (proxy->user) {
        apr_snprintf(plain, sizeof(plain), "%s:%s", proxy->user, proxy->password);
        (void)EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain,
                              (int)strlen(plain));
    }
    len = apr_snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n",
                       where, where, proxy->user ? "Proxy-Authorization: Basic " : "", encoded,
                       proxy->user ? "\r\n" : "");
    is_sent = probe_wire_send(link->fd, request, (apr_size_t)len, link->deadline);
    OPENSSL_cleanse(plain, sizeof(plain));
    OPENSSL_cleanse(encoded, sizeof(encoded));
    OPENSSL_cleanse(request, sizeof(request));
    return is_sent;
}

/* A proxy may repeat what it was sent, so after credentials only the number is shown. */
static int refused_http(probe_link_t *link, const probe_proxy_t *proxy, const char *status)
{
    const char *shown = proxy->user ? apr_pstrmemdup(link->pool, status, STATUS_LEN)
                                    : apr_pstrdup(link->pool, status);
    /* Some say 401. */
    int is_known = strncmp(status, "407", STATUS_LEN) != 0
                   && strncmp(status, "401", STATUS_LEN) != 0;
    const char *why = is_known      ? "the proxy cannot reach the host"
                      : proxy->user ? REFUSES
                                    : REQUIRES;

    return refused(link, apr_pstrcat(link->pool, why, ": HTTP ", shown, NULL));
}

static int ask_http(probe_link_t *link, const probe_proxy_t *proxy, const char *name, int port)
{
    int is_ipv6 = strchr(name, ':') != NULL, lines_n;
    const char *where = apr_psprintf(link->pool, is_ipv6 ? "[%s]:%d" : "%s:%d", name, port);
    char status[LINE_SIZE], line[LINE_SIZE];

    if (!send_connect(link, proxy, where)
        || probe_wire_line(link->fd, status, sizeof(status), link->deadline) <= 0) {
        return refused(link, NULL);
    }
    if (strncmp(status, "HTTP/1.", 7) != 0 || strlen(status) < STATUS_AT + STATUS_LEN
        || strspn(status + STATUS_AT, "0123456789") != STATUS_LEN) {
        return refused(link, "the proxy's answer is not HTTP");
    }
    if (status[STATUS_AT] != '2') {
        return refused_http(link, proxy, status + STATUS_AT);
    }
    for (lines_n = 0; lines_n < LINES_MAX; lines_n++) {
        if (probe_wire_line(link->fd, line, sizeof(line), link->deadline) <= 0) {
            break;
        }
        if (!*line) {
            return 1;
        }
    }
    return refused(link, NULL);
}

int probe_proxy_connect(probe_link_t *link, const probe_proxy_t *proxy, const char *name, int port)
{
    return !proxy
           || (proxy->is_socks ? ask_socks(link, proxy, name, port)
                               : ask_http(link, proxy, name, port));
}
