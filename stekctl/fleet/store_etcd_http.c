/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for etcd (store_etcd_http.h).  What libcurl needs of the system, descriptors and files, it has before
 * the worker is confined: sockets, the pair that its multi handle wakes itself with, and certificates and
 * key in memory.
 */
#include "store_etcd_http.h"

#ifdef STEK_WITH_ETCD

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monotonic.h"
#include "stek_seal.h"
#include "store_etcd_curl.h"
#include "store_etcd_json.h"
#include "store_words.h"

#define FILE_MAX (1024 * 1024)
#define HEADERS_MAX 65536
#define SKIP_MIB 32

/* Longer than any reply with a ring. */
#define BODY_MAX (STEK_RING_BYTES_MAX / 3 * 4 + 8192)

static const etcd_curl_t *lib;

typedef struct link_t {
    CURL *curl; /* NULL: has not joined */
    struct curl_slist *address;
    int fd; /* -1: libcurl has it, or has closed it */
    char url[512];
    apr_size_t base_len; /* of the URL without the path */
} link_t;

struct etcd_http_t {
    CURLM *multi;
    int tls;
    struct curl_blob ca, cert, key; /* data NULL: not given */
    link_t links[ETCD_MEMBERS_MAX];
    char *body; /* BODY_MAX */
    apr_size_t len, headers_len, skipped_len;
    int too_long; /* body[len] is only its beginning */
    int dropped;  /* lines that nobody has seen */
    char error[CURL_ERROR_SIZE];
    /* Of an answer in lines: */
    CURL *stream; /* NULL: none has begun, or it has ended */
    struct curl_slist *stream_headers;
    apr_size_t line_len; /* of the line that was given last, with its end */
    int status;          /* HTTP's */
};

/* ---- open and close ---- */

/* What is in a file of PEM.  A blob is libcurl's word for it. */
static int load(const char *path, struct curl_blob *blob, char *why)
{
    FILE *file = fopen(path, "re");

    blob->data = file ? malloc(FILE_MAX) : NULL;
    blob->flags = CURL_BLOB_NOCOPY;
    if (blob->data) {
        blob->len = fread(blob->data, 1, FILE_MAX, file);
    }
    if (file) {
        fclose(file);
    }
    if (!blob->data || blob->len == 0 || blob->len == FILE_MAX) {
        snprintf(why, STORE_WHY_LEN, "%s: cannot be read", path);
        return 0;
    }
    return 1;
}

/* Where the system keeps the authorities that it trusts. */
static const char *system_authorities(void)
{
    const curl_version_info_data *info = lib->version_info(CURLVERSION_NOW);

    return info->age >= CURLVERSION_SEVENTH && info->cainfo ? info->cainfo
                                                            : "/etc/ssl/certs/ca-certificates.crt";
}

etcd_http_t *etcd_http_open(const store_target_t *target, char why[STORE_WHY_LEN])
{
    etcd_http_t *http = calloc(1, sizeof(*http));
    int ok;

    snprintf(why, STORE_WHY_LEN, "out of memory");
    lib = http ? etcd_curl_load(why) : NULL;
    if (!lib) {
        free(http);
        return NULL;
    }
    http->tls = target->tls;
    http->body = malloc(BODY_MAX);
    ok = http->body && lib->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
         && (http->multi = lib->multi_init()) != NULL
         && lib->multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 2L * ETCD_MEMBERS_MAX) == CURLM_OK;
    if (ok && http->tls) {
        ok = load(target->ca ? target->ca : system_authorities(), &http->ca, why)
             && (!target->cert || load(target->cert, &http->cert, why))
             && (!target->key || load(target->key, &http->key, why));
    }
    if (!ok) {
        etcd_http_close(http);
        return NULL;
    }
    return http;
}

void etcd_http_close(etcd_http_t *http)
{
    int i;

    if (!http) {
        return;
    }
    if (http->stream) {
        (void)lib->multi_remove_handle(http->multi, http->stream);
    }
    for (i = 0; i < ETCD_MEMBERS_MAX; i++) {
        if (http->links[i].curl) {
            lib->easy_cleanup(http->links[i].curl);
            lib->slist_free_all(http->links[i].address);
            if (http->links[i].fd >= 0) {
                close(http->links[i].fd);
            }
        }
    }
    lib->slist_free_all(http->stream_headers);
    lib->multi_cleanup(http->multi);
    if (http->key.data) {
        OPENSSL_cleanse(http->key.data, http->key.len);
    }
    free(http->ca.data);
    free(http->cert.data);
    free(http->key.data);
    free(http->body);
    free(http);
}

/* ---- members ---- */

