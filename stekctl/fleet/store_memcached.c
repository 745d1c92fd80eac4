/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached, with libmemcached: gets, then cas, or add if there was no object.  One server per
 * handle, because a list of servers would spread objects over them, not mirror them.  Runs in the
 * store's worker.
 *
 * libmemcached connects when it sends, so the first gets is sent to connect, and its answer is read when it
 * is asked for.  The library allocates what a server announces, "-1" included, crashes on some answers and says
 * "not found" of others; so it only gets to see those that begin as they should.
 */
#include "store_driver.h"

#ifdef STEK_WITH_MEMCACHED

#include <errno.h>
#include <fcntl.h>
#include <libmemcached/memcached.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "monotonic.h"
#include "stek_seal.h"
#include "store_connect.h"
#include "store_words.h"

#define NAME "memcached"

typedef struct conn_t {
    const store_target_t *target;
    memcached_st *mc;           /* NULL: not connected */
    int fd;                     /* the library's socket; -1: unknown */
    int asked;                  /* gets was sent, and its answer not yet read */
    int answered;               /* the server has understood a call */
    memcached_result_st result; /* of the last read */
    int has_result;
    int has_read; /* absent and cas are valid */
    int absent;
    uint64_t cas;
} conn_t;

static void *mc_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->target = target;
        conn->fd = -1;
    }
    return conn;
}

static void mc_close(void *data)
{
    conn_t *conn = data;

    if (conn->has_result) {
        memcached_result_free(&conn->result);
    }
    memcached_free(conn->mc);
    free(conn);
}

/* Sends one gets, and connects for it. */
static memcached_return_t send_gets(conn_t *conn)
{
    const char *keys[1] = {conn->target->object};
    size_t lens[1] = {strlen(conn->target->object)};

    return memcached_mget(conn->mc, keys, lens, 1);
}

static memcached_st *make_handle(const store_target_t *target, const char *host, int limit_ms)
{
    memcached_st *mc = memcached_create(NULL);
    uint64_t ms = (uint64_t)target->timeout_ms;

    if (!mc) {
        return NULL;
    }
    (void)memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
    (void)memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    (void)memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, (uint64_t)limit_ms);
    (void)memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, ms);
    (void)memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_SND_TIMEOUT, ms * 1000);
    (void)memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_RCV_TIMEOUT, ms * 1000);
    if ((*host == '/' ? memcached_server_add_unix_socket(mc, host)
                      : memcached_server_add(mc, host, (in_port_t)target->port))
        != MEMCACHED_SUCCESS) {
        memcached_free(mc);
        return NULL;
    }
    return mc;
}

/* The descriptor that the next socket gets: the library does not tell which its own is. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), number = fd;

    if (fd >= 0) {
        close(fd);
    }
    return number;
}

static int is_connected(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    return fd >= 0 && getpeername(fd, (struct sockaddr *)&address, &len) == 0;
}

/* Why a server lets nobody in, which the library does not tell. */
static int connect_error(const struct sockaddr *address, socklen_t len, int limit_ms)
{
    const struct timeval limit = {limit_ms / 1000, limit_ms % 1000 * 1000};
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0
                        || connect(fd, address, len) != 0
                    ? errno
                    : ECONNABORTED;

    if (fd >= 0) {
        close(fd);
    }
    return error == EINPROGRESS ? ETIMEDOUT : error;
}

/* The address as a number: looking it up again could give another. */
static int try_address(void *baton, const struct sockaddr *address, socklen_t len, int limit_ms)
{
    conn_t *conn = baton;
    char number[NI_MAXHOST];
    const char *host = conn->target->host;
    memcached_return_t rc;
    int fd, error;

    if (address->sa_family != AF_UNIX) {
        if (getnameinfo(address, len, number, sizeof(number), NULL, 0, NI_NUMERICHOST) != 0) {
            return EINVAL;
        }
        host = number;
    }
    conn->mc = make_handle(conn->target, host, limit_ms);
    if (!conn->mc) {
        return ENOMEM;
    }
    fd = next_descriptor();
    rc = send_gets(conn);
    if (rc == MEMCACHED_SUCCESS) {
        conn->fd = is_connected(fd) ? fd : -1;
        conn->asked = 1;
        return 0;
    }
    error = memcached_last_error_errno(conn->mc);
    memcached_free(conn->mc);
    conn->mc = NULL;
    return address->sa_family != AF_UNIX && rc == MEMCACHED_TIMEOUT ? ETIMEDOUT
           : address->sa_family != AF_UNIX && error != 0            ? error
                                                         : connect_error(address, len, limit_ms);
}

