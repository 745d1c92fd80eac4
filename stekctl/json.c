/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON writer (json.h).  stekctl; one thread.
 */
#include "json.h"

#include <inttypes.h>
#include <string.h>

#include "stek_escape.h"

static int has_begun;

int json_has_begun(void)
{
    return has_begun;
}

void json_begin(json_t *json, FILE *out)
{
    has_begun |= out == stdout;
    json->out = out;
    json->comma = 0;
}

static void put_string(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    putc('"', out);
    while (*at) {
        int len = stek_utf8_len((const char *)at);

        if (len == 0) {
            fputs("\\ufffd", out);
            len = 1;
        }
        else if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        }
        else if (*at < 0x20 || *at == 0x7f) {
            fprintf(out, "\\u%04x", *at);
        }
        else {
            fwrite(at, 1, (size_t)len, out);
        }
        at += len;
    }
    putc('"', out);
}

static void put_key(json_t *json, const char *key)
{
    if (json->comma) {
        putc(',', json->out);
    }
    json->comma = 1;
    if (key) {
        put_string(json->out, key);
        putc(':', json->out);
    }
}

void json_open(json_t *json, const char *key, char bracket)
{
    put_key(json, key);
    putc(bracket, json->out);
    json->comma = 0;
}

void json_close(json_t *json, char bracket)
{
    putc(bracket, json->out);
    json->comma = 1;
}

void json_string(json_t *json, const char *key, const char *text)
{
    if (!text) {
        json_null(json, key);
        return;
    }
    put_key(json, key);
    put_string(json->out, text);
}

void json_number(json_t *json, const char *key, apr_int64_t number)
{
    put_key(json, key);
    fprintf(json->out, "%" PRId64, (int64_t)number);
}

void json_count(json_t *json, const char *key, apr_uint64_t number)
{
    put_key(json, key);
    fprintf(json->out, "%" PRIu64, (uint64_t)number);
}

void json_bool(json_t *json, const char *key, int yes)
{
    put_key(json, key);
    fputs(yes ? "true" : "false", json->out);
}

void json_null(json_t *json, const char *key)
{
    put_key(json, key);
    fputs("null", json->out);
}

void json_time(json_t *json, const char *key, apr_time_t t)
{
    if (t == 0) {
        json_null(json, key);
    }
    else {
        json_number(json, key, apr_time_sec(t));
    }
}

void json_span(json_t *json, const char *key, apr_interval_time_t span)
{
    json_number(json, key, apr_time_sec(span));
}

void json_end(json_t *json)
{
    putc('\n', json->out);
    fflush(json->out);
    json->comma = 0;
}
