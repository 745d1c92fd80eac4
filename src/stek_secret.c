/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets, what is derived from them, and their text file: made, parsed, written.  Core layer; no
 * state, any thread, any phase.
 * Secrets come from and stay in stek_mem memory; text is the caller's, who keeps it there as well.
 * The base64 here is strict (canonical padding, nothing skipped) and works without table look-ups,
 * so that no cache line depends on a secret.
 */
#include "stek_secret.h"

#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "stek_audit.h"
#include "stek_error.h"
#include "stek_mem.h"

#define FLEET_WORD "stek-fleet-v1"
#define DAY_WORD "stek-day-v1"
#define DAY_DIGITS_MAX 7

#define BASE64_LEN(len) (((len) + 2) / 3 * 4)

/* All ones if lo <= c <= hi, else 0; for values below 2^31. */
static unsigned int in_range(unsigned int c, unsigned int lo, unsigned int hi)
{
    unsigned int outside = ((c - lo) | (hi - c)) >> 31;

    return outside - 1u;
}

/* Value of a base64 digit; 64: not a digit. */
static unsigned int base64_value(unsigned char digit)
{
    unsigned int c = digit;
    unsigned int upper = in_range(c, 'A', 'Z'), lower = in_range(c, 'a', 'z');
    unsigned int number = in_range(c, '0', '9'), plus = in_range(c, '+', '+');
    unsigned int slash = in_range(c, '/', '/');
    unsigned int none = ~(upper | lower | number | plus | slash);

    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (number & (c - '0' + 52)) | (plus & 62)
           | (slash & 63) | (none & 64);
}

static char base64_digit(unsigned int value)
{
    unsigned int upper = in_range(value, 0, 25), lower = in_range(value, 26, 51);
    unsigned int number = in_range(value, 52, 61), plus = in_range(value, 62, 62);
    unsigned int slash = in_range(value, 63, 63);

    return (char)((upper & (value + 'A')) | (lower & (value - 26 + 'a'))
                  | (number & (value - 52 + '0')) | (plus & '+') | (slash & '/'));
}

/* Decodes exactly len bytes from text[text_len]; nonzero if text is exactly that. */
static int base64_decode(const char *text, apr_size_t text_len, unsigned char *bytes,
                         apr_size_t len)
{
    apr_size_t i;
    apr_size_t digit_n = (len * 8 + 5) / 6, done = 0;
    unsigned int held = 0, bit_n = 0, bad = 0;

    if (text_len != BASE64_LEN(len)) {
        return 0;
    }
    for (i = 0; i < digit_n; i++) {
        unsigned int value = base64_value((unsigned char)text[i]);

        bad |= value & 64;
        held = (held << 6 | (value & 63)) & 0xffff;
        bit_n += 6;
        if (bit_n >= 8) {
            bit_n -= 8;
            bytes[done++] = (unsigned char)(held >> bit_n);
        }
    }
    bad |= held & ((1u << bit_n) - 1); /* RFC 4648, 3.5: padding bits are zero */
    for (i = digit_n; i < text_len; i++) {
        bad |= text[i] != '=';
    }
    return bad == 0;
}

static char *base64_encode(const unsigned char *bytes, apr_size_t len, char *text)
{
    apr_size_t i;
    unsigned int held = 0, bit_n = 0;
    apr_size_t written = 0;

    for (i = 0; i < len; i++) {
        held = (held << 8 | bytes[i]) & 0xffff;
        bit_n += 8;
        while (bit_n >= 6) {
            bit_n -= 6;
            text[written++] = base64_digit(held >> bit_n & 63);
        }
    }
    if (bit_n > 0) {
        text[written++] = base64_digit(held << (6 - bit_n) & 63);
    }
    while (written < BASE64_LEN(len)) {
        text[written++] = '=';
    }
    return text + written;
}

apr_status_t stek_secret_hkdf(const unsigned char secret[STEK_SECRET_LEN],
                              const unsigned char *salt, const char *info, unsigned char *out,
                              apr_size_t out_len)
{
    /* RFC 5869, 2.2: no salt means as many zeros as the hash is long; unlike an empty salt, every
     * provider accepts those. */
    static const unsigned char no_salt[STEK_SECRET_SALT_LEN];
    OSSL_PARAM params[5];
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int ok;

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret,
                                                  STEK_SECRET_LEN);
    params[2] = OSSL_PARAM_construct_octet_string(
        OSSL_KDF_PARAM_SALT, (void *)(salt ? salt : no_salt), STEK_SECRET_SALT_LEN);
    params[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, strlen(info));
    params[4] = OSSL_PARAM_construct_end();
    ok = ctx && EVP_KDF_derive(ctx, out, out_len, params) > 0;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    if (!ok) {
        OPENSSL_cleanse(out, out_len);
        ERR_clear_error();
        return STEK_ECRYPTO;
    }
    return APR_SUCCESS;
}

