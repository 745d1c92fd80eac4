/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports that are documents (format_json.h).  stekctl; pure, any thread.
 */
#include "format_json.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "stek_error.h"
#include "stek_mem.h"

#define DOCUMENT_MAX 4096 /* all but envoy's keys */
#define KEY_MAX 256       /* envoy's line, in base64 */

/* version_info: Envoy only displays it. */
static const char envoy_head[] =
    "{\"version_info\": \"stekctl export\",\n"
    " \"resources\": [\n"
    "  {\"@type\": \"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\",\n";
static const char kubernetes_head[] =
    "{\"apiVersion\": \"v1\",\n"
    " \"kind\": \"Secret\",\n"
    " \"metadata\": {\"name\": \"stek-tickets\",\n"
    "              \"labels\": {\"app.kubernetes.io/managed-by\": \"stekctl-export\"}},\n";

_Static_assert(sizeof(envoy_head) - 1 <= FORMAT_JSON_HEAD_MAX, "a longer head");
_Static_assert(sizeof(kubernetes_head) - 1 <= FORMAT_JSON_HEAD_MAX, "a longer head");

/* What is written so far; once something does not fit, rv says so, and nothing more is. */
typedef struct text_t {
    unsigned char *bytes;
    apr_size_t len, size;
    apr_status_t rv;
} text_t;

static void put(text_t *text, const char *words)
{
    apr_size_t len = strlen(words);

    if (text->rv == APR_SUCCESS && text->size - text->len < len) {
        text->rv = APR_ENOSPC;
    }
    if (text->rv == APR_SUCCESS) {
        memcpy(text->bytes + text->len, words, len);
        text->len += len;
    }
}

/* In base64 and quotes.  EVP_EncodeBlock also writes a NUL. */
static void put_base64(text_t *text, const unsigned char *bytes, apr_size_t len)
{
    put(text, "\"");
    if (text->rv == APR_SUCCESS && text->size - text->len <= (len + 2) / 3 * 4) {
        text->rv = APR_ENOSPC;
    }
    if (text->rv == APR_SUCCESS) {
        text->len += (apr_size_t)EVP_EncodeBlock(text->bytes + text->len, bytes, (int)len);
    }
    put(text, "\"");
}

/* The keys in the layout of the format, which is one of a single file. */
static void put_keys(text_t *text, format_e format, const stek_key_t *const *keys, apr_size_t key_n)
{
    unsigned char raw[FORMAT_HAPROXY_KEYS_N * (FORMAT_LINE_LEN + 1)];
    apr_size_t len = 0;

    if (text->rv == APR_SUCCESS) {
        text->rv = format_emit(format, keys, key_n, raw, sizeof(raw), &len);
    }
    put_base64(text, raw, len);
    OPENSSL_cleanse(raw, sizeof(raw));
}

static void put_envoy(text_t *text, const stek_key_t *const *keys, apr_size_t key_n)
{
    apr_size_t i;

    put(text, envoy_head);
    put(text, "   \"name\": \"stek\",\n   \"session_ticket_keys\": {\"keys\": [");
    for (i = 0; i < key_n; i++) {
        put(text, i > 0 ? ",\n    {\"inline_bytes\": " : "\n    {\"inline_bytes\": ");
        put_keys(text, FORMAT_ENVOY, &keys[i], 1);
        put(text, "}");
    }
    put(text, "]}}]}\n");
}

static void put_envoy_base64(text_t *text, const stek_key_t *const *keys, apr_size_t key_n)
{
    text_t inner = {NULL, 0, DOCUMENT_MAX + key_n * KEY_MAX, APR_SUCCESS};

    inner.bytes = stek_mem_alloc(inner.size);
    if (!inner.bytes) {
        text->rv = APR_ENOMEM;
        return;
    }
    put_envoy(&inner, keys, key_n);
    if (inner.rv != APR_SUCCESS) {
        text->rv = inner.rv;
    }
    put_base64(text, inner.bytes, inner.len);
    stek_mem_free(inner.bytes);
}

/* The keys next to the lead; the lead itself where there is none. */
static void find_next_to(const stek_key_t *const *keys, apr_size_t key_n,
                         const stek_key_t **pprevious, const stek_key_t **pnext)
{
    apr_size_t i;

    *pprevious = *pnext = keys[0];
    for (i = 1; i < key_n; i++) {
        if (keys[i]->not_before > keys[0]->not_before) {
            *pnext = keys[i];
        }
        else if (*pprevious == keys[0]) {
            *pprevious = keys[i];
        }
    }
}

static void put_kubernetes(text_t *text, const stek_key_t *const *keys, apr_size_t key_n)
{
    const stek_key_t *three[FORMAT_HAPROXY_KEYS_N] = {NULL, keys[0], NULL};

    find_next_to(keys, key_n, &three[0], &three[2]);
    put(text, kubernetes_head);
    put(text, " \"type\": \"Opaque\",\n \"data\": {\n  \"envoy.json\": ");
    put_envoy_base64(text, keys, key_n);
    put(text, ",\n  \"haproxy.keys\": ");
    put_keys(text, FORMAT_HAPROXY, three, FORMAT_HAPROXY_KEYS_N);
    put(text, ",\n  \"previous.key\": ");
    put_keys(text, FORMAT_NGINX, &three[0], 1);
    put(text, ",\n  \"current.key\": ");
    put_keys(text, FORMAT_NGINX, &three[1], 1);
    put(text, ",\n  \"next.key\": ");
    put_keys(text, FORMAT_NGINX, &three[2], 1);
    put(text, "}}\n");
}

int format_json_is(format_e format)
{
    return format == FORMAT_ENVOY || format == FORMAT_KUBERNETES;
}

int format_json_is_head(format_e format, const unsigned char *bytes, apr_size_t len)
{
    const char *head = format == FORMAT_ENVOY ? envoy_head : kubernetes_head;

    return len >= strlen(head) && !memcmp(bytes, head, strlen(head));
}

apr_size_t format_json_size(apr_size_t key_n)
{
    return (apr_size_t)2 * DOCUMENT_MAX + key_n * KEY_MAX;
}

apr_status_t format_json_emit(format_e format, const stek_key_t *const *keys, apr_size_t key_n,
                              unsigned char *buf, apr_size_t buf_size, apr_size_t *plen)
{
    text_t text = {NULL, 0, buf_size, APR_SUCCESS};

    text.bytes = buf;
    if (key_n == 0) {
        return STEK_EMALFORMED;
    }
    if (format == FORMAT_ENVOY) {
        put_envoy(&text, keys, key_n);
    }
    else {
        put_kubernetes(&text, keys, key_n);
    }
    if (text.rv == APR_SUCCESS) {
        *plen = text.len;
    }
    return text.rv;
}
