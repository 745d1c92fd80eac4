/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON writer (RFC 8259): one value per line; it sets the commas itself.  Strings are escaped and
 * always valid UTF-8: other bytes become U+FFFD.  One thread.
 */
#ifndef STEKCTL_JSON_H
#define STEKCTL_JSON_H

#include <apr_time.h>
#include <stdio.h>

#pragma GCC visibility push(hidden)

typedef struct json_t {
    FILE *out;
    int comma; /* this array or object already has a value */
} json_t;

void json_begin(json_t *json, FILE *out);

/* Whether a value was begun on standard output. */
int json_has_begun(void);

/* key: the member's name in an object; NULL in an array and for the outermost value. */
void json_open(json_t *json, const char *key, char bracket);       /* '{' or '[' */
void json_close(json_t *json, char bracket);                       /* '}' or ']' */
void json_string(json_t *json, const char *key, const char *text); /* NULL: null */
void json_number(json_t *json, const char *key, apr_int64_t number);
void json_count(json_t *json, const char *key, apr_uint64_t number);
void json_bool(json_t *json, const char *key, int yes);
void json_null(json_t *json, const char *key);

/* A point in time in whole seconds since 1970; 0 means never: null. */
void json_time(json_t *json, const char *key, apr_time_t t);

/* A span in whole seconds. */
void json_span(json_t *json, const char *key, apr_interval_time_t span);

/* Ends the line and flushes. */
void json_end(json_t *json);

#pragma GCC visibility pop
#endif
