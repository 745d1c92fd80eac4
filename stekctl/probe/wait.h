/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only places where a probe waits: for a socket, for a point in time, for a name's addresses.
 * Either the thread waits, or somebody else has its turn (loop.h).  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_WAIT_H
#define STEKCTL_PROBE_WAIT_H

#include <apr_time.h>
#include <netdb.h>

#pragma GCC visibility push(hidden)

/* Waits for POLLIN or POLLOUT on fd, until the given time at most.  1: the event, or an error that
 * the next call on the socket reports; 0: the time is over. */
int probe_wait(int fd, short events, apr_time_t until);

void probe_wait_until(apr_time_t until);

/* As getaddrinfo.  probe_wait_free_names frees the result. */
int probe_wait_for_name(const char *name, const char *port, const struct addrinfo *hints,
                        struct addrinfo **presult);
void probe_wait_free_names(struct addrinfo *addresses);

/* Before long work: lets others go on that only have to read and write, and then one at a time. */
void probe_wait_turn(void);

/* Runs run(arg), in another thread if there are others; it may touch nothing that they do. */
void probe_wait_work(void (*run)(void *arg), void *arg);

/* Who waits instead of the thread. */
typedef struct probe_waiter_t {
    int (*wait)(int fd, short events, apr_time_t until);
    void (*until)(apr_time_t until);
    int (*name)(const char *name, const char *port, const struct addrinfo *hints,
                struct addrinfo **presult);
    void (*free_names)(struct addrinfo *addresses);
    void (*turn)(void);
    void (*work)(void (*run)(void *arg), void *arg);
} probe_waiter_t;

/* NULL: the thread waits. */
void probe_wait_by(const probe_waiter_t *waiter);

#pragma GCC visibility pop
#endif
