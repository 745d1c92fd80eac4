/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load on one TLS server: N connections at a time, each with a ticket of its own that it offers the
 * next time (resume), or never (full), as fast as the server answers, and N answers at least.
 * Prints one JSON object; times of an answer run from connect() to the last byte.  `in` counts
 * those that began within WINDOW_MS after a full multiple of EVERY_MS of the clock, `out` the
 * others.
 *
 * Usage: tls_load PORT HOST 1.2|1.3 full|resume CONNECTIONS SECONDS [EVERY_MS WINDOW_MS]
 */
#include "tls_client.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX (1 << 22)

typedef struct slot_t {
    tls_conn_t conn; /* first: an event's pointer is this one too */
    tls_ticket_t ticket;
    int warm; /* has its first ticket */
    int64_t monotonic_ms;
} slot_t;

typedef struct samples_t {
    uint32_t *us;
    size_t n;
} samples_t;

typedef struct load_t {
    struct sockaddr_in to;
    const char *host;
    SSL_CTX *ctx;
    int resume, epoll_fd, every_ms, window_ms;
    slot_t slots[CONNECTIONS_MAX];
    int slot_n, live_n;
    int64_t end_ns;
    long done_n, resumed_n, failed_n;
    samples_t all, in, out;
} load_t;

static void die(const char *what)
{
    fprintf(stderr, "tls_load: %s\n", what);
    exit(1);
}

static int64_t monotonic_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void add(samples_t *samples, uint32_t us)
{
    if (!samples->us) {
        samples->us = malloc(SAMPLES_MAX * sizeof(*samples->us));
    }
    if (samples->us && samples->n < SAMPLES_MAX) {
        samples->us[samples->n++] = us;
    }
}

static void begin(load_t *load, slot_t *slot)
{
    if (!load->resume && slot->ticket.session) {
        SSL_SESSION_free(slot->ticket.session);
        slot->ticket.session = NULL;
    }
    slot->monotonic_ms = monotonic_ms();
    if (tls_conn_begin(&slot->conn, load->ctx, load->epoll_fd, &load->to, load->host, &slot->ticket)
        != TLS_GOES_ON) {
        die("cannot connect");
    }
    load->live_n++;
}

static void count(load_t *load, const slot_t *slot)
{
    uint32_t us = (uint32_t)((slot->conn.done_ns - slot->conn.began_ns) / 1000);

    load->done_n++;
    load->resumed_n += slot->conn.resumed;
    add(&load->all, us);
    if (load->every_ms) {
        add(slot->monotonic_ms % load->every_ms < load->window_ms ? &load->in : &load->out, us);
    }
}

static void on_event(load_t *load, slot_t *slot)
{
    tls_step_e step = slot->conn.fd < 0 ? TLS_GOES_ON : tls_conn_step(&slot->conn);

    if (step == TLS_GOES_ON) {
        return;
    }
    load->live_n--;
    if (step != TLS_DONE) {
        load->failed_n++;
    }
    else if (slot->warm) {
        count(load, slot);
    }
    slot->warm = 1;
    if ((tls_now_ns() < load->end_ns || load->done_n < load->slot_n) && load->failed_n < 100) {
        begin(load, slot);
    }
}

static void run(load_t *load)
{
    struct epoll_event events[64];
    int i, n;

    for (i = 0; i < load->slot_n; i++) {
        begin(load, &load->slots[i]);
    }
    while (load->live_n > 0) {
        n = epoll_wait(load->epoll_fd, events, 64, 60000);
        if (n == 0) {
            die("no answer for a minute");
        }
        for (i = 0; i < n; i++) {
            on_event(load, events[i].data.ptr);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void print_times(const char *name, samples_t *samples)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};
    size_t i, last = samples->n ? samples->n - 1 : 0;

    printf(", \"%s\": {\"n\": %zu", name, samples->n);
    if (samples->n) {
        qsort(samples->us, samples->n, sizeof(*samples->us), compare);
        for (i = 0; i < sizeof(points) / sizeof(*points); i++) {
            printf(", \"%s_us\": %u", points[i].name,
                   samples->us[(size_t)((double)last * points[i].share)]);
        }
    }
    printf("}");
}

static void print(load_t *load, double seconds)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    printf("{\"handshakes\": %ld, \"resumed\": %ld, \"failed\": %ld, \"seconds\": %.3f, "
           "\"client_cpu_s\": %.3f",
           load->done_n, load->resumed_n, load->failed_n, seconds,
           (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec
               + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    print_times("all", &load->all);
    if (load->every_ms) {
        print_times("in", &load->in);
        print_times("out", &load->out);
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    static load_t load;
    int64_t began_ns;

    if (argc < 7) {
        die("usage: tls_load PORT HOST 1.2|1.3 full|resume CONNECTIONS SECONDS "
            "[EVERY_MS WINDOW_MS]");
    }
    signal(SIGPIPE, SIG_IGN);
    load.to.sin_family = AF_INET;
    load.to.sin_port = htons((uint16_t)strtol(argv[1], NULL, 10));
    load.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.host = argv[2];
    load.ctx = tls_context_new(strcmp(argv[3], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
    load.resume = strcmp(argv[4], "resume") == 0;
    load.slot_n = (int)strtol(argv[5], NULL, 10);
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (argc > 8) {
        load.every_ms = (int)strtol(argv[7], NULL, 10);
        load.window_ms = (int)strtol(argv[8], NULL, 10);
    }
    if (!load.ctx || load.epoll_fd < 0 || load.slot_n < 1 || load.slot_n > CONNECTIONS_MAX) {
        die("set-up");
    }
    began_ns = tls_now_ns();
    load.end_ns = began_ns + (int64_t)(strtod(argv[6], NULL) * 1e9);
    run(&load);
    print(&load, (double)(tls_now_ns() - began_ns) / 1e9);
    return 0;
}
