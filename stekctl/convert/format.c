/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other programs' key files (format.h).  One table says where each layout puts the halves; parsing
 * and writing follow it.  stekctl; pure, any thread.
 */
#include "format.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "stek_error.h"

#define SHORT_HALF 16
#define SHORT_LINE_LEN 64 /* base64 of FORMAT_KEY_SHORT_LEN */
#define LIGHTTPD_TIMES_LEN 12

/* Which half comes first after the name. */
typedef enum first_e { NO_SUCH, HMAC_FIRST, AES_FIRST } first_e;

typedef struct layout_t {
    const char *name;
    first_e of_48;
    first_e of_80;
    apr_size_t key_max; /* in one file */
} layout_t;

static const layout_t layouts[FORMAT_EXPORT_N] = {
    [FORMAT_NGINX] = {"nginx", AES_FIRST, HMAC_FIRST, 1},
    [FORMAT_HAPROXY] = {"haproxy", AES_FIRST, AES_FIRST, FORMAT_KEYS_MAX},
    [FORMAT_APACHE] = {"apache", HMAC_FIRST, NO_SUCH, 1},
    [FORMAT_ATS] = {"ats", HMAC_FIRST, NO_SUCH, FORMAT_KEYS_MAX},
    [FORMAT_LIGHTTPD] = {"lighttpd", NO_SUCH, HMAC_FIRST, 1},
    [FORMAT_DNSDIST] = {"dnsdist", NO_SUCH, AES_FIRST, FORMAT_KEYS_MAX},
    [FORMAT_ENVOY] = {"envoy", NO_SUCH, HMAC_FIRST, 1},
    [FORMAT_KUBERNETES] = {"kubernetes-secret", NO_SUCH, HMAC_FIRST, 1},
};

static apr_status_t find(const char *name, int format_n, format_e *pformat)
{
    int i;

    for (i = 0; i < format_n; i++) {
        if (!strcmp(layouts[i].name, name)) {
            *pformat = (format_e)i;
            return APR_SUCCESS;
        }
    }
    return APR_NOTFOUND;
}

apr_status_t format_find(const char *name, format_e *pformat)
{
    return find(name, FORMAT_N, pformat);
}

apr_status_t format_find_export(const char *name, format_e *pformat)
{
    return find(name, FORMAT_EXPORT_N, pformat);
}

const char *format_name(format_e format)
{
    return layouts[format].name;
}

const char *format_names(void)
{
    return "nginx, haproxy, apache, ats, lighttpd, dnsdist";
}

const char *format_export_names(void)
{
    return "envoy, kubernetes-secret";
}

int format_is_short(format_e format)
{
    return layouts[format].of_80 == NO_SUCH;
}

/* raw[48 or 80]: name and two halves, in this order. */
static void key_from_raw(const unsigned char *raw, apr_size_t len, first_e first, stek_key_t *key)
{
    apr_size_t half = (len - STEK_NAME_LEN) / 2;
    const unsigned char *one = raw + STEK_NAME_LEN, *two = one + half;

    memset(key, 0, sizeof(*key));
    memcpy(key->name, raw, STEK_NAME_LEN);
    memcpy(key->hmac_key, first == HMAC_FIRST ? one : two, half);
    memcpy(key->aes_key, first == HMAC_FIRST ? two : one, half);
    key->flags = half == SHORT_HALF ? STEK_KEY_AES128 : 0;
}

static void key_to_raw(const stek_key_t *key, apr_size_t len, first_e first, unsigned char *raw)
{
    apr_size_t half = (len - STEK_NAME_LEN) / 2;
    unsigned char *one = raw + STEK_NAME_LEN, *two = one + half;

    memcpy(raw, key->name, STEK_NAME_LEN);
    memcpy(first == HMAC_FIRST ? one : two, key->hmac_key, half);
    memcpy(first == HMAC_FIRST ? two : one, key->aes_key, half);
}

/* Strict base64 of 48 or 80 bytes: EVP_DecodeBlock accepts blanks and odd padding, so its result
 * must encode to the same text. */
