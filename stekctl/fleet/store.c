/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and their workers (store.h).  Calls and answers go through a socket pair:
 *
 *     call:    op u8 | length u32 | bytes       'o' the target, 'r' nothing, 'w' what to write
 *     answer:  result u8 | why, STORE_WHY_LEN bytes | length u32 | bytes
 *
 * in the machine's byte order.  What the worker answers is as little trusted as the store.
 * stekctl; one thread, and the worker's process.
 */
#include "store.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stek_mem.h"
#include "stek_seal.h"

#define OP_OPEN 'o'
#define OP_READ 'r'
#define OP_WRITE 'w'
#define TOO_LONG 0xffffffffu /* length of an answer that is not sent */
#define TARGET_MAX 4096

/* A call goes out at once, or the worker is no good. */
#define SEND_LIMIT_MS 2000

typedef struct call_t {
    unsigned char op;
    apr_uint32_t len;
} call_t;

typedef struct answer_t {
    unsigned char result;
    char why[STORE_WHY_LEN];
    apr_uint32_t len;
} answer_t;

struct store_t {
    const store_driver_t *driver;
    store_target_t target;
    pid_t pid;         /* of the worker; 0: none */
    int fd;            /* to it */
    unsigned char *in; /* what was read, up to a ring's greatest length */
    char why[STORE_WHY_LEN];
};

apr_int64_t store_clock_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (apr_int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A decimal number of the whole text up to max, else -1. */
static int number_of(const char *text, int max)
{
    char *end;
    long n;

    if (*text < '0' || *text > '9') {
        return -1;
    }
    n = strtol(text, &end, 10);
    return *end == '\0' && n <= max ? (int)n : -1;
}

/* Takes rest, which is the pool's, apart: [user@]host[:port][/db]. */
static const char *parse_rest(char *rest, const store_driver_t *driver, store_target_t *target,
                              char **phost, char **puser)
{
    char *at, *slash, *port = NULL;

    *puser = NULL;
    slash = strchr(rest, '/');
    if (slash) {
        *slash++ = '\0';
        target->db = *slash ? number_of(slash, 65535) : 0;
        if (target->db < 0 || (!driver->has_db && *slash)) {
            return driver->has_db ? "the database must be a number" : "memcached has no path";
        }
    }
    at = strrchr(rest, '@');
    if (at) {
        *at = '\0';
        *puser = rest;
        rest = at + 1;
        if (!driver->has_db || strchr(*puser, ':')) {
            return driver->has_db ? "no password here: it belongs in the file that --password names"
                                  : "memcached takes no user";
        }
    }
    if (*rest == '[' && strchr(rest, ']')) {
        rest++;
        port = strchr(rest, ']');
        *port++ = '\0';
        port = *port == ':' ? port + 1 : NULL;
    }
    else if (strchr(rest, ':')) {
        port = strchr(rest, ':');
        *port++ = '\0';
    }
    *phost = rest;
    target->port = port ? number_of(port, 65535) : driver->port;
    if (!*rest || target->port <= 0) {
        return "must be memcached://HOST[:PORT] or redis://[USER@]HOST[:PORT][/DB]";
    }
    return NULL;
}

static const char *find_driver(const char *url, const store_driver_t **pdriver, const char **prest)
{
    *prest = strstr(url, "://");
    *pdriver = NULL;
    if (*prest && !strncmp(url, "memcached", (apr_size_t)(*prest - url))) {
#ifdef STEK_WITH_MEMCACHED
        *pdriver = &store_memcached;
#else
        return "this stekctl was built without memcached; build it where libmemcached-dev is "
               "installed";
#endif
    }
    else if (*prest && !strncmp(url, "redis", (apr_size_t)(*prest - url))) {
#ifdef STEK_WITH_HIREDIS
        *pdriver = &store_redis;
#else
        return "this stekctl was built without Redis; build it where libhiredis-dev is installed";
#endif
    }
    if (!*pdriver) {
        return "must be memcached://HOST[:PORT] or redis://[USER@]HOST[:PORT][/DB]";
    }
    *prest += 3;
    return NULL;
}

/* ---- both ends of the socket ---- */

/* Moves len bytes, in or out, until the deadline; 0 if the other end is gone or too late. */
static int transfer(int fd, int out, void *data, apr_size_t len, apr_int64_t deadline_ms)
{
    struct pollfd pfd = {.fd = fd, .events = out ? POLLOUT : POLLIN};
    char *bytes = data;

    while (len > 0) {
        apr_int64_t left = deadline_ms - store_clock_ms();
        ssize_t n;

        n = out ? send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT)
                : recv(fd, bytes, len, MSG_DONTWAIT);
        if (n > 0) {
            bytes += n;
            len -= (apr_size_t)n;
        }
        else if (n == 0 || left <= 0
                 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            return 0;
        }
        else {
            (void)poll(&pfd, 1, left < 60000 ? (int)left : 60000);
        }
    }
    return 1;
}

