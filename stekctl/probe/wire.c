/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes before TLS (wire.h).
 */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "wait.h"

int probe_wire_send(int fd, const void *bytes, apr_size_t len, apr_time_t until)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n > 0) {
            at += n;
            len -= (apr_size_t)n;
        }
        else if ((errno != EAGAIN && errno != EINTR) || !probe_wait(fd, POLLOUT, until)) {
            return 0;
        }
    }
    return 1;
}

int probe_wire_read(int fd, void *bytes, apr_size_t len, apr_time_t until)
{
    char *at = bytes;

    while (len > 0) {
        ssize_t n = recv(fd, at, len, 0);

        if (n > 0) {
            at += n;
            len -= (apr_size_t)n;
        }
        else if (n == 0 || (errno != EAGAIN && errno != EINTR) || !probe_wait(fd, POLLIN, until)) {
            return 0;
        }
    }
    return 1;
}

int probe_wire_line(int fd, char *line, apr_size_t size, apr_time_t until)
{
    apr_size_t len = 0, read_n, i;
    char byte;

    /* A peer that never stops sending would keep recv from waiting: others have their turn, and there
     * is an end to it. */
    probe_wait_turn();
    for (read_n = 0; read_n < PROBE_WIRE_LINE_MAX && probe_wire_read(fd, &byte, 1, until);
         read_n++) {
        if (byte == '\n') {
            len -= len > 0 && line[len - 1] == '\r';
            line[len] = '\0';
            for (i = 0; i < len; i++) {
                line[i] = line[i] < ' ' || line[i] >= 0x7f ? '?' : line[i];
            }
            return 1;
        }
        if (len + 1 < size) {
            line[len++] = byte ? byte : '?';
        }
    }
    return read_n == PROBE_WIRE_LINE_MAX ? -1 : 0;
}
