/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting (wait.h).
 */
#include "wait.h"

#include <errno.h>
#include <poll.h>

static const probe_waiter_t *by;

void probe_wait_by(const probe_waiter_t *waiter)
{
    by = waiter;
}

static int wait_here(int fd, short events, apr_time_t until)
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

int probe_wait(int fd, short events, apr_time_t until)
{
    return by ? by->wait(fd, events, until) : wait_here(fd, events, until);
}

void probe_wait_until(apr_time_t until)
{
    apr_time_t now = apr_time_now();

    if (by && until > now) {
        by->until(until);
    }
    else if (until > now) {
        apr_sleep(until - now);
    }
}

int probe_wait_for_name(const char *name, const char *port, const struct addrinfo *hints,
                        struct addrinfo **presult)
{
    return by ? by->name(name, port, hints, presult) : getaddrinfo(name, port, hints, presult);
}

void probe_wait_free_names(struct addrinfo *addresses)
{
    if (by) {
        by->free_names(addresses);
    }
    else {
        freeaddrinfo(addresses);
    }
}

void probe_wait_turn(void)
{
    if (by) {
        by->turn();
    }
}

void probe_wait_work(void (*run)(void *arg), void *arg)
{
    if (by) {
        by->work(run, arg);
    }
    else {
        run(arg);
    }
}
