/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop (loop.h).  Every fiber waits for one thing at a time, so what it waits for is on
 * its own stack.
 */
#include "loop.h"

#include <stddef.h>

#ifdef STEK_WITH_LIBEVENT

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <poll.h>
#include <unistd.h>

#include "fiber.h"
#include "probe.h"
#include "wait.h"
#include "workers.h"

#define NAMES_AT_ONCE "1000"

static struct event_base *base;
static struct evdns_base *names;
static struct event *sleeper; /* in probe_loop_sleep */

typedef struct waiting_t {
    probe_fiber_t *fiber;
    int happened;
} waiting_t;

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    waiting_t *waiting = arg;

    (void)fd;
    waiting->happened = what != EV_TIMEOUT;
    probe_fiber_continue(waiting->fiber);
}

static struct timeval span_until(apr_time_t until)
{
    apr_interval_time_t left = until - apr_time_now();
    struct timeval span = {0, 1};

    if (left > 0) {
        span.tv_sec = (time_t)apr_time_sec(left);
        span.tv_usec = (suseconds_t)apr_time_usec(left);
    }
    return span;
}

static int wait_in_loop(int fd, short events, apr_time_t until)
{
    waiting_t waiting = {probe_fiber_current(), 0};
    struct timeval span = span_until(until);
    short kind = fd < 0 ? 0 : events & POLLOUT ? EV_WRITE : EV_READ;
    struct event event;

    if (event_assign(&event, base, fd, kind, on_event, &waiting) != 0
        || event_add(&event, &span) != 0) {
        return 0;
    }
    probe_fiber_pause();
    return waiting.happened;
}

static void wait_until(apr_time_t until)
{
    (void)wait_in_loop(-1, 0, until);
}

void probe_loop_sleep(apr_time_t until)
{
    waiting_t waiting = {probe_fiber_current(), 0};
    struct timeval span = span_until(until);
    struct event event;

    if (event_assign(&event, base, -1, 0, on_event, &waiting) == 0
        && event_add(&event, &span) == 0) {
        sleeper = &event;
        probe_fiber_pause();
        sleeper = NULL;
    }
}

void probe_loop_wake(void)
{
    if (sleeper) {
        event_active(sleeper, EV_TIMEOUT, 1);
    }
}

/* ---- names ---- */

typedef struct named_t {
    probe_fiber_t *fiber;
    int error, is_done, is_paused;
    struct addrinfo *found;
} named_t;

static void on_name(int error, struct evutil_addrinfo *found, void *arg)
{
    named_t *named = arg;

    named->error = error;
    named->found = found;
    named->is_done = 1;
    if (named->is_paused) {
        probe_fiber_continue(named->fiber);
    }
}

/* EVUTIL_EAI_* are the system's EAI_*, but for EVUTIL_EAI_CANCEL. */
static int resolve(const char *name, const char *port, const struct addrinfo *hints,
                   struct addrinfo **presult)
{
    named_t named = {.fiber = probe_fiber_current()};

    (void)evdns_getaddrinfo(names, name, port, hints, on_name, &named);
    if (!named.is_done) {
        named.is_paused = 1;
        probe_fiber_pause();
    }
    *presult = named.found;
    return named.error == EVUTIL_EAI_CANCEL ? EAI_AGAIN : named.error;
}

/* ---- turns ---- */

typedef struct turn_t {
    probe_fiber_t *fiber;
    struct turn_t *next;
} turn_t;

static turn_t *first_turn, **last_turn = &first_turn;
static struct event turner; /* goes off once per round of the loop while somebody waits */

static const struct timeval at_once = {0, 0};

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    turn_t *turn = first_turn;

    (void)fd;
    (void)what;
    (void)arg;
    first_turn = turn->next;
    if (first_turn) {
        (void)event_add(&turner, &at_once);
    }
    else {
        last_turn = &first_turn;
    }
    probe_fiber_continue(turn->fiber);
}

static void take_turn(void)
{
    turn_t turn = {probe_fiber_current(), NULL};

    if (!first_turn && event_add(&turner, &at_once) != 0) {
        return;
    }
    *last_turn = &turn;
    last_turn = &turn.next;
    probe_fiber_pause();
}