static apr_status_t line_decode(const char *line, apr_size_t line_len,
                                unsigned char raw[FORMAT_KEY_LEN], apr_size_t *plen)
{
    apr_size_t len = line_len == SHORT_LINE_LEN ? FORMAT_KEY_SHORT_LEN : FORMAT_KEY_LEN;
    unsigned char bytes[FORMAT_KEY_LEN + 4], again[FORMAT_LINE_LEN + 1];
    apr_status_t rv = STEK_ESYNTAX;

    if (line_len != SHORT_LINE_LEN && line_len != FORMAT_LINE_LEN) {
        return STEK_ELENGTH;
    }
    if (EVP_DecodeBlock(bytes, (const unsigned char *)line, (int)line_len) >= (int)len
        && EVP_EncodeBlock(again, bytes, (int)len) == (int)line_len
        && !memcmp(again, line, line_len)) {
        memcpy(raw, bytes, len);
        *plen = len;
        rv = APR_SUCCESS;
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(again, sizeof(again));
    ERR_clear_error();
    return rv;
}

static apr_status_t parse_lines(const unsigned char *bytes, apr_size_t len, stek_key_t *keys,
                                apr_size_t key_max, apr_size_t *pkey_n, int *pline)
{
    const char *at = (const char *)bytes, *end = at + len;
    unsigned char raw[FORMAT_KEY_LEN];
    apr_status_t rv = APR_SUCCESS;
    apr_size_t raw_len = 0, first_len = 0;

    for (*pkey_n = 0, *pline = 1; at < end; ++*pline) {
        const char *stop = memchr(at, '\n', (apr_size_t)(end - at));
        apr_size_t line_len = (apr_size_t)((stop ? stop : end) - at);

        if (line_len > 0 && at[line_len - 1] == '\r') {
            line_len--;
        }
        rv = *pkey_n < key_max ? line_decode(at, line_len, raw, &raw_len) : STEK_EFULL;
        if (rv == APR_SUCCESS && first_len != 0 && raw_len != first_len) {
            rv = STEK_ELENGTH;
        }
        if (rv != APR_SUCCESS) {
            break;
        }
        first_len = raw_len;
        key_from_raw(raw, raw_len, AES_FIRST, &keys[(*pkey_n)++]);
        at = stop ? stop + 1 : end;
    }
    OPENSSL_cleanse(raw, sizeof(raw));
    return rv;
}

static apr_status_t parse_lighttpd(const unsigned char *bytes, apr_size_t len, stek_key_t *key)
{
    apr_int32_t times[3];

    if (len != FORMAT_LIGHTTPD_LEN) {
        return STEK_ELENGTH;
    }
    memcpy(times, bytes, sizeof(times));
    if (times[0] != 0) {
        return STEK_EVERSION;
    }
    key_from_raw(bytes + LIGHTTPD_TIMES_LEN, FORMAT_KEY_LEN, HMAC_FIRST, key);
    key->not_before = apr_time_from_sec((apr_time_t)times[1]);
    key->decrypt_until = apr_time_from_sec((apr_time_t)times[2]);
    return APR_SUCCESS;
}

/* Binary keys of one length, one after the other. */
static apr_status_t parse_binary(const layout_t *layout, const unsigned char *bytes, apr_size_t len,
                                 stek_key_t *keys, apr_size_t key_max, apr_size_t *pkey_n)
{
    apr_size_t key_len = FORMAT_KEY_SHORT_LEN, key_n, i;
    first_e first = layout->of_48;

    if (layout->of_80 != NO_SUCH && len % FORMAT_KEY_LEN == 0) {
        key_len = FORMAT_KEY_LEN;
        first = layout->of_80;
    }
    key_n = len / key_len;
    if (first == NO_SUCH || len % key_len != 0 || key_n > layout->key_max) {
        return STEK_ELENGTH;
    }
    if (key_n > key_max) {
        return STEK_EFULL;
    }
    for (i = 0; i < key_n; i++) {
        key_from_raw(bytes + i * key_len, key_len, first, &keys[i]);
    }
    *pkey_n = key_n;
    return APR_SUCCESS;
}

apr_status_t format_parse(format_e format, const unsigned char *bytes, apr_size_t len,
                          stek_key_t *keys, apr_size_t key_max, apr_size_t *pkey_n, int *pline)
{
    apr_size_t key_n = 1;
    apr_status_t rv;
    int line = 0;

    if (len == 0) {
        rv = STEK_EEMPTY;
    }
    else if (key_max == 0) {
        rv = STEK_EFULL;
    }
    else if (format == FORMAT_HAPROXY) {
        rv = parse_lines(bytes, len, keys, key_max, &key_n, &line);
    }
    else if (format == FORMAT_LIGHTTPD) {
        rv = parse_lighttpd(bytes, len, keys);
    }
    else {
        rv = parse_binary(&layouts[format], bytes, len, keys, key_max, &key_n);
    }
    *pline = rv == APR_SUCCESS ? 0 : line;
    if (rv == APR_SUCCESS) {
        *pkey_n = key_n;
    }
    return rv;
}

/* Nonzero if it looks like lines of base64; a weak binary key may be text, too. */
static int is_lines(const unsigned char *bytes, apr_size_t len)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const unsigned char *stop = memchr(bytes, '\n', len);
    apr_size_t line_len = stop ? (apr_size_t)(stop - bytes) : len, i;

    if (line_len > 0 && bytes[line_len - 1] == '\r') {
        line_len--;
    }
    if (line_len != SHORT_LINE_LEN && line_len != FORMAT_LINE_LEN) {
        return 0;
    }
    for (i = 0; i < len; i++) {
        if (bytes[i] != '\r' && bytes[i] != '\n'
            && (bytes[i] == 0 || !memchr(digits, bytes[i], sizeof(digits) - 1))) {
            return 0;
        }
    }
    return 1;
}

