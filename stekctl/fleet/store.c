/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores, as sync uses them, and the start and end of their workers (store.h).
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
#include <unistd.h>

#include "monotonic.h"
#include "options.h"
#include "stek_mem.h"
#include "stek_seal.h"
#include "store_driver.h"
#include "store_url.h"
#include "store_wire.h"
#include "store_words.h"

/* If a call cannot be sent within this time, the worker is stuck. */
#define SEND_LIMIT_MS 2000

#define URGENT_MS 100

/* How often one read is sent on to another server. */
#define HOPS_MAX 5
#define AT_MAX 320

/* How long a worker keeps its connection.  The next looks the name up again, so that all hosts find the
 * server that the name stands for now, even while the old one still answers. */
#define WORKER_READS_MAX 12
#define WORKER_AGE_MAX_MS (5 * 60 * 1000)

/* A store that was restored may give an old mark to a new object: after that time, it is read as a whole. */
#define OBJECT_AGE_MAX_MS (60 * 60 * 1000)

/* What a worker has begun to say, it says at once. */
#define WAIT_LIMIT_MS 200

struct store_t {
    const store_driver_t *driver;
    store_target_t target;
    pid_t pid;           /* of the worker; 0: none */
    int fd;              /* to it */
    int connected;       /* it has said that it is, and what it lacks */
    int watching;        /* it only waits for changes */
    int reads_n;         /* since it was started */
    apr_int64_t born_ms; /* when it was started */
    int reading;         /* the call that was begun is a read */
    int hops_n;          /* of this read */
    char at[AT_MAX];     /* "host:port" to which its worker was sent on; "": it is at the URL's */
    int asking;          /* of that: the object is just moving to it */
    unsigned char moved[AT_MAX]; /* where the worker says that the object is */
    unsigned char *in; /* the object that was read or written; room for the largest ring */
    apr_size_t in_len;
    int has_object;            /* in has the object of that mark */
    char mark[STORE_MARK_LEN]; /* empty: not known */
    apr_int64_t whole_ms;      /* when that object was last sent as a whole */
    int kept;                  /* the next finish gives it */
    int sent_on_n;             /* writes in a row that another server should take */
    int rewritten;             /* the call that was begun is a write that was begun again */
    char why[STORE_WHY_LEN];
    char unconfined[STORE_WHY_LEN];   /* "" or what its worker lacks */
    int (*urgent)(const void *baton); /* NULL: nothing is */
    const void *urgent_baton;
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
    store->at[0] = '\0';
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* Packs the target in the form that unpack_target reads.  Returns its length without the last NUL. */
static int pack_target(const store_t *store, char *text)
{
    const store_target_t *target = &store->target;
    const store_driver_t *driver = *store->at ? store->driver->next : store->driver;

    return snprintf(
        text, WIRE_TARGET_MAX, "%s%c%s%c%d%c%s%c%s%c%d%c%s%c%d%c%s%c%s%c%s%c%s%c%s%c%d%c%d%c%s%c%d",
        driver->scheme, 0, *store->at ? store->at : target->host, 0, target->port, 0,
        or_empty(target->user), 0, or_empty(target->password), 0, target->db, 0, target->object, 0,
        target->timeout_ms, 0, or_empty(target->ca), 0, or_empty(target->cert), 0,
        or_empty(target->key), 0, or_empty(target->master), 0, driver->next ? target->host : "", 0,
        *store->at ? store->asking : 0, 0, target->period_ms, 0,
        *store->at ? "" : or_empty(target->address), 0, *store->at ? 0 : target->listed);
}

/* Sends the target, in locked memory because of the password. */
static int send_target(store_t *store)
{
    char *text = stek_mem_alloc(WIRE_TARGET_MAX);
    wire_call_t call = {.op = store->watching ? WIRE_OPEN_WATCH : WIRE_OPEN};
    int len, sent = 0;

    if (!text) {
        return 0;
    }
    len = pack_target(store, text);
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
    store->connected = 0;
    store->reads_n = 0;
    store->born_ms = monotonic_ms();
    if (!send_target(store)) {
        end_worker(store);
        return 0;
    }
    return 1;
}

static int is_fresh(const store_t *store)
{
    return monotonic_ms() - store->whole_ms < OBJECT_AGE_MAX_MS;
}

/* What is known of the object no longer counts. */
static void forget(store_t *store)
{
    store->has_object = 0;
    store->mark[0] = '\0';
}

static void begin(store_t *store, unsigned char op, const unsigned char *bytes, apr_size_t len)
{
    apr_int64_t limit = monotonic_ms() + SEND_LIMIT_MS;
    wire_call_t call = {.op = op, .len = (apr_uint32_t)len};

    if (op == WIRE_WRITE || (store->has_object && is_fresh(store))) {
        memcpy(call.mark, store->mark, sizeof(call.mark));
    }
    if (need_worker(store)
        && !(wire_transfer(store->fd, 1, &call, sizeof(call), limit)
             && wire_transfer(store->fd, 1, (void *)(apr_uintptr_t)bytes, len, limit))) {
        end_worker(store);
    }
}

static void begin_read(store_t *store)
{
    if (store->pid > 0
        && (store->reads_n >= WORKER_READS_MAX
            || monotonic_ms() - store->born_ms > WORKER_AGE_MAX_MS)) {
        end_worker(store);
    }
    begin(store, WIRE_READ, NULL, 0);
    store->reading = 1;
    store->kept = 0;
    store->reads_n++;
}

void store_begin_read(store_t *store)
{
    store->hops_n = 0;
    begin_read(store);
}

void store_begin_write(store_t *store, const unsigned char *bytes, apr_size_t len)
{
    store->reading = store->kept = store->rewritten = 0;
    /* A new worker has read nothing, so without a mark it could not compare before it swaps. */
    if (store->pid > 0 || *store->mark) {
        begin(store, WIRE_WRITE, bytes, len);
    }
    store->has_object = 0;
    memcpy(store->in, bytes, len);
    store->in_len = len;
}

int store_keep(store_t *store)
{
    store->kept = store->has_object && is_fresh(store);
    return store->kept;
}

const char *store_mark(const store_t *store)
{
    return store->mark;
}

/* Sets the reason, with the server that the worker was sent on to. */
static void set_why(store_t *store, const char *why)
{
    char at[AT_MAX];

    if (*store->at) {
        snprintf(at, sizeof(at), "%s", store->at); /* as a server has said */
        store_words_hide(at, store->target.password);
        snprintf(store->why, sizeof(store->why), "%.90s: %.160s", at, why);
    }
    else {
        snprintf(store->why, sizeof(store->why), "%s", why);
    }
}

/* Copies the reason, made safe to print, because the store or a broken worker may have written it.
 * A failure without a reason gets one. */
static void take_why(store_t *store, wire_answer_t *answer)
{
    char *at;

    answer->why[STORE_WHY_LEN - 1] = '\0';
    if (!answer->why[0] && answer->result >= STORE_REFUSED) {
        snprintf(answer->why, STORE_WHY_LEN, "its worker process gave no reason");
    }
    store_words_finish(answer->why, store->target.password);
    for (at = answer->why; *at; at++) {
        *at = *at < 0x20 || *at > 0x7e ? '?' : *at;
    }
    if (answer->result >= STORE_REFUSED) {
        set_why(store, answer->why);
    }
    else {
        memcpy(store->why, answer->why, STORE_WHY_LEN);
    }
}

static store_result_e give_up(store_t *store, const char *why)
{
    set_why(store, why);
    end_worker(store);
    forget(store);
    return STORE_SILENT;
}

/* No answer from the worker: it is late, or has ended. */
static store_result_e gone(store_t *store, apr_int64_t deadline_ms)
{
    int late = monotonic_ms() >= deadline_ms;

    if (!store->connected) {
        return give_up(store, late ? "no connection in time: looking up its name takes too long"
                                   : "its worker process failed before it was connected");
    }
    return give_up(store, late ? "connected, but no answer in time"
                               : "its worker process failed while reading the store's answer");
}

/* Keeps in mind what the store has now, if the worker could tell. */
static store_result_e note_object(store_t *store, wire_answer_t *answer,
                                  const unsigned char **pbytes, apr_size_t *plen)
{
    store_result_e result = (store_result_e)answer->result;

    answer->mark[STORE_MARK_LEN - 1] = '\0';
    if (result == STORE_MOVED) {
        *pbytes = store->moved;
        *plen = answer->len;
        return result;
    }
    if (result == STORE_SAME) {
        if (!store->has_object || !store->reading) {
            return give_up(store, "unintelligible answer from its worker process");
        }
        *pbytes = store->in;
        *plen = store->in_len;
        return STORE_DONE;
    }
    if (store->reading) {
        store->in_len = answer->len;
    }
    store->whole_ms = monotonic_ms();
    memcpy(store->mark, answer->mark, sizeof(store->mark));
    store->has_object = result == STORE_DONE && *store->mark && answer->len != WIRE_TOO_LONG;
    *pbytes = answer->len == WIRE_TOO_LONG ? NULL : store->in;
    *plen = answer->len;
    return result;
}

/* Waits until there is something to read.  Returns the deadline, which is now if something else has become
 * urgent. */
static apr_int64_t await_answer(const store_t *store, apr_int64_t deadline_ms)
{
    struct pollfd pfd = {.fd = store->fd, .events = POLLIN};
    apr_int64_t now = monotonic_ms();

    while (store->urgent && now < deadline_ms && poll(&pfd, 1, URGENT_MS) <= 0) {
        now = monotonic_ms();
        if (store->urgent(store->urgent_baton)) {
            return now;
        }
    }
    return deadline_ms;
}

/* Receives an answer. */
static store_result_e take_answer(store_t *store, apr_int64_t deadline_ms,
                                  const unsigned char **pbytes, apr_size_t *plen)
{
    wire_answer_t answer;
    int moved;

    deadline_ms = await_answer(store, deadline_ms);
    if (!wire_transfer(store->fd, 0, &answer, sizeof(answer), deadline_ms)) {
        return gone(store, deadline_ms);
    }
    moved = answer.result == STORE_MOVED;
    if (answer.result > STORE_MOVED || (moved && answer.len > sizeof(store->moved))
        || (answer.len > STEK_RING_BYTES_MAX && answer.len != WIRE_TOO_LONG)
        || (answer.len != WIRE_TOO_LONG
            && !wire_transfer(store->fd, 0, moved ? store->moved : store->in, answer.len,
                              deadline_ms))) {
        return give_up(store, "unintelligible answer from its worker process");
    }
    take_why(store, &answer);
    if (answer.result >= STORE_REFUSED) {
        /* The next call finds a new connection, perhaps to another server. */
        end_worker(store);
    }
    return note_object(store, &answer, pbytes, plen);
}

/* Receives the answer to the opening. */
static store_result_e take_connected(store_t *store, apr_int64_t deadline_ms)
{
    wire_answer_t answer;

    if (!wire_transfer(store->fd, 0, &answer, sizeof(answer), deadline_ms)) {
        return gone(store, deadline_ms);
    }
    if (answer.len > 0 || (answer.result != STORE_DONE && answer.result != STORE_SILENT)) {
        return give_up(store, "unintelligible answer from its worker process");
    }
    take_why(store, &answer);
    if (answer.result != STORE_DONE) {
        end_worker(store);
        return STORE_SILENT;
    }
    store->connected = 1;
    memcpy(store->unconfined, store->why, sizeof(store->unconfined));
    return STORE_DONE;
}

/* Where the worker was told that the object is: "[ASK ]HOST PORT".  0 if no such server can be. */
static int take_where(store_t *store, const unsigned char *bytes, apr_size_t len)
{
    static const char good[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
    char text[AT_MAX - 8] = "", *host = text, *port;

    if (!bytes || !store->driver->next || len >= sizeof(text)) {
        return 0;
    }
    memcpy(text, bytes, len);
    store->asking = !strncmp(text, "ASK ", 4);
    host += store->asking ? 4 : 0;
    port = strchr(host, ' ');
    if (!port || port == host || strlen(text) != len || strspn(host, good) != (size_t)(port - host)
        || options_number(port + 1, 1, 65535) < 0) {
        return 0;
    }
    *port++ = '\0';
    snprintf(store->at, sizeof(store->at), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return 1;
}

/* Another server has the object: the next worker connects to that. */
static int follow(store_t *store, const unsigned char *bytes, apr_size_t len)
{
    if (!take_where(store, bytes, len)) {
        snprintf(store->why, sizeof(store->why),
                 "it sends stekctl to a server with an impossible name");
        return 0;
    }
    if (++store->hops_n > HOPS_MAX) {
        store->at[0] = '\0';
        snprintf(store->why, sizeof(store->why), "its servers send stekctl from one to the other");
        return 0;
    }
    begin_read(store);
    return 1;
}

/* Which server that is, the reason says. */
static store_result_e sent_on(store_t *store)
{
    char why[STORE_WHY_LEN];

    snprintf(why, sizeof(why),
             "it answers reads, but sends every write to another server: check the nodes of its "
             "cluster (%.110s)",
             store->why);
    return give_up(store, why);
}

store_result_e store_finish(store_t *store, apr_int64_t deadline_ms, const unsigned char **pbytes,
                            apr_size_t *plen)
{
    store_result_e result = STORE_DONE;
    const unsigned char *bytes = NULL;
    char mark[STORE_MARK_LEN];
    apr_size_t len = 0;

    if (store->kept) {
        store->kept = 0;
        *pbytes = store->in;
        *plen = store->in_len;
        return STORE_DONE;
    }
    if (store->pid <= 0) {
        return give_up(store, "its worker process did not start, or has ended");
    }
    if (!store->connected) {
        result = take_connected(store, deadline_ms);
    }
    memcpy(mark, store->mark, sizeof(mark));
    if (result == STORE_DONE) {
        result = take_answer(store, deadline_ms, &bytes, &len);
    }
    if (result == STORE_LOST && !store->reading && *mark && !store->rewritten) {
        /* The same.  If it was written nevertheless, the store says that it has changed. */
        memcpy(store->mark, mark, sizeof(mark));
        store->rewritten = 1;
        begin(store, WIRE_WRITE, store->in, store->in_len);
        return store_finish(store, deadline_ms, pbytes, plen);
    }
    if (result == STORE_LOST && store->reading && store->reads_n > 1) {
        /* The connection may be from before the store restarted: try a new one, once. */
        begin_read(store);
        return store_finish(store, deadline_ms, pbytes, plen);
    }
    if (result == STORE_MOVED && !store->reading) {
        /* Since it was read: reading it again finds it.  Unless reads are answered here. */
        return ++store->sent_on_n > 1 ? sent_on(store) : STORE_CHANGED;
    }
    store->sent_on_n = store->reading ? store->sent_on_n : 0;
    if (result == STORE_MOVED) {
        return follow(store, bytes, len) ? store_finish(store, deadline_ms, pbytes, plen)
                                         : STORE_SILENT;
    }
    if (pbytes && (result == STORE_DONE || result == STORE_ABSENT)) {
        *pbytes = bytes;
        *plen = len;
    }
    return result == STORE_LOST ? STORE_SILENT : result;
}

void store_set_urgent(store_t *store, int (*urgent)(const void *baton), const void *baton)
{
    store->urgent = urgent;
    store->urgent_baton = baton;
}

const char *store_unconfined(const store_t *store)
{
    return *store->unconfined ? store->unconfined : NULL;
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
    forget(store);
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
        free(store->target.master);
        free(store->target.address);
        free(store->target.ca);
        free(store->target.cert);
        free(store->target.key);
        stek_mem_free(store->target.password);
        free(store);
    }
}

/* ---- waiting for changes ---- */

store_can_watch_e store_can_watch(const store_t *store)
{
    const store_driver_t *driver = store->driver;
    const store_watch_t *watch = driver->watch || !driver->next ? driver->watch
                                                                : driver->next->watch;

    return !watch ? STORE_WATCH_NONE : watch->tells_all ? STORE_WATCH_ALL : STORE_WATCH_OWN;
}

int store_begin_wait(store_t *store, const store_t *beside, int period_ms)
{
    if (store->pid <= 0) {
        memcpy(store->at, beside->at, sizeof(store->at));
        store->asking = 0;
    }
    if (!store->driver->watch && !*store->at) {
        return 0;
    }
    store->watching = 1;
    store->target.period_ms = period_ms;
    forget(store);
    begin(store, WIRE_WAIT, NULL, 0);
    return 1;
}

int store_watch_fd(const store_t *store)
{
    return store->pid > 0 ? store->fd : -1;
}

store_result_e store_take_wait(store_t *store)
{
    apr_int64_t deadline_ms = monotonic_ms() + WAIT_LIMIT_MS;
    wire_answer_t answer;

    if (store->pid <= 0) {
        return give_up(store, "its worker process did not start, or has ended");
    }
    if (!store->connected) {
        store_result_e result = take_connected(store, deadline_ms);

        return result == STORE_DONE ? STORE_SAME : result;
    }
    if (!wire_transfer(store->fd, 0, &answer, sizeof(answer), deadline_ms)) {
        return give_up(store, "its worker process failed while reading the store's answer");
    }
    if (answer.len > 0 || answer.result > STORE_LOST || answer.result == STORE_ABSENT
        || answer.result == STORE_SAME) {
        return give_up(store, "unintelligible answer from its worker process");
    }
    take_why(store, &answer);
    answer.mark[STORE_MARK_LEN - 1] = '\0';
    memcpy(store->mark, answer.mark, sizeof(store->mark));
    if (answer.result >= STORE_REFUSED) {
        end_worker(store);
    }
    return (store_result_e)answer.result;
}

static int copy_text(char **pcopy, const char *text)
{
    *pcopy = text ? strdup(text) : NULL;
    return !text || *pcopy;
}

/* Copies what the worker gets to know. */
static int copy_target(store_t *store, const store_target_t *target, const char *object,
                       const store_login_t *login, apr_pool_t *pool)
{
    const char *name = target->prefix ? apr_pstrcat(pool, "/", target->prefix, "/", object, NULL)
                                      : object;

    store->target.port = target->port;
    store->target.db = target->db;
    store->in = malloc(STEK_RING_BYTES_MAX);
    if (login->password) {
        store->target.password = stek_mem_alloc(strlen(login->password) + 1);
        if (!store->target.password) {
            return 0;
        }
        memcpy(store->target.password, login->password, strlen(login->password) + 1);
    }
    return store->in && copy_text(&store->target.host, target->host)
           && copy_text(&store->target.user, target->user) && copy_text(&store->target.object, name)
           && copy_text(&store->target.master, target->master)
           && copy_text(&store->target.ca, login->ca) && copy_text(&store->target.cert, login->cert)
           && copy_text(&store->target.key, login->key);
}

int store_set_address(store_t *store, const char *address, int listed)
{
    free(store->target.address);
    store->target.listed = listed;
    return copy_text(&store->target.address, address);
}

const char *store_open(const char *url, const char *object, const store_login_t *login,
                       int timeout_ms, apr_pool_t *pool, store_t **pstore)
{
    store_t *store = calloc(1, sizeof(*store));
    store_target_t target = {0};
    const char *wrong;

    if (!store) {
        return "out of memory";
    }
    wrong = store_url_parse(url, &store->driver, &target, pool);
    if (!wrong && !copy_target(store, &target, object, login, pool)) {
        wrong = "out of memory";
    }
    store->target.timeout_ms = timeout_ms;
    if (wrong) {
        store_close(store);
        return wrong;
    }
    *pstore = store;
    return NULL;
}
