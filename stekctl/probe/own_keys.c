/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's keys (own_keys.h).
 */
#include "own_keys.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <string.h>

#include "hex.h"

#define FILE_MAX (4 * 1024 * 1024)
#define KEYS_MAX 20000 /* of lines; the search has to end */

apr_size_t probe_decode_hex(const unsigned char *text, apr_size_t len, unsigned char *out)
{
    apr_size_t i;

    for (i = 0; len % 2 == 0 && i < len; i += 2) {
        int high = probe_hex_value((char)text[i]), low = probe_hex_value((char)text[i + 1]);

        if (high < 0 || low < 0) {
            return 0;
        }
        out[i / 2] = (unsigned char)(high << 4 | low);
    }
    return len % 2 ? 0 : len / 2;
}

static int base64_value(unsigned char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

apr_size_t probe_decode_base64(const unsigned char *text, apr_size_t len, unsigned char *out)
{
    apr_uint32_t bits = 0;
    apr_size_t i, n = 0;

    while (len > 0 && text[len - 1] == '=') {
        len--;
    }
    for (i = 0; i < len; i++) {
        int value = base64_value(text[i]);

        if (value < 0) {
            return 0;
        }
        bits = bits << 6 | (apr_uint32_t)value;
        if (i % 4) {
            out[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
        }
    }
    return len % 4 == 1 ? 0 : n;
}

static void add(apr_array_header_t *keys, const unsigned char *bytes, apr_size_t len)
{
    probe_own_key_t *key;

    if (len > 0) {
        key = apr_array_push(keys);
        key->bytes = apr_pmemdup(keys->pool, bytes, len);
        key->len = len;
    }
}

/* 0: the line is too long. */
static int add_line(apr_array_header_t *keys, const char *line)
{
    apr_size_t len = strlen(line);
    unsigned char out[PROBE_OWN_KEY_MAX];

    while (len > 0 && strchr("\r\t ", line[len - 1])) {
        len--;
    }
    if (len > sizeof(out)) {
        return 0;
    }
    if (len > 0 && *line != '#') {
        add(keys, (const unsigned char *)line, len);
        add(keys, out, probe_decode_hex((const unsigned char *)line, len, out));
        add(keys, out, probe_decode_base64((const unsigned char *)line, len, out));
    }
    return 1;
}

static const char *read_text(const char *path, const char **pwhy, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_finfo_t info;
    apr_size_t len = 0;
    char *text, reason[128];
    apr_status_t rv = apr_file_open(&file, path, APR_READ | APR_BINARY, APR_OS_DEFAULT, pool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_TYPE, file);
    }
    if (rv == APR_SUCCESS && (info.filetype != APR_REG || info.size > FILE_MAX)) {
        *pwhy = "must be a file of at most 4 MiB";
        return NULL;
    }
    if (rv == APR_SUCCESS) {
        text = apr_pcalloc(pool, (apr_size_t)info.size + 1);
        rv = apr_file_read_full(file, text, (apr_size_t)info.size, &len);
        apr_file_close(file);
        if (rv == APR_SUCCESS || rv == APR_EOF) {
            text[len] = '\0';
            return text;
        }
    }
    *pwhy = apr_pstrdup(pool, apr_strerror(rv, reason, sizeof(reason)));
    return NULL;
}

const probe_own_keys_t *probe_own_keys_read(const char *path, const char **pwhy, apr_pool_t *pool)
{
    apr_array_header_t *keys = apr_array_make(pool, 64, sizeof(probe_own_key_t));
    const char *text = read_text(path, pwhy, pool);
    probe_own_keys_t *own;

    while (text && *text) {
        apr_size_t len = strcspn(text, "\n");

        if (keys->nelts >= KEYS_MAX || !add_line(keys, apr_pstrmemdup(pool, text, len))) {
            *pwhy = keys->nelts >= KEYS_MAX ? "contains too many keys"
                                            : "contains a line of more than 256 characters";
            return NULL;
        }
        text += text[len] ? len + 1 : len;
    }
    if (!text || keys->nelts == 0) {
        *pwhy = text ? "contains no keys" : *pwhy;
        return NULL;
    }
    own = apr_palloc(pool, sizeof(*own));
    own->keys = (const probe_own_key_t *)keys->elts;
    own->n = (apr_size_t)keys->nelts;
    return own;
}
