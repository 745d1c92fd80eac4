/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What etcd's JSON gateway (/v3/) is asked, and what it answers: protocol buffers as JSON, where bytes are
 * base64 and 64-bit numbers are strings.  Answers are not trusted: whatever they are, a reader returns.
 * Runs in the store's worker; one thread.
 */
#ifndef STEKCTL_STORE_ETCD_JSON_H
#define STEKCTL_STORE_ETCD_JSON_H

#include <apr.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

#define ETCD_TOKEN_MAX 4096  /* of a login, with its NUL; JSON Web Tokens are long */
#define ETCD_MESSAGE_MAX 160 /* of an error, with its NUL */

/* Room for a value that is no longer than a ring: base64 is decoded in groups of three bytes. */
#define ETCD_VALUE_ROOM (STEK_RING_BYTES_MAX + 3)

typedef struct etcd_value_t {
    apr_int64_t mod_revision; /* 0: no such key */
    apr_int64_t version;      /* writes since the key was created */
    apr_size_t len;           /* of the value, which may be longer than a ring */
} etcd_value_t;

/* Which state of the key it is. */
void etcd_json_mark(const etcd_value_t *value, char mark[STORE_MARK_LEN]);

/* The same back; 0 if mark is none. */
int etcd_json_unmark(const char *mark, etcd_value_t *value);

/* Before the first of the calls below, while the worker may open files. */
void etcd_json_start(void);

/* Requests, in memory of malloc; NULL: out of memory.  keys_only: without the value.  A transaction writes
 * the key if its mod_revision still is that one. */
char *etcd_json_range(const char *key, int keys_only);
char *etcd_json_txn(const char *key, apr_int64_t mod_revision, const unsigned char *bytes,
                    apr_size_t len);

/* Of all changes of the key from now on. */
char *etcd_json_watch(const char *key);

/* The same; NULL also if one of them is not UTF-8.  Wipe it before you free it. */
char *etcd_json_login(const char *user, const char *password);

/* Replies of body[len].  Nonzero if it is what etcd answers; only then the outputs are set.  bytes has
 * ETCD_VALUE_ROOM, and gets the value if that is no longer than a ring. */
int etcd_json_read_range(const char *body, apr_size_t len, const char *key, unsigned char *bytes,
                         etcd_value_t *value);
int etcd_json_read_txn(const char *body, apr_size_t len, int *psucceeded, apr_int64_t *prevision);

/* A message of a watch.  *panything: there is an event of the key, and value has its last state, without the value
 * itself; else the watch has been created.  A message that it has ended is none of these: see read_error. */
int etcd_json_read_event(const char *body, apr_size_t len, const char *key, int *panything,
                         etcd_value_t *value);
int etcd_json_read_login(const char *body, apr_size_t len, char token[ETCD_TOKEN_MAX]);

/* The message of an error, printable: the one that its JSON has, or else the body's first line. */
void etcd_json_read_error(const char *body, apr_size_t len, char message[ETCD_MESSAGE_MAX]);

#pragma GCC visibility pop
#endif