/* ---- the worker ---- */

/* Blocks: the worker has nothing else to do. */
static int receive(void *data, apr_size_t len)
{
    char *bytes = data;

    while (len > 0) {
        ssize_t n = read(STORE_WORKER_FD, bytes, len);

        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            return 0;
        }
        if (n > 0) {
            bytes += n;
            len -= (apr_size_t)n;
        }
    }
    return 1;
}

/* The target from "SCHEME HOST PORT USER PASSWORD DB OBJECT TIMEOUT", each ended by NUL. */
static const store_driver_t *unpack_target(char *text, apr_size_t len, store_target_t *target)
{
    char *fields[8], *at = text;
    int i;

    for (i = 0; i < 8; i++) {
        char *end = memchr(at, '\0', len - (apr_size_t)(at - text));

        if (!end) {
            return NULL;
        }
        fields[i] = at;
        at = end + 1;
    }
    target->host = fields[1];
    target->port = number_of(fields[2], 65535);
    target->user = *fields[3] ? fields[3] : NULL;
    target->password = *fields[4] ? fields[4] : NULL;
    target->db = number_of(fields[5], 65535);
    target->object = fields[6];
    target->timeout_ms = number_of(fields[7], 1000000);
#ifdef STEK_WITH_MEMCACHED
    if (!strcmp(fields[0], store_memcached.scheme)) {
        return &store_memcached;
    }
#endif
#ifdef STEK_WITH_HIREDIS
    if (!strcmp(fields[0], store_redis.scheme)) {
        return &store_redis;
    }
#endif
    return NULL;
}

static int work(const store_driver_t *driver, void *conn, unsigned char *in)
{
    const unsigned char *bytes = NULL;
    answer_t answer = {0};
    apr_size_t len = 0;
    call_t call;

    if (!receive(&call, sizeof(call)) || call.len > STEK_RING_BYTES_MAX || !receive(in, call.len)) {
        return 0;
    }
    answer.result = (unsigned char)(call.op == OP_READ
                                        ? driver->read(conn, &bytes, &len, answer.why)
                                        : driver->write(conn, in, call.len, answer.why));
    answer.len = !bytes && len > 0 ? TOO_LONG : (apr_uint32_t)len;
    return transfer(STORE_WORKER_FD, 1, &answer, sizeof(answer), INT64_MAX)
           && transfer(STORE_WORKER_FD, 1, (void *)(apr_uintptr_t)bytes, bytes ? len : 0,
                       INT64_MAX);
}

int store_worker(void)
{
    unsigned char *in = malloc(STEK_RING_BYTES_MAX);
    const store_driver_t *driver = NULL;
    store_target_t target = {0};
    char text[TARGET_MAX];
    void *conn = NULL;
    call_t call;

    if (in && receive(&call, sizeof(call)) && call.op == OP_OPEN && call.len <= sizeof(text)
        && receive(text, call.len)) {
        driver = unpack_target(text, call.len, &target);
    }
    if (driver) {
        conn = driver->open(&target);
    }
    while (conn && work(driver, conn, in)) {
    }
    if (conn) {
        driver->close(conn);
    }
    free(in);
    return driver ? 0 : 1;
}

/* ---- the other side ---- */

/* The child of the fork: becomes the worker.  Only what is safe between fork and exec. */
static void become_worker(int fd)
{
    static char *const words[] = {(char *)"stekctl", (char *)"sync", (char *)"--worker", NULL};
    const struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    /* Where its libraries fail they may say so to nobody, and leave no core. */
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0
        || setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        _exit(1);
    }
    /* dup2 onto itself would keep the flag that closes it. */
    if (fd == STORE_WORKER_FD ? fcntl(fd, F_SETFD, 0) != 0 : dup2(fd, STORE_WORKER_FD) < 0) {
        _exit(1);
    }
    execv("/proc/self/exe", words);
    _exit(1);
}