/* Makes room for the lines to come: those that wait are not needed. */
static void drop_lines(etcd_http_t *http)
{
    const char *end = memrchr(http->body, '\n', http->len);

    if (end) {
        apr_size_t n = (apr_size_t)(end + 1 - http->body);

        memmove(http->body, http->body + n, http->len - n);
        http->len -= n;
        http->dropped = 1;
    }
}

/* Less than size * n ends the transfer, and with it the connection.  What is too long is read to its end, as
 * far as anybody would send it by mistake. */
static size_t take_body(char *bytes, size_t size, size_t n, void *data)
{
    etcd_http_t *http = data;

    n *= size;
    if (n > BODY_MAX - http->len && http->stream) {
        drop_lines(http);
    }
    if (n <= BODY_MAX - http->len && !http->too_long) {
        memcpy(http->body + http->len, bytes, n);
        http->len += n;
        return n;
    }
    http->too_long = 1;
    http->skipped_len += n;
    return http->skipped_len <= (apr_size_t)SKIP_MIB * 1024 * 1024 ? n : 0;
}

/* Trailers are headers, too. */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
static size_t count_header(char *bytes, size_t size, size_t n, void *data)
{
    etcd_http_t *http = data;

    (void)bytes;
    http->headers_len += size * n;
    return http->headers_len <= HEADERS_MAX ? size * n : 0;
}

/* Where libcurl would make a socket it gets the member's, once. */
static curl_socket_t give_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    link_t *link = data;
    curl_socket_t fd = link->fd >= 0 ? link->fd : CURL_SOCKET_BAD;

    (void)purpose;
    (void)address;
    link->fd = -1;
    return fd;
}

static int say_connected(void *data, curl_socket_t fd, curlsocktype purpose)
{
    (void)data;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static int set_up_tls(const etcd_http_t *http, CURL *curl)
{
    return !lib->easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2)
           && !lib->easy_setopt(curl, CURLOPT_CAINFO_BLOB, &http->ca)
           && !lib->easy_setopt(curl, CURLOPT_CAPATH, NULL)
           && (!http->cert.data || !lib->easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &http->cert))
           && (!http->key.data || !lib->easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &http->key));
}

/* The settings that stay.  0: out of memory, or a libcurl without what it needs. */
static int set_up(etcd_http_t *http, link_t *link)
{
    CURL *curl = link->curl;

    return !lib->easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error)
           && !lib->easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body)
           && !lib->easy_setopt(curl, CURLOPT_WRITEDATA, http)
           && !lib->easy_setopt(curl, CURLOPT_HEADERFUNCTION, count_header)
           && !lib->easy_setopt(curl, CURLOPT_HEADERDATA, http)
           && !lib->easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, give_socket)
           && !lib->easy_setopt(curl, CURLOPT_OPENSOCKETDATA, link)
           && !lib->easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, say_connected)
           && !lib->easy_setopt(curl, CURLOPT_RESOLVE, link->address)
           && !lib->easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, -1L)
           && !lib->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L)
           && !lib->easy_setopt(curl, CURLOPT_PROXY, "")
           && !lib->easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1)
           && (!http->tls || set_up_tls(http, curl));
}

int etcd_http_join(etcd_http_t *http, int i, const char *host, int port, int fd)
{
    int is_ipv6 = strchr(host, ':') != NULL, len;
    link_t *link = &http->links[i];
    char line[512];

    /* An address, so that libcurl looks none up; the socket is connected, whatever it says. */
    snprintf(line, sizeof(line), "%s:%d:127.0.0.1", host, port);
    link->address = lib->slist_append(NULL, line);
    len = snprintf(link->url, sizeof(link->url), "%s://%s%s%s:%d", http->tls ? "https" : "http",
                   is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port);
    link->base_len = (apr_size_t)len;
    link->curl = link->address && len > 0 && (apr_size_t)len < sizeof(link->url) - 64
                     ? lib->easy_init()
                     : NULL;
    if (!link->curl || !set_up(http, link)) {
        lib->easy_cleanup(link->curl);
        lib->slist_free_all(link->address);
        link->curl = NULL;
    }
    link->fd = link->curl ? fd : -1;
    return link->curl != NULL;
}

/* ---- reasons ---- */

/* Whether the member has hung up: libcurl has no code of its own for that in a handshake, but if it was
 * OpenSSL that failed, its text says "error:". */
static int is_closed(const etcd_http_t *http, CURLcode code)
{
    return code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR
           || code == CURLE_GOT_NOTHING
           || (code == CURLE_SSL_CONNECT_ERROR && !strstr(http->error, "error:"));
}

