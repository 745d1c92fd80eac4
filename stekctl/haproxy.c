/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HAProxy's stats socket (haproxy.h).  stekctl; one thread.
 */
#include "haproxy.h"

#include <apr_strings.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "stek_error.h"
#include "stek_mem.h"

#define TIMEOUT_S 5
#define COMMAND_MAX 8192
#define ANSWER_MAX 512
#define GOOD_ANSWER "TLS ticket key updated"

int haproxy_push_n(const haproxy_t *haproxy, const stek_key_t *const *keys)
{
    int n, i;

    for (n = 0; haproxy->known && n < FORMAT_HAPROXY_KEYS_N; n++) {
        for (i = 0; i + n < FORMAT_HAPROXY_KEYS_N; i++) {
            if (memcmp(haproxy->names[i + n], keys[i]->name, STEK_NAME_LEN) != 0) {
                break;
            }
        }
        if (i + n == FORMAT_HAPROXY_KEYS_N) {
            return n;
        }
    }
    return FORMAT_HAPROXY_KEYS_N;
}

static apr_status_t dial(const char *path, int *pfd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {TIMEOUT_S, 0};
    apr_status_t rv = APR_SUCCESS;
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        return ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0
        || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0
        || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        rv = errno;
        close(fd);
        return rv;
    }
    *pfd = fd;
    return APR_SUCCESS;
}

/* Sends command and takes the whole answer: HAProxy closes behind it. */
static apr_status_t talk(int fd, const char *command, char answer[ANSWER_MAX])
{
    size_t len = strlen(command), got = 0;
    ssize_t n;

    while (len > 0) {
        n = send(fd, command, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return errno;
        }
        command += n;
        len -= (size_t)n;
    }
    while (got < ANSWER_MAX - 1 && (n = recv(fd, answer + got, ANSWER_MAX - 1 - got, 0)) > 0) {
        got += (size_t)n;
    }
    answer[got] = '\0';
    return got > 0 ? APR_SUCCESS : ETIMEDOUT;
}

/* The command's words end at blanks and semicolons: a backslash takes their meaning away. */
static const char *quote(const char *file, apr_pool_t *pool)
{
    char *quoted = apr_palloc(pool, 2 * strlen(file) + 1), *at = quoted;

    for (; *file; file++) {
        if (strchr(" ;\\\"'\t", *file)) {
            *at++ = '\\';
        }
        *at++ = *file;
    }
    *at = '\0';
    return quoted;
}

static apr_status_t set_key(const haproxy_t *haproxy, const stek_key_t *key, const char **panswer,
                            apr_pool_t *pool)
{
    char *command = stek_mem_alloc(COMMAND_MAX), answer[ANSWER_MAX] = "";
    unsigned char line[FORMAT_LINE_LEN + 1];
    apr_size_t len = 0;
    apr_status_t rv;
    int fd = -1;

    if (!command) {
        return APR_ENOMEM;
    }
    rv = format_emit(FORMAT_HAPROXY, &key, 1, line, sizeof(line), &len);
    if (rv == APR_SUCCESS
        && snprintf(command, COMMAND_MAX, "set ssl tls-key %s %.*s", quote(haproxy->file, pool),
                    (int)len, (const char *)line)
               >= COMMAND_MAX) {
        rv = ENAMETOOLONG;
    }
    if (rv == APR_SUCCESS) {
        rv = dial(haproxy->socket_path, &fd);
    }
    if (rv == APR_SUCCESS) {
        rv = talk(fd, command, answer);
        close(fd);
        if (rv == APR_SUCCESS && !strstr(answer, GOOD_ANSWER)) {
            answer[strcspn(answer, "\r\n")] = '\0';
            *panswer = apr_pstrdup(pool, answer);
            rv = STEK_EMALFORMED;
        }
    }
    OPENSSL_cleanse(line, sizeof(line));
    stek_mem_free(command);
    return rv;
}

apr_status_t haproxy_push(haproxy_t *haproxy, const stek_key_t *const *keys, const char **panswer,
                          apr_pool_t *pool)
{
    int i = FORMAT_HAPROXY_KEYS_N - haproxy_push_n(haproxy, keys);
    apr_status_t rv = APR_SUCCESS;

    *panswer = NULL;
    for (haproxy->known = 0; rv == APR_SUCCESS && i < FORMAT_HAPROXY_KEYS_N; i++) {
        rv = set_key(haproxy, keys[i], panswer, pool);
    }
    for (i = 0; rv == APR_SUCCESS && i < FORMAT_HAPROXY_KEYS_N; i++) {
        memcpy(haproxy->names[i], keys[i]->name, STEK_NAME_LEN);
        haproxy->known = 1;
    }
    return rv;
}
