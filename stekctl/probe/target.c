/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of hosts (target.h).
 */
#include "target.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

#include "hex.h"
#include "options.h"

#define NAME_LEN_MAX 255

typedef struct scheme_t {
    const char *name;
    int port;
    int speaks_http;
    probe_starttls_e starttls;
} scheme_t;

/* Those with STARTTLS, by their protocol, come first. */
static const scheme_t schemes[] = {
    {"smtp", 25, 0, PROBE_STARTTLS_SMTP},
    {"imap", 143, 0, PROBE_STARTTLS_IMAP},
    {"pop3", 110, 0, PROBE_STARTTLS_POP3},
    {"ldap", 389, 0, PROBE_STARTTLS_LDAP},
    {"postgres", 5432, 0, PROBE_STARTTLS_POSTGRES},
    {"mysql", 3306, 0, PROBE_STARTTLS_MYSQL},
    {"postgresql", 5432, 0, PROBE_STARTTLS_POSTGRES},
    {"smtps", 465, 0, PROBE_STARTTLS_NONE},
    {"imaps", 993, 0, PROBE_STARTTLS_NONE},
    {"pop3s", 995, 0, PROBE_STARTTLS_NONE},
    {"ldaps", 636, 0, PROBE_STARTTLS_NONE},
    {"https", 443, 1, PROBE_STARTTLS_NONE},
};

#define STARTTLS_N 6

static const scheme_t *find_scheme(const char *name, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strlen(schemes[i].name) == len && strncasecmp(schemes[i].name, name, len) == 0) {
            return &schemes[i];
        }
    }
    return NULL;
}

static const scheme_t *scheme_of(probe_starttls_e protocol)
{
    const scheme_t *scheme = schemes;

    if (protocol == PROBE_STARTTLS_NONE) {
        return find_scheme("https", 5);
    }
    while (scheme->starttls != protocol) {
        scheme++;
    }
    return scheme;
}

int probe_target_is_printable(const char *text)
{
    while ((unsigned char)*text > ' ' && (unsigned char)*text < 0x7f) {
        text++;
    }
    return *text == '\0';
}

int probe_target_starttls(const char *text, probe_starttls_e *pprotocol)
{
    int i;

    for (i = 0; i < STARTTLS_N; i++) {
        if (!strcmp(schemes[i].name, text)) {
            *pprotocol = schemes[i].starttls;
            return 1;
        }
    }
    return 0;
}

/* HOST, HOST:PORT, [ADDRESS]:PORT, or an IPv6 address without a port: text[len]. */
static int parse_place(const char *text, apr_size_t len, int default_port, const char **pname,
                       int *pport, apr_pool_t *pool)
{
    const char *place = apr_pstrmemdup(pool, text, len), *end = NULL;
    const char *colon = strrchr(place, ':');

    if (*place == '[') {
        end = strchr(++place, ']');
        if (!end || (end[1] && end[1] != ':')) {
            return 0;
        }
        colon = end[1] ? end + 1 : NULL;
    }
    else if (colon && strchr(place, ':') != colon) {
        colon = NULL;
    }
    *pport = colon ? options_number(colon + 1, 1, 65535) : default_port;
    end = end ? end : colon ? colon : place + strlen(place);
    *pname = apr_pstrmemdup(pool, place, (apr_size_t)(end - place));
    return *pport > 0 && **pname && strlen(*pname) <= NAME_LEN_MAX;
}

int probe_target_parse(const char *text, probe_starttls_e wanted, probe_host_t *host,
                       apr_pool_t *pool)
{
    const scheme_t *scheme = scheme_of(wanted);
    const char *place = strstr(text, "://"), *path;
    apr_size_t len;

    if (!probe_target_is_printable(text)) {
        return 0;
    }
    if (place) {
        scheme = find_scheme(text, (apr_size_t)(place - text));
    }
    place = place ? place + 3 : text;
    len = strcspn(place, "/?#");
    path = place + len;
    if (!scheme || memchr(place, '@', len) || (place == text && *path)) {
        return 0;
    }
    host->path = apr_pstrcat(pool, *path == '/' ? "" : "/",
                             apr_pstrmemdup(pool, path, strcspn(path, "#")), NULL);
    host->speaks_http = scheme->speaks_http;
    host->starttls = scheme->starttls;
    return parse_place(place, len, scheme->port, &host->name, &host->port, pool);
}

/* Decodes "%40" and the like in place (RFC 3986, 2.1).  0: malformed, or it has a NUL. */
static int decode(char *text)
{
    char *out = text;

    for (; *text; text++) {
        int high, low;

        *out = *text;
        if (*text == '%') {
            high = probe_hex_value(text[1]);
            low = high < 0 ? -1 : probe_hex_value(text[2]);
            if (low < 0 || high + low == 0) {
                return 0;
            }
            *out = (char)(high << 4 | low);
            text += 2;
        }
        out++;
    }
    *out = '\0';
    return 1;
}

/* USER:PASSWORD of 1 to 255 bytes each, as SOCKS has it.  A user with a colon would end there in
 * HTTP's Basic scheme. */
static int parse_credentials(const char *text, apr_size_t len, probe_proxy_t *proxy,
                             apr_pool_t *pool)
{
    char *user = apr_pstrmemdup(pool, text, len), *password = strchr(user, ':');

    if (!password) {
        return 0;
    }
    *password++ = '\0';
    proxy->user = user;
    proxy->password = password;
    return decode(user) && decode(password) && *user && *password && !strchr(user, ':')
           && strlen(user) <= PROBE_CREDENTIAL_MAX && strlen(password) <= PROBE_CREDENTIAL_MAX;
}

int probe_target_proxy(const char *text, probe_proxy_t *proxy, apr_pool_t *pool)
{
    const char *place = strstr(text, "://"), *at;
    apr_size_t len;

    if (!place || !probe_target_is_printable(text)) {
        return 0;
    }
    proxy->user = proxy->password = NULL; /* what another proxy is told is not for this one */
    len = (apr_size_t)(place - text);
    proxy->is_socks = len == 6 && !strncasecmp(text, "socks5", len);
    if (!proxy->is_socks && !(len == 4 && !strncasecmp(text, "http", len))) {
        return 0;
    }
    place += 3;
    at = strchr(place, '@');
    if (at) {
        if (!parse_credentials(place, (apr_size_t)(at - place), proxy, pool)) {
            return 0;
        }
        place = at + 1;
    }
    len = strcspn(place, "/");
    if (memchr(place, '@', len) || (place[len] && place[len + 1])) {
        return 0;
    }
    return parse_place(place, len, proxy->is_socks ? 1080 : 8080, &proxy->name, &proxy->port, pool);
}