/* Nonzero if the member has hung up. */
static int give_reason(const etcd_http_t *http, CURLcode code, char *why)
{
    if (store_words_tls(http->error, "etcd:// instead of etcds://", http->cert.data != NULL, why)) {
        return 0;
    }
    if (is_closed(http, code)) {
        snprintf(why, STORE_WHY_LEN, "it closed the connection: it may %s, or may not be etcd",
                 http->tls ? "not speak TLS (use etcd://)" : "expect TLS (use etcds://)");
        return 1;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        snprintf(why, STORE_WHY_LEN,
                 "connected, but no answer in time: does the cluster have a quorum?");
    }
    else if (code == CURLE_WRITE_ERROR) {
        snprintf(why, STORE_WHY_LEN,
                 "its answer is larger than %d MiB, which is too large to be a ring", SKIP_MIB);
    }
    else if (code == CURLE_OUT_OF_MEMORY) {
        /* A header without an end, for one. */
        snprintf(why, STORE_WHY_LEN,
                 "its answer takes more memory than a ring, so this may not be etcd");
    }
    else {
        const char *said = *http->error ? http->error : lib->easy_strerror(code);

        snprintf(why, STORE_WHY_LEN, STORE_WORDS_SAID("%.*s"), (int)strcspn(said, "\r\n"), said);
    }
    return 0;
}

/* ---- one call ---- */

/* NULL: out of memory. */
static struct curl_slist *headers(const char *token)
{
    char line[sizeof("Authorization: ") + ETCD_TOKEN_MAX];
    struct curl_slist *list = lib->slist_append(NULL, "Content-Type: application/json");
    /* Without "Expect", libcurl would wait for a "100 Continue" before each ring. */
    struct curl_slist *longer = list ? lib->slist_append(list, "Expect:") : NULL;

    longer = longer ? lib->slist_append(list, "Accept:") : NULL;

    if (longer && token) {
        snprintf(line, sizeof(line), "Authorization: %s", token);
        longer = lib->slist_append(list, line);
        OPENSSL_cleanse(line, sizeof(line));
    }
    if (!longer) {
        lib->slist_free_all(list);
    }
    return longer;
}

/* What the transfer has come to. */
static CURLcode outcome(etcd_http_t *http)
{
    CURLcode code = CURLE_OUT_OF_MEMORY;
    CURLMsg *message;
    int n;

    while ((message = lib->multi_info_read(http->multi, &n)) != NULL) {
        code = message->msg == CURLMSG_DONE ? message->data.result : code;
    }
    return code;
}

/* Runs the transfer that has been set up. */
static CURLcode perform(etcd_http_t *http, CURL *curl)
{
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int running = 1;

    if (lib->multi_add_handle(http->multi, curl) != CURLM_OK) {
        return code;
    }
    while (lib->multi_perform(http->multi, &running) == CURLM_OK && running
           && lib->multi_poll(http->multi, NULL, 0, 1000, NULL) == CURLM_OK) {
    }
    code = outcome(http);
    (void)lib->multi_remove_handle(http->multi, curl);
    return code;
}

static void start(etcd_http_t *http)
{
    http->len = http->headers_len = http->skipped_len = http->line_len = 0;
    http->too_long = http->dropped = 0;
    *http->error = '\0';
}

static void take_reply(etcd_http_t *http, CURL *curl, CURLcode code, etcd_reply_t *reply, char *why)
{
    long status = 0;

    memset(reply, 0, sizeof(*reply));
    if (code == CURLE_OK) {
        (void)lib->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        reply->status = (int)status;
        reply->body = http->body;
        reply->len = http->len;
        reply->too_long = http->too_long;
    }
    else {
        reply->closed = give_reason(http, code, why);
    }
}

void etcd_http_post(etcd_http_t *http, int i, const char *path, const char *token, const char *body,
                    int timeout_ms, etcd_reply_t *reply, char why[STORE_WHY_LEN])
{
    link_t *link = &http->links[i];
    struct curl_slist *list = headers(token);
    CURLcode code = CURLE_OUT_OF_MEMORY;

    start(http);
    snprintf(link->url + link->base_len, sizeof(link->url) - link->base_len, "%s", path);
    if (list && !lib->easy_setopt(link->curl, CURLOPT_URL, link->url)
        && !lib->easy_setopt(link->curl, CURLOPT_HTTPHEADER, list)
        && !lib->easy_setopt(link->curl, CURLOPT_POSTFIELDS, body)
        && !lib->easy_setopt(link->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body))
        && !lib->easy_setopt(link->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms)) {
        code = perform(http, link->curl);
    }
    take_reply(http, link->curl, code, reply, why);
    /* What is freed must not stay in the handle. */
    (void)lib->easy_setopt(link->curl, CURLOPT_HTTPHEADER, NULL);
    lib->slist_free_all(list);
}

