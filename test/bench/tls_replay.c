/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that come and come again: replays a plan of visits on a fleet of TLS servers.  Each
 * client keeps its last ticket and offers it until its hint says that it is over.  A host that
 * refuses the connection is passed over for the next one, as a load balancer does.
 *
 * Standard input, sorted by time, one line a visit: MILLISECONDS CLIENT HOST, where HOST is 0 to
 * HOST_N - 1, reached at 127.0.0.(2 + HOST), and clients with an even number speak TLS 1.3, others
 * 1.2.  The time counts from START_MS of the clock.  Standard output, a line a visit as it ends:
 *
 *     CLIENT HOST OUTCOME AGE_MS HINT_MS LATE_MS
 *
 * OUTCOME: new (had no ticket), expired (its ticket was over), resumed, full (offered a ticket, and
 * the server took none), failed.  AGE_MS and HINT_MS are those of the ticket, -1 if there was none;
 * LATE_MS is how much later than planned the visit began.
 *
 * Usage: tls_replay PORT NAME CLIENT_N HOST_N START_MS <PLAN
 */
#include "tls_client.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

typedef struct client_t {
    tls_conn_t conn; /* first: an event's pointer is this one too */
    tls_ticket_t ticket;
    int busy, host, tries_n, offered, expired;
    int64_t age_ms, hint_ms, late_ms;
} client_t;

typedef struct visit_t {
    int64_t at_ms;
    int client, host;
} visit_t;

typedef struct replay_t {
    const char *name;
    struct sockaddr_in to;
    SSL_CTX *ctx[2]; /* TLS 1.3, 1.2 */
    client_t *clients;
    int client_n, host_n, epoll_fd, live_n;
    int64_t start_ms;
} replay_t;

static void die(const char *what)
{
    fprintf(stderr, "tls_replay: %s\n", what);
    exit(1);
}

static int64_t monotonic_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void tell(replay_t *replay, client_t *client, const char *outcome)
{
    printf("%d %d %s %lld %lld %lld\n", (int)(client - replay->clients), client->host, outcome,
           (long long)client->age_ms, (long long)client->hint_ms, (long long)client->late_ms);
    client->busy = 0;
    replay->live_n--;
}

static void begin(replay_t *replay, client_t *client)
{
    int odd = (int)(client - replay->clients) % 2;

    replay->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)client->host);
    if (tls_conn_begin(&client->conn, replay->ctx[odd], replay->epoll_fd, &replay->to, replay->name,
                       &client->ticket)
        != TLS_GOES_ON) {
        die("cannot connect");
    }
}

static void visit(replay_t *replay, const visit_t *visit)
{
    client_t *client = &replay->clients[visit->client];

    if (client->busy) {
        return; /* the plan is faster than the servers; the line is missing from the output */
    }
    client->busy = 1;
    client->host = visit->host;
    client->tries_n = client->offered = client->expired = 0;
    client->age_ms = client->hint_ms = -1;
    client->late_ms = monotonic_ms() - replay->start_ms - visit->at_ms;
    replay->live_n++;
    if (client->ticket.session) {
        client->age_ms = (tls_now_ns() - client->ticket.issued_ns) / 1000000;
        client->hint_ms = 1000
                          * (int64_t)SSL_SESSION_get_ticket_lifetime_hint(client->ticket.session);
        client->expired = client->age_ms >= client->hint_ms;
        client->offered = !client->expired;
        if (client->expired) {
            SSL_SESSION_free(client->ticket.session);
            client->ticket.session = NULL;
        }
    }
    begin(replay, client);
}

static void on_event(replay_t *replay, client_t *client)
{
    tls_step_e step = client->conn.fd < 0 ? TLS_GOES_ON : tls_conn_step(&client->conn);

    if (step == TLS_REFUSED && ++client->tries_n < replay->host_n) {
        client->host = (client->host + 1) % replay->host_n;
        begin(replay, client);
    }
    else if (step != TLS_GOES_ON) {
        tell(replay, client,
             step != TLS_DONE       ? "failed"
             : client->conn.resumed ? "resumed"
             : client->offered      ? "full"
             : client->expired      ? "expired"
                                    : "new");
    }
}

static int next_visit(const replay_t *replay, visit_t *next)
{
    char line[64], *at = line;

    if (!fgets(line, sizeof(line), stdin)) {
        return 0;
    }
    next->at_ms = strtoll(at, &at, 10);
    next->client = (int)strtol(at, &at, 10);
    next->host = (int)strtol(at, &at, 10);
    if (next->client < 0 || next->client >= replay->client_n || next->host < 0
        || next->host >= replay->host_n) {
        die("no such client or host");
    }
    return 1;
}

static void run(replay_t *replay)
{
    struct epoll_event events[64];
    visit_t next;
    int more = next_visit(replay, &next), i, n;

    while (more || replay->live_n > 0) {
        int64_t wait_ms = more ? next.at_ms + replay->start_ms - monotonic_ms() : 60000;

        if (wait_ms <= 0) {
            visit(replay, &next);
            more = next_visit(replay, &next);
            wait_ms = 0;
        }
        n = epoll_wait(replay->epoll_fd, events, 64, (int)wait_ms);
        if (n == 0 && !more && replay->live_n > 0 && wait_ms) {
            die("no answer for a minute");
        }
        for (i = 0; i < n; i++) {
            on_event(replay, events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    replay_t replay = {.to = {.sin_family = AF_INET}};
    int i;

    if (argc < 6) {
        die("usage: tls_replay PORT NAME CLIENT_N HOST_N START_MS <PLAN");
    }
    signal(SIGPIPE, SIG_IGN);
    replay.to.sin_port = htons((uint16_t)strtol(argv[1], NULL, 10));
    replay.name = argv[2];
    replay.client_n = (int)strtol(argv[3], NULL, 10);
    replay.host_n = (int)strtol(argv[4], NULL, 10);
    replay.start_ms = strtoll(argv[5], NULL, 10);
    replay.ctx[0] = tls_context_new(TLS1_3_VERSION);
    replay.ctx[1] = tls_context_new(TLS1_2_VERSION);
    replay.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    replay.clients = calloc((size_t)replay.client_n, sizeof(*replay.clients));
    if (!replay.ctx[0] || !replay.ctx[1] || replay.epoll_fd < 0 || !replay.clients) {
        die("set-up");
    }
    for (i = 0; i < replay.client_n; i++) {
        replay.clients[i].conn.fd = -1;
    }
    run(&replay);
    return 0;
}
