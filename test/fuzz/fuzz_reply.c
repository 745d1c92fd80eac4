/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stores answer, and HAProxy.  The first byte chooses who speaks:
 *
 *     0  a store's worker to sync             4  HAProxy's stats socket
 *     1  sync to a store's worker             5  nobody: the URL of a store
 *     2  Redis, through its client's parser   6  Sentinel, through the same
 *     3  memcached, behind its client         7  memcached with SASL
 *        library's parser
 *
 * Sockets and client libraries' connections are played here; a call beyond the end of the input
 * finds the other side gone.  Before a client library reads an answer to a driver, the driver looks at it.
 */
#include "fuzz.h"

#include "stek_error.h"

#include <errno.h>
#include <fcntl.h>
#include <libmemcached/memcached.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint8_t *input;
static size_t input_len;
static int ended;

static size_t take(void *out, size_t len)
{
    len = len < input_len ? len : input_len;
    memcpy(out, input, len);
    input += len;
    input_len -= len;
    return len;
}

static unsigned take_byte(void)
{
    unsigned char byte = 0;

    take(&byte, 1);
    return byte;
}

/* ---- sockets ---- */

static ssize_t fake_recv(int fd, void *out, size_t len, int flags)
{
    const uint8_t *from = input;
    size_t left = input_len, n = take(out, len);

    (void)fd;
    if (flags & MSG_PEEK) {
        input = from;
        input_len = left;
    }
    return (ssize_t)n;
}

static ssize_t fake_send(int fd, const void *bytes, size_t len, int flags)
{
    unsigned char sum = 0;
    size_t i;

    (void)fd;
    (void)flags;
    for (i = 0; i < len; i++) {
        sum ^= ((const unsigned char *)bytes)[i];
    }
    return sum == 0 && len == 0 ? 0 : (ssize_t)len;
}

static ssize_t fake_read(int fd, void *out, size_t len)
{
    (void)fd;
    return (ssize_t)take(out, len);
}

/* Only a look asks whether the other side is gone: as soon as the input has been sent, it is. */
static int fake_poll(struct pollfd *fds, nfds_t n, int wait_ms)
{
    (void)wait_ms;
    if (n == 1 && (fds->events & POLLRDHUP)) {
        fds->revents = POLLIN | POLLRDHUP;
        return 1;
    }
    return 0;
}

static int fake_kill(pid_t pid, int sign)
{
    HOLDS(pid == 1 && sign == SIGKILL);
    ended++;
    return 0;
}

static pid_t fake_waitpid(pid_t pid, int *status, int options)
{
    (void)status;
    (void)options;
    return pid;
}

static int fake_close(int fd)
{
    HOLDS(fd == 99);
    return 0;
}

static int fake_socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    return 99;
}

/* No worker starts. */
static int fake_socketpair(int domain, int type, int protocol, int fds[2])
{
    (void)domain;
    (void)type;
    (void)protocol;
    (void)fds;
    return -1;
}

static int fake_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)fd;
    (void)address;
    (void)len;
    return 0;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    (void)fd;
    (void)level;
    (void)name;
    (void)value;
    (void)len;
    return 0;
}

#define recv fake_recv
#define send fake_send
#define read fake_read
#define poll fake_poll
#define kill fake_kill
#define waitpid fake_waitpid
#define close fake_close
#define socket fake_socket
#define socketpair fake_socketpair
#define connect fake_connect
#define setsockopt fake_setsockopt

/* For what lies behind their sockets. */
#include "../../stekctl/convert/haproxy_socket.c"
#include "../../stekctl/fleet/store.c"
#include "../../stekctl/fleet/store_peek.c"
#include "../../stekctl/fleet/store_wire.c"
#include "../../stekctl/fleet/store_worker.c"
#include "fleet/store_connect.h"
#include "fleet/store_link.h"

/* ---- both: the way to them ---- */