apr_status_t format_guess(const unsigned char *bytes, apr_size_t len, format_e *pformat)
{
    int of_48 = len % FORMAT_KEY_SHORT_LEN == 0, of_80 = len % FORMAT_KEY_LEN == 0;
    apr_int32_t version;

    if (len == 0) {
        return STEK_ELENGTH;
    }
    if (is_lines(bytes, len)) {
        *pformat = FORMAT_HAPROXY;
        return APR_SUCCESS;
    }
    if (len == FORMAT_LIGHTTPD_LEN) {
        memcpy(&version, bytes, sizeof(version));
        *pformat = FORMAT_LIGHTTPD;
        return version == 0 ? APR_SUCCESS : STEK_ELENGTH;
    }
    if (of_48 && of_80) {
        return STEK_ESYNTAX;
    }
    *pformat = of_48 ? FORMAT_ATS : FORMAT_DNSDIST;
    return of_48 || of_80 ? APR_SUCCESS : STEK_ELENGTH;
}

format_use_e format_use(format_e format, apr_size_t i, apr_size_t n)
{
    switch (format) {
    case FORMAT_HAPROXY:
        if (i + FORMAT_HAPROXY_KEYS_N < n) {
            return FORMAT_IGNORED;
        }
        return i + 2 == n ? FORMAT_ENCRYPTS : FORMAT_DECRYPTS;
    case FORMAT_DNSDIST:
    case FORMAT_LIGHTTPD: /* several files: in the order it got them, so the last is the newest */
        return i + 1 == n ? FORMAT_ENCRYPTS : FORMAT_DECRYPTS;
    default:
        return i == 0 ? FORMAT_ENCRYPTS : FORMAT_DECRYPTS;
    }
}

/* The key for programs with 16-byte halves.  It is derived, because anyone who learns a part of the
 * ring's own key would have half of that key. */
