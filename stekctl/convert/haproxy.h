/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HAProxy's running process over its stats socket.  It keeps three keys, encrypts with the middle
 * one and opens tickets of all.  "set ssl tls-key FILE KEY" puts KEY last: what was last now
 * encrypts, what was first is forgotten.  So one key more is enough as time goes on, and three set
 * anything.  One thread.
 */
#ifndef STEKCTL_HAPROXY_H
#define STEKCTL_HAPROXY_H

#include <apr_pools.h>

#include "format.h"

#pragma GCC visibility push(hidden)

/* What the process holds, as it said or as we told it. */
typedef struct haproxy_t {
    const char *socket_path;
    const char *file; /* as its configuration names it, behind tls-ticket-keys */
    int known;
    unsigned char names[FORMAT_HAPROXY_KEYS_N][STEK_NAME_LEN];
} haproxy_t;

/* How many of the last of keys[FORMAT_HAPROXY_KEYS_N] have to be set so that the process holds
 * exactly these. */
int haproxy_push_n(const haproxy_t *haproxy, const stek_key_t *const *keys);

/* The names in the answer to "show tls-keys FILE".  Whether there were exactly that many; names is
 * written only then. */
int haproxy_read_names(const char *answer,
                       unsigned char names[FORMAT_HAPROXY_KEYS_N][STEK_NAME_LEN]);

/* Asks what the process holds, which after a reload may be an older or newer file than was told to
 * its predecessor, and sets what differs.  APR_SUCCESS, an APR or system code, or STEK_EMALFORMED:
 * HAProxy refused; *panswer is what it said, in pool. */
apr_status_t haproxy_push(haproxy_t *haproxy, const stek_key_t *const *keys, const char **panswer,
                          apr_pool_t *pool);

/* Whether keys may be sent to the socket: it is root's, owner's or the process's user's, and nobody
 * else can put one there.  STEK_EPERM, STEK_ESHARED: *pculprit is the path at fault, and what is
 * found there. */
apr_status_t haproxy_check(const haproxy_t *haproxy, uid_t owner, const char **pculprit,
                           apr_pool_t *pool);

#pragma GCC visibility pop
#endif