/* ---- an answer in lines ---- */

int etcd_http_begin(etcd_http_t *http, int i, const char *path, const char *token, const char *body)
{
    link_t *link = &http->links[i];
    struct curl_slist *list = headers(token), *longer;

    start(http);
    /* A member that is cut off from the others ends a watch only if it is asked to. */
    longer = list ? lib->slist_append(list, "Grpc-Metadata-Hasleader: true") : NULL;
    snprintf(link->url + link->base_len, sizeof(link->url) - link->base_len, "%s", path);
    if (!longer || lib->easy_setopt(link->curl, CURLOPT_URL, link->url)
        || lib->easy_setopt(link->curl, CURLOPT_HTTPHEADER, longer)
        || lib->easy_setopt(link->curl, CURLOPT_COPYPOSTFIELDS, body)
        || lib->easy_setopt(link->curl, CURLOPT_TIMEOUT_MS, 0L)
        || lib->multi_add_handle(http->multi, link->curl) != CURLM_OK) {
        lib->slist_free_all(longer ? longer : list);
        return 0;
    }
    http->stream = link->curl;
    http->stream_headers = longer;
    return 1;
}

/* Takes the line that was given last out of the way, and finds the next. */
static int next_line(etcd_http_t *http, etcd_reply_t *reply)
{
    const char *end;

    memmove(http->body, http->body + http->line_len, http->len - http->line_len);
    http->len -= http->line_len;
    http->line_len = 0;
    end = memchr(http->body, '\n', http->len);
    if (!end) {
        return 0;
    }
    memset(reply, 0, sizeof(*reply));
    reply->status = http->status;
    reply->body = http->body;
    reply->len = (apr_size_t)(end - http->body);
    reply->too_long = http->dropped;
    http->dropped = 0;
    http->line_len = reply->len + 1;
    return 1;
}

etcd_line_e etcd_http_line(etcd_http_t *http, int limit_ms, etcd_reply_t *reply,
                           char why[STORE_WHY_LEN])
{
    apr_int64_t end_ms = monotonic_ms() + limit_ms, left = limit_ms;
    int running = 1;
    long status = 0;

    while (!next_line(http, reply)) {
        if (http->stream) {
            running = lib->multi_perform(http->multi, &running) == CURLM_OK ? running : 0;
            (void)lib->easy_getinfo(http->stream, CURLINFO_RESPONSE_CODE, &status);
            http->status = (int)status;
        }
        if (!running || !http->stream || http->too_long) {
            CURL *ended = http->stream;
            CURLcode code = http->too_long ? CURLE_WRITE_ERROR : outcome(http);

            http->stream = NULL;
            if (next_line(http, reply)) {
                return ETCD_LINE;
            }
            if (ended) {
                take_reply(http, ended, code, reply, why);
                (void)lib->multi_remove_handle(http->multi, ended);
            }
            return ETCD_LINE_END;
        }
        if (memchr(http->body, '\n', http->len)) {
            continue;
        }
        left = end_ms - monotonic_ms();
        if (left <= 0 || lib->multi_poll(http->multi, NULL, 0, (int)left, NULL) != CURLM_OK) {
            return ETCD_LINE_NONE;
        }
    }
    return ETCD_LINE;
}

void etcd_http_greet(etcd_http_t *http, int i, int timeout_ms, int *pstatus,
                     char why[STORE_WHY_LEN])
{
    link_t *link = &http->links[i];
    struct curl_slist *list = lib->slist_append(NULL, "Accept:");
    CURLcode code = CURLE_OUT_OF_MEMORY;
    etcd_reply_t reply;

    start(http);
    link->url[link->base_len] = '\0';
    if (list && !lib->easy_setopt(link->curl, CURLOPT_URL, link->url)
        && !lib->easy_setopt(link->curl, CURLOPT_HTTPGET, 1L)
        && !lib->easy_setopt(link->curl, CURLOPT_CUSTOMREQUEST, "OPTIONS")
        && !lib->easy_setopt(link->curl, CURLOPT_REQUEST_TARGET, "*")
        && !lib->easy_setopt(link->curl, CURLOPT_HTTPHEADER, list)
        && !lib->easy_setopt(link->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms)) {
        code = perform(http, link->curl);
    }
    take_reply(http, link->curl, code, &reply, why);
    *pstatus = reply.status;
    (void)lib->easy_setopt(link->curl, CURLOPT_HTTPHEADER, NULL);
    lib->slist_free_all(list);
}

#endif
