/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting (store_connect.h).  A resolver gives the addresses of a name in an order of its own, another
 * to every host and at every time.  Hosts that each took the first would keep different rings on the two
 * servers behind one name; so they are sorted, and all hosts use the first server that lets them in.
 */
#include "store_connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "monotonic.h"

/* IPv4 first, because hosts have it more often, then by the addresses' bytes. */
static int compare(const void *a, const void *b)
{
    const struct addrinfo *x = *(const struct addrinfo *const *)a;
    const struct addrinfo *y = *(const struct addrinfo *const *)b;

    if (x->ai_family != y->ai_family) {
        return x->ai_family == AF_INET ? -1 : 1;
    }
    if (x->ai_family == AF_INET) {
        const struct sockaddr_in *p = (const void *)x->ai_addr, *q = (const void *)y->ai_addr;

        return memcmp(&p->sin_addr, &q->sin_addr, sizeof(p->sin_addr));
    }
    return memcmp(&((const struct sockaddr_in6 *)(const void *)x->ai_addr)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)y->ai_addr)->sin6_addr,
                  sizeof(struct in6_addr));
}

/* Nonzero unless this host lacks what it takes, as IPv6.  Connecting a datagram's socket sends nothing: it only looks
 * for a route. */
static int is_possible(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error = fd < 0 || connect(fd, address->ai_addr, address->ai_addrlen) != 0 ? errno : 0;

    if (fd >= 0) {
        close(fd);
    }
    return error != EAFNOSUPPORT && error != ENETUNREACH && error != EADDRNOTAVAIL;
}

int store_connect_choose(const struct addrinfo *found,
                         const struct addrinfo *chosen[STORE_CONNECT_ADDRESSES_MAX])
{
    int has_4 = 0, has_6 = 0, n = 0;
    const struct addrinfo *at;

    for (at = found; at; at = at->ai_next) {
        has_4 |= at->ai_family == AF_INET && is_possible(at);
        has_6 |= at->ai_family == AF_INET6 && is_possible(at);
    }
    for (at = found; at && n < STORE_CONNECT_ADDRESSES_MAX; at = at->ai_next) {
        if ((at->ai_family == AF_INET && (has_4 || !has_6))
            || (at->ai_family == AF_INET6 && (has_6 || !has_4))) {
            chosen[n++] = at;
        }
    }
    if (n > 0) {
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): these are pointers */
        qsort(chosen, (size_t)n, sizeof(chosen[0]), compare);
    }
    return n;
}

/* Adds why an address did not do; with its number if the name has several. */
static void add_reason(const struct addrinfo *address, int several, int error, char *why)
{
    char number[INET6_ADDRSTRLEN + 20] = "";
    size_t len = strlen(why);

    if (several
        && getnameinfo(address->ai_addr, address->ai_addrlen, number, sizeof(number), NULL, 0,
                       NI_NUMERICHOST)
               != 0) {
        snprintf(number, sizeof(number), "?");
    }
    snprintf(why + len, STORE_WHY_LEN - len, "%s%s%s%s", len > 0 ? "; " : "", number,
             several ? ": " : "",
             error == ETIMEDOUT      ? "no connection in time"
             : error == ECONNREFUSED ? STORE_CONNECT_REFUSED
                                     : strerror(error));
}

static int try_all(const struct addrinfo **addresses, int n, int timeout_ms,
                   store_connect_try_t try, void *baton, char *why)
{
    apr_int64_t end = monotonic_ms() + timeout_ms;
    int i;

    for (i = 0; i < n; i++) {
        /* One that drops packets leaves their share to the others. */
        const struct addrinfo *address = addresses[i];
        apr_int64_t left = end - monotonic_ms(), share = left > 0 ? left / (n - i) : 0;
        int error = try(baton, address->ai_addr, address->ai_addrlen, share > 1 ? (int)share : 1);

        if (error == 0) {
            return 0;
        }
        add_reason(address, n > 1, error, why);
    }
    return -1;
}

/* A socket of this machine. */
static int connect_path(const store_target_t *target, store_connect_try_t try, void *baton,
                        char *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error = ENAMETOOLONG;

    if (strlen(target->host) < sizeof(address.sun_path)) {
        memcpy(address.sun_path, target->host, strlen(target->host) + 1);
        error = try(baton, (const struct sockaddr *)&address, sizeof(address), target->timeout_ms);
    }
    snprintf(why, STORE_WHY_LEN, "%s",
             error == ENOENT   ? "there is no such socket: does the store run?"
             : error == EACCES ? "no permission to use the socket: give its group to this user"
             : error == ECONNREFUSED ? "connection refused: nothing listens at this socket"
             : error == EAGAIN       ? "no connection in time"
                                     : strerror(error));
    return error == 0 ? 0 : -1;
}

int store_connect_each(const store_target_t *target, store_connect_try_t try, void *baton,
                       char why[STORE_WHY_LEN])
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct addrinfo *addresses[STORE_CONNECT_ADDRESSES_MAX];
    struct addrinfo *found = NULL;
    char port[16];
    int rc, n;

    if (*target->host == '/') {
        return connect_path(target, try, baton, why);
    }
    snprintf(port, sizeof(port), "%d", target->port);
    rc = getaddrinfo(target->address ? target->address : target->host, port, &hints, &found);
    if (rc != 0) {
        snprintf(why, STORE_WHY_LEN, "%s (%s)",
                 rc == EAI_AGAIN ? "the name could not be looked up" : "name not found",
                 rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return -1;
    }
    why[0] = '\0';
    rc = -1;
    n = store_connect_choose(found, addresses);
    if (n > 0) {
        rc = try_all(addresses, n, target->timeout_ms, try, baton, why);
    }
    else {
        snprintf(why, STORE_WHY_LEN, "its name has no address");
    }
    freeaddrinfo(found);
    return rc;
}

/* Waits until the connection is there; 0 or an errno. */
static int finish_connect(int fd, apr_int64_t deadline_ms)
{
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int error = 0;

    for (;;) {
        apr_int64_t left = deadline_ms - monotonic_ms();
        int n = left > 0 ? poll(&pfd, 1, (int)left) : 0;

        if (n > 0) {
            break;
        }
        if (n == 0) {
            return ETIMEDOUT;
        }
        if (errno != EINTR) {
            return errno;
        }
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static int try_socket(void *baton, const struct sockaddr *address, socklen_t len, int limit_ms)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    int error = 0, *pfd = baton;

    if (fd < 0) {
        return errno;
    }
    if (connect(fd, address, len) != 0) {
        error = errno == EINPROGRESS || errno == EINTR
                    ? finish_connect(fd, monotonic_ms() + limit_ms)
                    : errno;
    }
    if (error != 0) {
        close(fd);
        return error;
    }
    if (address->sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    *pfd = fd;
    return 0;
}

int store_connect(const store_target_t *target, char why[STORE_WHY_LEN])
{
    int fd = -1;

    return store_connect_each(target, try_socket, &fd, why) == 0 ? fd : -1;
}
