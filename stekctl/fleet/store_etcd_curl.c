/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading libcurl (store_etcd_curl.h).
 */
#ifdef STEK_WITH_ETCD

#include "store_etcd_curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if LIBCURL_VERSION_NUM >= 0x075800 && LIBCURL_VERSION_NUM < 0x080000
/* libcurl 7.88 connects its sockets even if they are connected (its issue 10626).  Its calls end here, because
 * the program comes before the C library, and such a socket is connected. */
#pragma GCC visibility push(default)
int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    int rc = (int)syscall(SYS_connect, fd, address, len), error = errno;

    if (rc != 0 && getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0) {
        return 0;
    }
    errno = error;
    return rc;
}
#pragma GCC visibility pop
#endif

#define LIBRARY "libcurl.so.4"

const etcd_curl_t *etcd_curl_load(char why[STORE_WHY_LEN])
{
    static etcd_curl_t calls;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), *found = library;

    /* ISO C has no conversion of a data pointer to a function, POSIX has. */
#define FIND(name)                                                                                 \
    found = found ? dlsym(library, "curl_" #name) : NULL;                                          \
    memcpy(&calls.name, &found, sizeof(found));
    ETCD_CURL_CALLS(FIND)
#undef FIND
    if (!found) {
        snprintf(why, STORE_WHY_LEN, "etcd needs libcurl: install it (%.150s)", dlerror());
        return NULL;
    }
    return &calls;
}

#endif