static store_result_e mc_connect(void *data, char why[STORE_WHY_LEN])
{
    conn_t *conn = data;

    return store_connect_each(conn->target, try_address, conn, why) == 0 ? STORE_DONE
                                                                         : STORE_SILENT;
}

static int is_error(const char *line)
{
    return store_words_begin(line, "SERVER_ERROR") || store_words_begin(line, "CLIENT_ERROR")
           || !strcmp(line, "ERROR");
}

/* The first line of an answer to gets: END, or "VALUE NAME FLAGS LENGTH MARK".  STORE_DONE: the library may
 * read it. */
static store_result_e check_line(const store_peek_t *peek, char *why)
{
    char length[22] = "";

    if (is_error(peek->said)) {
        return store_words_error(NAME, peek->said, why);
    }
    if (!strcmp(peek->said, "END")) {
        return STORE_DONE;
    }
    if (peek->len == STORE_PEEK_MAX
        || sscanf(peek->said, "VALUE %*s %*[0-9] %21[0-9] %*[0-9]", length) != 1) {
        return store_words_strange(NAME, peek->said, why);
    }
    return strtoull(length, NULL, 10) > STORE_READ_MAX
               ? store_words_announced(strtoull(length, NULL, 10), why)
               : STORE_DONE;
}

/* The library closes its socket after nonsense, even where it returns the same as after END. */
static int is_closed(const conn_t *conn)
{
    socklen_t len = sizeof(int);
    int type;

    return conn->fd >= 0 && getsockopt(conn->fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0;
}

/* What ended an answer.  MEMCACHED_END, or a failure. */
static memcached_return_t end_of_answer(const conn_t *conn, memcached_return_t rc)
{
    memcached_return_t last = memcached_last_error(conn->mc);

    if (rc != MEMCACHED_END && rc != MEMCACHED_NOTFOUND && rc != MEMCACHED_SUCCESS) {
        return rc;
    }
    return last != MEMCACHED_SUCCESS ? last
           : is_closed(conn)         ? MEMCACHED_PROTOCOL_ERROR
                                     : MEMCACHED_END;
}

/* Reads the answer to gets.  MEMCACHED_SUCCESS, MEMCACHED_NOTFOUND or a failure. */
static memcached_return_t fetch(conn_t *conn)
{
    memcached_return_t rc = MEMCACHED_SUCCESS;
    memcached_result_st *more;

    if (conn->has_result) {
        memcached_result_free(&conn->result);
        conn->has_result = 0;
    }
    if (!memcached_result_create(conn->mc, &conn->result)) {
        return MEMCACHED_MEMORY_ALLOCATION_FAILURE;
    }
    conn->has_result = 1;
    if (!memcached_fetch_result(conn->mc, &conn->result, &rc)) {
        rc = end_of_answer(conn, rc);
        return rc == MEMCACHED_END ? MEMCACHED_NOTFOUND : rc;
    }
    /* Read up to END, or the rest would be taken for the next answer. */
    more = memcached_fetch_result(conn->mc, NULL, &rc);
    if (more) {
        memcached_result_free(more);
        return MEMCACHED_PROTOCOL_ERROR;
    }
    rc = end_of_answer(conn, rc);
    return rc == MEMCACHED_END ? MEMCACHED_SUCCESS : rc;
}

/* The server's words in the library's message "(0x55d0) SERVER ERROR, WORDS -> FILE:LINE". */
static void take_words(const conn_t *conn, memcached_return_t rc, const char *kind, char *said,
                       size_t size)
{
    const char *message = memcached_last_error_message(conn->mc), *at, *end;
    const char *text = memcached_strerror(conn->mc, rc);

    at = message ? strstr(message, ") ") : NULL;
    at = at ? at + 2 : "";
    if (store_words_begin(at, text)) {
        at += strlen(text);
        at += store_words_begin(at, ", ") ? 2 : 0;
    }
    end = strstr(at, " -> ");
    snprintf(said, size, "%s %.*s", kind, (int)(end ? (size_t)(end - at) : strlen(at)), at);
}

/* The line that the server answered a write with, as far as the library has kept it. */
static void tell_line(const conn_t *conn, memcached_return_t rc, char said[STORE_PEEK_MAX + 1])
{
    const size_t size = STORE_PEEK_MAX + 1;

    switch (rc) {
    case MEMCACHED_E2BIG:
        snprintf(said, size, "SERVER_ERROR object too large for cache");
        break;
    case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
        snprintf(said, size, "SERVER_ERROR out of memory storing object");
        break;
    case MEMCACHED_SERVER_ERROR:
        take_words(conn, rc, "SERVER_ERROR", said, size);
        break;
    case MEMCACHED_CLIENT_ERROR:
        take_words(conn, rc, "CLIENT_ERROR", said, size);
        break;
    case MEMCACHED_ERROR:
        snprintf(said, size, "ERROR");
        break;
    default:
        snprintf(said, size, "%s", memcached_strerror(conn->mc, rc));
        break;
    }
}

/* The library's code for a call that failed. */
static store_result_e failed(const conn_t *conn, memcached_return_t rc, const store_peek_t *peek,
                             char *why)
{
    store_fault_e fault = STORE_FAULT_NONSENSE;

    switch (rc) {
    case MEMCACHED_MEMORY_ALLOCATION_FAILURE:
        return store_words_too_long(why);
    case MEMCACHED_TIMEOUT:
        fault = STORE_FAULT_LATE;
        break;
    case MEMCACHED_CONNECTION_FAILURE:
    case MEMCACHED_ERRNO:
        fault = STORE_FAULT_CLOSED;
        break;
    default:
        break;
    }
    return store_words_failed(NAME, peek, fault, conn->answered, why);
}

static store_result_e mc_read(void *data, const unsigned char **pbytes, apr_size_t *plen,
                              char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    store_peek_t peek = {STORE_PEEK_BLIND, 0, ""};
    memcached_return_t rc = conn->asked ? MEMCACHED_SUCCESS : send_gets(conn);

    conn->asked = 0;
    conn->has_read = 0;
    if (rc == MEMCACHED_SUCCESS) {
        store_peek(conn->fd, monotonic_ms() + conn->target->timeout_ms, &peek);
        if (peek.how == STORE_PEEK_SAID) {
            store_result_e result = check_line(&peek, why);

            if (result != STORE_DONE) {
                return result;
            }
            conn->answered = 1;
        }
        rc = peek.how == STORE_PEEK_LATE     ? MEMCACHED_TIMEOUT
             : peek.how == STORE_PEEK_CLOSED ? MEMCACHED_CONNECTION_FAILURE
                                             : fetch(conn);
    }
    if (rc == MEMCACHED_SUCCESS
        && strcmp(memcached_result_key_value(&conn->result), conn->target->object) != 0) {
        rc = MEMCACHED_PROTOCOL_ERROR;
    }
    if (rc != MEMCACHED_SUCCESS && rc != MEMCACHED_NOTFOUND) {
        return failed(conn, rc, &peek, why);
    }
    conn->has_read = conn->answered = 1;
    conn->absent = rc == MEMCACHED_NOTFOUND;
    if (conn->absent) {
        return STORE_ABSENT;
    }
    conn->cas = memcached_result_cas(&conn->result);
    *plen = memcached_result_length(&conn->result);
    *pbytes = *plen <= STEK_RING_BYTES_MAX
                  ? (const unsigned char *)memcached_result_value(&conn->result)
                  : NULL;
    return STORE_DONE;
}

static store_result_e mc_write(void *data, const unsigned char *bytes, apr_size_t len,
                               char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const char *object = conn->target->object;
    const store_peek_t blind = {STORE_PEEK_BLIND, 0, ""};
    char line[STORE_PEEK_MAX + 1];
    memcached_return_t rc;

    if (!conn->has_read) {
        snprintf(why, STORE_WHY_LEN, "nothing was read before this write");
        return STORE_SILENT;
    }
    rc = conn->absent
             ? memcached_add(conn->mc, object, strlen(object), (const char *)bytes, len, 0, 0)
             : memcached_cas(conn->mc, object, strlen(object), (const char *)bytes, len, 0, 0,
                             conn->cas);
    switch (rc) {
    case MEMCACHED_SUCCESS:
    case MEMCACHED_STORED:
        return STORE_DONE;
    case MEMCACHED_DATA_EXISTS:
    case MEMCACHED_NOTFOUND:
        return STORE_CHANGED;
    case MEMCACHED_NOTSTORED:
        if (conn->absent) {
            return STORE_CHANGED;
        }
        return store_words_strange(NAME, "NOT_STORED", why);
    default:
        tell_line(conn, rc, line);
        return is_error(line) ? store_words_error(NAME, line, why) : failed(conn, rc, &blind, why);
    }
}

#define MEMCACHED                                                                                  \
    .name = NAME, .open = mc_open, .connect = mc_connect, .read = mc_read, .write = mc_write,      \
    .close = mc_close

const store_driver_t store_memcached = {.scheme = "memcached",
                                        .port = 11211,
                                        .url = STORE_URL_USER,
                                        .with_user = &store_memcached_sasl,
                                        MEMCACHED};

const store_driver_t store_memcached_unix = {.scheme = "memcached+unix",
                                             .url = STORE_URL_USER | STORE_URL_SOCKET,
                                             .with_user = &store_memcached_sasl_unix,
                                             MEMCACHED};

#endif
