/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the service manager (notify.h).  stekctl; one thread.
 */
#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): never set here */
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    apr_size_t len = path ? strlen(path) : 0;
    char text[512];
    va_list args;
    int fd;

    if (len < 2 || len >= sizeof(to.sun_path) || (*path != '/' && *path != '@')) {
        return;
    }
    memcpy(to.sun_path, path, len);
    if (*path == '@') {
        to.sun_path[0] = '\0'; /* the abstract namespace */
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        /* It is not an error if the manager does not listen. */
        (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
        close(fd);
    }
}

apr_interval_time_t notify_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC"); /* NOLINT(concurrency-mt-unsafe) */
    const char *pid = getenv("WATCHDOG_PID");   /* NOLINT(concurrency-mt-unsafe) */

    if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid())) {
        return 0;
    }
    return (apr_interval_time_t)strtoll(usec, NULL, 10);
}
