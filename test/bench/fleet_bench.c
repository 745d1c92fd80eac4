/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet in one process: many hosts, each with its own connection to a real memcached and a file
 * ring in memory, run the real cycle (sync.c, the store's driver, seal and audit) in compressed
 * time: an event queue in place of waiting.  Prints one JSON object. Usage: fleet_bench PORT HOSTS
 * INTERVAL_S LIFETIME_S ROTATIONS
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <apr_general.h>

#include "stek_key_make.h"
#include "stek_ring_merge.h"
#include "stek_seal.h"
#include "fleet/monotonic.h"
#include "fleet/store_driver.h"
#include "fleet/sync.h"

#define SEC(n) apr_time_from_sec(n)
#define EVERY SEC(10)
#define BEFORE SEC(60) /* of each rotation: watched from here */
#define AFTER SEC(60)  /* to here */

typedef struct host_t {
    struct fleet_t *fleet;
    store_target_t target;
    void *conn;
    stek_ring_t *file;
    apr_time_t next; /* cycle */
    apr_time_t agreed_at;
    int stampede; /* lets the next host go first before it writes */
} host_t;

typedef struct fleet_t {
    host_t *hosts;
    int host_n, port;
    stek_secrets_t *secrets;
    sync_rules_t rules;
    apr_time_t now;
    uint64_t cycles, writes, changed, failed, bytes;
} fleet_t;

typedef struct load_t {
    uint64_t requests, bytes; /* at the store, both ways */
    double cpu_s, wall_s;
} load_t;

static void die(const char *what)
{
    fprintf(stderr, "fleet_bench: %s\n", what);
    exit(1);
}

/* ---- the port ---- */

static void run_host(host_t *host);

static void bench_read(void *baton, apr_time_t now, sync_view_t *views)
{
    host_t *host = baton;
    const unsigned char *bytes = NULL;
    char why[STORE_WHY_LEN] = "";
    apr_size_t len = 0;
    store_result_e result = store_memcached.read(host->conn, &bytes, &len, why);

    (void)now;
    if (result == STORE_DONE) {
        views->why = stek_ring_unseal(bytes, len, host->fleet->secrets, 1, &views->ring, NULL);
        views->answer = views->why == APR_SUCCESS ? SYNC_GOOD : SYNC_REFUSED;
    }
    else if (result == STORE_ABSENT) {
        views->answer = SYNC_ABSENT;
    }
    else {
        host->fleet->failed++;
    }
    if (host->stampede) {
        host->stampede = 0;
        if (host + 1 < host->fleet->hosts + host->fleet->host_n) {
            run_host(host + 1);
        }
    }
}

static sync_written_e bench_write(void *baton, int i, const stek_ring_t *ring, apr_time_t now)
{
    host_t *host = baton;
    unsigned char random[STEK_RING_SALT_RANDOM_LEN], *sealed = NULL;
    char why[STORE_WHY_LEN] = "";
    store_result_e result;
    apr_size_t len = 0;

    (void)i;
    (void)now;
    if (stek_rng_system(random, sizeof(random)) != APR_SUCCESS
        || stek_ring_seal(ring, &host->fleet->secrets->secrets[0], random, &sealed, &len)
               != APR_SUCCESS) {
        die("seal");
    }
    host->fleet->bytes = len;
    result = store_memcached.write(host->conn, sealed, len, why);
    free(sealed);
    host->fleet->writes += result == STORE_DONE;
    host->fleet->changed += result == STORE_CHANGED;
    return result == STORE_DONE      ? SYNC_WRITTEN
           : result == STORE_CHANGED ? SYNC_CHANGED
                                     : SYNC_FAILED;
}

static apr_status_t bench_load(void *baton, stek_ring_t **pring)
{
    host_t *host = baton;

    *pring = NULL;
    return host->file ? stek_ring_merge(host->file, NULL, 0, 0, pring) : APR_SUCCESS;
}

static apr_status_t bench_save(void *baton, const stek_ring_t *ring, apr_time_t now,
                               apr_interval_time_t lifetime, apr_time_t *pcovered_until)
{
    host_t *host = baton;
    stek_ring_t *merged = NULL;
    apr_status_t rv = stek_ring_merge(ring, host->file, now, lifetime, &merged);

    if (rv == APR_SUCCESS) {
        stek_ring_destroy(host->file);
        host->file = merged;
        *pcovered_until = stek_schedule_covered_until(merged, now);
    }
    return rv;
}

static apr_time_t bench_now(void *baton)
{
    const host_t *host = baton;

    return host->fleet->now - host->fleet->now % APR_USEC_PER_SEC;
}

static void bench_pause(void *baton, int try_n)
{
    (void)baton;
    (void)try_n;
}

static void run_host(host_t *host)
{
    sync_port_t port = {host,        1,          bench_now,  bench_read,
                        bench_write, bench_load, bench_save, bench_pause};
    sync_result_t result;
    sync_view_t view;

    if (sync_cycle(&port, &host->fleet->rules, stek_rng_system, &view, &result) != APR_SUCCESS) {
        die("a cycle failed");
    }
    host->fleet->cycles++;
}

/* ---- measuring ---- */

static double wall_s(void)
{
    return (double)monotonic_ms() / 1000;
}

static double cpu_s(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec
           + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t stat_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Sends a line to the store and takes its answer, up to a line that ends it. */
static void ask(const fleet_t *fleet, const char *line, const char *end, char *text, size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((in_port_t)fleet->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t len = 0;
    ssize_t n;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    text[0] = '\0';
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0
        || write(fd, line, strlen(line)) != (ssize_t)strlen(line)) {
        die("no memcached there");
    }
    while (!strstr(text, end) && len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0) {
        len += (size_t)n;
        text[len] = '\0';
    }
    close(fd);
}

static void measure(const fleet_t *fleet, load_t *load)
{
    char text[16384];

    ask(fleet, "stats\r\n", "\r\nEND", text, sizeof(text));
    load->requests = stat_of(text, "STAT cmd_get ") + stat_of(text, "STAT cmd_set ");
    load->bytes = stat_of(text, "STAT bytes_read ") + stat_of(text, "STAT bytes_written ");
    load->cpu_s = cpu_s();
    load->wall_s = wall_s();
}

static void since(const load_t *before, load_t *load)
{
    load->requests -= before->requests;
    load->bytes -= before->bytes;
    load->cpu_s -= before->cpu_s;
    load->wall_s -= before->wall_s;
}

/* ---- the run ---- */

static apr_time_t jittered(void)
{
    unsigned char random[2] = {0};

    (void)stek_rng_system(random, sizeof(random));
    return EVERY - EVERY / 5 * (random[0] * 256 + random[1]) / 65535;
}

/* A fleet that has run for a lifetime: all hosts and the store hold the keys of it. */
static void prefill(fleet_t *fleet)
{
    const stek_params_t *params = &fleet->rules.params;
    apr_time_t start = fleet->now - fleet->now % params->interval, at;
    apr_size_t room = (apr_size_t)(params->lifetime / params->interval) + 3;
    stek_key_t key;
    int i;

    for (i = 0; i < fleet->host_n; i++) {
        if (stek_ring_create(room, 0, &fleet->hosts[i].file) != APR_SUCCESS) {
            die("out of memory");
        }
        fleet->hosts[i].file->interval = params->interval;
        fleet->hosts[i].file->lifetime = params->lifetime;
    }
    for (at = start - params->lifetime; at <= start + params->interval; at += params->interval) {
        if (stek_key_make(at, at + params->interval, params->lifetime, 0, at, stek_rng_system, &key)
            != APR_SUCCESS) {
            die("key");
        }
        for (i = 0; i < fleet->host_n; i++) {
            if (stek_ring_add_key(fleet->hosts[i].file, &key) != APR_SUCCESS) {
                die("too many keys");
            }
        }
    }
}

static void open_fleet(fleet_t *fleet)
{
    char why[STORE_WHY_LEN] = "out of memory";
    int i;

    fleet->hosts = calloc((size_t)fleet->host_n, sizeof(*fleet->hosts));
    if (!fleet->hosts || stek_secrets_make(0, stek_rng_system, &fleet->secrets) != APR_SUCCESS) {
        die("out of memory");
    }
    prefill(fleet);
    for (i = 0; i < fleet->host_n; i++) {
        host_t *host = &fleet->hosts[i];

        host->fleet = fleet;
        host->target.host = (char *)"127.0.0.1";
        host->target.port = fleet->port;
        host->target.object = (char *)"stek:bench";
        host->target.timeout_ms = 5000;
        host->conn = store_memcached.open(&host->target);
        if (!host->conn || store_memcached.connect(host->conn, why) != STORE_DONE) {
            die(why);
        }
        run_host(host);
    }
}

static host_t *next_host(fleet_t *fleet)
{
    host_t *first = fleet->hosts;
    int i;

    for (i = 1; i < fleet->host_n; i++) {
        if (fleet->hosts[i].next < first->next) {
            first = &fleet->hosts[i];
        }
    }
    return first;
}

static int compare(const void *a, const void *b)
{
    const apr_time_t *ta = a, *tb = b;

    return *ta < *tb ? -1 : *ta > *tb;
}

/* Watches the fleet around a rotation; spans[host_n]: how long after the key was made each host
 * had it. */
static void rotation(fleet_t *fleet, apr_time_t boundary, apr_time_t *spans)
{
    apr_time_t slot = boundary + fleet->rules.params.interval, made_at = 0;
    int i;

    fleet->now = boundary - BEFORE;
    for (i = 0; i < fleet->host_n; i++) {
        fleet->hosts[i].next = fleet->now + EVERY * i / fleet->host_n;
        fleet->hosts[i].agreed_at = 0;
    }
    while (fleet->now < boundary + AFTER) {
        host_t *host = next_host(fleet);

        fleet->now = host->next;
        run_host(host);
        host->next += jittered();
        if (!host->agreed_at && stek_ring_current(host->file, slot)) {
            host->agreed_at = fleet->now;
            made_at = made_at ? made_at : fleet->now;
        }
    }
    for (i = 0; i < fleet->host_n; i++) {
        if (!fleet->hosts[i].agreed_at
            || !stek_ring_equal(fleet->hosts[i].file, fleet->hosts[0].file)) {
            die("hosts do not agree");
        }
        spans[i] = fleet->hosts[i].agreed_at - made_at;
    }
    qsort(spans, (size_t)fleet->host_n, sizeof(*spans), compare);
}

/* The store is empty, and all hosts look at once: each has read before the first writes. */
static void stampede(fleet_t *fleet, load_t *load)
{
    char text[64];
    load_t before;
    int i;

    ask(fleet, "delete stek:bench\r\n", "\r\n", text, sizeof(text));
    for (i = 0; i < fleet->host_n; i++) {
        fleet->hosts[i].stampede = 1;
    }
    measure(fleet, &before);
    run_host(fleet->hosts);
    measure(fleet, load);
    since(&before, load);
}

int main(int argc, char **argv)
{
    fleet_t fleet = {.rules = {{SEC(3600), SEC(18 * 3600), 1}, 1}, .now = SEC(1767225600 + 1)};
    int rotation_n = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 3, i;
    load_t before, steady, rush;
    apr_time_t *spans, median = 0, max = 0, boundary;
    double virtual_s;

    if (argc < 3 || apr_initialize() != APR_SUCCESS) {
        die("usage: fleet_bench PORT HOSTS [INTERVAL_S LIFETIME_S ROTATIONS]");
    }
    fleet.port = (int)strtol(argv[1], NULL, 10);
    fleet.host_n = (int)strtol(argv[2], NULL, 10);
    if (argc > 4) {
        fleet.rules.params.interval = SEC(strtol(argv[3], NULL, 10));
        fleet.rules.params.lifetime = SEC(strtol(argv[4], NULL, 10));
    }
    spans = calloc((size_t)fleet.host_n, sizeof(*spans));
    if (!spans) {
        die("out of memory");
    }
    open_fleet(&fleet);
    fleet.cycles = fleet.writes = fleet.changed = 0;
    boundary = fleet.now - fleet.now % fleet.rules.params.interval;
    measure(&fleet, &before);
    for (i = 0; i < rotation_n; i++) {
        boundary += fleet.rules.params.interval;
        rotation(&fleet, boundary, spans);
        median = spans[fleet.host_n / 2] > median ? spans[fleet.host_n / 2] : median;
        max = spans[fleet.host_n - 1] > max ? spans[fleet.host_n - 1] : max;
    }
    measure(&fleet, &steady);
    since(&before, &steady);
    virtual_s = (double)rotation_n * (double)apr_time_sec(BEFORE + AFTER);
    printf("{\"hosts\": %d, \"keys\": %d, \"object_bytes\": %" PRIu64 ", \"rotations\": %d, "
           "\"cycles\": %" PRIu64 ", \"writes\": %" PRIu64 ", \"lost_writes\": %" PRIu64
           ", \"failed\": %" PRIu64 ",\n \"requests_per_s\": %.1f, \"kbytes_per_s\": %.1f, "
           "\"agree_median_s\": %.1f, \"agree_max_s\": %.1f, \"cpu_us_per_cycle\": %.0f, "
           "\"cpu_percent_per_host\": %.4f, \"compressed\": %.0f,\n",
           fleet.host_n, (int)fleet.hosts[0].file->key_n, fleet.bytes, rotation_n, fleet.cycles,
           fleet.writes, fleet.changed, fleet.failed, (double)steady.requests / virtual_s,
           (double)steady.bytes / virtual_s / 1000, (double)median / 1e6, (double)max / 1e6,
           steady.cpu_s / (double)fleet.cycles * 1e6,
           steady.cpu_s / (double)fleet.cycles / (double)apr_time_sec(EVERY) * 100,
           virtual_s / steady.wall_s);
    fleet.cycles = fleet.writes = fleet.changed = 0;
    stampede(&fleet, &rush);
    printf(" \"stampede\": {\"requests\": %" PRIu64 ", \"mbytes\": %.1f, \"writes\": %" PRIu64
           ", \"lost_writes\": %" PRIu64 ", \"wall_s\": %.2f}}\n",
           rush.requests, (double)rush.bytes / 1e6, fleet.writes, fleet.changed, rush.wall_s);
    return 0;
}
