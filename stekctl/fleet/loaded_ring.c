/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks httpd (loaded_ring.h): one request of HTTP/1.0, whose answer ends with the connection.  stekctl;
 * one thread.
 */
#include "loaded_ring.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monotonic.h"
#include "store_wire.h"

#define SCHEME "http://"
#define PAGE_MAX (256 * 1024)

typedef struct place_t {
    const char *host, *port, *path, *ring;
} place_t;

static const char *parse(const char *url, place_t *place, apr_pool_t *pool)
{
    char *rest, *slash, *mark, *colon;

    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0) {
        return "must be http://ADDRESS[:PORT]/PATH[#RING]";
    }
    rest = apr_pstrdup(pool, url + strlen(SCHEME));
    slash = strchr(rest, '/');
    if (!slash || strpbrk(rest, " \t\r\n?@")) {
        return "must be http://ADDRESS[:PORT]/PATH[#RING]";
    }
    *slash++ = '\0';
    mark = strchr(slash, '#');
    if (mark) {
        *mark++ = '\0';
    }
    place->path = slash;
    place->ring = mark && *mark ? mark : "default";
    colon = strrchr(rest, ':');
    if (colon && !strchr(colon, ']')) {
        *colon++ = '\0';
    }
    else {
        colon = NULL;
    }
    place->port = colon && *colon ? colon : "80";
    if (*rest == '[' && rest[strlen(rest) - 1] == ']') {
        rest[strlen(rest) - 1] = '\0';
        rest++;
    }
    place->host = !strcmp(rest, "localhost") ? "127.0.0.1" : rest;
    return NULL;
}

static struct addrinfo *resolve(const place_t *place)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    return getaddrinfo(place->host, place->port, &hints, &found) == 0 ? found : NULL;
}

const char *loaded_ring_check(const char *url)
{
    apr_pool_t *pool = NULL;
    struct addrinfo *found;
    const char *wrong;
    place_t place;

    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return "out of memory";
    }
    wrong = parse(url, &place, pool);
    found = wrong ? NULL : resolve(&place);
    if (!wrong && !found) {
        wrong = "the address must be an IP address or localhost";
    }
    if (found) {
        freeaddrinfo(found);
    }
    apr_pool_destroy(pool);
    return wrong;
}

static int connect_to(const place_t *place, apr_int64_t deadline_ms)
{
    struct addrinfo *found = resolve(place);
    int fd = found ? socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    int failed = fd < 0, error = 0;
    socklen_t len = sizeof(error);

    if (!failed && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        apr_int64_t left = deadline_ms - monotonic_ms();

        failed = errno != EINPROGRESS || poll(&pfd, 1, left > 0 ? (int)left : 0) != 1
                 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0;
    }
    if (found) {
        freeaddrinfo(found);
    }
    if (failed && fd >= 0) {
        close(fd);
    }
    return failed ? -1 : fd;
}

/* All that comes until the end; NULL if it does not come to one in time. */
static char *receive_all(int fd, apr_int64_t deadline_ms, apr_pool_t *pool)
{
    char *page = apr_palloc(pool, PAGE_MAX + 1);
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    apr_size_t len = 0;

    while (len < PAGE_MAX) {
        apr_int64_t left = deadline_ms - monotonic_ms();
        ssize_t n = left > 0 && poll(&pfd, 1, (int)left) == 1
                        ? recv(fd, page + len, PAGE_MAX - len, MSG_DONTWAIT)
                        : -1;

        if (n < 0) {
            return NULL;
        }
        if (n == 0) {
            page[len] = '\0';
            return page;
        }
        len += (apr_size_t)n;
    }
    return NULL;
}

/* The number behind "METRIC{ring="RING"} " at the beginning of a line. */
static int find_number(const char *text, const char *metric, const char *ring,
                       apr_uint64_t *pnumber, apr_pool_t *pool)
{
    const char *wanted = apr_pstrcat(pool, "\n", metric, "{ring=\"", ring, "\"} ", NULL);
    const char *at = strstr(text, wanted);
    char *end;

    if (!at) {
        return 0;
    }
    at += strlen(wanted);
    if (*at < '0' || *at > '9') {
        return 0;
    }
    errno = 0;
    *pnumber = strtoull(at, &end, 10);
    return errno == 0 && *end == '\n';
}

int loaded_ring_find(const char *text, const char *ring, loaded_ring_t *status, apr_pool_t *pool)
{
    loaded_ring_t found = {0, 0, 0};

    if (!find_number(text, "stek_ring_epoch", ring, &found.epoch, pool)
        || !find_number(text, "stek_ring_generation", ring, &found.generation, pool)) {
        return 0;
    }
    (void)find_number(text, "stek_ring_digest", ring, &found.number, pool);
    *status = found;
    return 1;
}

const char *loaded_ring_read(const char *url, apr_interval_time_t limit, loaded_ring_t *status,
                             apr_pool_t *pool)
{
    apr_int64_t deadline = monotonic_ms() + apr_time_as_msec(limit);
    const char *why;
    char *request, *page = NULL;
    place_t place;
    int fd;

    why = parse(url, &place, pool);
    if (why) {
        return why;
    }
    fd = connect_to(&place, deadline);
    if (fd < 0) {
        return "no connection";
    }
    request = apr_psprintf(pool,
                           "GET /%s?format=prometheus HTTP/1.0\r\nHost: localhost\r\n"
                           "Connection: close\r\n\r\n",
                           place.path);
    if (wire_transfer(fd, 1, request, strlen(request), deadline)) {
        page = receive_all(fd, deadline, pool);
    }
    close(fd);
    if (!page) {
        return "no answer in time, or one that is too long";
    }
    if (strncmp(page, "HTTP/1.", 7) != 0 || strncmp(page + 8, " 200 ", 5) != 0) {
        return "it does not answer with 200";
    }
    return loaded_ring_find(page, place.ring, status, pool)
               ? NULL
               : apr_psprintf(pool, "it has no ring '%s'", place.ring);
}
