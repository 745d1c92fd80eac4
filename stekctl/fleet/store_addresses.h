/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All servers that a store's URL may lead to: each address of each host in it.  Sync uses the first that lets it
 * in, and that may be another one on every host.  One thread.
 */
#ifndef STEKCTL_STORE_ADDRESSES_H
#define STEKCTL_STORE_ADDRESSES_H

#include <apr_tables.h>

#pragma GCC visibility push(hidden)

typedef struct store_address_t {
    const char *url; /* of one host, by its name: certificates are checked for that */
    const char
        *number; /* where it is; NULL: its name has one that can be used, or cannot be looked up */
    const char *shown; /* the URL with the number in place of the name */
    int listed;        /* the store's URL names several hosts, which are one store */
} store_address_t;

/* Looks the names up; of store_address_t, at least one, each server once.  The URL need not be valid.  In pool. */
apr_array_header_t *store_addresses(const char *url, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