static apr_status_t key_shorten(const stek_key_t *key, stek_key_t *out)
{
    unsigned char both[STEK_HMAC_KEY_LEN + STEK_AES_KEY_LEN], derived[2 * SHORT_HALF];
    static char digest[] = "SHA256", info[] = "stek export 48";
    OSSL_PARAM params[4];
    EVP_KDF_CTX *ctx = NULL;
    EVP_KDF *kdf = NULL;
    apr_status_t rv = STEK_ECRYPTO;

    memcpy(both, key->hmac_key, STEK_HMAC_KEY_LEN);
    memcpy(both + STEK_HMAC_KEY_LEN, key->aes_key, STEK_AES_KEY_LEN);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, both, sizeof(both));
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info) - 1);
    params[3] = OSSL_PARAM_construct_end();
    kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    if (ctx && EVP_KDF_derive(ctx, derived, sizeof(derived), params) > 0) {
        memset(out, 0, sizeof(*out));
        memcpy(out->name, key->name, STEK_NAME_LEN);
        memcpy(out->hmac_key, derived, SHORT_HALF);
        memcpy(out->aes_key, derived + SHORT_HALF, SHORT_HALF);
        out->flags = STEK_KEY_AES128;
        rv = APR_SUCCESS;
    }
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    OPENSSL_cleanse(both, sizeof(both));
    OPENSSL_cleanse(derived, sizeof(derived));
    ERR_clear_error();
    return rv;
}

static apr_int32_t seconds_32(apr_time_t t)
{
    apr_int64_t s = apr_time_sec(t);

    return s > 0x7fffffff ? 0x7fffffff : (apr_int32_t)s;
}

/* Writes one key in the format's layout. */
static apr_status_t emit_key(format_e format, const stek_key_t *key, unsigned char *at,
                             apr_size_t room, apr_size_t *plen)
{
    const layout_t *layout = &layouts[format];
    int is_48 = key->flags & STEK_KEY_AES128;
    apr_size_t len = is_48 ? FORMAT_KEY_SHORT_LEN : FORMAT_KEY_LEN;
    first_e first = is_48 ? layout->of_48 : layout->of_80;
    unsigned char raw[FORMAT_KEY_LEN], line[FORMAT_LINE_LEN + 1];
    apr_int32_t times[3] = {0, seconds_32(key->not_before), seconds_32(key->decrypt_until)};
    apr_size_t extra = format == FORMAT_LIGHTTPD ? LIGHTTPD_TIMES_LEN : 0;

    if (first == NO_SUCH) {
        return STEK_EMALFORMED;
    }
    key_to_raw(key, len, first, raw);
    if (format == FORMAT_HAPROXY) {
        len = (apr_size_t)EVP_EncodeBlock(line, raw, (int)len) + 1;
        line[len - 1] = '\n';
    }
    if (room >= extra + len) {
        memcpy(at, times, extra);
        memcpy(at + extra, format == FORMAT_HAPROXY ? line : raw, len);
        *plen = extra + len;
    }
    OPENSSL_cleanse(raw, sizeof(raw));
    OPENSSL_cleanse(line, sizeof(line));
    return room >= extra + len ? APR_SUCCESS : APR_ENOSPC;
}

apr_status_t format_emit(format_e format, const stek_key_t *const *keys, apr_size_t key_n,
                         unsigned char *buf, apr_size_t buf_size, apr_size_t *plen)
{
    apr_status_t rv = APR_SUCCESS;
    apr_size_t len = 0, i;
    stek_key_t shortened;

    if (key_n == 0 || key_n > layouts[format].key_max) {
        return STEK_EMALFORMED;
    }
    for (i = 0; rv == APR_SUCCESS && i < key_n; i++) {
        const stek_key_t *key = keys[i];
        apr_size_t key_len = 0;

        if (format_is_short(format) && !(key->flags & STEK_KEY_AES128)) {
            rv = key_shorten(key, &shortened);
            key = &shortened;
        }
        if (rv == APR_SUCCESS) {
            rv = emit_key(format, key, buf + len, buf_size - len, &key_len);
        }
        len += key_len;
    }
    OPENSSL_cleanse(&shortened, sizeof(shortened));
    if (rv == APR_SUCCESS) {
        *plen = len;
    }
    return rv;
}
