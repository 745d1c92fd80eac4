/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting (wait.h).
 */
#include "wait.h"

#include <errno.h>
#include <poll.h>

int probe_wait(int fd, short events, apr_time_t until)
{
    struct pollfd one = {fd, events, 0};

    for (;;) {
        apr_interval_time_t left = until - apr_time_now();
        struct timespec span = {(time_t)apr_time_sec(left), (long)(apr_time_usec(left) * 1000)};
        int n;

        if (left <= 0) {
            return 0;
        }
        n = ppoll(&one, 1, &span, NULL);
        if (n > 0) {
            return 1;
        }
        if (n < 0 && errno != EINTR) {
            return 0;
        }
    }
}

void probe_wait_until(apr_time_t until)
{
    apr_time_t now = apr_time_now();

    if (until > now) {
        apr_sleep(until - now);
    }
}
