/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket (store_wire.h).
 */
#include "store_wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "monotonic.h"

int wire_transfer(int fd, int out, void *data, apr_size_t len, apr_int64_t deadline_ms)
{
    struct pollfd pfd = {.fd = fd, .events = out ? POLLOUT : POLLIN};
    char *bytes = data;

    while (len > 0) {
        apr_int64_t left = deadline_ms - monotonic_ms();
        ssize_t n;

        n = out ? send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT)
                : recv(fd, bytes, len, MSG_DONTWAIT);
        if (n > 0) {
            bytes += n;
            len -= (apr_size_t)n;
        }
        else if (n == 0 || left <= 0
                 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            return 0;
        }
        else {
            (void)poll(&pfd, 1, left < 60000 ? (int)left : 60000);
        }
    }
    return 1;
}
