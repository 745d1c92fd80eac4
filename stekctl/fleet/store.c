/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores, as sync uses them, and the start and end of their workers (store.h).
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monotonic.h"
#include "stek_mem.h"
#include "stek_seal.h"
#include "store_driver.h"
#include "store_url.h"
#include "store_wire.h"

/* If a call cannot be sent within this time, the worker is stuck. */
#define SEND_LIMIT_MS 2000

struct store_t {
    const store_driver_t *driver;
    store_target_t target;
    pid_t pid;         /* of the worker; 0: none */
    int fd;            /* to it */
    unsigned char *in; /* the object that was read; room for the largest ring */
    char why[STORE_WHY_LEN];
};

/* In the forked child: becomes the worker.  Uses only calls that are safe between fork and exec. */
static void become_worker(int fd)
{
    static char *const words[] = {(char *)"stekctl", (char *)"sync", (char *)"--worker", NULL};
    const struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    /* The libraries print messages on failure, and may crash: discard both output and core. */
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0
        || setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        _exit(1);
    }
    /* dup2 of WIRE_FD to itself would leave FD_CLOEXEC set. */
    if (fd == WIRE_FD ? fcntl(fd, F_SETFD, 0) != 0 : dup2(fd, WIRE_FD) < 0) {
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

/* Sends the target in the form that unpack_target reads; in locked memory because of the password.
 * */
static int send_target(store_t *store)
{
    const store_target_t *target = &store->target;
    char *text = stek_mem_alloc(WIRE_TARGET_MAX);
    wire_call_t call = {.op = WIRE_OPEN};
    int len, sent = 0;

    if (!text) {
        return 0;
    }
    len = snprintf(text, WIRE_TARGET_MAX, "%s%c%s%c%d%c%s%c%s%c%d%c%s%c%d", store->driver->scheme,
                   0, target->host, 0, target->port, 0, target->user ? target->user : "", 0,
                   target->password ? target->password : "", 0, target->db, 0, target->object, 0,
                   target->timeout_ms);
    if (len > 0 && len < WIRE_TARGET_MAX) {
        apr_int64_t limit = monotonic_ms() + SEND_LIMIT_MS;

        call.len = (apr_uint32_t)len + 1;
        sent = wire_transfer(store->fd, 1, &call, sizeof(call), limit)
               && wire_transfer(store->fd, 1, text, call.len, limit);
    }
    stek_mem_free(text);
    return sent;
}

/* Starts the worker unless it runs.  Nonzero: it runs. */
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
    apr_int64_t limit = monotonic_ms() + SEND_LIMIT_MS;
    wire_call_t call = {.op = op, .len = (apr_uint32_t)len};

    if (need_worker(store)
        && !(wire_transfer(store->fd, 1, &call, sizeof(call), limit)
             && wire_transfer(store->fd, 1, (void *)(apr_uintptr_t)bytes, len, limit))) {
        end_worker(store);
    }
}

void store_begin_read(store_t *store)
{
    begin(store, WIRE_READ, NULL, 0);
}

void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len)
{
    /* A new worker has read nothing, so it could not compare before it swaps. */
    if (store->pid > 0) {
        begin(store, WIRE_WRITE, bytes, len);
    }
}

/* Copies the reason, made safe to print, because the store or a broken worker may have written it.
 * */
static void take_why(store_t *store, wire_answer_t *answer)
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
    wire_answer_t answer;

    if (store->pid <= 0) {
        return give_up(store, "its worker process did not start, or has ended");
    }
    if (!wire_transfer(store->fd, 0, &answer, sizeof(answer), deadline_ms)) {
        return give_up(store, monotonic_ms() >= deadline_ms
                                  ? "no answer in time"
                                  : "unintelligible answer: the client library failed");
    }
    if (answer.result > STORE_SILENT
        || (answer.len > STEK_RING_BYTES_MAX && answer.len != WIRE_TOO_LONG)
        || (answer.len != WIRE_TOO_LONG
            && !wire_transfer(store->fd, 0, store->in, answer.len, deadline_ms))) {
        return give_up(store, "unintelligible answer");
    }
    take_why(store, &answer);
    if (pbytes) {
        *pbytes = answer.len == WIRE_TOO_LONG ? NULL : store->in;
        *plen = answer.len;
    }
    return (store_result_e)answer.result;
}

const char *store_why(const store_t *store)
{
    return store->why;
}

/* What stands in front of an object's name in some kinds of stores ends with a slash; names have none. */
static char *beside(const char *object, const char *name)
{
    const char *slash = strrchr(object, '/');
    apr_size_t len = slash ? (apr_size_t)(slash + 1 - object) : 0;
    char *whole = malloc(len + strlen(name) + 1);

    if (whole) {
        memcpy(whole, object, len);
        memcpy(whole + len, name, strlen(name) + 1);
    }
    return whole;
}

int store_select(store_t *store, const char *object)
{
    apr_int64_t limit = monotonic_ms() + SEND_LIMIT_MS;
    char *whole = beside(store->target.object, object);
    wire_call_t call = {.op = WIRE_SELECT};

    if (!whole) {
        return 0;
    }
    free(store->target.object);
    store->target.object = whole;
    call.len = (apr_uint32_t)strlen(whole) + 1;
    if (store->pid > 0
        && !(wire_transfer(store->fd, 1, &call, sizeof(call), limit)
             && wire_transfer(store->fd, 1, whole, call.len, limit))) {
        end_worker(store);
    }
    return 1;
}

void store_rest(store_t *store)
{
    end_worker(store);
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
    store_target_t target = {0};
    const char *wrong;
    int ok;

    if (!store) {
        return "out of memory";
    }
    wrong = store_url_parse(url, &store->driver, &target, pool);
    if (!wrong) {
        store->target.port = target.port;
        store->target.db = target.db;
        store->target.timeout_ms = timeout_ms;
        store->in = malloc(STEK_RING_BYTES_MAX);
        ok = copy_text(&store->target.host, target.host)
             && copy_text(&store->target.user, target.user)
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