/* ---- work ---- */

static struct event worked; /* goes off when workers have done something */
static int has_workers;
static probe_fiber_t *worked_for; /* continues because its work is done */

static void on_work(evutil_socket_t fd, short what, void *arg)
{
    char bytes[256];
    probe_job_t *job;

    (void)what;
    (void)arg;
    while (read(fd, bytes, sizeof(bytes)) > 0) {
    }
    while ((job = probe_workers_take()) != NULL) {
        worked_for = job->owner;
        probe_fiber_continue(job->owner);
        worked_for = NULL;
    }
}

/* More work for a host goes first, so that it gets to its connections, which take long, while others
 * are worked for. */
static void do_work(void (*run)(void *arg), void *arg)
{
    probe_job_t job = {run, arg, probe_fiber_current(), NULL};

    if (!has_workers) {
        take_turn();
        run(arg);
        return;
    }
    probe_workers_add(&job, worked_for == job.owner);
    probe_fiber_pause();
}

static void begin_workers(void)
{
    int fd = probe_workers_begin();

    has_workers = fd >= 0
                  && event_assign(&worked, base, fd, EV_READ | EV_PERSIST, on_work, NULL) == 0
                  && event_add(&worked, NULL) == 0;
    if (fd >= 0 && !has_workers) {
        probe_workers_end();
    }
}

static void end_workers(void)
{
    if (has_workers) {
        (void)event_del(&worked);
        probe_workers_end();
        has_workers = 0;
    }
}

int probe_loop_waiting(void)
{
    return has_workers ? probe_workers_waiting() : 0;
}

static const probe_waiter_t waiter = {wait_in_loop,        wait_until, resolve,
                                      evutil_freeaddrinfo, take_turn,  do_work};

/* Whoever waits for a name is told why it does not resolve. */
static void ignore_message(int is_warning, const char *text)
{
    (void)is_warning;
    (void)text;
}

const char *probe_loop_begin(void)
{
    evdns_set_log_fn(ignore_message);
    base = event_base_new();
    if (!base) {
        return "libevent has no way to wait";
    }
    names = evdns_base_new(base,
                           EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!names) {
        /* No name server: addresses and /etc/hosts still work. */
        names = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (!names || evdns_base_load_hosts(names, "/etc/hosts") < 0) {
            probe_loop_end();
            return "libevent cannot resolve names";
        }
    }
    (void)event_assign(&turner, base, -1, 0, on_turn, NULL);
    (void)evdns_base_set_option(names, "max-inflight", NAMES_AT_ONCE);
    (void)evdns_base_set_option(names, "randomize-case", "0");
    begin_workers();
    probe_wait_by(&waiter);
    return NULL;
}

typedef struct first_t {
    void (*run)(void *arg);
    void *arg;
    int has_ended;
} first_t;

static void run_first(void *arg)
{
    first_t *first = arg;

    first->run(first->arg);
    first->has_ended = 1;
    /* The resolver may still look after its name servers. */
    (void)event_base_loopbreak(base);
}

int probe_loop_run(void (*run)(void *arg), void *arg)
{
    first_t first = {run, arg, 0};

    return probe_fiber_start(run_first, &first)
           && (first.has_ended || event_base_dispatch(base) >= 0);
}

const char *probe_loop_name(void)
{
    return "libevent";
}

void probe_loop_end(void)
{
    probe_wait_by(NULL);
    end_workers();
    if (names) {
        evdns_base_free(names, 0);
        names = NULL;
    }
    if (base) {
        event_base_free(base);
        base = NULL;
    }
    probe_fiber_free_all();
}

#else

#include "probe.h"

const char *probe_loop_name(void)
{
    return "nothing (built without libevent)";
}

const char *probe_loop_begin(void)
{
    return "built without libevent: install libevent-dev and build stekctl again";
}

int probe_loop_run(void (*run)(void *arg), void *arg)
{
    (void)run;
    (void)arg;
    return 0;
}

void probe_loop_sleep(apr_time_t until)
{
    (void)until;
}

void probe_loop_wake(void)
{
}

int probe_loop_waiting(void)
{
    return 0;
}

void probe_loop_end(void)
{
}

#endif
