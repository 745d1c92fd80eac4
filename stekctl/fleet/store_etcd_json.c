/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's JSON (store_etcd_json.h), read by jansson.
 */
#include "store_etcd_json.h"

#ifdef STEK_WITH_ETCD

#include <errno.h>
#include <jansson.h> /* some of its functions have names that json.h has, too: none of these here */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stek_seal.h"

#define BASE64_LEN(len) (((len) + 2) / 3 * 4)

void etcd_json_start(void)
{
    /* What a store sends must not be able to choose where it goes in a hash table. */
    json_object_seed(0);
}

void etcd_json_mark(const etcd_value_t *value, char mark[STORE_MARK_LEN])
{
    snprintf(mark, STORE_MARK_LEN, "%" APR_INT64_T_FMT ".%" APR_INT64_T_FMT, value->mod_revision,
             value->version);
}

int etcd_json_unmark(const char *mark, etcd_value_t *value)
{
    char *dot = NULL, *end = NULL;
    long long revision = strtoll(mark, &dot, 10), version = 0;

    if (dot == mark || *dot != '.') {
        return 0;
    }
    version = strtoll(dot + 1, &end, 10);
    if (end == dot + 1 || *end) {
        return 0;
    }
    value->mod_revision = revision;
    value->version = version;
    return 1;
}

/* ---- requests ---- */

/* In memory of malloc; NULL: out of memory. */
static char *encode(const void *bytes, apr_size_t len)
{
    char *text = malloc(BASE64_LEN(len) + 1);

    if (text) {
        (void)EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    }
    return text;
}

char *etcd_json_range(const char *key, int keys_only)
{
    char *name = encode(key, strlen(key)), *text = NULL;

    if (name
        && asprintf(&text, "{\"key\":\"%s\"%s}", name, keys_only ? ",\"keys_only\":true" : "")
               < 0) {
        text = NULL;
    }
    free(name);
    return text;
}

char *etcd_json_watch(const char *key)
{
    char *name = encode(key, strlen(key)), *text = NULL;

    if (name && asprintf(&text, "{\"create_request\":{\"key\":\"%s\"}}", name) < 0) {
        text = NULL;
    }
    free(name);
    return text;
}

char *etcd_json_txn(const char *key, apr_int64_t mod_revision, const unsigned char *bytes,
                    apr_size_t len)
{
    char *name = encode(key, strlen(key)), *value = encode(bytes, len), *text = NULL;

    if (name && value
        && asprintf(&text,
                    "{\"compare\":[{\"target\":\"MOD\",\"result\":\"EQUAL\",\"key\":\"%s\","
                    "\"mod_revision\":\"%" APR_INT64_T_FMT "\"}],"
                    "\"success\":[{\"request_put\":{\"key\":\"%s\",\"value\":\"%s\"}}]}",
                    name, mod_revision, name, value)
               < 0) {
        text = NULL;
    }
    free(name);
    free(value);
    return text;
}

/* Wipes the text that a string holds. */
static void wipe_string(json_t *string)
{
    if (string) {
        OPENSSL_cleanse((char *)(apr_uintptr_t)json_string_value(string),
                        json_string_length(string));
    }
}

char *etcd_json_login(const char *user, const char *password)
{
    json_t *login = json_pack("{s:s, s:s}", "name", user, "password", password);
    char *text = login ? json_dumps(login, JSON_COMPACT) : NULL;

    wipe_string(json_object_get(login, "password"));
    json_decref(login);
    return text;
}

/* ---- replies ---- */

/* A number of 64 bits, which is a string; -1 if it is none, or negative. */
static apr_int64_t number(const json_t *value)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    long long n;

    if (!text || *text < '0' || *text > '9') {
        return -1;
    }
    errno = 0;
    n = strtoll(text, &end, 10);
    return *end || errno != 0 ? -1 : (apr_int64_t)n;
}

/* The object of a reply, with the header that every answer of etcd has.  NULL: it is something else. */
static json_t *load(const char *body, apr_size_t len)
{
    json_t *reply = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);

    if (number(json_object_get(json_object_get(reply, "header"), "revision")) < 0) {
        json_decref(reply);
        return NULL;
    }
    return reply;
}

static int is_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+'
           || c == '/';
}

/* The length of what base64 encodes; -1 if it is not base64 that an encoder writes. */
static apr_ssize_t decoded_len(const char *text, apr_size_t len)
{
    apr_size_t pads, i;

    if (len % 4 != 0) {
        return -1;
    }
    pads = len > 0 && text[len - 1] == '=' ? 1 + (text[len - 2] == '=') : 0;
    for (i = 0; i < len - pads; i++) {
        if (!is_digit(text[i])) {
            return -1;
        }
    }
    return (apr_ssize_t)(len / 4 * 3 - pads);
}

