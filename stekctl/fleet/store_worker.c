/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker (store_worker.h): one connection, then it ends.  Its calls may block, because it has nothing
 * else to do.
 */
#include "store_worker.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "confine.h"
#include "options.h"
#include "stek_seal.h"
#include "store_kinds.h"
#include "store_wire.h"

static int receive(void *data, apr_size_t len)
{
    char *bytes = data;

    while (len > 0) {
        ssize_t n = read(WIRE_FD, bytes, len);

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

/* Unpacks the target, whose parts then point into text. */
static const store_driver_t *unpack_target(char *text, apr_size_t len, store_target_t *target)
{
    const store_driver_t *driver;
    const char *why;
    char *fields[WIRE_TARGET_FIELDS], *at = text;
    int i;

    for (i = 0; i < WIRE_TARGET_FIELDS; i++) {
        char *end = memchr(at, '\0', len - (apr_size_t)(at - text));

        if (!end) {
            return NULL;
        }
        fields[i] = at;
        at = end + 1;
    }
    target->host = fields[1];
    target->port = options_number(fields[2], 0, 65535);
    target->user = *fields[3] ? fields[3] : NULL;
    target->password = *fields[4] ? fields[4] : NULL;
    target->db = options_number(fields[5], 0, 65535);
    target->object = fields[6];
    target->timeout_ms = options_number(fields[7], 0, 1000000);
    target->ca = *fields[8] ? fields[8] : NULL;
    target->cert = *fields[9] ? fields[9] : NULL;
    target->key = *fields[10] ? fields[10] : NULL;
    target->master = *fields[11] ? fields[11] : NULL;
    target->origin = *fields[12] ? fields[12] : NULL;
    target->asking = options_number(fields[13], 0, 1) == 1;
    target->period_ms = options_number(fields[14], 0, INT32_MAX);
    target->address = *fields[15] ? fields[15] : NULL;
    target->listed = options_number(fields[16], 0, 1) == 1;
    driver = store_kinds_find(fields[0], strlen(fields[0]), &why);
    target->tls = driver && driver->has_tls;
    return driver;
}

/* The driver looks at target->object in every call. */
static int select_object(store_target_t *target, const unsigned char *name, apr_size_t len)
{
    static char object[WIRE_OBJECT_MAX];

    if (len == 0 || len > sizeof(object) || name[len - 1]) {
        return 0;
    }
    memcpy(object, name, len);
    target->object = object;
    return 1;
}

static int send_answer(wire_answer_t *answer, const unsigned char *bytes)
{
    return wire_transfer(WIRE_FD, 1, answer, sizeof(*answer), INT64_MAX)
           && wire_transfer(WIRE_FD, 1, (void *)(apr_uintptr_t)bytes, bytes ? answer->len : 0,
                            INT64_MAX);
}

/* The object, unless it is still the one that sync has. */
static store_result_e read_object(const store_driver_t *driver, void *conn, const char *mark,
                                  const unsigned char **pbytes, apr_size_t *plen, char *why)
{
    if (driver->marks && *mark) {
        store_result_e result = driver->marks->compare(conn, mark, why);

        if (result != STORE_CHANGED && result != STORE_MOVED) {
            return result;
        }
        *why = '\0';
    }
    return driver->read(conn, pbytes, plen, why);
}

static store_result_e write_object(const store_driver_t *driver, void *conn,
                                   const wire_call_t *call, const unsigned char *in, char *why)
{
    if (driver->marks && *call->mark) {
        driver->marks->set(conn, call->mark);
    }
    return driver->write(conn, in, call->len, why);
}

static int work(const store_driver_t *driver, void *conn, store_target_t *target, unsigned char *in)
{
    const unsigned char *bytes = NULL;
    wire_answer_t answer = {0};
    apr_size_t len = 0;
    wire_call_t call;

    if (!receive(&call, sizeof(call)) || call.len > STEK_RING_BYTES_MAX || !receive(in, call.len)) {
        return 0;
    }
    if (call.op == WIRE_SELECT) {
        return select_object(target, in, call.len);
    }
    answer.result = (unsigned char)(call.op == WIRE_READ
                                        ? read_object(driver, conn, call.mark, &bytes, &len,
                                                      answer.why)
                                        : write_object(driver, conn, &call, in, answer.why));
    if (driver->marks && (answer.result == STORE_DONE || answer.result == STORE_ABSENT)) {
        driver->marks->get(conn, answer.mark);
    }
    answer.len = !bytes && len > 0 ? WIRE_TOO_LONG : (apr_uint32_t)len;
    return send_answer(&answer, bytes) && answer.result < STORE_REFUSED;
}

/* Waits for one change, as often as it is asked to. */
static int wait_for_change(const store_watch_t *watch, void *conn)
{
    wire_answer_t answer = {0};
    wire_call_t call;

    if (!receive(&call, sizeof(call)) || call.op != WIRE_WAIT || call.len > 0) {
        return 0;
    }
    answer.result = (unsigned char)watch->wait(conn, answer.mark, answer.why);
    return send_answer(&answer, NULL) && answer.result < STORE_REFUSED;
}

/* Connects, and is confined from then on.  Nonzero: ready for calls. */
static int make_ready(store_result_e (*connecting)(void *, char *), void *conn)
{
    wire_answer_t answer = {0};

    answer.result = (unsigned char)connecting(conn, answer.why);
    if (answer.result == STORE_DONE) {
        const char *missing = confine_worker();

        snprintf(answer.why, sizeof(answer.why), "%s", missing ? missing : "");
    }
    return send_answer(&answer, NULL) && answer.result == STORE_DONE;
}

/* OpenSSL reads its configuration at its first digest, which later is too late. */
static void warm_up(void)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    (void)EVP_Digest("", 0, digest, NULL, EVP_sha1(), NULL);
    ERR_clear_error();
}

static void serve_calls(const store_driver_t *driver, store_target_t *target, unsigned char *in)
{
    void *conn = driver->open(target);

    if (conn) {
        int ready = make_ready(driver->connect, conn);

        while (ready && work(driver, conn, target, in)) {
        }
        driver->close(conn);
    }
}

static void serve_waiting(const store_watch_t *watch, const store_target_t *target)
{
    void *conn = watch->open(target);

    if (conn) {
        int ready = make_ready(watch->connect, conn);

        while (ready && wait_for_change(watch, conn)) {
        }
        watch->close(conn);
    }
}

int store_worker(void)
{
    unsigned char *in = malloc(STEK_RING_BYTES_MAX);
    const store_driver_t *driver = NULL;
    store_target_t target = {0};
    char text[WIRE_TARGET_MAX];
    wire_call_t call;

    confine_self();
    warm_up();
    if (in && receive(&call, sizeof(call)) && (call.op == WIRE_OPEN || call.op == WIRE_OPEN_WATCH)
        && call.len <= sizeof(text) && receive(text, call.len)) {
        driver = unpack_target(text, call.len, &target);
    }
    if (driver && call.op == WIRE_OPEN) {
        serve_calls(driver, &target, in);
    }
    else if (driver && driver->watch) {
        serve_waiting(driver->watch, &target);
    }
    OPENSSL_cleanse(text, sizeof(text));
    free(in);
    return driver ? 0 : 1;
}