int __wrap_store_connect(const store_target_t *target, char why[STORE_WHY_LEN]);
int __wrap_store_connect_each(const store_target_t *target, store_connect_try_t attempt,
                              void *baton, char why[STORE_WHY_LEN]);

/* A descriptor that is open, and nothing else. */
int __wrap_store_connect(const store_target_t *target, char why[STORE_WHY_LEN])
{
    (void)target;
    snprintf(why, STORE_WHY_LEN, "refused");
    return take_byte() % 16 == 15 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
}

int __wrap_store_connect_each(const store_target_t *target, store_connect_try_t attempt,
                              void *baton, char why[STORE_WHY_LEN])
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    (void)target;
    snprintf(why, STORE_WHY_LEN, "refused");
    return attempt(baton, (const struct sockaddr *)&address, sizeof(address), 1000) == 0 ? 0 : -1;
}

/* ---- links: one line of the input after the other ---- */

store_link_e __wrap_store_link_send(store_link_t *link, const void *bytes, apr_size_t len,
                                    apr_int64_t deadline_ms, char why[STORE_WHY_LEN]);
store_link_e __wrap_store_link_receive(store_link_t *link, void *bytes, apr_size_t size,
                                       apr_size_t *plen, apr_int64_t deadline_ms,
                                       char why[STORE_WHY_LEN]);

store_link_e __wrap_store_link_send(store_link_t *link, const void *bytes, apr_size_t len,
                                    apr_int64_t deadline_ms, char why[STORE_WHY_LEN])
{
    (void)deadline_ms;
    (void)why;
    HOLDS(link->fd >= 0 && fake_send(link->fd, bytes, len, 0) == (ssize_t)len);
    return STORE_LINK_DONE;
}

store_link_e __wrap_store_link_receive(store_link_t *link, void *bytes, apr_size_t size,
                                       apr_size_t *plen, apr_int64_t deadline_ms,
                                       char why[STORE_WHY_LEN])
{
    const uint8_t *end = input_len > 0 ? memchr(input, '\n', input_len) : NULL;
    size_t len = end ? (size_t)(end + 1 - input) : input_len;

    (void)deadline_ms;
    (void)why;
    HOLDS(link->fd >= 0 && size > 0);
    *plen = take(bytes, len < size ? len : size);
    return *plen > 0 ? STORE_LINK_DONE : STORE_LINK_CLOSED;
}

/* ---- memcached: a first line to look at, codes and results are the input ---- */

static struct {
    char key[64];
    char value[256];
    size_t len;
} mc_result;

memcached_st *__wrap_memcached_create(memcached_st *mc);
void __wrap_memcached_free(memcached_st *mc);
memcached_return_t __wrap_memcached_behavior_set(memcached_st *mc, memcached_behavior_t flag,
                                                 uint64_t data);
memcached_return_t __wrap_memcached_server_add(memcached_st *mc, const char *host, in_port_t port);
memcached_return_t __wrap_memcached_mget(memcached_st *mc, const char *const *keys,
                                         const size_t *lens, size_t n);
memcached_result_st *__wrap_memcached_result_create(const memcached_st *mc,
                                                    memcached_result_st *result);
void __wrap_memcached_result_free(memcached_result_st *result);
memcached_result_st *__wrap_memcached_fetch_result(memcached_st *mc, memcached_result_st *result,
                                                   memcached_return_t *rc);
const char *__wrap_memcached_result_key_value(const memcached_result_st *result);
size_t __wrap_memcached_result_length(const memcached_result_st *result);
const char *__wrap_memcached_result_value(const memcached_result_st *result);
uint64_t __wrap_memcached_result_cas(const memcached_result_st *result);
const char *__wrap_memcached_strerror(const memcached_st *mc, memcached_return_t rc);
memcached_return_t __wrap_memcached_last_error(const memcached_st *mc);
int __wrap_memcached_last_error_errno(const memcached_st *mc);
const char *__wrap_memcached_last_error_message(const memcached_st *mc);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
memcached_return_t __wrap_memcached_add(memcached_st *mc, const char *key, size_t key_len,
                                        const char *value, size_t len, time_t expiration,
                                        uint32_t flags);