/* A value; proto3 leaves out one that is empty. */
static int read_value(const json_t *string, unsigned char *bytes, etcd_value_t *value)
{
    const char *text = string ? json_string_value(string) : "";
    apr_size_t text_len = string ? json_string_length(string) : 0;
    apr_ssize_t len = text ? decoded_len(text, text_len) : -1;

    if (len < 0) {
        return 0;
    }
    value->len = (apr_size_t)len;
    return value->len > STEK_RING_BYTES_MAX
           || EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)text_len) >= 0;
}

/* Whether base64 is that text. */
static int is_key(const json_t *string, const char *key)
{
    const char *text = json_string_value(string);
    char *want = encode(key, strlen(key));
    int same = want && text && !strcmp(text, want);

    free(want);
    return same;
}

int etcd_json_read_range(const char *body, apr_size_t len, const char *key, unsigned char *bytes,
                         etcd_value_t *value)
{
    json_t *reply = load(body, len), *kvs = json_object_get(reply, "kvs");
    const json_t *kv = json_array_get(kvs, 0);
    etcd_value_t found = {0, 0, 0};
    int ok = reply && (!kvs || json_array_size(kvs) == 1);

    if (ok && kvs) {
        found.mod_revision = number(json_object_get(kv, "mod_revision"));
        found.version = number(json_object_get(kv, "version"));
        ok = found.mod_revision > 0 && found.version > 0 && is_key(json_object_get(kv, "key"), key)
             && read_value(json_object_get(kv, "value"), bytes, &found);
    }
    json_decref(reply);
    if (ok) {
        *value = found;
    }
    return ok;
}

int etcd_json_read_txn(const char *body, apr_size_t len, int *psucceeded, apr_int64_t *prevision)
{
    json_t *reply = load(body, len);
    const json_t *succeeded = json_object_get(reply, "succeeded");
    int ok = reply && (!succeeded || json_is_boolean(succeeded));

    if (ok) {
        *psucceeded = json_is_true(succeeded);
        *prevision = number(json_object_get(json_object_get(reply, "header"), "revision"));
    }
    json_decref(reply);
    return ok;
}

int etcd_json_read_event(const char *body, apr_size_t len, const char *key, int *panything,
                         etcd_value_t *value)
{
    json_t *message = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *result = json_object_get(message, "result"),
                 *events = json_object_get(result, "events");
    const json_t *kv = json_object_get(json_array_get(events, json_array_size(events) - 1), "kv");
    int ok = json_is_object(result) && !json_is_true(json_object_get(result, "canceled"))
             && (!events || is_key(json_object_get(kv, "key"), key));
    etcd_value_t last = {0, 0, 0};

    if (ok && events) {
        /* Of a deletion, there is no version. */
        last.mod_revision = number(json_object_get(kv, "mod_revision"));
        last.version = number(json_object_get(kv, "version"));
    }
    json_decref(message);
    if (ok) {
        *panything = events != NULL;
        *value = last;
    }
    return ok;
}

int etcd_json_read_login(const char *body, apr_size_t len, char token[ETCD_TOKEN_MAX])
{
    json_t *reply = load(body, len), *string = json_object_get(reply, "token");
    const char *text = json_string_value(string);
    apr_size_t text_len = json_string_length(string), i;
    int ok = text && text_len > 0 && text_len < ETCD_TOKEN_MAX;

    /* It becomes a line of a header. */
    for (i = 0; ok && i < text_len; i++) {
        ok = text[i] > 0x20 && text[i] < 0x7f;
    }
    if (ok) {
        memcpy(token, text, text_len + 1);
    }
    wipe_string(string);
    json_decref(reply);
    return ok;
}

void etcd_json_read_error(const char *body, apr_size_t len, char message[ETCD_MESSAGE_MAX])
{
    json_t *reply = json_loadb(body, len, 0, NULL);
    const json_t *error = json_object_get(reply, "error"); /* in a stream: an object, or result's */
    const char *text = json_string_value(
        json_object_get(json_is_object(error) ? error : reply, "message"));
    char *at;

    if (!text) {
        text = json_string_value(error);
    }
    if (!text) {
        text = json_string_value(
            json_object_get(json_object_get(reply, "result"), "cancel_reason"));
    }
    if (reply) {
        snprintf(message, ETCD_MESSAGE_MAX, "%s", text ? text : "");
    }
    else {
        snprintf(message, ETCD_MESSAGE_MAX, "%.*s",
                 (int)(len < ETCD_MESSAGE_MAX ? len : ETCD_MESSAGE_MAX), body);
        message[strcspn(message, "\r\n")] = '\0';
    }
    for (at = message; *at; at++) {
        *at = *at < 0x20 || *at > 0x7e ? '?' : *at;
    }
    json_decref(reply);
}

#endif
