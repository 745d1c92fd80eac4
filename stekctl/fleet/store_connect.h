/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to a store: its name is looked up, and its addresses are tried, the same first on every host.
 * One thread, the worker's.
 */
#ifndef STEKCTL_STORE_CONNECT_H
#define STEKCTL_STORE_CONNECT_H

#include <netdb.h>
#include <sys/socket.h>

#include "store_driver.h"

#pragma GCC visibility push(hidden)

/* Why there is no connection, if the machine is there. */
#define STORE_CONNECT_REFUSED "connection refused: nothing listens at this port"

/* Of one name, so many addresses are used. */
#define STORE_CONNECT_ADDRESSES_MAX 16

/* Those of found that are used, in the order in which they are tried; returns how many.  An address of a family that
 * this host does not have is none, as long as there are others. */
int store_connect_choose(const struct addrinfo *found,
                         const struct addrinfo *chosen[STORE_CONNECT_ADDRESSES_MAX]);

/* Tries one address for at most limit_ms.  0, or an errno. */
typedef int (*store_connect_try_t)(void *baton, const struct sockaddr *address, socklen_t len,
                                   int limit_ms);

/* Tries the target's addresses, or its socket's path, one by one until one lets it in: 0, or -1 and why.  Takes at most the
 * target's time-out once it has looked up the name. */
int store_connect_each(const store_target_t *target, store_connect_try_t try, void *baton,
                       char why[STORE_WHY_LEN]);

/* The same with sockets: a connected one, which does not block, or -1 and why. */
int store_connect(const store_target_t *target, char why[STORE_WHY_LEN]);

#pragma GCC visibility pop
#endif