memcached_return_t __wrap_memcached_cas(memcached_st *mc, const char *key, size_t key_len,
                                        const char *value, size_t len, time_t expiration,
                                        uint32_t flags, uint64_t cas);

static char mc_handle;

memcached_st *__wrap_memcached_create(memcached_st *mc)
{
    (void)mc;
    return take_byte() % 16 == 15 ? NULL : (memcached_st *)(void *)&mc_handle;
}

void __wrap_memcached_free(memcached_st *mc)
{
    (void)mc;
}

memcached_return_t __wrap_memcached_behavior_set(memcached_st *mc, memcached_behavior_t flag,
                                                 uint64_t data)
{
    (void)mc;
    (void)flag;
    (void)data;
    return MEMCACHED_SUCCESS;
}

memcached_return_t __wrap_memcached_server_add(memcached_st *mc, const char *host, in_port_t port)
{
    (void)mc;
    (void)host;
    (void)port;
    return take_byte() % 16 == 15 ? MEMCACHED_FAILURE : MEMCACHED_SUCCESS;
}

static memcached_return_t take_code(void)
{
    unsigned code = take_byte() % (MEMCACHED_MAXIMUM_RETURN + 16);

    /* More often than not it is well. */
    return code < MEMCACHED_MAXIMUM_RETURN ? (memcached_return_t)code : MEMCACHED_SUCCESS;
}

memcached_return_t __wrap_memcached_mget(memcached_st *mc, const char *const *keys,
                                         const size_t *lens, size_t n)
{
    (void)mc;
    (void)keys;
    (void)lens;
    (void)n;
    return take_code();
}

memcached_result_st *__wrap_memcached_result_create(const memcached_st *mc,
                                                    memcached_result_st *result)
{
    (void)mc;
    return take_byte() % 16 == 15 ? NULL : result;
}

void __wrap_memcached_result_free(memcached_result_st *result)
{
    (void)result;
}

memcached_result_st *__wrap_memcached_fetch_result(memcached_st *mc, memcached_result_st *result,
                                                   memcached_return_t *rc)
{
    const uint8_t *end = input_len > 0 ? memchr(input, '\n', input_len) : NULL;
    static memcached_result_st more;

    (void)mc;
    if (result && end) {
        /* The line that the driver has looked at. */
        input_len -= (size_t)(end + 1 - input);
        input = end + 1;
    }
    *rc = take_code();
    if (take_byte() % 2) {
        return NULL;
    }
    memset(&mc_result, 0, sizeof(mc_result));
    if (take_byte() % 2) {
        strcpy(mc_result.key, "stek:object");
    }
    else {
        take(mc_result.key, take_byte() % sizeof(mc_result.key));
    }
    mc_result.len = take_byte();
    if (mc_result.len == 255) {
        mc_result.len = STEK_RING_BYTES_MAX + 1;
    }
    take(mc_result.value, sizeof(mc_result.value));
    return result ? result : &more;
}

const char *__wrap_memcached_result_key_value(const memcached_result_st *result)
{
    (void)result;
    return mc_result.key;
}

size_t __wrap_memcached_result_length(const memcached_result_st *result)
{
    (void)result;
    return mc_result.len;
}

const char *__wrap_memcached_result_value(const memcached_result_st *result)
{
    (void)result;
    return mc_result.value;
}

uint64_t __wrap_memcached_result_cas(const memcached_result_st *result)
{
    (void)result;
    return take_byte();
}

const char *__wrap_memcached_strerror(const memcached_st *mc, memcached_return_t rc)
{
    (void)mc;
    (void)rc;
    return "a reason that is longer than any that one would want to show in a line of a log, and "
           "goes on for more than what there is room for, whatever STORE_WHY_LEN may be some day";
}

