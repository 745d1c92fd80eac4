/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HAProxy's stats socket (haproxy_socket.h).  stekctl; one thread.
 */
#include "haproxy_socket.h"

#include <apr_strings.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "stek_error.h"
#include "stek_mem.h"
#include "stek_owner.h"
#include "stek_path.h"

#define TIMEOUT_S 5
#define COMMAND_MAX 8192
#define ANSWER_MAX 8192
#define NAME_CHARS 24 /* of base64; they decode to a name and two more bytes */
#define GOOD_ANSWER "TLS ticket key updated"

int haproxy_socket_push_n(const haproxy_socket_t *haproxy, const stek_key_t *const *keys)
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
        return APR_FROM_OS_ERROR(ENAMETOOLONG);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0
        || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0
        || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        rv = APR_FROM_OS_ERROR(errno);
        close(fd);
        return rv;
    }
    *pfd = fd;
    return APR_SUCCESS;
}

/* Sends command and reads the whole answer; HAProxy then closes the connection. */
static apr_status_t talk(const haproxy_socket_t *haproxy, const char *command,
                         char answer[ANSWER_MAX])
{
    size_t len = strlen(command), got = 0;
    apr_status_t rv;
    ssize_t n;
    int fd = -1;

    rv = dial(haproxy->socket_path, &fd);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    while (len > 0) {
        n = send(fd, command, len, MSG_NOSIGNAL);
        if (n <= 0) {
            rv = APR_FROM_OS_ERROR(errno);
            break;
        }
        command += n;
        len -= (size_t)n;
    }
    while (rv == APR_SUCCESS && got < ANSWER_MAX - 1
           && (n = recv(fd, answer + got, ANSWER_MAX - 1 - got, 0)) > 0) {
        got += (size_t)n;
    }
    close(fd);
    answer[got] = '\0';
    return rv != APR_SUCCESS || got > 0 ? rv : APR_FROM_OS_ERROR(ETIMEDOUT);
}

/* Blanks and semicolons end a word of the command, so they are escaped with a backslash. */
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

static apr_status_t set_key(const haproxy_socket_t *haproxy, const stek_key_t *key,
                            const char **panswer, apr_pool_t *pool)
{
    char *command = stek_mem_alloc(COMMAND_MAX), answer[ANSWER_MAX] = "";
    unsigned char line[FORMAT_LINE_LEN + 1];
    apr_size_t len = 0;
    apr_status_t rv;

    if (!command) {
        return APR_ENOMEM;
    }
    rv = format_emit(FORMAT_HAPROXY, &key, 1, line, sizeof(line), &len);
    if (rv == APR_SUCCESS
        && snprintf(command, COMMAND_MAX, "set ssl tls-key %s %.*s", quote(haproxy->file, pool),
                    (int)len, (const char *)line)
               >= COMMAND_MAX) {
        rv = APR_FROM_OS_ERROR(ENAMETOOLONG);
    }
    if (rv == APR_SUCCESS) {
        rv = talk(haproxy, command, answer);
    }
    if (rv == APR_SUCCESS && !strstr(answer, GOOD_ANSWER)) {
        answer[strcspn(answer, "\r\n")] = '\0';
        *panswer = apr_pstrdup(pool, answer);
        rv = STEK_EMALFORMED;
    }
    OPENSSL_cleanse(line, sizeof(line));
    stek_mem_free(command);
    return rv;
}

int haproxy_socket_read_names(const char *answer,
                              unsigned char names[FORMAT_HAPROXY_KEYS_N][STEK_NAME_LEN])
{
    unsigned char found[FORMAT_HAPROXY_KEYS_N][NAME_CHARS];
    const char *line = answer;
    int n = 0, i;

    /* A key's line is "ID.N BASE64", in the file's order; other lines are comments or empty. */
    while (*line) {
        size_t len = strcspn(line, "\r\n"), id_len = strspn(line, "0123456789.");

        if (id_len > 0 && line[id_len] == ' ' && len >= id_len + 1 + NAME_CHARS) {
            if (n == FORMAT_HAPROXY_KEYS_N
                || EVP_DecodeBlock(found[n], (const unsigned char *)line + id_len + 1, NAME_CHARS)
                       < STEK_NAME_LEN) {
                n = -1;
                break;
            }
            n++;
        }
        line += len;
        line += strspn(line, "\r\n");
    }
    for (i = 0; n == FORMAT_HAPROXY_KEYS_N && i < n; i++) {
        memcpy(names[i], found[i], STEK_NAME_LEN);
    }
    OPENSSL_cleanse(found, sizeof(found));
    return n == FORMAT_HAPROXY_KEYS_N;
}

static apr_status_t ask(haproxy_socket_t *haproxy, apr_pool_t *pool)
{
    char *answer = stek_mem_alloc(ANSWER_MAX);
    apr_status_t rv;

    if (!answer) {
        return APR_ENOMEM;
    }
    rv = talk(haproxy, apr_pstrcat(pool, "show tls-keys ", quote(haproxy->file, pool), "\n", NULL),
              answer);
    /* If the answer is no use, assume the keys that were set last. */
    if (rv == APR_SUCCESS && haproxy_socket_read_names(answer, haproxy->names)) {
        haproxy->known = 1;
    }
    stek_mem_free(answer);
    return rv;
}

apr_status_t haproxy_socket_push(haproxy_socket_t *haproxy, const stek_key_t *const *keys,
                                 const char **panswer, apr_pool_t *pool)
{
    apr_status_t rv = ask(haproxy, pool);
    int i = FORMAT_HAPROXY_KEYS_N - haproxy_socket_push_n(haproxy, keys);

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

apr_status_t haproxy_socket_check(const haproxy_socket_t *haproxy, uid_t owner,
                                  const char **pculprit, apr_pool_t *pool)
{
    const char *path = haproxy->socket_path, *culprit = path;
    apr_status_t rv = stek_path_check_placed(path, owner, &culprit, pool);
    struct stat st;

    if (rv == APR_SUCCESS && lstat(path, &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    if (rv == APR_SUCCESS && !stek_owner_is_trusted(st.st_uid, owner)) {
        rv = STEK_EPERM;
    }
    if (rv == STEK_EPERM || rv == STEK_ESHARED) {
        *pculprit = stek_owner_describe(culprit, owner, pool);
    }
    return rv;
}