apr_status_t stek_secret_set_id(stek_secret_t *secret)
{
    return stek_secret_hkdf(secret->bytes, NULL, "stek ring v1 id", secret->id, STEK_SECRET_ID_LEN);
}

/* Random bytes that have passed the audit. */
static apr_status_t random_audited(unsigned char *bytes, apr_size_t len, stek_rng_t *rng)
{
    if (rng(bytes, len) != APR_SUCCESS) {
        return STEK_ERNG;
    }
    return stek_audit_bytes(bytes, len) == STEK_WEAK_NONE ? APR_SUCCESS : STEK_EWEAK;
}

static apr_status_t secret_make(stek_secret_t *secret, stek_rng_t *rng)
{
    apr_status_t rv = random_audited(secret->bytes, STEK_SECRET_LEN, rng);

    return rv == APR_SUCCESS ? stek_secret_set_id(secret) : rv;
}

static apr_status_t secrets_alloc(stek_secrets_t **psecrets)
{
    *psecrets = stek_mem_alloc(sizeof(**psecrets));
    return *psecrets ? APR_SUCCESS : APR_ENOMEM;
}

apr_status_t stek_secrets_make(int fleet, stek_rng_t *rng, stek_secrets_t **psecrets)
{
    stek_secrets_t *made;
    apr_status_t rv = secrets_alloc(&made);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->n = 1;
    rv = secret_make(&made->secrets[0], rng);
    if (rv == APR_SUCCESS && fleet) {
        made->has_fleet_id = 1;
        rv = random_audited(made->fleet_id, STEK_FLEET_ID_LEN, rng);
    }
    if (rv != APR_SUCCESS) {
        stek_secrets_destroy(made);
        return rv;
    }
    *psecrets = made;
    return APR_SUCCESS;
}

apr_status_t stek_secrets_roll(const stek_secrets_t *secrets, stek_rng_t *rng,
                               stek_secrets_t **psecrets)
{
    stek_secrets_t *made;
    apr_status_t rv;

    if (secrets->n >= STEK_SECRETS_MAX) {
        return STEK_EFULL;
    }
    rv = secrets_alloc(&made);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->n = secrets->n + 1;
    made->has_fleet_id = secrets->has_fleet_id;
    memcpy(made->fleet_id, secrets->fleet_id, STEK_FLEET_ID_LEN);
    made->day = secrets->day;
    memcpy(&made->secrets[1], secrets->secrets, secrets->n * sizeof(stek_secret_t));
    rv = secret_make(&made->secrets[0], rng);
    if (rv != APR_SUCCESS) {
        stek_secrets_destroy(made);
        return rv;
    }
    *psecrets = made;
    return APR_SUCCESS;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static apr_status_t parse_secret(stek_secrets_t *secrets, const char *value, apr_size_t len)
{
    stek_secret_t *secret;

    if (secrets->n >= STEK_SECRETS_MAX) {
        return STEK_EFULL;
    }
    secret = &secrets->secrets[secrets->n];
    if (!base64_decode(value, len, secret->bytes, STEK_SECRET_LEN)) {
        return STEK_ESYNTAX;
    }
    if (stek_audit_bytes(secret->bytes, STEK_SECRET_LEN) != STEK_WEAK_NONE) {
        return STEK_EWEAK;
    }
    secrets->n++;
    return stek_secret_set_id(secret);
}

static apr_status_t parse_fleet_id(stek_secrets_t *secrets, const char *value, apr_size_t len)
{
    if (secrets->has_fleet_id || !base64_decode(value, len, secrets->fleet_id, STEK_FLEET_ID_LEN)) {
        return STEK_ESYNTAX;
    }
    secrets->has_fleet_id = 1;
    return APR_SUCCESS;
}

static apr_status_t parse_day(stek_secrets_t *secrets, const char *value, apr_size_t len)
{
    apr_size_t i;
    apr_int32_t day = 0;

    if (secrets->day != 0 || len == 0 || len > DAY_DIGITS_MAX) {
        return STEK_ESYNTAX;
    }
    for (i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9') {
            return STEK_ESYNTAX;
        }
        day = day * 10 + (value[i] - '0');
    }
    secrets->day = day;
    return day > 0 ? APR_SUCCESS : STEK_ESYNTAX;
}

