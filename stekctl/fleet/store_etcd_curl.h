/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's calls.  The library is loaded when a worker needs it: with what it depends on it is thirty
 * libraries, and no other process of stekctl shall have these.  Only for store_etcd_http.c; one thread.
 */
#ifndef STEKCTL_STORE_ETCD_CURL_H
#define STEKCTL_STORE_ETCD_CURL_H

#include <curl/curl.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

#define ETCD_CURL_CALLS(call)                                                                      \
    call(global_init) call(version_info) call(easy_init) call(easy_setopt) call(easy_getinfo)      \
        call(easy_strerror) call(easy_cleanup) call(multi_init) call(multi_setopt)                 \
            call(multi_add_handle) call(multi_perform) call(multi_poll) call(multi_info_read)      \
                call(multi_remove_handle) call(multi_cleanup) call(slist_append)                   \
                    call(slist_free_all)

#define ETCD_CURL_MEMBER(name) __typeof__(curl_##name) *name;
typedef struct etcd_curl_t {
    ETCD_CURL_CALLS(ETCD_CURL_MEMBER)
} etcd_curl_t;
#undef ETCD_CURL_MEMBER

/* Loads the library; from then on it stays.  NULL and why. */
const etcd_curl_t *etcd_curl_load(char why[STORE_WHY_LEN]);

#pragma GCC visibility pop
#endif
