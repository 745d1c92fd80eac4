/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking (store_peek.h).
 */
#include "store_peek.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "monotonic.h"

/* Between two looks at a line that is not complete: a socket that has something is always ready. */
#define PAUSE_MS 5

/* What has arrived: its length; 0: nothing, and nothing will; -1: nothing yet. */
static ssize_t look(int fd, char said[STORE_PEEK_MAX + 1])
{
    ssize_t n = recv(fd, said, STORE_PEEK_MAX, MSG_PEEK | MSG_DONTWAIT);

    if (n >= 0) {
        return n;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : 0;
}

/* Cuts the text after its first line, and makes it one. */
static void keep_line(store_peek_t *peek)
{
    char *end = memchr(peek->said, '\n', peek->len);
    apr_size_t i;

    if (end) {
        peek->len = (apr_size_t)(end - peek->said);
        peek->len -= peek->len > 0 && end[-1] == '\r';
    }
    for (i = 0; i < peek->len; i++) {
        peek->said[i] = peek->said[i] ? peek->said[i] : '?';
    }
    peek->said[peek->len] = '\0';
}

void store_peek_keep(const char *bytes, apr_size_t len, store_peek_t *peek)
{
    peek->how = STORE_PEEK_SAID;
    peek->len = len < STORE_PEEK_MAX ? len : STORE_PEEK_MAX;
    memcpy(peek->said, bytes, peek->len);
    keep_line(peek);
}

void store_peek(int fd, apr_int64_t deadline_ms, store_peek_t *peek)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN | POLLRDHUP};
    ssize_t n = -1;

    peek->how = fd < 0 ? STORE_PEEK_BLIND : STORE_PEEK_LATE;
    peek->len = 0;
    peek->said[0] = '\0';
    while (fd >= 0) {
        apr_int64_t left = deadline_ms - monotonic_ms();
        int ready;

        pfd.revents = 0;
        ready = poll(&pfd, 1, left <= 0 ? 0 : left < 60000 ? (int)left : 60000);
        n = ready > 0 ? look(fd, peek->said) : n;
        if (n == 0 || left <= 0 || (ready > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)))
            || (n > 0 && (n == STORE_PEEK_MAX || memchr(peek->said, '\n', (apr_size_t)n)))) {
            break;
        }
        if (n > 0) {
            (void)poll(NULL, 0, PAUSE_MS);
        }
    }
    if (n == 0) {
        peek->how = STORE_PEEK_CLOSED;
    }
    else if (n > 0) {
        peek->how = STORE_PEEK_SAID;
        peek->len = (apr_size_t)n;
        keep_line(peek);
    }
}