memcached_return_t __wrap_memcached_last_error(const memcached_st *mc)
{
    (void)mc;
    return take_code();
}

int __wrap_memcached_last_error_errno(const memcached_st *mc)
{
    (void)mc;
    return (int)take_byte();
}

const char *__wrap_memcached_last_error_message(const memcached_st *mc)
{
    static char message[200];

    (void)mc;
    if (take_byte() % 2) {
        return NULL;
    }
    memset(message, 0, sizeof(message));
    take(message, take_byte() % sizeof(message));
    return message;
}

/* Without it, nobody can look. */
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    (void)fd;
    (void)address;
    (void)len;
    return take_byte() % 4 == 3 ? -1 : 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    (void)fd;
    (void)level;
    (void)name;
    (void)value;
    (void)len;
    return take_byte() % 16 == 15 ? -1 : 0;
}

memcached_return_t __wrap_memcached_add(memcached_st *mc, const char *key, size_t key_len,
                                        const char *value, size_t len, time_t expiration,
                                        uint32_t flags)
{
    (void)mc;
    (void)key;
    (void)key_len;
    (void)value;
    (void)len;
    (void)expiration;
    (void)flags;
    return take_code();
}

memcached_return_t __wrap_memcached_cas(memcached_st *mc, const char *key, size_t key_len,
                                        const char *value, size_t len, time_t expiration,
                                        uint32_t flags, uint64_t cas)
{
    (void)mc;
    (void)key;
    (void)key_len;
    (void)value;
    (void)len;
    (void)expiration;
    (void)flags;
    (void)cas;
    return take_code();
}

/* ---- who speaks ---- */

static void check_text(const char *text, size_t size)
{
    HOLDS(strnlen(text, size) < size);
}

static void worker_answers(void)
{
    static unsigned char in[STEK_RING_BYTES_MAX];
    store_t store = {.driver = &store_redis, .pid = 1, .fd = 99, .in = in};
    const unsigned char *bytes = NULL;
    apr_size_t len = 0;
    unsigned choice = take_byte();
    store_result_e result;
    const char *at;

    store.connected = (int)(choice % 2);
    store.reading = choice & 2 ? 1 : 0;
    result = store_finish(&store, 0, &bytes, &len);
    HOLDS(result <= STORE_SILENT);
    check_text(store.why, sizeof(store.why));
    for (at = store.why; *at; at++) {
        HOLDS(*at >= 0x20 && *at <= 0x7e);
    }
    HOLDS(!bytes || (bytes == in && len <= STEK_RING_BYTES_MAX));
    HOLDS(result >= STORE_REFUSED   ? store.pid == 0 && ended == 1 && *store.why
          : result == STORE_CHANGED ? ended <= 1
                                    : ended == 0);
}

/* Waits for changes, until the server hangs up. */
static void wait_for_changes(const store_watch_t *watch, const store_target_t *target)
{
    void *conn = watch->open(target);
    char why[STORE_WHY_LEN] = "";
    store_result_e result;

    HOLDS(conn);
    result = watch->connect(conn, why);
    while (result < STORE_REFUSED) {
        char mark[STORE_MARK_LEN] = "";

        result = watch->wait(conn, mark, why);
        HOLDS(result == STORE_DONE || result == STORE_CHANGED || result >= STORE_REFUSED);
        check_text(mark, sizeof(mark));
    }
    check_text(why, sizeof(why));
    HOLDS(*why);
    watch->close(conn);
}

