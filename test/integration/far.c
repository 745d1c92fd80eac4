/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distance: carries connections to a server that is a round trip away.
 *
 *     far PORT TARGET_PORT ROUND_TRIP_MS
 *     far PORT 0 0                          closes every connection at once
 *
 * Listens on PORT of every address of 127.0.0.0/8.  Every byte arrives half a round trip later, in
 * both directions, and the first one a round trip later still, as after a connection is made.  What
 * comes later leaves later, so two queues in order of time are all it takes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 16384

/* One end of a connection; the other one is its peer. */
typedef struct end_t {
    int fd, is_far;
    int64_t spoke_us; /* when something was first read from it; 0: nothing was */
    int is_over;      /* its peer's end has arrived */
    struct end_t *peer;
} end_t;

/* len 0: the end. */
typedef struct chunk_t {
    struct chunk_t *next;
    int64_t due_us;
    end_t *to;
    size_t len;
    unsigned char bytes[];
} chunk_t;

typedef struct queue_t {
    chunk_t *first, **last;
    int64_t delay_us;
} queue_t;

static queue_t usual, begun;
static int poller;

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_at(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
        || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0) {
        fail("listen");
    }
    return fd;
}

static void watch(end_t *end)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};

    if (epoll_ctl(poller, EPOLL_CTL_ADD, end->fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

static end_t *make(int fd, int is_far)
{
    end_t *end = calloc(1, sizeof(*end));

    if (!end) {
        fail("calloc");
    }
    end->fd = fd;
    end->is_far = is_far;
    return end;
}

static void accept_all(int listener, int target_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)target_port)};
    int fd, other;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (target_port == 0) {
            close(fd);
            continue;
        }
        other = socket(AF_INET, SOCK_STREAM, 0);
        if (other < 0 || connect(other, (struct sockaddr *)&address, sizeof(address)) != 0) {
            perror("connect");
            close(other);
            close(fd);
            continue;
        }
        end_t *near = make(fd, 0), *far = make(other, 1);

        near->peer = far;
        far->peer = near;
        watch(near);
        watch(far);
    }
}

static void put(queue_t *queue, end_t *to, const unsigned char *bytes, size_t len)
{
    chunk_t *chunk = malloc(sizeof(*chunk) + len);

    if (!chunk) {
        fail("malloc");
    }
    chunk->next = NULL;
    chunk->due_us = now_us() + queue->delay_us;
    chunk->to = to;
    chunk->len = len;
    memcpy(chunk->bytes, bytes, len);
    *queue->last = chunk;
    queue->last = &chunk->next;
}

static void take_in(end_t *from)
{
    unsigned char bytes[CHUNK];
    ssize_t n = recv(from->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    int is_first;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        epoll_ctl(poller, EPOLL_CTL_DEL, from->fd, NULL);
        n = 0;
    }
    from->spoke_us = from->spoke_us ? from->spoke_us : now_us();
    /* What follows soon waits as long, or it would overtake the first bytes. */
    is_first = !from->is_far && now_us() <= from->spoke_us + begun.delay_us - usual.delay_us;
    put(is_first ? &begun : &usual, from->peer, bytes, (size_t)n);
}

/* An end is the last that goes a way, so after both ends nothing is left. */
static void finish(end_t *end)
{
    end_t *peer = end->peer;

    shutdown(end->fd, SHUT_WR);
    end->is_over = 1;
    if (peer->is_over) {
        close(end->fd);
        close(peer->fd);
        free(peer);
        free(end);
    }
}

static void let_out(queue_t *queue)
{
    int64_t now = now_us();

    while (queue->first && queue->first->due_us <= now) {
        chunk_t *chunk = queue->first;
        end_t *to = chunk->to;

        queue->first = chunk->next;
        if (!queue->first) {
            queue->last = &queue->first;
        }
        if (chunk->len == 0) {
            finish(to);
        }
        else {
            /* What the other side no longer wants is lost. */
            (void)!send(to->fd, chunk->bytes, chunk->len, MSG_NOSIGNAL);
        }
        free(chunk);
    }
}

static int wait_ms(void)
{
    int64_t due = INT64_MAX, left;

    due = usual.first && usual.first->due_us < due ? usual.first->due_us : due;
    due = begun.first && begun.first->due_us < due ? begun.first->due_us : due;
    left = due - now_us();
    return due == INT64_MAX ? -1 : left <= 0 ? 0 : (int)(left / 1000 + 1);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    struct epoll_event events[256], event = {.events = EPOLLIN};
    int listener, i, n;

    if (argc != 4) {
        fprintf(stderr, "usage: far PORT TARGET_PORT ROUND_TRIP_MS\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    usual.last = &usual.first;
    begun.last = &begun.first;
    usual.delay_us = (int64_t)atoi(argv[3]) * 1000 / 2;
    begun.delay_us = 3 * usual.delay_us;
    listener = listen_at(atoi(argv[1]));
    poller = epoll_create1(0);
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0) {
        fail("epoll");
    }
    for (;;) {
        n = epoll_wait(poller, events, 256, wait_ms());
        for (i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                take_in(events[i].data.ptr);
            }
            else {
                accept_all(listener, atoi(argv[2]));
            }
        }
        let_out(&begun);
        let_out(&usual);
    }
}