static void end_worker(store_t *store)
{
    if (store->pid > 0) {
        (void)kill(store->pid, SIGKILL);
        while (waitpid(store->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        close(store->fd);
    }
    store->pid = 0;
}

/* The target as unpack_target takes it, in locked memory for the password's sake. */
static int send_target(store_t *store)
{
    const store_target_t *target = &store->target;
    char *text = stek_mem_alloc(TARGET_MAX);
    call_t call = {.op = OP_OPEN};
    int len, sent = 0;

    if (!text) {
        return 0;
    }
    len = snprintf(text, TARGET_MAX, "%s%c%s%c%d%c%s%c%s%c%d%c%s%c%d", store->driver->scheme, 0,
                   target->host, 0, target->port, 0, target->user ? target->user : "", 0,
                   target->password ? target->password : "", 0, target->db, 0, target->object, 0,
                   target->timeout_ms);
    if (len > 0 && len < TARGET_MAX) {
        apr_int64_t limit = store_clock_ms() + SEND_LIMIT_MS;

        call.len = (apr_uint32_t)len + 1;
        sent = transfer(store->fd, 1, &call, sizeof(call), limit)
               && transfer(store->fd, 1, text, call.len, limit);
    }
    stek_mem_free(text);
    return sent;
}

/* A worker that runs. */
static int need_worker(store_t *store)
{
    int fds[2];

    if (store->pid > 0) {
        return 1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return 0;
    }
    store->pid = fork();
    if (store->pid == 0) {
        become_worker(fds[1]);
    }
    close(fds[1]);
    if (store->pid < 0) {
        close(fds[0]);
        store->pid = 0;
        return 0;
    }
    store->fd = fds[0];
    if (!send_target(store)) {
        end_worker(store);
        return 0;
    }
    return 1;
}

static void begin(store_t *store, unsigned char op, const unsigned char *bytes, apr_size_t len)
{
    apr_int64_t limit = store_clock_ms() + SEND_LIMIT_MS;
    call_t call = {.op = op, .len = (apr_uint32_t)len};

    if (need_worker(store)
        && !(transfer(store->fd, 1, &call, sizeof(call), limit)
             && transfer(store->fd, 1, (void *)(apr_uintptr_t)bytes, len, limit))) {
        end_worker(store);
    }
}

void store_begin_read(store_t *store)
{
    begin(store, OP_READ, NULL, 0);
}

void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len)
{
    /* What a new worker would write was not read by it: there is nothing to compare with. */
    if (store->pid > 0) {
        begin(store, OP_WRITE, bytes, len);
    }
}

/* The reason as one may show it: whoever made it up. */
static void take_why(store_t *store, answer_t *answer)
{
    char *at;

    answer->why[STORE_WHY_LEN - 1] = '\0';
    for (at = answer->why; *at; at++) {
        *at = *at < 0x20 || *at > 0x7e ? '?' : *at;
    }
    memcpy(store->why, answer->why, STORE_WHY_LEN);
}

static store_result_e give_up(store_t *store, const char *why)
{
    end_worker(store);
    snprintf(store->why, sizeof(store->why), "%s", why);
    return STORE_SILENT;
}

store_result_e store_finish(store_t *store, apr_int64_t deadline_ms, const unsigned char **pbytes,
                            apr_size_t *plen)
{
    answer_t answer;

    if (store->pid <= 0) {
        return give_up(store, "the process that talks to it could not be started, or has ended");
    }
    if (!transfer(store->fd, 0, &answer, sizeof(answer), deadline_ms)) {
        return give_up(store, store_clock_ms() >= deadline_ms
                                  ? "no answer in time"
                                  : "an answer that makes no sense: its client library failed");
    }
    if (answer.result > STORE_SILENT || (answer.len > STEK_RING_BYTES_MAX && answer.len != TOO_LONG)
        || (answer.len != TOO_LONG
            && !transfer(store->fd, 0, store->in, answer.len, deadline_ms))) {
        return give_up(store, "an answer that makes no sense");
    }
    take_why(store, &answer);
    if (pbytes) {
        *pbytes = answer.len == TOO_LONG ? NULL : store->in;
        *plen = answer.len;
    }
    return (store_result_e)answer.result;
}

const char *store_why(const store_t *store)
{
    return store->why;
}

void store_close(store_t *store)
{
    if (store) {
        end_worker(store);
        free(store->in);
        free(store->target.host);
        free(store->target.user);
        free(store->target.object);
        stek_mem_free(store->target.password);
        free(store);
    }
}

static int copy_text(char **pcopy, const char *text)
{
    *pcopy = text ? strdup(text) : NULL;
    return !text || *pcopy;
}

const char *store_open(const char *url, const char *object, const char *password, int timeout_ms,
                       apr_pool_t *pool, store_t **pstore)
{
    store_t *store = calloc(1, sizeof(*store));
    char *host = NULL, *user = NULL;
    const char *rest, *wrong;
    int ok;

    if (!store) {
        return "out of memory";
    }
    wrong = find_driver(url, &store->driver, &rest);
    if (!wrong) {
        wrong = parse_rest(apr_pstrdup(pool, rest), store->driver, &store->target, &host, &user);
    }
    if (!wrong) {
        store->target.timeout_ms = timeout_ms;
        store->in = malloc(STEK_RING_BYTES_MAX);
        ok = copy_text(&store->target.host, host) && copy_text(&store->target.user, user)
             && copy_text(&store->target.object, object) && store->in;
        if (ok && password) {
            store->target.password = stek_mem_alloc(strlen(password) + 1);
            ok = store->target.password != NULL;
        }
        if (ok && password) {
            memcpy(store->target.password, password, strlen(password) + 1);
        }
        wrong = ok ? NULL : "out of memory";
    }
    if (wrong) {
        store_close(store);
        return wrong;
    }
    *pstore = store;
    return NULL;
}
