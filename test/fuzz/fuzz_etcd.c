/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the members of an etcd cluster answer.  The first byte says how many there are, whether they are
 * connected and whether there is a user; then come the answers, each a byte for its kind, its length in two
 * bytes, and its body.  Real: the driver, its JSON and its words.  Played: HTTP.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "stek_seal.h"
#include "fleet/store_connect.h"
#include "fleet/store_driver.h"
#include "fleet/store_etcd_http.h"
#include "fleet/store_etcd_json.h"

static const uint8_t *input;
static size_t input_len;
static unsigned choice;
static char *body; /* of the last answer: a copy of its own, so that ASan sees its end */

int __wrap_store_connect(const store_target_t *target, char why[STORE_WHY_LEN]);
etcd_http_t *__wrap_etcd_http_open(const store_target_t *target, char why[STORE_WHY_LEN]);
void __wrap_etcd_http_close(etcd_http_t *http);
int __wrap_etcd_http_join(etcd_http_t *http, int i, const char *host, int port, int fd);
void __wrap_etcd_http_post(etcd_http_t *http, int i, const char *path, const char *token,
                           const char *sent, int timeout_ms, etcd_reply_t *reply,
                           char why[STORE_WHY_LEN]);

static unsigned take_byte(void)
{
    input_len -= input_len > 0;
    return input_len > 0 ? *input++ : 0;
}

int __wrap_store_connect(const store_target_t *target, char why[STORE_WHY_LEN])
{
    HOLDS(*target->host && target->port > 0 && target->timeout_ms > 0);
    strcpy(why, "refused");
    return choice & 16 && target->port == 1 ? -1 : 99;
}

etcd_http_t *__wrap_etcd_http_open(const store_target_t *target, char why[STORE_WHY_LEN])
{
    static char handle;

    (void)target;
    strcpy(why, "out of memory");
    return (etcd_http_t *)(void *)&handle;
}

void __wrap_etcd_http_close(etcd_http_t *http)
{
    (void)http;
}

int __wrap_etcd_http_join(etcd_http_t *http, int i, const char *host, int port, int fd)
{
    HOLDS(http && i < ETCD_MEMBERS_MAX && *host && port > 0 && fd == 99);
    return 1;
}

void __wrap_etcd_http_post(etcd_http_t *http, int i, const char *path, const char *token,
                           const char *sent, int timeout_ms, etcd_reply_t *reply,
                           char why[STORE_WHY_LEN])
{
    static const int statuses[] = {0, 200, 200, 200, 400, 401, 403, 404, 412, 429, 500, 503};
    unsigned kind = take_byte(), len = take_byte();

    HOLDS(http && i < ETCD_MEMBERS_MAX && !strncmp(path, "/v3/", 4) && *sent == '{'
          && timeout_ms > 0);
    HOLDS(!token || (*token && !strpbrk(token, " \r\n")));
    len = len << 8 | take_byte();
    len = len < input_len ? len : (unsigned)input_len;
    free(body);
    body = malloc(len > 0 ? len : 1);
    HOLDS(body);
    memcpy(body, input, len);
    input += len;
    input_len -= len;
    memset(reply, 0, sizeof(*reply));
    reply->status = statuses[kind % 12];
    reply->body = body;
    reply->len = len;
    reply->too_long = kind >> 4 & 1;
    reply->closed = reply->status == 0 && kind & 64;
    if (reply->status == 0) {
        strcpy(why, "connection lost");
    }
}

static store_result_e result_of(store_result_e result, const char why[STORE_WHY_LEN])
{
    HOLDS(result <= STORE_LOST && memchr(why, '\0', STORE_WHY_LEN));
    HOLDS(result < STORE_REFUSED || *why);
    return result;
}

/* 0: a failure. */
static int still_the_same(const store_marks_t *marks, void *conn)
{
    char why[STORE_WHY_LEN] = "", mark[STORE_MARK_LEN];
    store_result_e result;

    marks->get(conn, mark);
    HOLDS(memchr(mark, '\0', sizeof(mark)));
    result = result_of(marks->compare(conn, mark, why), why);
    HOLDS(result == STORE_SAME || result == STORE_CHANGED || result >= STORE_REFUSED);
    marks->set(conn, mark);
    return result < STORE_REFUSED;
}

/* A line of a watch. */
static void take_event(const uint8_t *data, size_t size)
{
    char *line = malloc(size), message[ETCD_MESSAGE_MAX];
    etcd_value_t value = {0, 0, 0};
    int anything = 0;

    HOLDS(line);
    memcpy(line, data, size);
    if (!etcd_json_read_event(line, size, "/p/k", &anything, &value)) {
        etcd_json_read_error(line, size, message);
        HOLDS(memchr(message, '\0', sizeof(message)));
    }
    HOLDS(anything || (value.mod_revision == 0 && value.version == 0));
    free(line);
}

/* As a worker does: after a failure it closes. */
static void drive(const store_driver_t *driver, void *conn)
{
    static unsigned char ring[] = "ring";
    int i, ok = 1;

    for (i = 0; i < 3 && ok; i++) {
        char why[STORE_WHY_LEN] = "";
        const unsigned char *bytes = NULL;
        apr_size_t len = 0;
        store_result_e result;

        if (choice & 8 && i > 0 && !still_the_same(driver->marks, conn)) {
            break;
        }
        result = result_of(driver->read(conn, &bytes, &len, why), why);
        HOLDS(result == STORE_DONE || (!bytes && len == 0));
        HOLDS(result != STORE_DONE || (bytes ? len <= STEK_RING_BYTES_MAX : len > 0));
        ok = result < STORE_REFUSED;
        if (ok && bytes) {
            ring[0] ^= len > 0 ? bytes[len - 1] : 0;
        }
        if (ok) {
            ok = result_of(driver->write(conn, ring, sizeof(ring), why), why) < STORE_REFUSED;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[STORE_WHY_LEN] = "", hosts[3][40] = {"a", "a:2,[::1]", "a,b:1,c:65535"};
    char user[] = "user", password[] = "password", object[] = "/p/k";
    store_target_t target = {.port = 1, .object = object, .timeout_ms = 60000};
    const store_driver_t *driver;
    void *conn;

    if (size == 0) {
        return 0;
    }
    take_event(data, size);
    input = data + 1;
    input_len = size - 1;
    choice = data[0];
    target.host = hosts[choice % 3];
    target.user = choice & 32 ? user : NULL;
    target.password = choice & 64 ? password : NULL;
    driver = choice & 128 ? &store_etcds : &store_etcd;
    target.tls = driver->has_tls;
    conn = driver->open(&target);
    HOLDS(conn);
    if (result_of(driver->connect(conn, why), why) == STORE_DONE) {
        drive(driver, conn);
    }
    driver->close(conn);
    free(body);
    body = NULL;
    return 0;
}