/* One line, without its end. */
static apr_status_t parse_line(stek_secrets_t *secrets, const char *line, apr_size_t len)
{
    const char *value;
    apr_size_t word_len = 0, value_len;

    while (len > 0 && is_blank(line[len - 1])) {
        len--;
    }
    while (len > 0 && is_blank(*line)) {
        line++;
        len--;
    }
    if (len == 0 || *line == '#') {
        return APR_SUCCESS;
    }
    while (word_len < len && !is_blank(line[word_len])) {
        word_len++;
    }
    value = line + word_len;
    value_len = len - word_len;
    while (value_len > 0 && is_blank(*value)) {
        value++;
        value_len--;
    }
    if (word_len == strlen(STEK_SECRET_WORD) && memcmp(line, STEK_SECRET_WORD, word_len) == 0) {
        return parse_secret(secrets, value, value_len);
    }
    if (word_len == strlen(FLEET_WORD) && memcmp(line, FLEET_WORD, word_len) == 0) {
        return parse_fleet_id(secrets, value, value_len);
    }
    if (word_len == strlen(DAY_WORD) && memcmp(line, DAY_WORD, word_len) == 0) {
        return parse_day(secrets, value, value_len);
    }
    return STEK_ESYNTAX;
}

static apr_status_t parse_lines(stek_secrets_t *secrets, const char *text, apr_size_t len,
                                int *pline)
{
    for (*pline = 1; len > 0; ++*pline) {
        const char *end = memchr(text, '\n', len);
        apr_size_t line_len = end ? (apr_size_t)(end - text) : len;
        apr_size_t used = end ? line_len + 1 : line_len;
        apr_status_t rv;

        if (line_len > 0 && end && text[line_len - 1] == '\r') {
            line_len--;
        }
        rv = parse_line(secrets, text, line_len);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        text += used;
        len -= used;
    }
    return secrets->n > 0 ? APR_SUCCESS : STEK_EEMPTY;
}

apr_status_t stek_secrets_parse(const char *text, apr_size_t len, stek_secrets_t **psecrets,
                                int *pline)
{
    stek_secrets_t *parsed;
    int line = 0;
    apr_status_t rv = secrets_alloc(&parsed);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = parse_lines(parsed, text, len, &line);
    if (rv != APR_SUCCESS) {
        if (pline) {
            *pline = line;
        }
        stek_secrets_destroy(parsed);
        return rv;
    }
    *psecrets = parsed;
    return APR_SUCCESS;
}

static char *text_line(char *at, const char *word, const unsigned char *bytes, apr_size_t len)
{
    apr_size_t word_len = strlen(word);

    memcpy(at, word, word_len);
    at += word_len;
    *at++ = ' ';
    at = base64_encode(bytes, len, at);
    *at++ = '\n';
    return at;
}

apr_status_t stek_secrets_text(const stek_secrets_t *secrets, char *buf, apr_size_t buf_size,
                               apr_size_t *plen)
{
    apr_size_t i;
    apr_size_t secret_line = sizeof(STEK_SECRET_WORD) + BASE64_LEN(STEK_SECRET_LEN) + 1;
    apr_size_t fleet_line = sizeof(FLEET_WORD) + BASE64_LEN(STEK_FLEET_ID_LEN) + 1;
    apr_size_t day_line = sizeof(DAY_WORD) + DAY_DIGITS_MAX + 2;
    apr_size_t need = secrets->n * secret_line + (secrets->has_fleet_id ? fleet_line : 0)
                      + (secrets->day != 0 ? day_line : 0) + 1;
    char *at = buf;

    if (buf_size < need) {
        return APR_ENOSPC;
    }
    for (i = 0; i < secrets->n; i++) {
        at = text_line(at, STEK_SECRET_WORD, secrets->secrets[i].bytes, STEK_SECRET_LEN);
    }
    if (secrets->has_fleet_id) {
        at = text_line(at, FLEET_WORD, secrets->fleet_id, STEK_FLEET_ID_LEN);
    }
    if (secrets->day > 0 && secrets->day <= STEK_DAY_MAX) {
        at += snprintf(at, day_line, DAY_WORD " %d\n", (int)secrets->day);
    }
    *at = '\0';
    *plen = (apr_size_t)(at - buf);
    return APR_SUCCESS;
}

int stek_secrets_equal(const stek_secrets_t *a, const stek_secrets_t *b)
{
    apr_size_t i;
    int differ = 0;

    if (a->n != b->n || a->has_fleet_id != b->has_fleet_id || a->day != b->day) {
        return 0;
    }
    for (i = 0; i < a->n; i++) {
        differ |= CRYPTO_memcmp(a->secrets[i].bytes, b->secrets[i].bytes, STEK_SECRET_LEN);
    }
    if (a->has_fleet_id) {
        differ |= CRYPTO_memcmp(a->fleet_id, b->fleet_id, STEK_FLEET_ID_LEN);
    }
    return differ == 0;
}

int stek_secrets_share(const stek_secrets_t *a, const stek_secrets_t *b)
{
    apr_size_t i, j;
    int share = 0;

    for (i = 0; i < a->n; i++) {
        for (j = 0; j < b->n; j++) {
            share |= !CRYPTO_memcmp(a->secrets[i].bytes, b->secrets[j].bytes, STEK_SECRET_LEN);
        }
    }
    return share;
}

void stek_secrets_destroy(stek_secrets_t *secrets)
{
    stek_mem_free(secrets);
}
