/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HAProxy's running process, over its stats socket.  It keeps three keys, encrypts with the middle
 * one and opens tickets of all three.  "set ssl tls-key FILE KEY" puts KEY last: the previously
 * last key now encrypts, and the first one is dropped.  So over time one additional key is enough,
 * and three keys reach any state.  One thread.
 */
#ifndef STEKCTL_HAPROXY_SOCKET_H
#define STEKCTL_HAPROXY_SOCKET_H

#include <apr_pools.h>

#include "format.h"

#pragma GCC visibility push(hidden)

/* The process's keys, as it reported them or as we set them. */
typedef struct haproxy_socket_t {
    const char *socket_path;
    const char *file; /* as in its configuration, after tls-ticket-keys */
    int known;
    unsigned char names[FORMAT_HAPROXY_KEYS_N][STEK_NAME_LEN];
} haproxy_socket_t;

/* How many keys, from the end of keys[FORMAT_HAPROXY_KEYS_N], have to be set so that the process
 * has exactly these keys. */
int haproxy_socket_push_n(const haproxy_socket_t *haproxy, const stek_key_t *const *keys);

/* Reads the names from the answer to "show tls-keys FILE".  Nonzero if there are exactly that many;
 * names is set only then. */
int haproxy_socket_read_names(const char *answer,
                              unsigned char names[FORMAT_HAPROXY_KEYS_N][STEK_NAME_LEN]);

/* Asks the process for its keys, which after a reload may be older or newer than those its
 * predecessor was given, and sets those that differ.  APR_SUCCESS, an APR or system code, or
 * STEK_EMALFORMED: HAProxy refused; *panswer is its answer, in pool. */
apr_status_t haproxy_socket_push(haproxy_socket_t *haproxy, const stek_key_t *const *keys,
                                 const char **panswer, apr_pool_t *pool);

/* Whether keys may be sent to the socket: it is root's, owner's or the process's user's, and nobody
 * else can put one there.  STEK_EPERM, STEK_ESHARED: *pculprit is the path at fault, and what is
 * found there. */
apr_status_t haproxy_socket_check(const haproxy_socket_t *haproxy, uid_t owner,
                                  const char **pculprit, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