/* A connection's whole life: two reads, and a write behind each. */
static void drive(const store_driver_t *driver)
{
    char host[] = "localhost", list[] = "a,b:1", path[] = "/socket", master[] = "m",
         user[] = "user", password[] = "password", object[] = "stek:object";
    unsigned choice = take_byte();
    store_target_t target = {.host = choice & 16   ? list
                                     : choice & 32 ? path
                                                   : host,
                             .master = master,
                             .asking = choice & 8 ? 1 : 0,
                             .port = 1,
                             .user = choice & 1 ? user : NULL,
                             .password = choice & 2 ? password : NULL,
                             .db = choice & 4 ? 3 : 0,
                             .object = object,
                             .timeout_ms = 1000,
                             .tls = driver->has_tls};
    void *conn;
    char why[STORE_WHY_LEN] = "";
    store_result_e result;
    int i;

    if (driver->watch && choice & 64) {
        wait_for_changes(driver->watch, &target);
        return;
    }
    conn = driver->open(&target);
    HOLDS(conn);
    result = driver->connect(conn, why);
    for (i = 0; i < 2 && result < STORE_REFUSED; i++) {
        const unsigned char *bytes = NULL;
        apr_size_t len = 0;

        result = driver->read(conn, &bytes, &len, why);
        HOLDS(result == STORE_DONE || result == STORE_MOVED || !bytes);
        HOLDS(!bytes || len <= STEK_RING_BYTES_MAX);
        if (result < STORE_REFUSED) {
            result = driver->write(conn, (const unsigned char *)"ring", 4, why);
        }
    }
    check_text(why, sizeof(why));
    HOLDS(result <= STORE_MOVED && (result < STORE_REFUSED || *why || result == STORE_MOVED));
    driver->close(conn);
}

static void haproxy_answers(apr_pool_t *pool)
{
    haproxy_socket_t haproxy = {.socket_path = "/socket", .file = "/etc/a b;c.keys"};
    stek_key_t keys[FORMAT_HAPROXY_KEYS_N];
    const stek_key_t *set[FORMAT_HAPROXY_KEYS_N];
    const char *answer;
    int i;

    memset(keys, 0x5a, sizeof(keys));
    for (i = 0; i < FORMAT_HAPROXY_KEYS_N; i++) {
        keys[i].name[0] = (unsigned char)i;
        keys[i].flags = 0;
        set[i] = &keys[i];
    }
    if (haproxy_socket_push(&haproxy, set, &answer, pool) == APR_SUCCESS) {
        HOLDS(haproxy_socket_push_n(&haproxy, set) == 0);
    }
    else {
        HOLDS(!answer || !strpbrk(answer, "\r\n"));
    }
}

static void sync_asks(void)
{
    store_target_t target = {0};
    char text[WIRE_TARGET_MAX];
    size_t len = take(text, sizeof(text));

    if (unpack_target(text, len, &target)) {
        HOLDS(target.host && target.object && target.port <= 65535 && target.db <= 65535);
        HOLDS(strlen(target.host) < sizeof(text) && strlen(target.object) < sizeof(text));
    }
}

static void administrator_names(apr_pool_t *pool)
{
    const char *url = apr_pstrmemdup(pool, (const char *)input, input_len);
    store_t *store = NULL;
    const store_login_t login = {"password", "/ca", "/cert", "/key"};
    const char *wrong = store_open(url, "stek:object", &login, 1000, pool, &store);

    HOLDS(!wrong == (store != NULL));
    if (store) {
        HOLDS(*store->target.host && store->target.port <= 65535);
        HOLDS(*store->target.host == '/' ? store->target.port == 0 : store->target.port > 0);
        HOLDS(store->target.db >= 0 && store->target.db <= 65535);
    }
    store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();

    if (size == 0) {
        return 0;
    }
    input = data + 1;
    input_len = size - 1;
    ended = 0;
    switch (data[0] % 8) {
    case 0:
        worker_answers();
        break;
    case 1:
        sync_asks();
        break;
    case 2:
        drive(&store_redis);
        break;
    case 3:
        drive(&store_memcached);
        break;
    case 4:
        haproxy_answers(pool);
        break;
    case 5:
        administrator_names(pool);
        break;
    case 6:
        drive(&store_redis_sentinel);
        break;
    default:
        drive(&store_memcached_sasl);
        break;
    }
    apr_pool_clear(pool);
    return 0;
}
